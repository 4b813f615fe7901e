package introspect

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// A failure is said to the next caller without asking, for a second.
func TestADeadServerIsLeftAlone(t *testing.T) {
	now := newClock()
	server := newAuthority(says(`{"active":true}`))
	down := true
	requests := 0
	c := open(t, network(func(r *http.Request) (*http.Response, error) {
		requests++
		if down {
			return nil, errDown
		}
		return server.RoundTrip(r)
	}), Options{Now: now.Now})
	expect(t, c, "at first", "token-1", ErrUnavailable)
	for i := range 10 {
		expect(t, c, "at once", fmt.Sprint("token-", i), ErrUnavailable)
	}
	now.pass(time.Second - 1)
	_, err := c.Introspect(t.Context(), opaque)
	check(t, "almost", nil, err, ErrUnavailable)
	if !strings.Contains(err.Error(), "not asked again yet") || requests != 1 {
		t.Errorf("%d requests, %v", requests, err)
	}
	now.pass(1)
	expect(t, c, "after a second", opaque, ErrUnavailable)
	expect(t, c, "at once", opaque, ErrUnavailable)
	if requests != 2 {
		t.Errorf("%d requests", requests)
	}
	down = false
	now.pass(time.Second)
	expect(t, c, "it is back", opaque, nil)
	for i := range 10 {
		expect(t, c, "and all", fmt.Sprint("token-", i), nil)
	}
}

// What is known is used on while the server is down.
func TestTheCacheOutlivesTheServer(t *testing.T) {
	now, server := newClock(), newAuthority(says(`{"active":true}`))
	c := open(t, server, Options{Now: now.Now})
	expect(t, c, "known", opaque, nil)
	server.set(status(http.StatusServiceUnavailable))
	expect(t, c, "unknown", "token-1", ErrUnavailable)
	expect(t, c, "known", opaque, nil)
	now.pass(time.Minute)
	expect(t, c, "after its time", opaque, ErrUnavailable)
}

// With timeouts of five seconds, callers must not wait in turns for a server that is
// gone: one request at a time finds out whether it is back.
func TestOneRequestTriesADeadServer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGate()
		server := newAuthority(g.before(says(`{"active":true}`)))
		c := open(t, server, Options{MaxConcurrent: 4})
		start := time.Now()
		var callers sync.WaitGroup
		for i := range 20 { // four are under way, the others wait for their turn
			if i == 4 {
				time.Sleep(time.Second)
			}
			callers.Go(func() {
				expect(t, c, "the first", fmt.Sprint("token-", i), ErrUnavailable)
				if d := time.Since(start); d != DefaultTimeout {
					t.Errorf("a caller waited for %s", d)
				}
			})
		}
		callers.Wait()
		if n := server.count(); n != 4 {
			t.Errorf("%d requests at first", n)
		}

		time.Sleep(DefaultFailureBackoff)
		callers.Go(func() { expect(t, c, "the one", "token-0", nil) })
		synctest.Wait()
		for i := range 10 {
			start := time.Now()
			expect(t, c, "meanwhile", fmt.Sprint("token-", 1+i), ErrUnavailable)
			if d := time.Since(start); d != 0 {
				t.Errorf("a caller waited for %s", d)
			}
		}
		callers.Go(func() { expect(t, c, "with the one", "token-0", nil) })
		synctest.Wait()
		if n := server.count(); n != 1 {
			t.Errorf("%d requests try it", n)
		}
		close(g.let) // it is back
		callers.Wait()
		for i := range 20 {
			expect(t, c, "back", fmt.Sprint("token-", i), nil)
		}
	})
}

// The failure of an attempt is one more failure.
func TestAnAttemptMayFail(t *testing.T) {
	now, server := newClock(), newAuthority(status(http.StatusBadGateway))
	c := open(t, server, Options{FailureBackoff: 3 * time.Second, Now: now.Now})
	for range 3 {
		expect(t, c, "attempt", opaque, ErrUnavailable)
		now.pass(3*time.Second - 1)
		expect(t, c, "at once", opaque, ErrUnavailable)
		if n := server.count(); n != 1 {
			t.Errorf("%d requests", n)
		}
		now.pass(1)
	}
}

// Only a server that is not there is left alone. What it says about one token, however
// wrong, must not be in the way of the others: a client can choose its token.
func TestOneTokenCannotKeepTheOthersAway(t *testing.T) {
	for name, tt := range map[string]struct {
		respond http.HandlerFunc
		opens   bool
	}{
		"429":        {status(http.StatusTooManyRequests), true},
		"502":        {status(http.StatusBadGateway), true},
		"503":        {status(http.StatusServiceUnavailable), true},
		"504":        {status(http.StatusGatewayTimeout), true},
		"500":        {status(http.StatusInternalServerError), false},
		"501":        {status(http.StatusNotImplemented), false},
		"400":        {status(http.StatusBadRequest), false},
		"a type":     {answers(http.StatusBadRequest, refusal(unsupportedType)), false},
		"401":        {status(http.StatusUnauthorized), false},
		"302":        {status(http.StatusFound), false},
		"malformed":  {says(`{`), false},
		"oversized":  {says(strings.Repeat(" ", maxAnswer+1)), false},
		"HTML":       {func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "<html>") }, false},
		"mistyped":   {says(`{"active":true,"exp":"1"}`), false},
		"not active": {says(`{"active":false}`), false},
	} {
		t.Run(name, func(t *testing.T) {
			server := newAuthority(func(w http.ResponseWriter, r *http.Request) {
				if r.Form.Get("token") == "poison" {
					tt.respond(w, r)
					return
				}
				says(`{"active":true}`)(w, r)
			})
			c := open(t, server, Options{Now: newClock().Now})
			if _, err := c.Introspect(t.Context(), "poison"); err == nil {
				t.Fatal("accepted")
			}
			var want error
			if tt.opens {
				want = ErrUnavailable
			}
			expect(t, c, "another", opaque, want)
		})
	}
}

// An answer that was already on its way shows that the server is there.
func TestAnyAnswerEndsTheBackoff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGate()
		server := newAuthority(g.before(says(`{"active":true}`)))
		c := open(t, server, Options{})
		var callers sync.WaitGroup
		callers.Go(func() { expect(t, c, "under way", "token-1", nil) })
		synctest.Wait()
		server.set(status(http.StatusBadGateway))
		expect(t, c, "failure", "token-2", ErrUnavailable)
		server.set(says(`{"active":true}`))
		expect(t, c, "left alone", "token-3", ErrUnavailable)
		close(g.let)
		callers.Wait()
		expect(t, c, "asked again", "token-3", nil)
	})
}

// An attempt that nobody waits for any more still ends, and makes room for the next.
func TestAnAbandonedAttemptEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := newAuthority(newGate().before(nil))
		c := open(t, server, Options{})
		expect(t, c, "slow", opaque, ErrUnavailable)
		time.Sleep(DefaultFailureBackoff)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		a, err := c.Introspect(ctx, opaque)
		check(t, "the attempt", a, err, context.DeadlineExceeded)
		server.set(says(`{"active":true}`))
		expect(t, c, "while it is under way", "token-1", ErrUnavailable)
		time.Sleep(DefaultTimeout - time.Second + DefaultFailureBackoff)
		expect(t, c, "back", opaque, nil)
	})
}
