package jwks

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"example.com/caddy-token-auth/token"
)

// maxWaiting is how many tokens may wait for a fetch at a time. Whatever more there are
// could be made up.
const maxWaiting = 1024

// maxCooldownWait is the longest time that a token waits for a cooldown to end.
const maxCooldownWait = DefaultCooldown

// flight is one fetch. Everyone who needs the set meanwhile waits for it.
type flight struct {
	number   int           // counts from 1
	demanded bool          // by a token
	again    bool          // for a kid that was looked for before
	done     chan struct{} // closed when it has landed
}

var (
	errClosed   = errors.New("closed")
	errCooldown = errors.New("the key may be new, and the set was fetched too lately to be fetched again")
	errWaiting  = errors.New("the key may be new, and too many tokens wait for the set")
)

// search is one token's search for a key.
type search struct {
	kid     string
	begun   int  // flights before it
	started bool // begun is set
	waits   bool // and is counted
}

// Refetch implements token.KeySource.
//
// A fetch that is under way is waited for. Otherwise the set is fetched, at once or when
// Options.Cooldown lets it. nil means that the set can be believed: a fetch that began
// after the call, or one that looked for kid lately, has or has not brought it.
func (s *Source) Refetch(ctx context.Context, kid string) error {
	q := &search{kid: kid}
	defer s.leave(q)
	for {
		landing, cooldown, err := s.board(q)
		if landing == nil {
			return err
		}
		if err := s.await(ctx, landing, cooldown); err != nil {
			return unavailable(err)
		}
	}
}

// await waits for a flight to land and, unless it is zero, for a cooldown at most.
func (s *Source) await(ctx context.Context, landing <-chan struct{}, cooldown time.Duration) error {
	var over <-chan time.Time
	if cooldown > 0 {
		timer := time.NewTimer(cooldown)
		defer timer.Stop()
		over = timer.C
	}
	select {
	case <-landing:
	case <-over:
	case <-s.ctx.Done():
	case <-ctx.Done():
		return ctx.Err()
	}
	return nil
}

// board returns what q has to wait for: a flight, and the end of the cooldown before which
// there may be none. There is nothing to wait for if the key is there by now, or if it is
// known not to be; the error then says whether the present set can be believed.
func (s *Source) board(q *search) (landing <-chan struct{}, cooldown time.Duration, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !q.started {
		q.begun, q.started = s.begun, true
	}
	now := s.options.Now()
	looked, again := s.missing.Get(q.kid)
	switch {
	case s.ring.Has(q.kid):
		return nil, 0, nil
	case s.closed:
		return nil, 0, unavailable(errClosed)
	case q.waits && s.status.Err != nil:
		return nil, 0, unavailable(s.status.Err)
	case s.arrived > q.begun:
		if q.kid != "" || !s.changed {
			s.missing.Add(q.kid, now.Add(s.options.Cooldown))
		}
		return nil, 0, nil
	case s.flight != nil:
		// It had begun earlier, perhaps before the issuer published the key.
		return s.wait(q, s.flight.done, 0)
	case q.kid == "" && q.waits:
		return nil, 0, nil
	case s.status.Keys == 0:
		return nil, 0, unavailable(s.status.Err) // the retries go on in the background
	case len(q.kid) > maxKeyID, now.Before(looked):
		return nil, 0, nil
	}
	until := s.cooldown
	if again {
		until = s.cooldownAgain
	}
	if cooldown = until.Sub(now); cooldown <= 0 {
		if landing, _, err = s.wait(q, s.next, 0); err == nil {
			s.begin(true).again = again
		}
		return landing, 0, err
	}
	switch {
	case s.status.Err != nil:
		return nil, 0, unavailable(s.status.Err)
	case q.kid == "":
		return nil, 0, nil // it names nothing that could be new
	case cooldown > maxCooldownWait:
		return nil, 0, unavailable(errCooldown)
	}
	return s.wait(q, s.next, cooldown)
}

// wait counts q among those that wait, if there is room. s.mu is held.
func (s *Source) wait(q *search, landing <-chan struct{}, cooldown time.Duration) (<-chan struct{}, time.Duration, error) {
	if !q.waits {
		if s.waiting >= maxWaiting {
			return nil, 0, unavailable(errWaiting)
		}
		q.waits = true
		s.waiting++
	}
	return landing, cooldown, nil
}

func (s *Source) leave(q *search) {
	if !q.waits {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.waiting--
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
	s.begun++
	f := &flight{number: s.begun, demanded: demanded, done: s.next}
	s.flight, s.next = f, make(chan struct{})
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
		s.cooldownAgain = s.options.Now().Add(s.options.Cooldown)
		if !f.again {
			s.cooldown = s.cooldownAgain
		}
	}
	before := s.ring.Keys()
	if err == nil && s.closed {
		err = errClosed
	}
	if err == nil {
		err = s.ring.Replace(set.Keys)
	}
	if err != nil {
		s.status.Err = err
		s.status.Failures++
		return Event{Status: s.status, Next: s.planned(f, s.options.retryIn(s.status.Failures))}
	}
	added, removed := without(set.Keys, before), without(before, set.Keys)
	s.arrived, s.changed = f.number, added+removed > 0
	s.status = Status{Keys: len(set.Keys), Skipped: set.Skipped, Fetched: s.options.Now()}
	return Event{Status: s.status, Added: added, Removed: removed, Next: s.planned(f, s.options.refreshIn(fresh))}
}

// planned returns how long to wait after f, in view of what is usual. A good fetch that a
// token asked for leaves the next refresh where it is: only that reads everything anew.
func (s *Source) planned(f *flight, usual time.Duration) time.Duration {
	if from, ok := s.origin.(polled); ok {
		return from.interval()
	}
	if f.demanded && s.status.Err == nil {
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
