package e2e

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gobwas/ws"
)

const (
	rollingReplicas = 3
	rollingCallers  = 12
	rollingSockets  = 24

	// known is after how long a logout must hold on every replica while the store is there:
	// a bound for slow machines, as it takes some milliseconds. What docs/stores.md
	// promises for when it is not there is max_staleness.
	known = 5 * time.Second
)

// rollout is what clients do while pods are replaced. Nothing that they do may fail.
type rollout struct {
	t   *testing.T
	api *streamingAPI
	lb  *haproxy

	stop                                  atomic.Bool
	answered, logouts, sockets, cut, away atomic.Int64
	// slowest is the longest that a token was accepted after its logout, in nanoseconds.
	slowest atomic.Int64

	mu      sync.Mutex
	revoked []loggedOut
}

// loggedOut is a pair and when its logout was acknowledged.
type loggedOut struct {
	pair
	at time.Time
}

// TestRollingRestartFailsNoRequest replaces three replicas, one after the other, while clients
// call, log out, try tokens that were logged out, and talk on WebSockets.
func TestRollingRestartFailsNoRequest(t *testing.T) {
	store := newRedis(t)
	store.start(t)
	a := newStreamingAPI(t)
	var pods []*pod
	for range rollingReplicas {
		p := newPod(t, "redis", a.addr(), map[string]string{redisHost: store.addr})
		store.pass(p)
		p.start()
		pods = append(pods, p)
	}
	r := &rollout{t: t, api: a, lb: startHAProxy(t, pods)}
	for i := range pods {
		r.lb.await(podName(i), "UP")
	}

	var wg sync.WaitGroup
	defer wg.Wait()
	defer r.stop.Store(true)
	rnd := random(t)
	for range rollingCallers {
		source := rand.New(rand.NewPCG(rnd.Uint64(), 0))
		wg.Go(func() { r.call(source) })
	}
	for range rollingSockets {
		source := rand.New(rand.NewPCG(rnd.Uint64(), 0))
		wg.Go(func() { r.talk(source) })
	}
	r.await(500)
	for i, p := range pods {
		end := p.delete()
		r.lb.await(podName(i), "DOWN")
		if took := time.Since(end.begun); took > podDelay {
			t.Errorf("the load balancer noticed after %s, when the port was closed already", took)
		}
		took := end.wait()
		before := r.lately()
		p.start()
		// What was logged out while there was no such pod holds there from the beginning.
		p.sidecar().check(before, nil, nil)
		r.lb.await(podName(i), "UP")
		t.Logf("%s ended in %s and is ready again after %s", podName(i), took.Round(time.Millisecond),
			(time.Since(end.begun) - took).Round(time.Millisecond))
		r.await(500)
		if t.Failed() {
			return
		}
	}
	r.stop.Store(true)
	wg.Wait()
	t.Logf("%d requests, %d logouts, %d WebSockets were opened, %d told to go away and %d cut by a logout; a token was accepted for %s after its logout",
		r.answered.Load(), r.logouts.Load(), r.sockets.Load(), r.away.Load(), r.cut.Load(), time.Duration(r.slowest.Load()))
	if r.away.Load() == 0 || r.cut.Load() == 0 {
		t.Error("no WebSocket was closed")
	}
	all := make([]pair, len(r.revoked))
	for i, gone := range r.revoked {
		all[i] = gone.pair
	}
	for _, p := range pods {
		p.sidecar().check(sample(rnd, all, 200), nil, nil)
		p.delete().wait()
	}
}

// lately returns the pairs that were logged out last.
func (r *rollout) lately() []pair {
	r.mu.Lock()
	defer r.mu.Unlock()
	var all []pair
	for _, gone := range r.revoked[max(0, len(r.revoked)-200):] {
		all = append(all, gone.pair)
	}
	return all
}

// request sends a request once and wants an answer.
func (r *rollout) request(c *client, method, path, token, body string) (answer, bool) {
	a, err := c.do(method, path, token, body)
	if err != nil {
		r.t.Errorf("%s %s: %v", method, path, err)
		return answer{}, false
	}
	r.answered.Add(1)
	return a, true
}

