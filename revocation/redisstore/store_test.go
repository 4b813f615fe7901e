package redisstore

import (
	"context"
	"errors"
	"runtime"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/redis/rueidis"

	"example.com/caddy-token-auth/revocation"
)

// soon is how long a test waits for what should take a moment.
const soon = 4 * time.Second

// The server forgets an entry by itself, and no clock that is fast makes it do so early.
func TestServerKeepsEntriesAsLongAsAnyClockSays(t *testing.T) {
	server, o := sharedServer(t)
	left := func(e revocation.Entry) time.Duration {
		t.Helper()
		l := newLayout(o.KeyPrefix)
		ms, err := strconv.Atoi(server.call("PTTL", l.entry(e.Key())))
		if err != nil {
			t.Fatal(err)
		}
		return time.Duration(ms) * time.Millisecond
	}
	for n, c := range []struct {
		clock time.Duration // of the writer, ahead of the server's
		want  time.Duration
	}{{0, time.Hour}, {30 * time.Minute, time.Hour}, {-30 * time.Minute, 90 * time.Minute}, {-24 * 365 * time.Hour, 366 * 24 * time.Hour}} {
		o.Now = func() time.Time { return time.Now().Add(c.clock) }
		s := open(t, o)
		e := token(n)
		mustRevoke(t, s, e)
		if got := left(e); got > c.want+time.Second || got < min(c.want, 365*24*time.Hour)-2*time.Second {
			t.Errorf("clock %s ahead: the server keeps the entry for %s, want %s", c.clock, got, c.want)
		}
	}

	o.Now = nil
	s := open(t, o)
	brief := token(100)
	brief.Expires = time.Now().Add(1500 * time.Millisecond)
	longer := brief
	longer.Expires = brief.Expires.Add(time.Hour)
	forever := token(101)
	forever.Expires = revocation.Forever
	mustRevoke(t, s, brief, forever)
	if got := left(brief); got <= 0 || got > 3*time.Second {
		t.Errorf("a brief entry is kept for %s", got)
	}
	if got := left(forever); got < 70*365*24*time.Hour {
		t.Errorf("an entry for ever is kept for %s", got)
	}
	await(t, "end of the entry at the server", 5*time.Second, func() bool { return server.call("EXISTS", s.layout.entry(brief.Key())) == "0" })
	again := token(102)
	again.Expires = brief.Expires.Add(5 * time.Second)
	mustRevoke(t, s, again)
	again.Expires = again.Expires.Add(time.Hour)
	mustRevoke(t, s, again)
	if got := left(again); got < time.Hour {
		t.Errorf("a longer expiry is kept for %s", got)
	}
	again.Expires = again.Expires.Add(-time.Hour)
	mustRevoke(t, s, again)
	if got := left(again); got < time.Hour-5*time.Second {
		t.Errorf("a shorter expiry made it %s", got)
	}
}

func TestListsAreSeparate(t *testing.T) {
	_, o := sharedServer(t)
	one := open(t, o)
	o.KeyPrefix += "*"
	two := open(t, o)
	mustRevoke(t, one, token(1))
	mustRevoke(t, two, token(2))
	for s, want := range map[*Store]string{one: token(1).ID, two: token(2).ID} {
		var seen []string
		if err := s.Scan(t.Context(), func(e revocation.Entry) error { seen = append(seen, e.ID); return nil }); err != nil {
			t.Fatal(err)
		}
		if len(seen) != 1 || seen[0] != want {
			t.Errorf("Scan saw %q, want %q", seen, want)
		}
	}
}

// What one call sends is divided; a scan goes over many pages.
func TestManyPages(t *testing.T) {
	_, o := sharedServer(t)
	s := open(t, o)
	w := newWatcher()
	ended, stop := watchOnce(t, s, w)
	await(t, "position", soon, func() bool { w.mu.Lock(); defer w.mu.Unlock(); return w.at != "" })
	stop()
	mustEnd(t, ended, time.Second, context.Canceled)
	w.alive = time.Time{}
	const n = 20_000 // more than are read of a partition at once
	entries := tokens(0, n)
	mustRevoke(t, s, entries...)
	mustHold(t, s, entries...)
	watchOnce(t, s, w)
	now := time.Now()
	await(t, "Alive", soon, func() bool { return w.aliveAfter(now) })
	if gaps, _ := w.counts(); gaps != 1 || w.toldYet != n {
		t.Errorf("%d of %d entries were told when Alive was, %d gaps", w.toldYet, n, gaps)
	}
	seen := make(map[string]bool)
	if err := s.Scan(t.Context(), func(e revocation.Entry) error { seen[e.ID] = true; return nil }); err != nil {
		t.Fatal(err)
	}
	if len(seen) != n {
		t.Errorf("Scan saw %d of %d entries", len(seen), n)
	}
	ctx, cancel := context.WithCancel(t.Context())
	calls := 0
	err := s.Scan(ctx, func(revocation.Entry) error {
		if calls++; calls == 10 {
			cancel()
		}
		return nil
	})
	if !errors.Is(err, context.Canceled) || calls != 10 {
		t.Errorf("Scan gave %v after %d calls, cancelled in the 10th", err, calls)
	}
}

func TestNothingIsLeftBehind(t *testing.T) {
	server, o := sharedServer(t)
	before := runtime.NumGoroutine()
	for range 3 {
		s, err := Open(t.Context(), o)
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		var group sync.WaitGroup
		group.Go(func() { _ = s.Watch(ctx, "", newWatcher()) })
		group.Go(func() { _ = s.Scan(ctx, func(revocation.Entry) error { return nil }) })
		for n := range 50 {
			group.Go(func() { mustRevoke(t, s, token(n)) })
			group.Go(func() { _, _ = s.Lookup(ctx, token(n).Key()) })
		}
		time.AfterFunc(20*time.Millisecond, cancel)
		group.Wait()
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		cancelled, cancelOpen := context.WithCancel(t.Context())
		cancelOpen()
		if _, err := Open(cancelled, o); !errors.Is(err, context.Canceled) {
			t.Errorf("Open with an ended context gave %v", err)
		}
		p := newProxy(t, server.address)
		p.silence()
		silent := o
		silent.Addresses = []string{p.address()}
		ctx, cancel = context.WithTimeout(t.Context(), 50*time.Millisecond)
		began := time.Now()
		if _, err := Open(ctx, silent); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Open of a silent server gave %v", err)
		}
		if d := time.Since(began); d > time.Second {
			t.Errorf("Open took %s, 50 ms were given", d)
		}
		cancel()
		p.heal()
		p.cut()
		p.listener.Close()
		p.group.Wait()
	}
	deadline := time.Now().Add(10 * time.Second)
	for runtime.NumGoroutine() > before {
		if time.Now().After(deadline) {
			stacks := make([]byte, 1<<20)
			t.Fatalf("%d goroutines, %d before:\n%s", runtime.NumGoroutine(), before, stacks[:runtime.Stack(stacks, true)])
		}
		time.Sleep(10 * time.Millisecond)
	}
}

func TestPanicOfTheClientIsAnError(t *testing.T) {
	s := &Store{calls: make(chan struct{}, 1)}
	for range 3 {
		_, err := s.attempt(t.Context(), panicking)
		if !errors.Is(err, errClientPanic) || passing(err) {
			t.Fatalf("got %v", err)
		}
	}
}

func panicking(context.Context) []rueidis.RedisResult { panic("index out of range") }
