package introspect

import (
	"context"
	"fmt"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// network returns the n-th of many networks.
func networkOf(n int) netip.Prefix {
	return netip.PrefixFrom(netip.AddrFrom4([4]byte{10, byte(n >> 16), byte(n >> 8), byte(n)}), 32)
}

// latency is how long the server of these tests takes to answer.
const latency = 100 * time.Millisecond

// slow answers after a while that tokens which begin with genuine are active.
func slow(w http.ResponseWriter, r *http.Request) {
	time.Sleep(latency)
	says(fmt.Sprintf(`{"active":%t}`, strings.HasPrefix(r.Form.Get("token"), "genuine")))(w, r)
}

// flood has so many clients ask about invented tokens without pause, until ctx ends.
func flood(ctx context.Context, c *Client, clients int, from func(client int) netip.Prefix) *sync.WaitGroup {
	var flooding sync.WaitGroup
	for i := range clients {
		flooding.Go(func() {
			for n := 0; ctx.Err() == nil; n++ {
				_, _ = c.IntrospectFor(ctx, from(i), fmt.Sprintf("invented-%d-%d", i, n))
			}
		})
	}
	return &flooding
}

// waits returns how long clients with new genuine tokens wait on average while others
// flood, in latencies of the server.
func waits(t *testing.T, clients int, from, genuine func(client int) netip.Prefix) float64 {
	t.Helper()
	var total time.Duration
	const calls = 10
	synctest.Test(t, func(t *testing.T) {
		c := open(t, newAuthority(slow), Options{})
		ctx, cancel := context.WithCancel(t.Context())
		flooding := flood(ctx, c, clients, from)
		time.Sleep(5 * time.Second) // until each of them has had an answer
		for i := range calls {
			begun := time.Now()
			if _, err := c.IntrospectFor(t.Context(), genuine(i), fmt.Sprint("genuine-", i)); err != nil {
				t.Errorf("a genuine token: %v", err)
			}
			total += time.Since(begun)
		}
		cancel()
		flooding.Wait()
	})
	return float64(total) / calls / float64(latency)
}

// TestFloodsDelayNobodyElse measures what 2,500 connections with invented tokens do to new
// genuine ones, for which a client waits as long as the server takes if there is no flood.
func TestFloodsDelayNobodyElse(t *testing.T) {
	elsewhere := func(client int) netip.Prefix { return networkOf(1_000_000 + client) }
	for _, tt := range []struct {
		what string
		from func(client int) netip.Prefix
		most float64
	}{
		{"from one network", func(int) netip.Prefix { return networkOf(1) }, 1.5},
		{"from 65 networks", func(i int) netip.Prefix { return networkOf(i % 65) }, 3},
		{"from 2,500 networks", networkOf, 3},
	} {
		got := waits(t, 2500, tt.from, elsewhere)
		t.Logf("%s: a new genuine token takes %.2f times as long as without the flood", tt.what, got)
		if got > tt.most {
			t.Errorf("%s: %.2f times, want at most %.1f", tt.what, got, tt.most)
		}
	}
	// Where it is not told who asks, all stand in one queue. What is measured above shows that.
	nobody := func(int) netip.Prefix { return netip.Prefix{} }
	got := waits(t, 2500, nobody, nobody)
	t.Logf("in one queue: %.2f times", got)
	if got < 10 {
		t.Errorf("in one queue: %.2f times: there is no flood to measure", got)
	}
}

// A client behind the same address as a flood waits behind it, but is not locked out, nor
// are those whose last token was not active, however many others there are.
func TestNobodyWaitsForEver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := open(t, newAuthority(slow), Options{MaxConcurrent: 4})
		if _, err := c.IntrospectFor(t.Context(), networkOf(0), "invented"); err == nil {
			t.Fatal("accepted")
		}
		ctx, cancel := context.WithCancel(t.Context())
		var others sync.WaitGroup
		for i := range 100 { // more than there are turns for, and nothing is known against them
			others.Go(func() {
				for n := 0; ctx.Err() == nil; n++ {
					_, _ = c.IntrospectFor(ctx, networkOf(1+i), fmt.Sprintf("genuine-%d-%d", i, n))
				}
			})
		}
		flooding := flood(ctx, c, 20, func(int) netip.Prefix { return networkOf(0) })
		time.Sleep(time.Second)
		for i := range 5 {
			if _, err := c.IntrospectFor(t.Context(), networkOf(0), fmt.Sprint("genuine-", i)); err != nil {
				t.Errorf("a genuine token from there: %v", err)
			}
		}
		cancel()
		flooding.Wait()
		others.Wait()
	})
}

