package caddymodule

import (
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"github.com/gobwas/ws"
	"github.com/prometheus/client_golang/prometheus"

	"example.com/caddy-token-auth/revocation"
	"example.com/caddy-token-auth/revocation/memstore"
	"example.com/caddy-token-auth/websocket"
)

// What is revoked between the answer to the handshake and the connection gets a close
// frame: the client has been told that it is upgraded.
func TestRevocationBetweenHandshakeAndConnectionCutsIt(t *testing.T) {
	h, list := liveHandler(t, memstore.New())
	id := tokenOf("alice", 1)
	next := caddyhttp.HandlerFunc(func(w http.ResponseWriter, r *http.Request) error {
		switchProtocols(w, r)
		revoke(t, list, id, revocation.ScopeClient)
		eventually(t, func() bool {
			l := w.(*upgradeWriter).live
			l.mu.Lock()
			defer l.mu.Unlock()
			return l.cause != 0
		})
		if r.Context().Err() != nil {
			t.Error("the request is cancelled, for which the proxy would close the connection before it is told")
		}
		conn, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			return err
		}
		defer conn.Close()
		_, err = conn.Read(make([]byte, 100))
		if err == nil {
			t.Error("something of the client goes on")
		}
		return nil
	})
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := h.follow(w, r, next, followed{identity: id}); err != nil {
			t.Error(err)
		}
	}))
	defer server.Close()
	conn, early, _, err := ws.Dial(t.Context(), "ws"+server.URL[len("http"):])
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if early != nil {
		conn = earlyConn{conn, early}
	}
	wantClose(t, conn, 4001, "revoked")
}

// earlyConn is a connection of which something has been read already.
type earlyConn struct {
	net.Conn
	from io.Reader
}

func (c earlyConn) Read(p []byte) (int, error) { return c.from.Read(p) }

// counted returns the value of a counter.
func counted(t *testing.T, c prometheus.Collector) float64 {
	t.Helper()
	registry := prometheus.NewRegistry()
	if err := registry.Register(c); err != nil {
		t.Fatal(err)
	}
	families, err := registry.Gather()
	if err != nil || len(families) != 1 {
		t.Fatal(err)
	}
	return families[0].GetMetric()[0].GetCounter().GetValue()
}

func TestConnectionThatSendsTooManyMessagesIsEnded(t *testing.T) {
	h, _ := liveHandler(t, memstore.New())
	before := counted(t, limitCounters.limited[limitRate])
	_, conn := openSocket(t, h, followed{identity: tokenOf("alice", 1), limits: &WebSocketLimits{MaxMessagesPerSecond: 5}})
	var err error
	for i := 0; i < 100 && err == nil; i++ {
		err = ws.WriteFrame(conn, ws.MaskFrame(ws.NewTextFrame(nil)))
	}
	wantClose(t, conn, ws.StatusPolicyViolation, "too many messages")
	eventually(t, func() bool { return counted(t, limitCounters.limited[limitRate]) == before+1 })
}

func TestMessageThatIsTooLongEndsTheConnection(t *testing.T) {
	h, _ := liveHandler(t, memstore.New())
	before := counted(t, limitCounters.limited[limitSize])
	tap := func(*liveRequest) websocket.Options {
		return websocket.Options{FromClient: func(websocket.Message) websocket.Decision { return websocket.Pass() }}
	}
	_, conn := openSocket(t, h, followed{tap: tap, limits: &WebSocketLimits{MaxMessageSize: 10}})
	if err := ws.WriteFrame(conn, ws.MaskFrame(ws.NewTextFrame([]byte("0123456789")))); err != nil {
		t.Fatal(err)
	}
	if err := ws.WriteFrame(conn, ws.MaskFrame(ws.NewTextFrame([]byte("0123456789a")))); err != nil {
		t.Fatal(err)
	}
	wantClose(t, conn, ws.StatusMessageTooBig, "message is too long")
	eventually(t, func() bool { return counted(t, limitCounters.limited[limitSize]) == before+1 })
}

