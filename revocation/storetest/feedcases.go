package storetest

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"time"

	"example.com/caddy-token-auth/revocation"
)

func (s *feedSuite) testBeginning() {
	s.on(0).revoke(s.on(0).token(0))
	w := s.follow(0, "", true)
	s.on(0).revoke(s.on(0).token(1))
	w.expect(s.on(0).token(1))
}

func (s *feedSuite) testOtherClient() {
	w := s.follow(0, "", true)
	entries := s.on(1).tokens(5)
	for _, e := range entries {
		s.on(1).revoke(e)
		w.await(e.ID, feedDelay, func() bool { return w.holds(e) })
	}
	w.expect(entries...)
}

func (s *feedSuite) testOwnChanges() {
	w := s.follow(0, "", true)
	e := s.on(0).token(1)
	s.on(0).revoke(e)
	w.expect(e)
	if err := s.Stores[0].Restore(s.ctx, e.Key()); err != nil {
		s.Fatalf("Restore: %v", err)
	}
	w.expectAbsent(e.Key())
}

// What is reported is what is stored after the write, and not what was written.
func (s *feedSuite) testMerged() {
	late := s.on(0).entry(revocation.ScopeKnown, "token")
	late.Note = "late"
	early := late
	early.At, early.Expires, early.Note = late.At.Add(-time.Minute), late.Expires.Add(time.Hour), "early"
	s.on(0).revoke(late)
	w := s.follow(0, "", true)
	s.on(1).revoke(early)
	want := late
	want.Expires = early.Expires
	w.expect(want)
}

func (s *feedSuite) testBytes() {
	w := s.follow(0, "", true)
	texts := []string{"\x00", "\xff\xfe", "a b", "\r\n", ":$*{}", everyByte}
	entries := make([]revocation.Entry, 0, len(texts)+1)
	for i, text := range texts {
		e := s.on(0).entry(revocation.ScopeKnown, text)
		e.Realm, e.Note = text, strings.Repeat(text, 2)
		e.At = e.At.Add(time.Duration(i))
		entries = append(entries, e)
	}
	forever := s.on(0).entry(revocation.ScopeRetention, "1h 1h 0")
	forever.Expires = revocation.Forever
	entries = append(entries, forever)
	s.on(1).revoke(entries...)
	w.expect(entries...)
}

func (s *feedSuite) testManyEntries() {
	w := s.follow(0, "", true)
	entries := s.on(1).tokens(3000)
	s.on(1).revoke(entries...)
	w.expect(entries...)
}

func (s *feedSuite) testRestore() {
	w := s.follow(0, "", true)
	entries := s.on(1).tokens(6)
	s.on(1).revoke(entries...)
	if err := s.Stores[1].Restore(s.ctx, entries[1].Key(), entries[4].Key()); err != nil {
		s.Fatalf("Restore: %v", err)
	}
	w.expect(entries[0], entries[2], entries[3], entries[5])
	w.expectAbsent(entries[1].Key())
	w.expectAbsent(entries[4].Key())

	// One that was there before Watch is told as well.
	w.stop()
	w = s.follow(0, "", true)
	if err := s.Stores[1].Restore(s.ctx, entries[0].Key()); err != nil {
		s.Fatalf("Restore: %v", err)
	}
	w.await("removal", feedDelay, func() bool { return w.removed[entries[0].Key()] })
}

// Entries come and go, each key by one writer. The end is right only if nothing of one
// key was reported in another order.
func (s *feedSuite) testOrder() {
	w := s.follow(0, "", true)
	const writers, rounds = 4, 40
	var group sync.WaitGroup
	for n := range writers {
		group.Go(func() {
			use := s.on(n % 2)
			for round := range rounds {
				e := use.token(n)
				e.At = e.At.Add(-time.Duration(round) * time.Second) // no help from Merge
				if !use.tryRevoke(e) {
					return
				}
				if round == rounds-1 && n >= writers/2 {
					return
				}
				if err := use.Store.Restore(s.ctx, e.Key()); err != nil {
					s.Errorf("Restore: %v", err)
					return
				}
			}
		})
	}
	group.Wait()
	w.settle()
	for n := range writers {
		key := s.on(0).token(n).Key()
		stored := s.on(0).lookup(key)[0]
		w.mu.Lock()
		reported := w.list[key]
		w.mu.Unlock()
		if (reported != revocation.Entry{}) != (n >= writers/2) || reported.ID != stored.ID || !reported.At.Equal(stored.At) {
			s.Fatalf("the feed leads to %+v, stored is %+v", reported, stored)
		}
	}
}

