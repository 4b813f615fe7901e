package caddymodule

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"

	"example.com/caddy-token-auth/dialect"
	"example.com/caddy-token-auth/revocation"
	"example.com/caddy-token-auth/revocation/memstore"
)

// brittleStore is a store that can fail to answer.
type brittleStore struct {
	revocation.Store
	fails   atomic.Bool
	lookups atomic.Int64
}

func (s *brittleStore) Lookup(ctx context.Context, keys ...revocation.Key) ([]revocation.Entry, error) {
	s.lookups.Add(1)
	if s.fails.Load() {
		return nil, errors.New("the store is down")
	}
	return s.Store.Lookup(ctx, keys...)
}

// liveHandler returns a handler that has a list on store, under a name of the test's own.
func liveHandler(t *testing.T, store revocation.Store) (*Handler, *revocation.List) {
	t.Helper()
	shared, err := acquireList(t.Name())
	if err != nil {
		t.Fatal(err)
	}
	list, err := revocation.Open(t.Context(), store, revocation.Options{})
	if err != nil {
		t.Fatal(err)
	}
	list.Subscribe(shared.live.changed)
	shared.list.Store(list)
	t.Cleanup(func() {
		if err := releaseList(t.Name()); err != nil {
			t.Error(err)
		}
	})
	form, err := dialect.Named("problem")
	if err != nil {
		t.Fatal(err)
	}
	h := &Handler{log: zap.NewNop(), refusals: zap.NewNop(), dialect: form, follows: true, app: &App{shared: shared, sharedBy: t.Name()}}
	return h, list
}

func aliceUntil(expires time.Time) *revocation.Identity {
	return revocation.NewIdentity("api", "token", "session", "alice", time.Now().Add(-time.Minute), expires)
}

// waits is a next handler that returns when its request is cancelled, and says how.
func waits(_ http.ResponseWriter, r *http.Request) error {
	<-r.Context().Done()
	return context.Cause(r.Context())
}

// runFollowed runs a request that waits, and returns the status that it is answered with.
func runFollowed(t *testing.T, h *Handler, id *revocation.Identity) <-chan int {
	t.Helper()
	status := make(chan int, 1)
	go func() {
		rec := httptest.NewRecorder()
		r := httptest.NewRequestWithContext(context.Background(), http.MethodGet, "/", http.NoBody)
		if err := h.follow(rec, r, caddyhttp.HandlerFunc(waits), followed{identity: id}); err != nil {
			t.Error(err)
		}
		status <- rec.Code
	}()
	return status
}

func (s *liveSet) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.all)
}

func eventually(t *testing.T, is func() bool) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); !is(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("still not, after ten seconds")
		}
	}
}

func wantStatus(t *testing.T, got <-chan int, want int) {
	t.Helper()
	select {
	case status := <-got:
		if status != want {
			t.Errorf("answered with %d, want %d", status, want)
		}
	case <-time.After(10 * time.Second):
		t.Fatal("it goes on")
	}
}

func TestWebSocketThatCannotBeEndedIsRefused(t *testing.T) {
	h, _ := liveHandler(t, memstore.New())
	rec := httptest.NewRecorder()
	r := httptest.NewRequestWithContext(t.Context(), http.MethodConnect, "/ws", http.NoBody)
	r.ProtoMajor = 3
	next := caddyhttp.HandlerFunc(func(http.ResponseWriter, *http.Request) error {
		t.Error("it was let through")
		return nil
	})
	if err := h.follow(rec, r, next, followed{identity: aliceUntil(time.Now().Add(time.Hour))}); err != nil || rec.Code != http.StatusNotImplemented {
		t.Errorf("got %d, %v", rec.Code, err)
	}
}

// Where the store fails, nothing is cut; when it answers again, what was revoked is.
func TestStoreThatFailsEndsNothingUntilItAnswers(t *testing.T) {
	store := &brittleStore{Store: memstore.New()}
	h, list := liveHandler(t, store)
	id := aliceUntil(time.Now().Add(time.Hour))
	status := runFollowed(t, h, id)
	live := h.app.shared.live
	eventually(t, func() bool { return live.count() == 1 })
	store.fails.Store(true)
	before := store.lookups.Load()
	// The revocation needs no look-up of its own: the scope is the token.
	if _, err := list.Revoke(t.Context(), id, revocation.ScopeToken); err != nil {
		t.Fatal(err)
	}
	eventually(t, func() bool { return store.lookups.Load() >= before+2 })
	if n := live.count(); n != 1 {
		t.Fatalf("%d requests are left, want 1", n)
	}
	store.fails.Store(false)
	wantStatus(t, status, http.StatusUnauthorized)
	eventually(t, func() bool { return live.count() == 0 })
}

