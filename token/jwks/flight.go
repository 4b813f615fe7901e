package jwks

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"example.com/caddy-token-auth/token"
)

// flight is one fetch. Everyone who needs the set meanwhile waits for it.
type flight struct {
	demanded bool          // by a token
	done     chan struct{} // closed when what follows is set
	err      error
	changed  bool // the set has other keys than before
}

var errClosed = errors.New("closed")

// Refetch implements token.KeySource.
//
// A fetch that is under way is waited for. Otherwise the set is fetched, unless the
// last such fetch ended less than Options.Cooldown ago or kid was looked for lately.
func (s *Source) Refetch(ctx context.Context, kid string) error {
	for {
		f, own, err := s.board(kid)
		if f == nil {
			return err
		}
		select {
		case <-f.done:
		case <-ctx.Done():
			return fmt.Errorf("%w: %w", token.ErrKeysUnavailable, ctx.Err())
		}
		switch {
		case f.err != nil:
			return unavailable(f.err)
		case own:
			if !s.ring.Has(kid) && (kid != "" || !f.changed) {
				s.missed(kid)
			}
			return nil
		case kid == "" || s.ring.Has(kid):
			return nil
		}
		// It had begun earlier, perhaps before the issuer published the key.
	}
}

// board returns the flight to wait for, and whether it began for this very kid. It is
// nil if the key is there by now, or if the set will not be fetched for this kid; the
// error then says whether the present set can be believed.
func (s *Source) board(kid string) (f *flight, own bool, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.options.Now()
	switch {
	case s.ring.Has(kid):
		return nil, false, nil
	case s.closed:
		return nil, false, unavailable(errClosed)
	case s.flight != nil:
		return s.flight, false, nil
	case s.status.Keys == 0:
		return nil, false, unavailable(s.status.Err) // the retries go on in the background
	case len(kid) > maxKeyID || s.isMissing(kid, now):
		return nil, false, nil
	case now.Before(s.cooldown):
		if s.status.Err != nil {
			return nil, false, unavailable(s.status.Err)
		}
		return nil, false, nil
	}
	return s.begin(true), true, nil
}

// refresh begins a fetch, unless there is one, and reports whether it did.
func (s *Source) refresh() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed || s.flight != nil {
		return false
	}
	s.begin(false)
	return true
}

// begin starts a flight. s.mu is held, s is not closed, and there is no flight.
func (s *Source) begin(demanded bool) *flight {
	f := &flight{demanded: demanded, done: make(chan struct{})}
	s.flight = f
	s.flights.Go(func() {
		ctx, cancel := context.WithTimeout(s.ctx, s.options.Timeout)
		defer cancel()
		var set Set
		doc, fresh, err := s.origin.fetch(ctx, demanded)
		if err == nil {
			set, err = Parse(doc)
		}
		e := s.land(f, set, fresh, err)
		select {
		case s.landed <- e:
		case <-s.ctx.Done():
		}
	})
	return f
}

// land puts the result of f into force.
func (s *Source) land(f *flight, set Set, fresh time.Duration, err error) Event {
	s.mu.Lock()
	defer s.mu.Unlock()
	defer close(f.done)
	s.flight = nil
	if f.demanded {
		s.cooldown = s.options.Now().Add(s.options.Cooldown)
	}
	before := s.ring.Keys()
	if err == nil && s.closed {
		err = errClosed
	}
	if err == nil {
		err = s.ring.Replace(set.Keys)
	}
	if err != nil {
		f.err = err
		s.status.Err = err
		s.status.Failures++
		return Event{Status: s.status, Next: s.next(f, s.options.retryIn(s.status.Failures))}
	}
	added, removed := without(set.Keys, before), without(before, set.Keys)
	f.changed = added+removed > 0
	s.status = Status{Keys: len(set.Keys), Skipped: set.Skipped, Fetched: s.options.Now()}
	return Event{Status: s.status, Added: added, Removed: removed, Next: s.next(f, s.options.refreshIn(fresh))}
}

// next returns how long to wait after f, in view of what is usual. A good fetch that a
// token asked for leaves the next refresh where it is: only that reads everything anew.
func (s *Source) next(f *flight, usual time.Duration) time.Duration {
	if from, ok := s.origin.(polled); ok {
		return from.interval()
	}
	if f.demanded && f.err == nil {
		return 0
	}
	return usual
}

// without counts the keys that are not among others.
func without(keys, others []token.VerificationKey) int {
	n := 0
	for _, key := range keys {
		if !slices.ContainsFunc(others, func(other token.VerificationKey) bool { return identical(key, other) }) {
			n++
		}
	}
	return n
}

func unavailable(err error) error {
	if err == nil {
		return token.ErrKeysUnavailable
	}
	return fmt.Errorf("%w: %w", token.ErrKeysUnavailable, err)
}
