package jwks

import "time"

const (
	// maxMissing is how many kids are remembered as not in the set.
	maxMissing = 1024
	// maxMissWait is the longest time for which a kid that was looked for several times
	// and never found is not looked for again.
	maxMissWait = time.Minute
	// maxKeyID is the longest kid that is looked for, in bytes. It bounds the memory of
	// missing to half a megabyte; real ones are digests or short names.
	maxKeyID = 512
)

// miss remembers that the set was fetched for a kid and did not have it. A client that
// goes on with a token of a foreign or bygone key would otherwise use up every fetch
// that a genuine new key may need. Each time costs twice the wait, up to maxMissWait.
type miss struct {
	until time.Time
	wait  time.Duration
}

// isMissing reports whether kid was looked for lately. s.mu is held.
func (s *Source) isMissing(kid string, now time.Time) bool {
	m, ok := s.missing.Get(kid)
	return ok && now.Before(m.until)
}

// missed notes that a fetch for kid did not bring it.
func (s *Source) missed(kid string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.options.Now()
	m, ok := s.missing.Get(kid)
	switch {
	case ok && now.Sub(m.until) < maxMissWait:
		m.wait = min(2*m.wait, max(maxMissWait, s.options.Cooldown))
	default:
		m.wait = s.options.Cooldown
	}
	m.until = now.Add(m.wait)
	s.missing.Add(kid, m)
}