// One network leaves some turns free for the next, even if the server is stuck on all that
// it asks about.
func TestOneNetworkDoesNotHaveAllTurns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGate()
		server := newAuthority(g.before(says(`{"active":true}`)))
		c := open(t, server, Options{})
		var callers sync.WaitGroup
		for i := range 100 {
			callers.Go(func() { _, _ = c.IntrospectFor(t.Context(), networkOf(1), fmt.Sprint("token-", i)) })
		}
		synctest.Wait()
		if n := len(g.entered); n != DefaultMaxConcurrent*3/4 {
			t.Errorf("one network has %d requests under way", n)
		}
		for i := range 12 {
			callers.Go(func() { _, _ = c.IntrospectFor(t.Context(), networkOf(2+i), fmt.Sprint("other-", i)) })
		}
		synctest.Wait()
		if n := len(g.entered); n != DefaultMaxConcurrent*3/4+12 {
			t.Errorf("%d requests under way with those of twelve other networks", n)
		}
		close(g.let)
		callers.Wait()
	})
}

// Whoever presents a token that waits for its turn in somebody else's queue does not wait
// there.
func TestATokenHasTheFirstTurnOfThoseWhoPresentIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGate()
		c := open(t, newAuthority(g.before(says(`{"active":true}`))), Options{MaxConcurrent: 1})
		var callers sync.WaitGroup
		ask := func(from int, raw string) {
			callers.Go(func() {
				if _, err := c.IntrospectFor(t.Context(), networkOf(from), raw); err != nil {
					t.Errorf("%s: %v", raw, err)
				}
			})
			synctest.Wait()
		}
		for i := range 10 {
			ask(1, fmt.Sprint("token-", i))
		}
		ask(1, "shared")
		ask(2, "shared")
		var order []string
		for range 11 {
			order = append(order, <-g.entered)
			g.let <- struct{}{}
			synctest.Wait()
		}
		callers.Wait()
		if order[1] != "token-1" || order[2] != "shared" {
			t.Errorf("asked in the order %q", order)
		}
	})
}

// Nothing is left of whoever has come and gone.
func TestTheQueueForgets(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := open(t, newAuthority(slow), Options{MaxConcurrent: 4})
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		flood(ctx, c, 200, func(i int) netip.Prefix { return networkOf(i % 50) }).Wait()
		time.Sleep(2 * DefaultTimeout)
		synctest.Wait()
		q := c.queue
		if q.free != 4 || len(q.parties) != 0 || q.turns[0].Len() != 0 || q.turns[1].Len() != 0 {
			t.Errorf("%d turns free, %d networks, %d and %d wait", q.free, len(q.parties), q.turns[0].Len(), q.turns[1].Len())
		}
	})
}

// More networks than are remembered as suspects take no more memory.
func TestSuspectsAreBounded(t *testing.T) {
	q, err := newQueue(1)
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	for i := range 2 * suspects {
		q.judged(&party{from: networkOf(i)}, false, now)
	}
	q.judged(&party{}, false, now)
	if n := q.suspected.Len(); n != suspects {
		t.Errorf("%d suspects", n)
	}
	q.judged(&party{from: networkOf(2*suspects - 1)}, true, now)
	if n := q.suspected.Len(); n != suspects-1 {
		t.Error("a network is a suspect although its token is active")
	}
}
