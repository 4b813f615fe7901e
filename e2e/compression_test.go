package e2e

import (
	"bytes"
	"context"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/gorilla/websocket"
)

// newCompressing returns an upstream that sends every message back, and compresses where
// the client offers it.
func newCompressing(t *testing.T) string {
	t.Helper()
	upgrader := websocket.Upgrader{EnableCompression: true}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Upgrade") == "" {
			return
		}
		conn, err := upgrader.Upgrade(w, r, nil)
		if err != nil {
			return // the client's dial fails
		}
		defer conn.Close()
		for {
			kind, message, err := conn.ReadMessage()
			if err != nil || conn.WriteMessage(kind, message) != nil {
				return
			}
		}
	}))
	t.Cleanup(server.Close)
	return server.Listener.Addr().String()
}

// TestCompressionIsNegotiatedOnlyWhereNobodyLooks connects with a client that offers
// permessage-deflate (RFC 7692).
func TestCompressionIsNegotiatedOnlyWhereNobodyLooks(t *testing.T) {
	upstream := newCompressing(t)
	g := newGateway(t, upstream, transparentSite)
	g.start()
	dialer := websocket.Dialer{EnableCompression: true}
	for _, tc := range []struct {
		url  string
		want bool
	}{
		{"ws://" + upstream + "/", true},
		{"ws://" + g.addr + "/ignored", true},
		{"ws://" + g.addr + "/followed", true},
		{"ws://" + g.addr + "/inspected", false},
	} {
		ctx, cancel := context.WithTimeout(t.Context(), wireTimeout)
		header := good()
		if !tc.want {
			header = nil // the handshake needs none there
		}
		conn, resp, err := dialer.DialContext(ctx, tc.url, header) //nolint:bodyclose // there is none to be closed
		cancel()
		if err != nil {
			t.Fatalf("%s: %v", tc.url, err)
		}
		if got := resp.Header.Get("Sec-WebSocket-Extensions"); (got != "") != tc.want {
			t.Errorf("%s: extensions %q", tc.url, got)
		}
		for _, size := range []int{isMessage, 100, 65536, 1 << 20} {
			sent := message(size)
			if err := conn.WriteMessage(websocket.TextMessage, sent); err != nil {
				t.Fatalf("%s: %v", tc.url, err)
			}
			if _, got, err := conn.ReadMessage(); err != nil || !bytes.Equal(got, sent) {
				t.Errorf("%s: %d bytes came back as %d, %v", tc.url, size, len(got), err)
			}
		}
		_ = conn.Close()
	}
}
