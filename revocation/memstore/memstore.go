// Package memstore is a revocation.Store in memory, for tests and examples.
//
// # What is guaranteed
//
// Durability: none. What was revoked is forgotten when the process ends, and with
// it every logout. Configuration offers this store nowhere.
//
// Everything else is as revocation.Store has it. All methods are safe for
// concurrent use, and after Close they return revocation.ErrClosed.
package memstore

import (
	"context"
	"sync"
	"time"

	"example.com/caddy-token-auth/revocation"
)

// Store is a revocation.Store in memory. Make it with New.
type Store struct {
	now func() time.Time

	mu      sync.RWMutex // guards all below
	entries map[revocation.Key]revocation.Entry
	sweepAt int // number of entries at which expired ones are removed
	closed  bool
}

// minSweep is the number of entries below which removing expired ones is not worth it.
const minSweep = 1024

// Option changes a Store while New makes it.
type Option func(*Store)

// WithClock makes the Store read the time from now in place of time.Now.
func WithClock(now func() time.Time) Option {
	return func(s *Store) { s.now = now }
}

// New returns an empty Store.
func New(options ...Option) *Store {
	s := &Store{
		now:     time.Now,
		entries: make(map[revocation.Key]revocation.Entry),
		sweepAt: minSweep,
	}
	for _, option := range options {
		option(s)
	}
	return s
}

// Revoke implements revocation.Store.
func (s *Store) Revoke(ctx context.Context, entries ...revocation.Entry) error {
	for i := range entries {
		if err := entries[i].Validate(); err != nil {
			return err
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.usable(ctx); err != nil {
		return err
	}
	for _, e := range entries {
		key := e.Key()
		if stored, ok := s.entries[key]; ok {
			e = revocation.Merge(stored, e)
		}
		s.entries[key] = e
	}
	s.sweep()
	return nil
}

// sweep removes expired entries, each time their number may have doubled.
func (s *Store) sweep() {
	if len(s.entries) < s.sweepAt {
		return
	}
	now := s.now()
	for key, e := range s.entries {
		if !e.Live(now) {
			delete(s.entries, key)
		}
	}
	s.sweepAt = max(minSweep, 2*len(s.entries))
}

// Lookup implements revocation.Store.
func (s *Store) Lookup(ctx context.Context, keys ...revocation.Key) ([]revocation.Entry, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if err := s.usable(ctx); err != nil {
		return nil, err
	}
	now := s.now()
	found := make([]revocation.Entry, len(keys))
	for i, key := range keys {
		if e, ok := s.entries[key]; ok && e.Live(now) {
			found[i] = e
		}
	}
	return found, nil
}

// Scan implements revocation.Store. It calls fn for the entries that are stored
// when it begins, and holds no lock meanwhile: fn may use the Store.
func (s *Store) Scan(ctx context.Context, fn func(revocation.Entry) error) error {
	live, err := s.live(ctx)
	if err != nil {
		return err
	}
	for _, e := range live {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := fn(e); err != nil {
			return err
		}
	}
	return nil
}

func (s *Store) live(ctx context.Context) ([]revocation.Entry, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if err := s.usable(ctx); err != nil {
		return nil, err
	}
	now := s.now()
	live := make([]revocation.Entry, 0, len(s.entries))
	for _, e := range s.entries {
		if e.Live(now) {
			live = append(live, e)
		}
	}
	return live, nil
}

// Restore implements revocation.Store.
func (s *Store) Restore(ctx context.Context, keys ...revocation.Key) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.usable(ctx); err != nil {
		return err
	}
	for _, key := range keys {
		delete(s.entries, key)
	}
	return nil
}

// Absent implements revocation.Filter.
func (s *Store) Absent(key revocation.Key) bool {
	s.mu.RLock()
	defer s.mu.RUnlock()
	_, stored := s.entries[key]
	return !stored && !s.closed
}

// Len implements revocation.Counter.
func (s *Store) Len() int {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return len(s.entries)
}

// Close implements revocation.Store. The entries are forgotten.
func (s *Store) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	s.entries = nil
	return nil
}

// usable reports why a call cannot be answered. The caller holds mu.
func (s *Store) usable(ctx context.Context) error {
	if s.closed {
		return revocation.ErrClosed
	}
	return ctx.Err()
}

var (
	_ revocation.Store   = (*Store)(nil)
	_ revocation.Filter  = (*Store)(nil)
	_ revocation.Counter = (*Store)(nil)
)
