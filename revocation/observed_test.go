package revocation_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"example.com/caddy-token-auth/revocation"
	"example.com/caddy-token-auth/revocation/memstore"
)

// storeCalls keeps what a List tells of its store.
type storeCalls struct {
	mu   sync.Mutex
	seen []revocation.StoreCall
}

func (c *storeCalls) add(call revocation.StoreCall) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.seen = append(c.seen, call)
}

// take returns what was seen since it was called last.
func (c *storeCalls) take() []revocation.StoreCall {
	c.mu.Lock()
	defer c.mu.Unlock()
	seen := c.seen
	c.seen = nil
	return seen
}

func TestEachLookUpIsCountedOnceByHowItWasAnswered(t *testing.T) {
	store, counters := newFakeStore(), new(revocation.Counters)
	list, err := revocation.Open(t.Context(), store, revocation.Options{Counters: counters})
	if err != nil {
		t.Fatal(err)
	}
	defer list.Close()
	now := time.Now()
	id := revocation.NewIdentity("", "t", "s", "c", now, now.Add(time.Hour))
	check := func() { _, _ = list.Check(t.Context(), id) }
	check()                                 // asks the store
	check()                                 // does not
	_, _ = list.CheckStore(t.Context(), id) // asks it
	_, _ = list.Revoke(t.Context(), id, revocation.ScopeSession)
	store.mu.Lock()
	store.fail = errors.New("broken")
	store.mu.Unlock()
	check() // cannot be answered
	_, _ = list.Revoke(t.Context(), id, revocation.ScopeClient)
	old := revocation.NewIdentity("", "old", "", "", now.Add(-30*24*time.Hour), now.Add(time.Hour))
	_, _ = list.Check(t.Context(), old)
	if got, want := counters.Lookups(), (revocation.Lookups{Stored: 2, Aged: 1, Failed: 1}); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
	for scope, want := range map[revocation.Scope][2]uint64{
		revocation.ScopeToken: {0, 0}, revocation.ScopeSession: {1, 0}, revocation.ScopeClient: {0, 1}, revocation.ScopeIssued: {0, 0},
	} {
		if recorded, failed := counters.Revocations(scope); recorded != want[0] || failed != want[1] {
			t.Errorf("%s: %d recorded and %d failed, want %v", scope, recorded, failed, want)
		}
	}
}

// rulingOutStore rules everything out.
type rulingOutStore struct{ *memstore.Store }

func (rulingOutStore) Absent(revocation.Key) bool { return true }
func (rulingOutStore) Len() int                   { return 7 }

func TestObservedStoreKeepsWhatItCanDo(t *testing.T) {
	counters, calls := new(revocation.Counters), new(storeCalls)
	list, err := revocation.Open(t.Context(), rulingOutStore{memstore.New()}, revocation.Options{Counters: counters, OnStore: calls.add})
	if err != nil {
		t.Fatal(err)
	}
	defer list.Close()
	calls.take()
	now := time.Now()
	if v, err := list.Check(t.Context(), revocation.NewIdentity("", "t", "", "", now, now.Add(time.Hour))); v != revocation.Live || err != nil {
		t.Errorf("%s, %v", v, err)
	}
	if got := counters.Lookups(); got != (revocation.Lookups{Absent: 1}) {
		t.Errorf("got %+v", got)
	}
	if seen := calls.take(); len(seen) != 0 {
		t.Errorf("the store was asked: %v", seen)
	}
	if got := list.Status().Entries; got != 7 {
		t.Errorf("%d entries", got)
	}
}

func TestEachCallOnTheStoreIsToldOf(t *testing.T) {
	store, calls := newFakeStore(), new(storeCalls)
	list, err := revocation.Open(t.Context(), store, revocation.Options{OnStore: calls.add})
	if err != nil {
		t.Fatal(err)
	}
	defer list.Close()
	calls.take()
	now := time.Now()
	id := revocation.NewIdentity("", "t", "s", "c", now, now.Add(time.Hour))
	if _, err := list.CheckStore(t.Context(), id); err != nil {
		t.Fatal(err)
	}
	broken := errors.New("broken")
	store.mu.Lock()
	store.fail = broken
	store.mu.Unlock()
	if _, err := list.Revoke(t.Context(), id, revocation.ScopeToken); !errors.Is(err, broken) {
		t.Fatal(err)
	}
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	_, _ = list.CheckStore(gone, id)
	want := []revocation.StoreCall{
		{Operation: revocation.StoreLookup},
		{Operation: revocation.StoreRevoke, Err: broken},
		{Operation: revocation.StoreLookup, Err: broken, Abandoned: true},
	}
	got := calls.take()
	for i := range got {
		if got[i].Took < 0 {
			t.Errorf("%s took %s", got[i].Operation, got[i].Took)
		}
		got[i].Took = 0
	}
	if len(got) != len(want) {
		t.Fatalf("got %v, want %v", got, want)
	}
	for i := range got {
		if got[i] != want[i] {
			t.Errorf("call %d: got %+v, want %+v", i, got[i], want[i])
		}
	}
}

// Whoever reads a scan may be slow, or leave: the store's metrics are about the store.
func TestStoreIsNotBlamedForTheReaderOfAScan(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store, calls := newFakeStore(), new(storeCalls)
		list, err := revocation.Open(t.Context(), store, revocation.Options{OnStore: calls.add})
		if err != nil {
			t.Fatal(err)
		}
		defer list.Close()
		now := time.Now()
		if _, err := list.Revoke(t.Context(), revocation.NewIdentity("", "t", "s", "c", now, now.Add(time.Hour)), revocation.ScopeToken); err != nil {
			t.Fatal(err)
		}
		calls.take()
		gone := errors.New("reader is gone")
		if err := list.Scan(t.Context(), func(revocation.Entry) error { time.Sleep(time.Minute); return gone }); !errors.Is(err, gone) {
			t.Errorf("the reader's error became %v", err)
		}
		broken := errors.New("broken")
		store.fail = broken
		if err := list.Scan(t.Context(), func(revocation.Entry) error { return nil }); !errors.Is(err, broken) {
			t.Errorf("the store's error became %v", err)
		}
		want := []revocation.StoreCall{{Operation: revocation.StoreScan}, {Operation: revocation.StoreScan, Err: broken}}
		if got := calls.take(); len(got) != 2 || got[0] != want[0] || got[1] != want[1] {
			t.Errorf("got %+v, want %+v", got, want)
		}
	})
}