func (s *feedSuite) testResume() {
	entries := s.on(0).tokens(30)
	w := s.follow(0, "", true)
	s.on(0).revoke(entries[:10]...)
	from := w.positionAfter(entries[:10]...)
	for range 2 {
		w.stop()
		s.on(0).revoke(entries[10:15]...)
		for _, e := range entries[15:20] {
			s.on(1).revoke(e)
		}
		if err := s.Stores[1].Restore(s.ctx, entries[2].Key(), entries[12].Key()); err != nil {
			s.Fatalf("Restore: %v", err)
		}
		w = s.follow(0, from, false)
		s.on(1).revoke(entries[20:]...)
		w.expect(entries[10:12]...)
		w.expect(entries[13:]...)
		w.expectAbsent(entries[12].Key())
		w.mu.Lock()
		if !w.removed[entries[2].Key()] {
			s.Error("an entry that was removed meanwhile is not reported")
		}
		w.mu.Unlock()
		// A position is good for another client, too, and more than once.
		other := s.follow(1, from, false)
		other.expect(entries[13:]...)
		other.stop()
	}
}

func (s *feedSuite) testResumeAnywhere() {
	w := s.follow(0, "", true)
	const rounds = 8
	var at [rounds]revocation.Position
	for n := range rounds {
		s.on(n % 2).revoke(s.on(0).token(n))
		at[n] = w.positionAfter(s.on(0).token(n))
	}
	w.stop()
	for n := range rounds {
		w := s.follow(n%2, at[n], false)
		for later := n + 1; later < rounds; later++ {
			w.expect(s.on(0).token(later))
		}
		w.stop()
	}
}

func (s *feedSuite) testForgotten() {
	if s.Forget == nil {
		s.Skip("the subject cannot forget")
	}
	w := s.follow(0, "", true)
	s.on(0).revoke(s.on(0).tokens(10)...)
	from := w.positionAfter(s.on(0).tokens(10)...)
	w.stop()
	s.on(1).revoke(s.on(1).token(10))
	s.Forget(s.T)
	w = s.follow(0, from, true)
	s.on(1).revoke(s.on(1).token(11))
	w.expect(s.on(1).token(11))
}

func (s *feedSuite) testInvalidPosition() {
	for _, from := range []revocation.Position{
		"x", "-", "-1", "0", "\x00\xff", "9999999999999999999999", "1-1", "1,1,1", "{}", "[]", "null",
		revocation.Position(strings.Repeat("1", 100_000)),
	} {
		w := s.watch(0, from)
		started := func() bool {
			w.mu.Lock()
			defer w.mu.Unlock()
			return w.started > 0
		}
		for deadline := time.After(feedDelay); !started(); {
			w.mu.Lock()
			event := w.event
			w.mu.Unlock()
			select {
			case <-event:
				continue
			case <-w.ended:
			case <-deadline:
				s.Fatalf("position %.40q: neither started nor ended", from)
			}
			break
		}
		if !started() && w.err == nil {
			s.Errorf("position %.40q: Watch ended with neither Started nor an error", from)
		}
		w.mu.Lock()
		if w.started > 0 && !w.gap {
			s.Errorf("position %.40q is resumed without a gap", from)
		}
		w.mu.Unlock()
		w.stop()
	}
}

func (s *feedSuite) testAliveIdle() {
	w := s.follow(0, "", true)
	for range 2 {
		now := time.Now()
		w.await("Alive", aliveDelay, func() bool { return w.alive.After(now) })
	}
}

