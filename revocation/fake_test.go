package revocation_test

import (
	"context"
	"sync"
	"testing"
	"time"

	"example.com/caddy-token-auth/revocation"
)

// fakeStore is a Store in memory whose calls a test can hold up or fail.
type fakeStore struct {
	mu      sync.Mutex
	entries map[revocation.Key]revocation.Entry
	lookups int
	closed  bool
	fail    error // returned by every call

	// onLookup is called with what a Lookup found, before it returns that.
	onLookup func()
	// onRevoke is called before anything is stored.
	onRevoke func()
}

func newFakeStore() *fakeStore {
	return &fakeStore{entries: make(map[revocation.Key]revocation.Entry)}
}

func (s *fakeStore) Revoke(_ context.Context, entries ...revocation.Entry) error {
	if s.onRevoke != nil {
		s.onRevoke()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.fail != nil {
		return s.fail
	}
	for _, e := range entries {
		if err := e.Validate(); err != nil {
			return err
		}
		k := e.Key()
		if old, ok := s.entries[k]; ok {
			e = revocation.Merge(old, e)
		}
		s.entries[k] = e
	}
	return nil
}

func (s *fakeStore) Lookup(_ context.Context, keys ...revocation.Key) ([]revocation.Entry, error) {
	s.mu.Lock()
	found := make([]revocation.Entry, len(keys))
	for i, k := range keys {
		found[i] = s.entries[k]
	}
	s.lookups++
	err := s.fail
	s.mu.Unlock()
	if s.onLookup != nil {
		s.onLookup()
	}
	return found, err
}

func (s *fakeStore) Scan(_ context.Context, fn func(revocation.Entry) error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, e := range s.entries {
		if err := fn(e); err != nil {
			return err
		}
	}
	return s.fail
}

func (s *fakeStore) Restore(_ context.Context, keys ...revocation.Key) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, k := range keys {
		delete(s.entries, k)
	}
	return s.fail
}

func (s *fakeStore) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	return nil
}

func (s *fakeStore) lookupCount() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.lookups
}

func (s *fakeStore) get(k revocation.Key) revocation.Entry {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.entries[k]
}

// filteredStore also implements Filter, exactly.
type filteredStore struct{ *fakeStore }

func (s filteredStore) Absent(k revocation.Key) bool { return s.get(k).Scope == 0 }

// clock is a settable clock.
type clock struct {
	mu  sync.Mutex
	now time.Time

	// onNow is called before the time is read.
	onNow func()
}

func newClock() *clock {
	return &clock{now: time.Date(2026, time.March, 1, 12, 0, 0, 700_000_000, time.UTC)}
}

func (c *clock) Now() time.Time {
	if c.onNow != nil {
		c.onNow()
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// issue returns the identity of a token issued now, to the second as JWTs say it.
func (c *clock) issue(token, session, client string) *revocation.Identity {
	iat := c.Now().Truncate(time.Second)
	return revocation.NewIdentity("api", token, session, client, iat, iat.Add(time.Hour))
}

func openList(t *testing.T, store revocation.Store, c *clock, opts revocation.Options) *revocation.List {
	t.Helper()
	opts.Now = c.Now
	list, err := revocation.Open(t.Context(), store, opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := list.Close(); err != nil {
			t.Error(err)
		}
	})
	return list
}

func check(t *testing.T, list *revocation.List, id *revocation.Identity, want revocation.Verdict) {
	t.Helper()
	got, err := list.Check(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	if got != want {
		t.Errorf("token %s: %s, want %s", id.Token(), got, want)
	}
}

func revoke(t *testing.T, list *revocation.List, id *revocation.Identity, scope revocation.Scope) revocation.Entry {
	t.Helper()
	e, err := list.Revoke(t.Context(), id, scope)
	if err != nil {
		t.Fatal(err)
	}
	return e
}
