package introspect

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"runtime"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// gate holds requests until they are let through.
type gate struct {
	entered chan string // the token of each request that has come
	let     chan struct{}
}

func newGate() *gate { return &gate{make(chan string, 1000), make(chan struct{})} }

// before returns a handler that waits at the gate first, or until the request is ended.
func (g *gate) before(respond http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		g.entered <- r.Form.Get("token")
		select {
		case <-g.let:
			respond(w, r)
		case <-r.Context().Done():
		}
	}
}

func TestOneRequestForAllWhoWait(t *testing.T) {
	for document, want := range map[string]error{`{"active":true}`: nil, `{"active":false}`: ErrInactive, `{}`: ErrUnavailable} {
		synctest.Test(t, func(t *testing.T) {
			g := newGate()
			server := newAuthority(g.before(says(document)))
			c := open(t, server, Options{CacheSize: -1}) // so that only the flight is shared
			var callers sync.WaitGroup
			answers := make(chan *Answer, 100)
			for range 100 {
				callers.Go(func() {
					a, err := c.Introspect(t.Context(), opaque)
					check(t, document, a, err, want)
					answers <- a
				})
			}
			synctest.Wait()
			close(g.let)
			callers.Wait()
			if n := server.count(); n != 1 {
				t.Errorf("%s: %d requests", document, n)
			}
			first := <-answers
			for range 99 {
				if a := <-answers; a != first {
					t.Fatalf("%s: different answers", document)
				}
			}
		})
	}
}

func TestACallerMayLeaveTheOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGate()
		server := newAuthority(g.before(says(`{"active":true}`)))
		c := open(t, server, Options{})
		ctx, cancel := context.WithCancel(t.Context())
		var callers sync.WaitGroup
		callers.Go(func() { // the one that the request was begun for
			a, err := c.Introspect(ctx, opaque)
			check(t, "who leaves", a, err, context.Canceled)
			check(t, "who leaves", a, err, ErrUnavailable)
		})
		synctest.Wait()
		for range 3 {
			callers.Go(func() { expect(t, c, "who stays", opaque, nil) })
		}
		synctest.Wait()
		cancel()
		synctest.Wait()
		close(g.let)
		callers.Wait()
		if n := server.count(); n != 1 {
			t.Errorf("%d requests", n)
		}
	})
}

// The answer to a request that nobody waits for any more is there for the next caller.
func TestARequestThatWasSentIsNotWasted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGate()
		server := newAuthority(g.before(says(`{"active":true}`)))
		c := open(t, server, Options{})
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		a, err := c.Introspect(ctx, opaque)
		check(t, "the first", a, err, context.DeadlineExceeded)
		var callers sync.WaitGroup
		callers.Go(func() { expect(t, c, "while it is under way", opaque, nil) })
		synctest.Wait()
		close(g.let)
		callers.Wait()
		expect(t, c, "afterwards", opaque, nil)
		if n := server.count(); n != 1 {
			t.Errorf("%d requests", n)
		}
	})
}

// A caller that found nothing in the cache may board after the answer has come.
func TestAnAnswerThatHasJustComeIsUsed(t *testing.T) {
	server := newAuthority(says(`{"active":true}`))
	c := open(t, server, Options{})
	expect(t, c, "the first", opaque, nil)
	if v, err := c.await(t.Context(), c.cache.key(opaque), netip.Prefix{}, opaque); err != nil || v.answer == nil {
		t.Error(err)
	}
	if n := server.count(); n != 1 {
		t.Errorf("%d requests", n)
	}
}

// The last caller may leave in the moment in which it becomes the turn of its request.
func TestNothingIsAskedForNobody(t *testing.T) {
	server := newAuthority(says(`{"active":true}`))
	c := open(t, server, Options{})
	f := &flight{turn: make(chan struct{}), abandoned: make(chan struct{})}
	close(f.turn)
	close(f.abandoned)
	for range 20 { // whichever of turn and abandonment is seen first
		if _, err := c.ask(f, opaque); !errors.Is(err, errAbandoned) {
			t.Error(err)
		}
	}
	if n := server.count(); n != 0 || c.queue.free != DefaultMaxConcurrent {
		t.Errorf("%d requests, %d turns free", n, c.queue.free)
	}
}

