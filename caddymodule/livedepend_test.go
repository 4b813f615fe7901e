package caddymodule

import (
	"context"
	"crypto/sha1"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"github.com/gobwas/ws"

	"example.com/caddy-token-auth/revocation"
	"example.com/caddy-token-auth/revocation/memstore"
	"example.com/caddy-token-auth/websocket"
)

// openSocket opens a WebSocket that h follows as f says, in front of an upstream that only
// reads, and returns both of its ends.
func openSocket(t *testing.T, h *Handler, f followed) (*liveRequest, net.Conn) {
	t.Helper()
	opened := make(chan *liveRequest, 1)
	tap := f.tap
	f.tap = func(l *liveRequest) websocket.Options {
		opened <- l
		if tap != nil {
			return tap(l)
		}
		return websocket.Options{}
	}
	next := caddyhttp.HandlerFunc(func(w http.ResponseWriter, r *http.Request) error {
		switchProtocols(w, r)
		conn, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			return err
		}
		defer conn.Close()
		_, err = io.Copy(io.Discard, conn)
		if errors.Is(err, websocket.ErrClosed) {
			err = nil
		}
		return err
	})
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := h.follow(w, r, next, f); err != nil {
			t.Logf("follow: %v", err)
		}
	}))
	t.Cleanup(server.Close)
	dialer := ws.Dialer{Timeout: 10 * time.Second}
	conn, _, _, err := dialer.Dial(t.Context(), "ws"+server.URL[len("http"):])
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return <-opened, conn
}