// Whenever Alive is called, everything that was acknowledged before its time has been
// reported, however busy the writers are.
func (s *feedSuite) testAlivePromise() {
	type acknowledged struct {
		entry revocation.Entry
		at    time.Time
	}
	var mu sync.Mutex
	var pending []acknowledged
	// So many calls of Alive, and entries that they were right about, are enough.
	const minCalls, minChecked = 4, 400
	enough := make(chan struct{})
	calls, checked, done := 0, 0, false
	w := s.follow(0, "", true)
	w.mu.Lock()
	w.onAlive = func(asOf time.Time, list map[revocation.Key]revocation.Entry) {
		mu.Lock()
		defer mu.Unlock()
		kept := pending[:0]
		for _, a := range pending {
			if !a.at.Before(asOf) {
				kept = append(kept, a)
				continue
			}
			checked++
			if list[a.entry.Key()].ID == "" {
				s.Errorf("Alive(%s), but %q, acknowledged %s before, was not reported", asOf, a.entry.ID, asOf.Sub(a.at))
			}
		}
		pending = kept
		if calls++; calls >= minCalls && checked >= minChecked && !done {
			done = true
			close(enough)
		}
	}
	w.mu.Unlock()
	var group sync.WaitGroup
	for n := range 4 {
		group.Go(func() {
			use := s.on(n % 2)
			for i := 0; ; i++ {
				select {
				case <-enough:
					return
				case <-w.ended:
					return
				case <-s.ctx.Done():
					return
				case <-time.After(time.Millisecond):
				}
				e := use.entry(revocation.ScopeToken, fmt.Sprintf("%d/%d", n, i))
				if !use.tryRevoke(e) {
					return
				}
				mu.Lock()
				pending = append(pending, acknowledged{e, time.Now()})
				mu.Unlock()
			}
		})
	}
	group.Wait()
	w.settle()
	mu.Lock()
	defer mu.Unlock()
	if len(pending) != 0 {
		s.Errorf("%d entries are left over", len(pending))
	}
}

// Writers push the same few entries to and fro, and remove some. In the end all who
// watch know what Lookup says.
func (s *feedSuite) testConcurrentWriters() {
	const writers, rounds, keys = 8, 40, 12
	watchers := []*watcher{s.follow(0, "", true), s.follow(1, "", true)}
	base := s.on(0).entry(revocation.ScopeKnown, "")
	var group sync.WaitGroup
	for n := range writers {
		group.Go(func() {
			use := s.on(n % 2)
			for round := range rounds {
				e := base
				number := (n*5 + round*7) % keys
				e.ID = fmt.Sprintf("token-%d", number)
				e.At = base.At.Add(time.Duration((round^3)*writers+n) * time.Millisecond)
				e.Expires = base.Expires.Add(time.Duration(n) * time.Second)
				e.Note = fmt.Sprintf("%d/%d", n, round)
				if number%3 == 0 && round%4 == 3 {
					if err := use.Store.Restore(s.ctx, e.Key()); err != nil {
						s.Errorf("Restore: %v", err)
						return
					}
				} else if !use.tryRevoke(e) {
					return
				}
			}
		})
	}
	group.Wait()
	for i, w := range watchers {
		w.settle()
		for number := range keys {
			key := revocation.KeyOf(base.Scope, base.Realm, fmt.Sprintf("token-%d", number))
			stored := s.on(1 - i).lookup(key)[0]
			w.mu.Lock()
			reported := w.list[key]
			w.mu.Unlock()
			if reported.ID != stored.ID || !same(reported, stored) {
				s.Errorf("the feed leads to %+v, stored is %+v", reported, stored)
			}
		}
	}
}

func (s *feedSuite) testContext() {
	w := s.follow(0, "", true)
	w.cancel()
	w.mustEnd(context.Canceled)
	w = s.watch(0, "") // may still be connecting
	w.cancel()
	w.mustEnd(context.Canceled)
	s.on(0).revoke(s.on(0).token(1)) // the store itself goes on
}

func (s *feedSuite) testClose() {
	w := s.follow(0, "", true)
	if err := s.Stores[0].Close(); err != nil {
		s.Fatalf("Close: %v", err)
	}
	w.mustEnd(revocation.ErrClosed)
	s.watch(0, "").mustEnd(revocation.ErrClosed)
	s.on(1).revoke(s.on(1).token(1))
}