func TestACallerThatIsGoneAsksNothing(t *testing.T) {
	server := newAuthority(says(`{"active":true}`))
	c := open(t, server, Options{})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	a, err := c.Introspect(ctx, opaque)
	check(t, "gone", a, err, context.Canceled)
	if n := server.count(); n != 0 {
		t.Errorf("%d requests", n)
	}
}

func TestRequestsUnderWayAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGate()
		c := open(t, newAuthority(g.before(says(`{"active":true}`))), Options{MaxConcurrent: 3})
		var callers sync.WaitGroup
		for i := range 10 {
			callers.Go(func() { expect(t, c, "token", fmt.Sprint("token-", i), nil) })
		}
		for _, want := range []int{3, 3, 3, 1} {
			synctest.Wait()
			if n := len(g.entered); n != want {
				t.Errorf("%d requests at the same time; want %d", n, want)
			}
			for range len(g.entered) {
				<-g.entered
				g.let <- struct{}{}
			}
		}
		callers.Wait()
	})
}

func TestTheDefaultBoundIs64(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGate()
		c := open(t, newAuthority(g.before(says(`{"active":true}`))), Options{})
		var callers sync.WaitGroup
		for i := range 100 {
			callers.Go(func() { expect(t, c, "token", fmt.Sprint("token-", i), nil) })
		}
		synctest.Wait()
		if n := len(g.entered); n != 64 {
			t.Errorf("%d requests at the same time", n)
		}
		close(g.let)
		callers.Wait()
	})
}

// Waiting for a turn that does not come is no fault of the server, and ends.
func TestWaitingForATurnEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		server := newAuthority(func(w http.ResponseWriter, r *http.Request) {
			<-release // even if the request is ended: a server that is stuck
			says(`{"active":true}`)(w, r)
		})
		c := open(t, server, Options{MaxConcurrent: 1})
		var callers sync.WaitGroup
		callers.Go(func() { expect(t, c, "stuck", "stuck", ErrUnavailable) })
		synctest.Wait()
		start := time.Now()
		expect(t, c, "waiting", "waiting", errBusy)
		if d := time.Since(start); d != DefaultTimeout {
			t.Errorf("it waited for %s", d)
		}
		synctest.Wait() // the other one's time is over as well
		close(release)
		callers.Wait()
	})
}

// Clients that come and go leave no queue behind them, and no request.
func TestWhoLeavesTheQueueIsNotAskedAbout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGate()
		server := newAuthority(g.before(says(`{"active":true}`)))
		c := open(t, server, Options{MaxConcurrent: 1})
		var callers sync.WaitGroup
		callers.Go(func() { expect(t, c, "first", "first", nil) })
		synctest.Wait()
		goroutines := runtime.NumGoroutine()
		ctx, cancel := context.WithCancel(t.Context())
		for i := range 50 {
			callers.Go(func() {
				a, err := c.Introspect(ctx, fmt.Sprint("token-", i))
				check(t, "leaving", a, err, context.Canceled)
			})
		}
		callers.Go(func() { expect(t, c, "staying", "token-7", nil) })
		synctest.Wait()
		cancel()
		synctest.Wait()
		// There is the caller that stays and its flight. Others come from other tests.
		if n := runtime.NumGoroutine() - goroutines; n > 25 {
			t.Errorf("%d goroutines more: those who left are still in the queue", n)
		}
		// One that left may come again.
		callers.Go(func() { expect(t, c, "again", "token-8", nil) })
		synctest.Wait()
		close(g.let)
		callers.Wait()
		if n := server.count(); n != 3 {
			t.Errorf("%d requests; want first, token-7 and token-8", n)
		}
	})
}

func TestASlowServerIsUnavailable(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := open(t, newAuthority(newGate().before(nil)), Options{})
		start := time.Now()
		expect(t, c, "slow", opaque, ErrUnavailable)
		if d := time.Since(start); d != 5*time.Second {
			t.Errorf("it took %s", d)
		}
	})
}