// A connection counts once for each client and token that it has, however many others it
// has, and not any more when it has ended.
func TestConnectionsAreCountedByClientAndToken(t *testing.T) {
	h, _ := liveHandler(t, memstore.New())
	limits := &WebSocketLimits{MaxConnectionsPerClient: 2, MaxConnectionsPerToken: 1}
	one, conn := openSocket(t, h, followed{identity: tokenOf("alice", 1), limits: limits})
	for _, id := range []*revocation.Identity{tokenOf("alice", 2), tokenOf("alice", 3), tokenOf("bob", 1)} {
		if err := one.depend(id); err != nil {
			t.Fatal(err)
		}
	}
	two, _ := openSocket(t, h, followed{limits: limits})
	for _, id := range []*revocation.Identity{tokenOf("alice", 3), tokenOf("bob", 1)} {
		if err := two.depend(id); !errors.Is(err, errTooManyConnections) {
			t.Errorf("the same token twice: %v", err)
		}
	}
	if err := two.depend(tokenOf("alice", 4)); err != nil {
		t.Fatal(err)
	}
	three, _ := openSocket(t, h, followed{limits: limits})
	if err := three.depend(tokenOf("alice", 5)); !errors.Is(err, errTooManyConnections) {
		t.Errorf("the third connection of a client: %v", err)
	}
	two.release(tokenOf("alice", 4))
	if err := three.depend(tokenOf("alice", 4)); err != nil {
		t.Errorf("in the place of another: %v", err)
	}
	_ = conn.Close()
	eventually(t, func() bool { return two.depend(tokenOf("bob", 1)) == nil })
	if err := two.depend(tokenOf("alice", 1)); err != nil {
		t.Error(err)
	}
	off := &WebSocketLimits{MaxConnectionsPerClient: -1, MaxConnectionsPerToken: -1}
	openSocket(t, h, followed{identity: tokenOf("alice", 1), limits: off})
}

// Limits hold where a logout ends nothing, and refuse nothing in a dry run.
func TestConnectionsAreLimitedWhereALogoutEndsNothing(t *testing.T) {
	h, _ := liveHandler(t, memstore.New())
	h.follows = false
	f := followed{identity: tokenOf("alice", 1), limits: &WebSocketLimits{MaxConnectionsPerToken: 1}}
	openSocket(t, h, f)
	passed := false
	next := caddyhttp.HandlerFunc(func(http.ResponseWriter, *http.Request) error {
		passed = true
		return nil
	})
	for _, dryRun := range []bool{false, true} {
		h.dryRun = dryRun
		rec := httptest.NewRecorder()
		r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", http.NoBody)
		r.Header.Set("Upgrade", "websocket")
		if err := h.follow(rec, r, next, f); err != nil {
			t.Fatal(err)
		}
		if passed != dryRun || !dryRun && rec.Code != http.StatusTooManyRequests {
			t.Errorf("dry run %t: passed %t, answered with %d", dryRun, passed, rec.Code)
		}
	}
}

// Every connection and request takes with it what it has left behind.
func TestNothingIsLeftOfConnectionsThatHaveEnded(t *testing.T) {
	h, list := liveHandler(t, memstore.New())
	set := h.app.shared.live
	for i := range 20 {
		l, conn := openSocket(t, h, followed{identity: tokenOf("alice", i)})
		if err := l.depend(tokenOf("bob", i)); err != nil {
			t.Fatal(err)
		}
		if i%2 == 0 {
			_ = conn.Close()
		}
	}
	revoke(t, list, tokenOf("alice", 0), revocation.ScopeClient)
	eventually(t, set.isEmpty)
}

// isEmpty reports whether the set refers to nothing any more.
func (s *liveSet) isEmpty() bool {
	if s.queued() > 0 {
		return false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sockets.mu.Lock()
	defer s.sockets.mu.Unlock()
	n := len(s.held) + len(s.all) + len(s.byKey) + len(s.expiry) + len(s.sockets.n)
	for i := range s.young.shards {
		shard := &s.young.shards[i]
		shard.mu.Lock()
		if shard.first != nil || shard.last != nil {
			n++
		}
		shard.mu.Unlock()
	}
	return n == 0
}

// Requests leave the list of young ones in any order, and those that last grow out of it.
func TestRequestsThatLastGrowOutOfTheYoung(t *testing.T) {
	var y youngSet
	requests := make([]*liveRequest, 1000)
	for i := range requests {
		requests[i] = new(liveRequest)
		y.add(requests[i])
		if i == 500 {
			if grown := y.grown(); len(grown) != 0 {
				t.Fatalf("%d have grown at once", len(grown))
			}
		}
	}
	for i := 0; i < len(requests); i += 3 {
		requests[i].young.remove(requests[i])
		requests[i].young.remove(requests[i])
	}
	if n := len(y.grown()); n != 334 { // of the first 501, those that are left
		t.Errorf("%d have grown, want 334", n)
	}
	if n := len(y.close()); n != 333-1 {
		t.Errorf("%d are left, want %d", n, 333-1)
	}
	y.add(requests[0])
	if n := len(y.grown()) + len(y.grown()) + len(y.grown()); n != 0 {
		t.Errorf("%d came in after the end", n)
	}
}

// switchProtocols answers a handshake.
func switchProtocols(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Sec-Websocket-Accept", accept(r))
	w.Header().Set("Connection", "Upgrade")
	w.Header().Set("Upgrade", "websocket")
	w.WriteHeader(http.StatusSwitchingProtocols)
}