// call is what one client does on one connection: it logs in, calls, logs out and tries
// what was logged out.
func (r *rollout) call(rnd *rand.Rand) {
	c := r.lb.client()
	defer c.close()
	for !r.stop.Load() && !r.t.Failed() {
		a, ok := r.request(c, http.MethodPost, loginPath, "", loginBody(r.api.newClient()))
		if !ok {
			return
		}
		p, err := issued(a)
		if err != nil {
			r.t.Error(err)
			return
		}
		for range 1 + rnd.IntN(4) {
			if a, ok := r.request(c, http.MethodGet, protectedPath, p.access, ""); ok && a.status != http.StatusOK {
				r.t.Errorf("client %d, who is logged in: %s", p.client, a)
			}
		}
		if a, ok := r.request(c, http.MethodPost, logoutPath, p.access, ""); !ok || !a.is(http.StatusOK, bodyLoggedOut) {
			r.t.Errorf("logout of client %d: %s", p.client, a)
			return
		}
		r.logouts.Add(1)
		r.mu.Lock()
		r.revoked = append(r.revoked, loggedOut{p, time.Now()})
		gone := r.revoked[rnd.IntN(len(r.revoked))]
		r.mu.Unlock()
		r.try(c, loggedOut{p, time.Now()})
		r.try(c, gone)
	}
}

// try uses a token that was logged out.
func (r *rollout) try(c *client, gone loggedOut) {
	since := time.Since(gone.at) // when the request began
	a, ok := r.request(c, http.MethodGet, protectedPath, gone.access, "")
	switch {
	case !ok || a.is(http.StatusUnauthorized, bodyInvalid):
	case a.status == http.StatusOK && since < known:
		for slowest := r.slowest.Load(); int64(since) > slowest && !r.slowest.CompareAndSwap(slowest, int64(since)); {
			slowest = r.slowest.Load()
		}
	default:
		r.t.Errorf("client %d, who was logged out %s before: %s", gone.client, since, a)
	}
}

// talk is what one client after another does on WebSockets. One that is closed must say that
// its server is going away, and the next one can be opened at once; one whose client logs
// out must say so.
func (r *rollout) talk(rnd *rand.Rand) {
	c := r.lb.client()
	defer c.close()
	for !r.stop.Load() && !r.t.Failed() {
		p := mint(r.api.newClient())
		for left := 100 + rnd.IntN(900); left > 0 && !r.stop.Load() && !r.t.Failed(); {
			s, err := openSocket(r.t.Context(), r.lb.addr, p.access)
			if err != nil {
				r.t.Errorf("a WebSocket cannot be opened: %v", err)
				return
			}
			r.sockets.Add(1)
			for ; left > 0 && !r.stop.Load() && err == nil; left-- {
				err = r.say(s)
			}
			if err == nil && left == 0 {
				err = r.leave(c, s, p)
			}
			s.close()
			switch {
			case err == nil:
			case errors.Is(err, closedError(ws.StatusGoingAway)):
				r.away.Add(1)
			default:
				r.t.Errorf("a WebSocket ended with %v", err)
			}
		}
	}
}

// say has a WebSocket say something, at the pace of a client that types.
func (r *rollout) say(s *socket) error {
	if err := s.say("hello"); err != nil {
		return err
	}
	r.answered.Add(1)
	time.Sleep(10 * time.Millisecond)
	return nil
}

// codeRevoked is what a client reads on its WebSocket after its logout.
const codeRevoked ws.StatusCode = 4001

// leave logs a client out, who then goes on talking and tries to come back.
func (r *rollout) leave(c *client, s *socket, p pair) error {
	if a, ok := r.request(c, http.MethodPost, logoutPath, p.access, ""); !ok || !a.is(http.StatusOK, bodyLoggedOut) {
		return fmt.Errorf("logout of client %d: %s", p.client, a)
	}
	r.logouts.Add(1)
	at := time.Now()
	for {
		switch err := s.say("hello"); {
		case errors.Is(err, closedError(codeRevoked)):
			r.cut.Add(1)
			return r.wantNoSocket(p, at)
		case err != nil:
			return err // closed because its server goes away
		case time.Since(at) > known:
			return fmt.Errorf("client %d talks %s after its logout", p.client, time.Since(at))
		}
	}
}

// wantNoSocket opens a WebSocket with a token that was logged out.
func (r *rollout) wantNoSocket(p pair, at time.Time) error {
	since := time.Since(at)
	s, err := openSocket(r.t.Context(), r.lb.addr, p.access)
	switch {
	case err == nil:
		s.close()
		if since < known {
			return nil
		}
		return fmt.Errorf("client %d can open a WebSocket %s after its logout", p.client, since)
	case errors.Is(err, ws.StatusError(http.StatusUnauthorized)):
		return nil
	default:
		return err
	}
}

// await waits until so many more requests are answered.
func (r *rollout) await(more int64) {
	r.t.Helper()
	deadline := time.Now().Add(exchangeTimeout)
	for from := r.answered.Load(); r.answered.Load() < from+more && !r.t.Failed(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			r.t.Fatal("the clients make no progress")
		}
	}
}
