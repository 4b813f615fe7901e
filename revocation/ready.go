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
	if _, err := l.store.Lookup(ctx, retentionKey); err != nil {
		return fmt.Errorf("the feed is stale and the store does not answer: %w", err)
	}
	return nil
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
