package revocation_test

import (
	"errors"
	"slices"
	"sync"
	"testing"
	"time"

	"example.com/caddy-token-auth/revocation"
)

// listener keeps what it is told, and what a Check in the very call says of an identity.
type listener struct {
	mu       sync.Mutex
	changes  []revocation.Change
	verdicts []revocation.Verdict
}

func listen(t *testing.T, list *revocation.List, id *revocation.Identity) (*listener, func()) {
	t.Helper()
	l := new(listener)
	cancel := list.Subscribe(func(c revocation.Change) {
		verdict, err := list.Check(t.Context(), id)
		if err != nil {
			verdict = revocation.Unknown
		}
		l.mu.Lock()
		defer l.mu.Unlock()
		l.changes, l.verdicts = append(l.changes, c), append(l.verdicts, verdict)
	})
	return l, cancel
}

func (l *listener) last(t *testing.T) (revocation.Change, revocation.Verdict) {
	t.Helper()
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.changes) == 0 {
		t.Fatal("nothing was told")
	}
	return l.changes[len(l.changes)-1], l.verdicts[len(l.verdicts)-1]
}

func (l *listener) count() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.changes)
}

func TestSubscriberSeesARevocationWhenItIsTold(t *testing.T) {
	c := newClock()
	list := openList(t, newFakeStore(), c, revocation.Options{})
	id := c.issue("a", "s", "alice")
	check(t, list, id, revocation.Live)
	l, cancel := listen(t, list, id)
	e := revoke(t, list, id, revocation.ScopeClient)
	change, verdict := l.last(t)
	if change.Any() || change.Key != e.Key() || verdict != revocation.RevokedClient {
		t.Errorf("told of %v when the verdict was %s", change, verdict)
	}
	if !slices.Contains(id.Keys(), e.Key()) {
		t.Error("the key of the entry is not among those of the identity")
	}
	cancel()
	before := l.count()
	revoke(t, list, id, revocation.ScopeToken)
	if l.count() != before {
		t.Error("told after cancel")
	}
}

func TestSubscriberIsToldOfAWriteThatMayHaveBeenStored(t *testing.T) {
	c, store := newClock(), newFakeStore()
	list := openList(t, store, c, revocation.Options{})
	id := c.issue("a", "s", "alice")
	l, _ := listen(t, list, id)
	store.mu.Lock()
	store.fail = errors.New("disk full")
	store.mu.Unlock()
	if _, err := list.Revoke(t.Context(), id, revocation.ScopeToken); err == nil {
		t.Fatal("no error")
	}
	l.last(t)
	store.mu.Lock()
	store.fail = nil
	store.mu.Unlock()
}

func TestSubscriberIsToldWhatTheFeedTells(t *testing.T) {
	store := newFedStore()
	f := openFed(t, store)
	f.follow(t)
	id := f.clock.issue("a", "s", "alice")
	check(t, f.List, id, revocation.Live)
	l, _ := listen(t, f.List, id)

	e := store.elsewhere(t, f.clock, id, revocation.ScopeSession)
	f.watch.sink.Changed([]revocation.Entry{e}, nil, "1")
	if change, verdict := l.last(t); change.Key != e.Key() || verdict != revocation.RevokedSession {
		t.Errorf("told of %v when the verdict was %s", change, verdict)
	}
	if err := store.Restore(t.Context(), e.Key()); err != nil {
		t.Fatal(err)
	}
	f.watch.sink.Changed(nil, []revocation.Key{e.Key()}, "2")
	if change, verdict := l.last(t); change.Key != e.Key() || verdict != revocation.Live {
		t.Errorf("told of %v when the verdict was %s", change, verdict)
	}
}

func TestSubscriberIsToldOfAGapOnceAllIsKnown(t *testing.T) {
	store := newFedStore()
	f := openFed(t, store)
	f.follow(t)
	id := f.clock.issue("a", "s", "alice")
	check(t, f.List, id, revocation.Live)
	l, _ := listen(t, f.List, id)
	store.elsewhere(t, f.clock, id, revocation.ScopeToken) // the feed does not tell
	f.follow(t)
	if change, verdict := l.last(t); !change.Any() || verdict != revocation.RevokedToken {
		t.Errorf("told of %v when the verdict was %s", change, verdict)
	}
}

func TestSubscriberIsToldOfEveryChange(t *testing.T) {
	for name, change := range map[string]func(*revocation.List, *clock, *revocation.Identity) error{
		"revoke": func(l *revocation.List, _ *clock, id *revocation.Identity) error {
			_, err := l.Revoke(t.Context(), id, revocation.ScopeToken)
			return err
		},
		"revoke by name": func(l *revocation.List, _ *clock, id *revocation.Identity) error {
			_, err := l.RevokeNamed(t.Context(), revocation.ScopeClient, id.Realm(), id.Client())
			return err
		},
		"rotate": func(l *revocation.List, _ *clock, id *revocation.Identity) error {
			_, err := l.Rotate(t.Context(), id, l.Mark())
			return err
		},
		"issued": func(l *revocation.List, c *clock, id *revocation.Identity) error {
			if _, err := l.Revoke(t.Context(), id, revocation.ScopeClient); err != nil {
				return err
			}
			return l.Issued(t.Context(), c.issue("newer", "s", "alice"), l.Mark())
		},
		"learned": func(l *revocation.List, _ *clock, _ *revocation.Identity) error {
			_, err := l.Learn(t.Context(), revocation.Issuance{Token: "opaque", Client: "alice"}, l.Mark())
			return err
		},
		"longer lifetime": func(l *revocation.List, _ *clock, _ *revocation.Identity) error {
			return l.RaiseMaxTokenLifetime(t.Context(), 1000*time.Hour)
		},
	} {
		c := newClock()
		list := openList(t, newFakeStore(), c, revocation.Options{})
		id := c.issue("a", "s", "alice")
		l, cancel := listen(t, list, id)
		if err := change(list, c, id); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if want := map[string]int{"issued": 2}[name]; l.count() < max(want, 1) {
			t.Errorf("%s: told %d times", name, l.count())
		}
		cancel()
	}
}

// What is told in the middle of a revocation of the same client, by another caller, waits
// for that one and for nothing else.
func TestSubscribersOfRevocationsAtOnceDoNotWaitForOneAnother(t *testing.T) {
	c := newClock()
	list := openList(t, newFakeStore(), c, revocation.Options{})
	id := c.issue("a", "s", "alice")
	l, cancel := listen(t, list, id)
	defer cancel()
	var tasks sync.WaitGroup
	for range 16 {
		tasks.Go(func() { revoke(t, list, id, revocation.ScopeClient) })
	}
	tasks.Wait()
	if _, verdict := l.last(t); l.count() != 16 || verdict != revocation.RevokedClient {
		t.Errorf("told %d times, and the verdict was %s", l.count(), verdict)
	}
}
