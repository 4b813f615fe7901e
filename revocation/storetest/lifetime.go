package storetest

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"example.com/caddy-token-auth/revocation"
)

// short is how long entries of the expiry tests live. The store may round the
// expiry up to the next second; it has passed for certain after short + 1s.
const short = 2 * time.Second

func (s *suite) testExpiry() {
	brief, lasting := s.token(1), s.token(2)
	brief.Expires = s.Now().Add(short)
	s.revoke(brief, lasting)
	s.expect(lasting)
	s.expect(brief)
	s.pass(short + time.Second)
	s.expectAbsent(brief.Key())
	s.expect(lasting)
	for id := range s.scan() {
		if id == brief.ID {
			s.Fatal("Scan gave an expired entry")
		}
	}
	if filter, ok := s.Store.(revocation.Filter); ok && filter.Absent(lasting.Key()) {
		s.Fatal("Absent hides an entry that lives on")
	}
	// The same key can be revoked anew.
	again := brief
	again.At, again.Expires = s.Now().UTC(), s.Now().Add(time.Hour).UTC()
	s.revoke(again)
	s.expect(again)
}

func (s *suite) testExpiredOnArrival() {
	stale := s.token(1)
	stale.At = stale.At.Add(-time.Hour)
	stale.Expires = s.Now().Add(-2 * time.Second)
	s.revoke(stale, s.token(2))
	s.expectAbsent(stale.Key())
	s.expect(s.token(2))
}

func (s *suite) testContext() {
	ended, cancel := context.WithCancel(s.ctx)
	cancel()
	s.revoke(s.token(1))
	for name, call := range map[string]func() error{
		"Revoke":  func() error { return s.Store.Revoke(ended, s.token(2)) },
		"Restore": func() error { return s.Store.Restore(ended, s.token(2).Key()) },
		"Lookup":  func() error { _, err := s.Store.Lookup(ended, s.token(1).Key()); return err },
		"Scan":    func() error { return s.Store.Scan(ended, func(revocation.Entry) error { return nil }) },
	} {
		if err := call(); !errors.Is(err, context.Canceled) {
			s.Fatalf("%s with an ended context gave %v, want context.Canceled", name, err)
		}
	}
	s.expect(s.token(1))
}

func (s *suite) testClosed() {
	s.revoke(s.token(1))
	for range 2 {
		if err := s.Store.Close(); err != nil {
			s.Fatalf("Close: %v", err)
		}
	}
	for name, call := range map[string]func() error{
		"Revoke":  func() error { return s.Store.Revoke(s.ctx, s.token(2)) },
		"Restore": func() error { return s.Store.Restore(s.ctx, s.token(2).Key()) },
		"Lookup":  func() error { _, err := s.Store.Lookup(s.ctx, s.token(1).Key()); return err },
		"Lookup of an absent key": func() error {
			_, err := s.Store.Lookup(s.ctx, s.token(2).Key())
			return err
		},
		"Scan": func() error { return s.Store.Scan(s.ctx, func(revocation.Entry) error { return nil }) },
	} {
		if err := call(); !errors.Is(err, revocation.ErrClosed) {
			s.Fatalf("%s after Close gave %v, want ErrClosed", name, err)
		}
	}
	if filter, ok := s.Store.(revocation.Filter); ok && filter.Absent(s.token(1).Key()) {
		s.Fatal("Absent hides an entry after Close")
	}
}

// Writes that run while the store closes are either acknowledged or refused as closed.
func (s *suite) testCloseBesideWrites() {
	const writers = 8
	var group sync.WaitGroup
	written := make(chan struct{}, writers)
	for w := range writers {
		group.Go(func() {
			for n := 0; ; n++ {
				err := s.Store.Revoke(s.ctx, s.entry(revocation.ScopeToken, fmt.Sprintf("%d/%d", w, n)))
				if n == 0 {
					written <- struct{}{}
				}
				if errors.Is(err, revocation.ErrClosed) {
					return
				}
				if err != nil {
					s.Errorf("Revoke beside Close: %v", err)
					return
				}
			}
		})
	}
	for range writers {
		<-written
	}
	if err := s.Store.Close(); err != nil {
		s.Errorf("Close: %v", err)
	}
	group.Wait()
}

func (s *suite) testReopen() {
	if s.Reopen == nil {
		s.Skip("the store is not durable in itself")
	}
	entries := s.tokens(500)
	s.revoke(entries...)
	moved := entries[1]
	moved.At, moved.Expires = moved.At.Add(time.Second), moved.Expires.Add(time.Hour)
	s.revoke(moved)
	entries[1] = moved
	if err := s.Store.Restore(s.ctx, entries[0].Key()); err != nil {
		s.Fatalf("Restore: %v", err)
	}
	var group sync.WaitGroup
	for n := range 32 {
		group.Go(func() { s.tryRevoke(s.token(1000 + n)) })
	}
	group.Wait()
	for range 2 {
		if err := s.Store.Close(); err != nil {
			s.Fatalf("Close: %v", err)
		}
		s.Store = s.Reopen(s.T)
		s.expectAbsent(entries[0].Key())
		for _, e := range entries[1:] {
			s.expect(e)
		}
		for n := range 32 {
			s.expect(s.token(1000 + n))
		}
		if filter, ok := s.Store.(revocation.Filter); ok && filter.Absent(moved.Key()) {
			s.Fatal("Absent hides an entry after reopening")
		}
	}
}