// accept is the answer to the key of a handshake (RFC 6455 §4.2.2).
func accept(r *http.Request) string {
	sum := sha1.Sum([]byte(r.Header.Get("Sec-Websocket-Key") + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"))
	return base64.StdEncoding.EncodeToString(sum[:])
}

// nextFrame reads one frame of at most some kilobytes.
func nextFrame(from io.Reader) (ws.Frame, error) {
	header, err := ws.ReadHeader(from)
	switch {
	case err != nil:
		return ws.Frame{}, err
	case header.Length > 1<<16:
		return ws.Frame{}, ws.ErrHeaderLengthUnexpected
	}
	f := ws.Frame{Header: header, Payload: make([]byte, header.Length)}
	_, err = io.ReadFull(from, f.Payload)
	return f, err
}

// wantClose waits for a close frame, answers it, and waits for the end.
func wantClose(t *testing.T, conn net.Conn, code ws.StatusCode, reason string) {
	t.Helper()
	_ = conn.SetDeadline(time.Now().Add(10 * time.Second))
	f, err := nextFrame(conn)
	if err != nil {
		t.Fatal(err)
	}
	gotCode, gotReason := ws.ParseCloseFrameData(f.Payload)
	if f.Header.OpCode != ws.OpClose || gotCode != code || gotReason != reason {
		t.Fatalf("got frame %x with %d %q, want %d %q", f.Header.OpCode, gotCode, gotReason, code, reason)
	}
	if err := ws.WriteFrame(conn, ws.MaskFrame(f)); err != nil {
		t.Fatal(err)
	}
	if _, err := nextFrame(conn); !errors.Is(err, io.EOF) {
		t.Errorf("after the close frame: %v", err)
	}
}

func wantOpen(t *testing.T, l *liveRequest) {
	t.Helper()
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.cause != 0 || l.ended {
		t.Fatalf("it is being ended: %s", cutCauses[l.cause].label)
	}
}

var testBegan = time.Now()

// tokenOf returns an identity that is always the same.
func tokenOf(client string, n int) *revocation.Identity {
	return revocation.NewIdentity("api", fmt.Sprintf("token %d of %s", n, client), "", client, testBegan.Add(-time.Minute), testBegan.Add(time.Hour))
}

func revoke(t *testing.T, list *revocation.List, id *revocation.Identity, scope revocation.Scope) {
	t.Helper()
	if _, err := list.Revoke(t.Context(), id, scope); err != nil {
		t.Fatal(err)
	}
}

func TestConnectionEndsWithAnIdentityThatCameLater(t *testing.T) {
	h, list := liveHandler(t, memstore.New())
	l, conn := openSocket(t, h, followed{})
	for _, id := range []*revocation.Identity{tokenOf("alice", 1), tokenOf("bob", 1), tokenOf("bob", 1)} {
		if err := l.depend(id); err != nil {
			t.Fatal(err)
		}
	}
	revoke(t, list, tokenOf("carol", 1), revocation.ScopeClient)
	wantOpen(t, l)
	revoke(t, list, tokenOf("bob", 2), revocation.ScopeClient)
	wantClose(t, conn, 4001, "revoked")
	eventually(t, func() bool { return h.app.shared.live.count() == 0 })
	if err := l.depend(tokenOf("alice", 2)); !errors.Is(err, errCut) {
		t.Errorf("one more, on a connection that is cut: %v", err)
	}
}

func TestIdentityThatWasRevokedBeforeItCameEndsTheConnection(t *testing.T) {
	h, list := liveHandler(t, memstore.New())
	l, conn := openSocket(t, h, followed{identity: tokenOf("alice", 1)})
	revoke(t, list, tokenOf("bob", 1), revocation.ScopeClient)
	if err := l.depend(tokenOf("bob", 1)); !errors.Is(err, errCut) {
		t.Errorf("got %v", err)
	}
	wantClose(t, conn, 4001, "revoked")
}

func TestIdentityThatExpiresEndsTheConnection(t *testing.T) {
	h, _ := liveHandler(t, memstore.New())
	l, conn := openSocket(t, h, followed{})
	issued := time.Now().Add(-time.Minute)
	id := revocation.NewIdentity("api", "t", "", "alice", issued, time.Now().Add(time.Second))
	if err := l.depend(id); err != nil {
		t.Fatal(err)
	}
	wantClose(t, conn, 4001, "expired")
	if err := l.depend(revocation.NewIdentity("api", "u", "", "alice", issued, issued)); !errors.Is(err, errCut) {
		t.Errorf("got %v", err)
	}
}

func TestConnectionOutlivesAnIdentityThatItNoLongerDependsOn(t *testing.T) {
	h, list := liveHandler(t, memstore.New())
	l, conn := openSocket(t, h, followed{})
	alice, bob := tokenOf("alice", 1), tokenOf("bob", 1)
	for _, id := range []*revocation.Identity{alice, bob} {
		if err := l.depend(id); err != nil {
			t.Fatal(err)
		}
	}
	l.release(bob)
	l.release(bob)
	revoke(t, list, bob, revocation.ScopeClient)
	revoke(t, list, bob, revocation.ScopeToken)
	if n := h.app.shared.live.count(); n != 1 {
		t.Errorf("%d dependencies, want 1", n)
	}
	wantOpen(t, l)
	revoke(t, list, alice, revocation.ScopeToken)
	wantClose(t, conn, 4001, "revoked")
}

// A call may carry the token that has opened the connection. Its end does not let the
// connection outlive the token.
func TestConnectionEndsWithTheTokenThatHasOpenedIt(t *testing.T) {
	h, list := liveHandler(t, memstore.New())
	l, conn := openSocket(t, h, followed{identity: tokenOf("alice", 1)})
	if err := l.depend(tokenOf("alice", 1)); err != nil {
		t.Fatal(err)
	}
	l.release(tokenOf("alice", 1))
	revoke(t, list, tokenOf("alice", 1), revocation.ScopeClient)
	wantClose(t, conn, 4001, "revoked")
}

// Where the store could not tell whose token it is, the connection depends on its client
// as soon as the store can.
func TestConnectionThatWasLetThroughUnknownEndsWithItsClient(t *testing.T) {
	h, list := liveHandler(t, memstore.New())
	alice := tokenOf("alice", 1)
	var asked atomic.Int64
	resolve := func(context.Context) (*revocation.Identity, error) {
		if asked.Add(1) == 1 {
			return nil, errors.New("the store is down")
		}
		return alice, nil
	}
	undated := revocation.NewUndatedIdentity("api", alice.Token(), "", "")
	_, conn := openSocket(t, h, followed{identity: undated, resolve: resolve})
	eventually(t, func() bool { return h.app.shared.live.count() == 2 })
	revoke(t, list, alice, revocation.ScopeClient)
	wantClose(t, conn, 4001, "revoked")
	if n := asked.Load(); n != 2 {
		t.Errorf("asked %d times, want 2", n)
	}
}

func TestConnectionHasNoMoreThanSomeIdentities(t *testing.T) {
	h, _ := liveHandler(t, memstore.New())
	l, _ := openSocket(t, h, followed{})
	ids := make([]*revocation.Identity, maxIdentities)
	for i := range ids {
		ids[i] = tokenOf("alice", i)
	}
	for range 2 {
		for _, id := range ids {
			if err := l.depend(id); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := l.depend(tokenOf("alice", maxIdentities)); !errors.Is(err, errTooManyIdentities) {
		t.Errorf("one too many: %v", err)
	}
	for range 2 {
		l.release(ids[0])
	}
	if err := l.depend(tokenOf("alice", maxIdentities)); err != nil {
		t.Errorf("in the place of another: %v", err)
	}
}

// A logout on the connection itself ends it in its own way, whatever was told meanwhile.
func TestLogoutOnTheConnectionItselfDoesNotCutIt(t *testing.T) {
	h, list := liveHandler(t, memstore.New())
	id := tokenOf("alice", 1)
	l, conn := openSocket(t, h, followed{identity: id, tap: func(l *liveRequest) websocket.Options {
		return websocket.Options{FromClient: func(websocket.Message) websocket.Decision {
			if !l.leave() {
				t.Error("it was cut before")
			}
			revoke(t, list, id, revocation.ScopeClient)
			eventually(t, func() bool { return l.set().queued() == 0 })
			return websocket.Disconnect(websocket.Closing{Code: 1000, Reason: "logout", Graceful: true})
		}}
	}})
	if l.socket() == nil {
		eventually(t, func() bool { return l.socket() != nil })
	}
	if err := ws.WriteFrame(conn, ws.MaskFrame(ws.NewTextFrame([]byte("logout")))); err != nil {
		t.Fatal(err)
	}
	wantClose(t, conn, 1000, "logout")
}

// What was revoked while the connection was about to end cuts it if it stays.
func TestConnectionThatStaysAfterAllIsCheckedAgain(t *testing.T) {
	h, list := liveHandler(t, memstore.New())
	id := tokenOf("alice", 1)
	l, conn := openSocket(t, h, followed{identity: id})
	eventually(t, func() bool { return h.app.shared.live.count() == 1 })
	if !l.leave() {
		t.Fatal("it was cut before")
	}
	revoke(t, list, id, revocation.ScopeClient)
	h.app.shared.live.check(t.Context(), l.deps[0])
	wantOpen(t, l)
	l.stay()
	wantClose(t, conn, 4001, "revoked")
	if l.leave() {
		t.Error("it leaves after it was cut")
	}
}