func TestCloseEndsEverything(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGate()
		server := newAuthority(says(`{"active":true}`))
		c := open(t, server, Options{MaxConcurrent: 1})
		expect(t, c, "known", "known", nil)
		server.set(g.before(says(`{"active":true}`)))
		var callers sync.WaitGroup
		for i := range 3 { // one is under way, two wait for their turn
			callers.Go(func() { expect(t, c, "at the end", fmt.Sprint("token-", i), errClosed) })
		}
		synctest.Wait()
		for range 2 { // twice does no harm
			if err := c.Close(); err != nil {
				t.Error(err)
			}
		}
		callers.Wait()
		server.count()
		expect(t, c, "afterwards", opaque, errClosed)
		expect(t, c, "known", "known", nil)
		if n := server.count(); n != 0 {
			t.Errorf("%d requests afterwards", n)
		}
	})
}

func TestAClosedClientAsksNothing(t *testing.T) {
	server := newAuthority(says(`{"active":true}`))
	c := open(t, server, Options{})
	if err := c.Close(); err != nil {
		t.Error(err)
	}
	for i := range 20 { // each of them could be lucky
		expect(t, c, "afterwards", fmt.Sprint("token-", i), errClosed)
	}
	if n := server.count(); n != 0 {
		t.Errorf("%d requests", n)
	}
}

// A flight that was abandoned must not take down the next one for its token.
func TestAnAbandonedFlightIsNotTheNextOne(t *testing.T) {
	c := open(t, newAuthority(nil), Options{})
	k := c.cache.key(opaque)
	gone, next := &flight{done: make(chan struct{})}, &flight{callers: 1}
	c.flights[k] = next
	c.leave(k, gone)
	c.land(k, gone, verdict{}, errAbandoned)
	if c.flights[k] != next {
		t.Error("the next caller would ask once more")
	}
}

// After Close nothing of the client runs, not even what the server holds on to.
func TestCloseWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		c := open(t, newAuthority(func(http.ResponseWriter, *http.Request) { <-release }), Options{})
		var callers sync.WaitGroup
		callers.Go(func() { expect(t, c, "stuck", opaque, errClosed) })
		synctest.Wait()
		closed := make(chan error, 1)
		callers.Go(func() { closed <- c.Close() })
		synctest.Wait()
		if len(closed) != 0 {
			t.Error("Close has returned while a request is under way")
		}
		close(release)
		callers.Wait()
		if err := <-closed; err != nil {
			t.Error(err)
		}
	})
}

// All at once, for the race detector: callers, leavers, failures, Close.
func TestConcurrentUse(t *testing.T) {
	server := newAuthority(func(w http.ResponseWriter, r *http.Request) {
		switch raw := r.Form.Get("token"); raw[len(raw)-1] {
		case '0':
			status(http.StatusBadGateway)(w, r)
		case '1', '2', '3':
			says(`{"active":false}`)(w, r)
		default:
			says(`{"active":true,"sub":"`+raw+`"}`)(w, r)
		}
	})
	c := open(t, server, Options{MaxConcurrent: 4, CacheSize: 8, FailureBackoff: time.Microsecond})
	var callers sync.WaitGroup
	for i := range 8 {
		callers.Go(func() {
			for j := range 300 {
				ctx, cancel := context.WithCancel(t.Context())
				if (i+j)%5 == 0 {
					time.AfterFunc(10*time.Microsecond, cancel)
				}
				raw := fmt.Sprint("token-", j%37)
				a, err := c.Introspect(ctx, raw)
				if err == nil && a.Client() != raw {
					t.Errorf("%s got the answer for %s", raw, a.Client())
				}
				switch raw[len(raw)-1] {
				case '1', '2', '3':
					if err == nil {
						t.Errorf("%s was accepted", raw)
					}
				default:
					if errors.Is(err, ErrInactive) {
						t.Errorf("%s: %v", raw, err)
					}
				}
				cancel()
			}
		})
	}
	callers.Wait()
}