// After a gap all are checked, whatever their keys.
func TestGapHasEverythingChecked(t *testing.T) {
	h, _ := liveHandler(t, memstore.New())
	live := h.app.shared.live
	silent, err := revocation.Open(t.Context(), memstore.New(), revocation.Options{})
	if err != nil {
		t.Fatal(err)
	}
	h.app.shared.list.Store(silent) // it tells live nothing
	status := runFollowed(t, h, aliceUntil(time.Now().Add(time.Hour)))
	other := revocation.NewIdentity("api", "other", "", "bob", time.Now(), time.Now().Add(2*time.Second))
	stays := runFollowed(t, h, other)
	eventually(t, func() bool { return live.count() == 2 })
	if _, err := silent.RevokeNamed(t.Context(), revocation.ScopeClient, "api", "alice"); err != nil {
		t.Fatal(err)
	}
	live.changed(revocation.Change{})
	wantStatus(t, status, http.StatusUnauthorized)
	wantStatus(t, stays, http.StatusUnauthorized) // by its expiry
	eventually(t, func() bool { return live.count() == 0 })
}

// A handler that does not look at the context of its request cannot go on either.
func TestResponseThatIgnoresItsEndIsBrokenOff(t *testing.T) {
	h, list := liveHandler(t, memstore.New())
	id := aliceUntil(time.Now().Add(time.Hour))
	next := caddyhttp.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) error {
		w.WriteHeader(http.StatusOK)
		var err error
		for err == nil {
			_, err = w.Write(make([]byte, 1<<10))
			err = errors.Join(err, http.NewResponseController(w).Flush())
			time.Sleep(time.Millisecond)
		}
		return err
	})
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := h.follow(w, r, next, followed{identity: id}); err == nil {
			t.Error("the handler's error is lost")
		}
	}))
	defer server.Close()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, server.URL, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := server.Client().Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if _, err := list.Revoke(t.Context(), id, revocation.ScopeSession); err != nil {
		t.Fatal(err)
	}
	begun := time.Now()
	if _, err := io.Copy(io.Discard, resp.Body); err == nil {
		t.Error("the response ended as if it were complete")
	}
	if took := time.Since(begun); took > 10*time.Second {
		t.Errorf("it went on for %s", took)
	}
}

// What comes after the handler, such as an error page, finds a request that goes on.
func TestFollowedRequestIsNotCancelledAfterItsHandler(t *testing.T) {
	h, _ := liveHandler(t, memstore.New())
	r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/", http.NoBody)
	next := caddyhttp.HandlerFunc(func(_ http.ResponseWriter, got *http.Request) error {
		if got != r {
			t.Error("the request is another one, of which no placeholder knows")
		}
		return nil
	})
	if err := h.follow(httptest.NewRecorder(), r, next, followed{identity: aliceUntil(time.Now().Add(time.Hour))}); err != nil {
		t.Fatal(err)
	}
	if err := r.Context().Err(); err != nil {
		t.Error(err)
	}
}

// A request is decided about once: what is refused was not allowed, and what was allowed and
// is cut counts as cut.
func TestRequestCountsAsOneDecision(t *testing.T) {
	h, list := liveHandler(t, memstore.New())
	limits := &WebSocketLimits{MaxConnectionsPerToken: 1}
	refused := func(reason dialect.Reason) prometheus.Counter { return decisions.refused[0][reason] }
	allowed, tooMany, revoked := counted(t, decisions.allowed), counted(t, refused(dialect.TooManyConnections)), counted(t, refused(dialect.RevokedCredential))
	openSocket(t, h, followed{identity: tokenOf("alice", 1), judged: true, limits: limits})

	r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", http.NoBody)
	r.Header.Set("Upgrade", "websocket")
	rec := httptest.NewRecorder()
	next := caddyhttp.HandlerFunc(waits)
	if err := h.follow(rec, r, next, followed{identity: tokenOf("alice", 1), judged: true, limits: limits}); err != nil || rec.Code != http.StatusTooManyRequests {
		t.Fatalf("one too many: %d, %v", rec.Code, err)
	}

	r = httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", http.NoBody)
	rec = httptest.NewRecorder()
	next = func(w http.ResponseWriter, r *http.Request) error {
		revoke(t, list, tokenOf("bob", 1), revocation.ScopeToken)
		return waits(w, r)
	}
	if err := h.follow(rec, r, next, followed{identity: tokenOf("bob", 1), judged: true}); err != nil || rec.Code != http.StatusUnauthorized {
		t.Fatalf("revoked while it waits: %d, %v", rec.Code, err)
	}
	for _, c := range []struct {
		name string
		n    float64
		want float64
	}{
		{"allowed", counted(t, decisions.allowed) - allowed, 2},
		{"too many connections", counted(t, refused(dialect.TooManyConnections)) - tooMany, 1},
		{"revoked", counted(t, refused(dialect.RevokedCredential)) - revoked, 0},
	} {
		if c.n != c.want {
			t.Errorf("%s: %v requests, want %v", c.name, c.n, c.want)
		}
	}
}
