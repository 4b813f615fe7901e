package caddymodule

import (
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"example.com/caddy-token-auth/revocation"
	"example.com/caddy-token-auth/revocation/memstore"
)

// isEmpty reports whether no request is in the set.
func (y *youngSet) isEmpty() bool {
	for i := range y.shards {
		s := &y.shards[i]
		s.mu.Lock()
		first := s.first
		s.mu.Unlock()
		if first != nil {
			return false
		}
	}
	return true
}

// ended waits until close of a set has returned.
func ended(t *testing.T, closing <-chan struct{}) {
	t.Helper()
	select {
	case <-closing:
	case <-time.After(10 * time.Second):
		t.Fatal("the set waits for ever: the list and its store would never be closed")
	}
}

// closeSet closes the set of h, as the end of the last configuration with its list does.
func closeSet(h *Handler) <-chan struct{} {
	done := make(chan struct{})
	go func() {
		defer close(done)
		h.app.shared.live.close()
	}()
	return done
}

// The goroutine that takes in what lasts may be at a request that ends, or that is being
// revoked, while the last configuration lets go of the list.
func TestSetThatClosesDoesNotWaitForARequestThatEnds(t *testing.T) {
	shared, err := acquireList(t.Name())
	if err != nil {
		t.Fatal(err)
	}
	l := &liveRequest{handler: &Handler{follows: true, app: &App{shared: shared, sharedBy: t.Name()}}, cancel: func() {}}
	l.mu.Lock()
	shared.live.young.add(l)
	eventually(t, shared.live.young.isEmpty) // it has grown, and l.mu is waited for
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := releaseList(t.Name()); err != nil {
			t.Error(err)
		}
	}()
	l.ended = true
	l.mu.Unlock()
	ended(t, done)
	if n, found := lists.References(t.Name()); found {
		t.Errorf("the list is still held by %d", n)
	}
}

// A request that was found good right before the set was closed would be told of no
// revocation: it does not go on to the API.
func TestRequestThatComesAsTheListClosesIsRefused(t *testing.T) {
	h, _ := liveHandler(t, memstore.New())
	ended(t, closeSet(h))
	next := caddyhttp.HandlerFunc(func(http.ResponseWriter, *http.Request) error {
		t.Error("it went on")
		return nil
	})
	for _, upgrade := range []string{"", "websocket"} {
		r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", http.NoBody)
		if upgrade != "" {
			r.Header.Set("Upgrade", upgrade)
		}
		rec := httptest.NewRecorder()
		if err := h.follow(rec, r, next, followed{identity: aliceUntil(time.Now().Add(time.Hour))}); err != nil {
			t.Fatal(err)
		}
		if rec.Code != http.StatusServiceUnavailable || rec.Header().Get("Retry-After") == "" {
			t.Errorf("upgrade %q: answered with %d %v", upgrade, rec.Code, rec.Header())
		}
	}
}

// Nothing was revoked where the list has gone: 503, and never a 401 that logs clients out.
func TestEndOfTheListIsNoRevocation(t *testing.T) {
	h, _ := liveHandler(t, memstore.New())
	set := h.app.shared.live
	revoked, unavailable := counted(t, cutVec.WithLabelValues("revoked")), counted(t, cutVec.WithLabelValues("unavailable"))
	lasts := runFollowed(t, h, tokenOf("alice", 1))
	eventually(t, func() bool { return set.count() == 1 })
	young := runFollowed(t, h, tokenOf("alice", 2))
	eventually(t, func() bool { return !set.young.isEmpty() || set.count() == 2 })
	done := closeSet(h)
	wantStatus(t, lasts, http.StatusServiceUnavailable)
	wantStatus(t, young, http.StatusServiceUnavailable)
	ended(t, done)
	eventually(t, set.isEmpty)
	if n := counted(t, cutVec.WithLabelValues("revoked")) - revoked; n != 0 {
		t.Errorf("%v count as revoked", n)
	}
	if n := counted(t, cutVec.WithLabelValues("unavailable")) - unavailable; n != 2 {
		t.Errorf("%v count as ended for want of the list, want 2", n)
	}
}

// A WebSocket ends with the list also before it depends on anything.
func TestWebSocketEndsWithTheList(t *testing.T) {
	for name, id := range map[string]*revocation.Identity{"token": tokenOf("alice", 1), "none": nil} {
		t.Run(name, func(t *testing.T) {
			h, _ := liveHandler(t, memstore.New())
			_, conn := openSocket(t, h, followed{identity: id})
			done := closeSet(h)
			wantClose(t, conn, 1001, "")
			ended(t, done)
			eventually(t, h.app.shared.live.isEmpty)
		})
	}
}

// What a connection presents while the list closes is refused, and does not stay in the set.
func TestNothingComesIntoASetThatIsClosed(t *testing.T) {
	h, _ := liveHandler(t, memstore.New())
	l, conn := openSocket(t, h, followed{identity: tokenOf("alice", 1)})
	done := closeSet(h)
	wantClose(t, conn, 1001, "")
	ended(t, done)
	for _, id := range []*revocation.Identity{tokenOf("alice", 1), tokenOf("bob", 1)} {
		if err := l.depend(id); err == nil {
			t.Error("a connection that nobody can end any more has got a token")
		}
	}
	eventually(t, h.app.shared.live.isEmpty)
}
