package storetest

import (
	"errors"
	"fmt"
	"sync"
	"time"

	"example.com/caddy-token-auth/revocation"
)

// scan returns what Scan finds, by identifier.
func (s *suite) scan() map[string]revocation.Entry {
	s.Helper()
	found := make(map[string]revocation.Entry)
	err := s.Store.Scan(s.ctx, func(e revocation.Entry) error {
		found[e.ID] = e
		return nil
	})
	if err != nil {
		s.Fatalf("Scan: %v", err)
	}
	return found
}

func (s *suite) testScan() {
	if found := s.scan(); len(found) != 0 {
		s.Fatalf("Scan of an empty store gave %v", found)
	}
	entries := s.tokens(1000)
	s.revoke(entries...)
	found := s.scan()
	if len(found) != len(entries) {
		s.Fatalf("Scan gave %d entries, want %d", len(found), len(entries))
	}
	for _, e := range entries {
		if !same(found[e.ID], e) {
			s.Fatalf("Scan gave %+v, want %+v", found[e.ID], e)
		}
	}
}

func (s *suite) testScanError() {
	s.revoke(s.tokens(10)...)
	enough := errors.New("enough")
	calls := 0
	err := s.Store.Scan(s.ctx, func(revocation.Entry) error {
		calls++
		if calls == 3 {
			return enough
		}
		return nil
	})
	if !errors.Is(err, enough) || calls != 3 {
		s.Fatalf("Scan gave %v after %d calls, want the callback's error after 3", err, calls)
	}
}

// What is stored before a Scan begins is seen, whatever is written or moved meanwhile.
func (s *suite) testScanBesideWrites() {
	entries := s.tokens(300)
	s.revoke(entries...)
	stop := make(chan struct{})
	var group sync.WaitGroup
	group.Go(func() {
		for n := 0; ; n++ {
			select {
			case <-stop:
				return
			default:
			}
			moved := entries[n%len(entries)]
			moved.Expires = moved.Expires.Add(time.Duration(1+n) * time.Second)
			if !s.tryRevoke(moved, s.entry(revocation.ScopeClient, fmt.Sprintf("new-%d", n))) {
				return
			}
		}
	})
	for range 5 {
		found := s.scan()
		for _, e := range entries {
			if found[e.ID].ID != e.ID {
				s.Errorf("Scan missed %q", e.ID)
			}
		}
	}
	close(stop)
	group.Wait()
}

func (s *suite) testScanCallbackUsesStore() {
	s.revoke(s.tokens(20)...)
	err := s.Store.Scan(s.ctx, func(e revocation.Entry) error {
		if e.Scope != revocation.ScopeToken {
			return nil
		}
		seen := e
		seen.Scope = revocation.ScopeClient
		if err := s.Store.Revoke(s.ctx, seen); err != nil {
			return err
		}
		_, err := s.Store.Lookup(s.ctx, e.Key(), seen.Key())
		return err
	})
	if err != nil {
		s.Fatalf("Scan: %v", err)
	}
}

func (s *suite) testReadYourWrites() {
	filter, _ := s.Store.(revocation.Filter)
	var group sync.WaitGroup
	for w := range 16 {
		group.Go(func() {
			for n := range 25 {
				e := s.entry(revocation.ScopeToken, fmt.Sprintf("%d/%d", w, n))
				if err := s.Store.Revoke(s.ctx, e); err != nil {
					s.Errorf("Revoke: %v", err)
					return
				}
				if filter != nil && filter.Absent(e.Key()) {
					s.Errorf("Absent hides %q right after Revoke", e.ID)
					return
				}
				found, err := s.Store.Lookup(s.ctx, e.Key())
				if err != nil || !same(found[0], e) {
					s.Errorf("Lookup right after Revoke gave %+v, %v", found, err)
					return
				}
			}
		})
	}
	group.Wait()
}

// Writers push one cut-off to different times; nobody ever sees it move back, or
// behind a time that was acknowledged.
func (s *suite) testMonotonicCutOff() {
	base := s.entry(revocation.ScopeClient, "client")
	s.revoke(base)
	const writers, rounds = 8, 24 // even, see n^1
	stop := make(chan struct{})
	var writing, reading sync.WaitGroup
	for range 2 {
		reading.Go(func() {
			last := base.At
			for {
				select {
				case <-stop:
					return
				default:
				}
				found, err := s.Store.Lookup(s.ctx, base.Key())
				if err != nil || found[0].At.Before(last) {
					s.Errorf("Lookup gave %+v, %v after %s was seen", found, err, last)
					return
				}
				last = found[0].At
			}
		})
	}
	for w := range writers {
		writing.Go(func() {
			for n := range rounds {
				e := base
				// Writers take turns at being ahead; every other write is late.
				e.At = base.At.Add(time.Duration((n^1)*writers+w) * time.Millisecond)
				if err := s.Store.Revoke(s.ctx, e); err != nil {
					s.Errorf("Revoke: %v", err)
					return
				}
				found, err := s.Store.Lookup(s.ctx, e.Key())
				if err != nil || found[0].At.Before(e.At) {
					s.Errorf("Lookup gave %+v, %v after %s was acknowledged", found, err, e.At)
					return
				}
			}
		})
	}
	writing.Wait()
	close(stop)
	reading.Wait()
	want := base
	want.At = base.At.Add(((rounds-1)*writers + writers - 1) * time.Millisecond)
	s.expect(want)
}

// An entry whose expiry is moved again and again is found by every Lookup.
func (s *suite) testMovingEntry() {
	base := s.entry(revocation.ScopeSession, "session")
	s.revoke(base)
	filter, _ := s.Store.(revocation.Filter)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for n := range 200 {
			e := base
			e.Expires = base.Expires.Add(time.Duration(n) * time.Second)
			if err := s.Store.Revoke(s.ctx, e); err != nil {
				s.Errorf("Revoke: %v", err)
				return
			}
		}
	}()
	for {
		select {
		case <-done:
			return
		default:
		}
		if filter != nil && filter.Absent(base.Key()) {
			s.Error("Absent hides an entry that moves")
			break
		}
		found, err := s.Store.Lookup(s.ctx, base.Key())
		if err != nil || found[0].ID != base.ID {
			s.Errorf("Lookup gave %+v, %v for an entry that moves", found, err)
			break
		}
	}
	<-done
}
