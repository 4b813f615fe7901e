package caddymodule

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.uber.org/zap"

	"example.com/caddy-token-auth/revocation"
	"example.com/caddy-token-auth/revocation/memstore"
)

// stuckStore answers no check of one client. That client can be revoked: a revocation looks
// up a single key.
type stuckStore struct {
	revocation.Store
	client revocation.Key
}

func (s *stuckStore) Lookup(ctx context.Context, keys ...revocation.Key) ([]revocation.Entry, error) {
	for _, k := range keys {
		if k == s.client && len(keys) > 1 {
			<-ctx.Done()
			return nil, ctx.Err()
		}
	}
	return s.Store.Lookup(ctx, keys...)
}

func newStuckStore() *stuckStore {
	return &stuckStore{Store: memstore.New(), client: revocation.KeyOf(revocation.ScopeClient, "api", "mallory")}
}

// stuckHandler returns a handler with a list that answers nothing about mallory, who has
// much more open than checks run at a time.
func stuckHandler(t *testing.T) (*Handler, *revocation.List) {
	t.Helper()
	h, list := liveHandler(t, newStuckStore())
	startMallory(t, h)
	return h, list
}

// bubbleToken is tokenOf by the clock of a bubble.
func bubbleToken(client string, n int) *revocation.Identity {
	now := time.Now()
	return revocation.NewIdentity("api", fmt.Sprintf("token %d of %s", n, client), "", client, now.Add(-time.Minute), now.Add(24*time.Hour))
}

func startMallory(t *testing.T, h *Handler) {
	t.Helper()
	for i := range 8 * toldWorkers {
		startFollowed(t, h, bubbleToken("mallory", i))
	}
}

// startFollowed runs a request that waits until it is cut, or the test ends. The channel
// is closed then.
func startFollowed(t *testing.T, h *Handler, id *revocation.Identity) <-chan struct{} {
	t.Helper()
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", http.NoBody)
		// What it returns where the test ends before it is of no interest.
		_ = h.follow(httptest.NewRecorder(), r, caddyhttp.HandlerFunc(waits), followed{identity: id})
	}()
	return ended
}

// wantEndWithin waits for the end of a request. It runs in a bubble.
func wantEndWithin(t *testing.T, ended <-chan struct{}, d time.Duration) {
	t.Helper()
	begun := time.Now()
	select {
	case <-ended:
	case <-time.After(10 * time.Minute):
	}
	if took := time.Since(begun); took > d {
		t.Errorf("it went on for %s, want %s at most", took, d)
	}
}

// What the store does not answer about one client holds up nothing of another.
func TestLogoutDoesNotWaitForChecksThatHang(t *testing.T) {
	for name, wait := range map[string]time.Duration{
		"they have just been taken in": 2 * youngTicks * youngTick, "they are tried again": recheckTimeout + recheckPause,
		"a general check is under way": recheckInterval + time.Second,
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h, list := stuckHandler(t)
				ended := startFollowed(t, h, bubbleToken("alice", 1))
				time.Sleep(wait)
				revoke(t, list, bubbleToken("alice", 1), revocation.ScopeClient)
				wantEndWithin(t, ended, 0)
			})
		})
	}
}

// Not even of those that a logout has been told about as well.
func TestLogoutDoesNotWaitForThatOfAClientWithManyConnections(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, list := stuckHandler(t)
		ended := startFollowed(t, h, bubbleToken("alice", 1))
		time.Sleep(time.Minute)
		revoke(t, list, bubbleToken("mallory", 0), revocation.ScopeClient)
		time.Sleep(time.Millisecond)
		revoke(t, list, bubbleToken("alice", 1), revocation.ScopeClient)
		wantEndWithin(t, ended, toldTimeout)
	})
}

func TestAddressChangeDoesNotWaitForChecksThatHang(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, _ := liveHandler(t, newStuckStore())
		var err error
		if h.allowed, err = newAllowLists(nil, zap.NewNop(), h.app.shared.live.readdress); err != nil {
			t.Fatal(err)
		}
		startMallory(t, h)
		ended := startFollowed(t, h, bubbleToken("mallory", -1))
		time.Sleep(time.Minute)
		h.allowed.current.Store(&allowList{"mallory": {netip.MustParsePrefix("10.0.0.0/8")}})
		h.app.shared.live.readdress(h.allowed)
		wantEndWithin(t, ended, 0)
	})
}

// A general check reaches everything, whatever hangs.
func TestGeneralCheckGoesOnBesideChecksThatHang(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := newStuckStore()
		h, _ := liveHandler(t, store)
		silent, err := revocation.Open(t.Context(), store, revocation.Options{}) // it tells live nothing
		if err != nil {
			t.Fatal(err)
		}
		h.app.shared.list.Store(silent)
		startMallory(t, h)
		ended := startFollowed(t, h, bubbleToken("alice", 1))
		time.Sleep(2 * time.Minute)
		revoke(t, silent, bubbleToken("alice", 1), revocation.ScopeClient)
		wantEndWithin(t, ended, recheckInterval+time.Second)
	})
}

// silentFeed follows the store, and then falls silent.
type silentFeed struct{ revocation.Store }

func (silentFeed) Watch(ctx context.Context, _ revocation.Position, sink revocation.Sink) error {
	sink.Started(true)
	sink.Alive(time.Now())
	<-ctx.Done()
	return ctx.Err()
}

// While nothing is told, a logout elsewhere is found soon after max_staleness.
func TestLogoutElsewhereIsFoundWhileTheFeedIsBroken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := memstore.New()
		h, _ := liveHandler(t, silentFeed{store})
		elsewhere, err := revocation.Open(t.Context(), store, revocation.Options{})
		if err != nil {
			t.Fatal(err)
		}
		one := startFollowed(t, h, bubbleToken("alice", 1))
		other := startFollowed(t, h, bubbleToken("bob", 1))
		time.Sleep(3 * time.Second)
		revoke(t, elsewhere, bubbleToken("alice", 1), revocation.ScopeClient)
		wantEndWithin(t, one, revocation.DefaultMaxStaleness+time.Second)
		time.Sleep(time.Minute)
		revoke(t, elsewhere, bubbleToken("bob", 1), revocation.ScopeClient)
		wantEndWithin(t, other, staleInterval+time.Second)
	})
}

// The age that a handler allows ends what is open, even if the list would allow more.
func TestTokenThatAgesEndsItsStreams(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, _ := liveHandler(t, memstore.New())
		id := bubbleToken("alice", 1) // a minute old
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", http.NoBody)
			f := followed{identity: id, ages: ageLimit(id, time.Hour)}
			if err := h.follow(httptest.NewRecorder(), r, caddyhttp.HandlerFunc(waits), f); err != nil {
				t.Error(err)
			}
		}()
		time.Sleep(59 * time.Minute)
		select {
		case <-ended:
			t.Fatal("it ended before")
		default:
		}
		wantEndWithin(t, ended, recheckInterval+time.Second)
	})
}

// queued is how many checks wait, or are under way.
func (s *liveSet) queued() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := len(s.checks.sweep) + s.checks.resting.Len()
	for i := range s.checks.lanes {
		n += s.checks.lanes[i].waiting.Len() + s.checks.lanes[i].working
	}
	return n
}
