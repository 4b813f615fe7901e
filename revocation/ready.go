package revocation

import (
	"context"
	"fmt"
	"time"
)

// Ready returns nil if the list can answer, and otherwise why it cannot: it is closed, its
// entries have not been read yet, or both its feed and its store have failed.
func (l *List) Ready(ctx context.Context) error {
	if l.retention.Load() == nil {
		return ErrClosed
	}
	f := l.follower
	switch {
	case f == nil:
		return nil
	case f.trusted(l.now()):
		return nil
	case !f.loaded():
		return errNotLoaded
	}
	if err := l.probe.ask(ctx, l); err != nil {
		return fmt.Errorf("the feed is stale and the store does not answer: %w", err)
	}
	return nil
}

const (
	// probeInterval is how long one look-up tells whether the store answers: anybody may
	// ask for that, as often as they like.
	probeInterval = time.Second
	// probeTimeout bounds that look-up.
	probeTimeout = 2 * time.Second
)

// probe asks a store whether it answers, once for all who want to know.
type probe struct {
	turn chan struct{} // full while one caller uses the fields below

	at    time.Time
	err   error
	known bool
}

func newProbe() *probe { return &probe{turn: make(chan struct{}, 1)} }

// ask returns the error of a look-up that is recent, or waits for one until ctx ends.
func (p *probe) ask(ctx context.Context, l *List) error {
	select {
	case p.turn <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	}
	defer func() { <-p.turn }()
	if age := l.now().Sub(p.at); p.known && age >= 0 && age < probeInterval {
		return p.err
	}
	// Who asked first may leave, and the answer is for the others too.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), probeTimeout)
	defer cancel()
	_, p.err = l.store.Lookup(ctx, retentionKey)
	p.at, p.known = l.now(), true
	return p.err
}

// Status is how a List stands.
type Status struct {
	// Entries is how many entries there are, as far as that is known, expired ones that are
	// not yet purged included.
	Entries int
	// Followed says that the list has a feed. The fields below are about it.
	Followed bool
	// Connected says that the feed is being followed.
	Connected bool
	// Loaded says that all entries have been read.
	Loaded bool
	// Trusted says that answers are given without asking the store.
	Trusted bool
	// AsOf is the time up to which all changes are known, or the zero time.
	AsOf time.Time
}

// Status returns how the list stands. A closed list has the zero Status.
func (l *List) Status() Status {
	if l.retention.Load() == nil {
		return Status{}
	}
	var s Status
	if l.counter != nil {
		s.Entries = l.counter.Len()
	}
	if f := l.follower; f != nil {
		s.Entries, s.Followed, s.Loaded, s.Trusted = f.index.Len(), true, f.loaded(), f.trusted(l.now())
		s.Connected = f.connected.Load()
		if asOf := f.alive.Load(); asOf != nil {
			s.AsOf = *asOf
		}
	}
	return s
}

// learnedOf accounts for an entry that was written, by whomever.
func (l *List) learnedOf(e Entry) {
	if e.Scope == ScopeRetention {
		l.adoptRetention(e)
		return
	}
	l.changed(e.Key())
}
