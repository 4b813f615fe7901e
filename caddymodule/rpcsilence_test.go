package caddymodule

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"
	"testing/synctest"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/gobwas/ws"
	"go.uber.org/zap"

	"example.com/caddy-token-auth/dialect"
	"example.com/caddy-token-auth/websocket"
)

// silence is a connection whose client is said nothing of but what the test sends.
type silence struct {
	*rpcConnection
	conn     *websocket.Conn
	client   net.Conn
	upstream chan error // how reading has ended for the API
	closed   chan ws.Frame
}

// openSilence opens a connection in the time of the test.
func openSilence(t *testing.T, settings *WebSocket) *silence {
	t.Helper()
	form, err := dialect.Named("deribit")
	if err != nil {
		t.Fatal(err)
	}
	h := &Handler{log: zap.NewNop(), refusals: zap.NewNop(), dialect: form, rpcDialect: form}
	r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/ws", http.NoBody)
	c, err := h.newRPCConnection(r, &socket{WebSocket: settings})
	if err != nil {
		t.Fatal(err)
	}
	client, server := net.Pipe()
	l := &liveRequest{handler: h, cancel: func() {}}
	conn, err := websocket.New(server, nil, c.tap(l))
	if err != nil {
		t.Fatal(err)
	}
	l.mu.Lock()
	l.conn = conn
	l.mu.Unlock()
	s := &silence{rpcConnection: c, conn: conn, client: client, upstream: make(chan error, 1), closed: make(chan ws.Frame, 1)}
	go func() {
		_, err := io.Copy(io.Discard, struct{ io.Reader }{conn})
		s.upstream <- err
	}()
	go func() {
		for {
			f, err := ws.ReadFrame(client) //nolint:staticcheck // what this test sends
			if err != nil {
				return
			}
			if f.Header.OpCode == ws.OpClose {
				s.closed <- f
				_ = ws.WriteFrame(client, ws.MaskFrame(f))
			}
		}
	}()
	t.Cleanup(func() {
		c.stop()
		_ = conn.Close()
		_ = client.Close()
		<-s.upstream
	})
	return s
}

// says has the client send a frame.
func (s *silence) says(t *testing.T, f ws.Frame) {
	t.Helper()
	if err := ws.WriteFrame(s.client, ws.MaskFrame(f)); err != nil {
		t.Fatal(err)
	}
	synctest.Wait()
}

// receives has the API send a message.
func (s *silence) receives(t *testing.T, text string) {
	t.Helper()
	if _, err := s.conn.Write(ws.MustCompileFrame(ws.NewTextFrame([]byte(text)))); err != nil {
		t.Fatal(err)
	}
	synctest.Wait()
}

// endsAfter checks that the connection ends now, which is the given time after begun, and
// abnormally for the API.
func (s *silence) endsAfter(t *testing.T, begun time.Time, want time.Duration, reason string) {
	t.Helper()
	f := <-s.closed
	if took := time.Since(begun); took != want {
		t.Errorf("ended after %s, want %s", took, want)
	}
	if code, text := ws.ParseCloseFrameData(f.Payload); code != 1008 || text != reason {
		t.Errorf("the client is told %d %q", code, text)
	}
	err := <-s.upstream
	s.upstream <- err
	if _, asked := errors.AsType[*websocket.DisconnectError](err); !asked {
		t.Errorf("for the API: %v", err)
	}
}

func (s *silence) isOpen(t *testing.T) {
	t.Helper()
	synctest.Wait()
	if s.conn.Err() != nil || len(s.closed) > 0 {
		t.Fatalf("it has ended: %v", s.conn.Err())
	}
}

func TestIdleConnectionsEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := openSilence(t, &WebSocket{IdleTimeout: caddy.Duration(time.Minute)})
		for _, f := range []ws.Frame{ws.NewTextFrame([]byte(`{"id":1,"method":"public/test"}`)), ws.NewPongFrame(nil)} {
			time.Sleep(59 * time.Second)
			s.says(t, f)
		}
		begun := time.Now()
		time.Sleep(30 * time.Second)
		s.receives(t, `{"method":"subscription"}`) // that the API sends does not count
		s.isOpen(t)
		s.endsAfter(t, begun, time.Minute, reasonIdle)
	})
}

func TestConnectionsWithoutIdleTimeoutStayOpen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := openSilence(t, new(WebSocket))
		time.Sleep(1000 * time.Hour)
		s.isOpen(t)
	})
}

func TestHeartbeatThatIsNotAnsweredEndsTheConnection(t *testing.T) {
	const asks = `{"jsonrpc":"2.0","method":"heartbeat","params":{"type":"test_request"}}`
	synctest.Test(t, func(t *testing.T) {
		s := openSilence(t, new(WebSocket))
		s.receives(t, asks) // nobody has asked for heartbeats
		time.Sleep(time.Hour)
		s.says(t, ws.NewTextFrame([]byte(`{"id":1,"method":"public/set_heartbeat","params":{"interval":30}}`)))
		s.receives(t, `{"id":1,"result":"ok"}`)
		for i := range 3 {
			time.Sleep(30 * time.Second)
			s.receives(t, `{"jsonrpc":"2.0","method":"heartbeat","params":{"type":"heartbeat"}}`)
			s.receives(t, asks)
			time.Sleep(29 * time.Second)
			s.says(t, ws.NewTextFrame(fmt.Appendf(nil, `{"id":%d,"method":"public/test"}`, i+2)))
			time.Sleep(time.Hour)
			s.isOpen(t)
		}
		begun := time.Now()
		s.receives(t, asks)
		s.says(t, ws.NewPongFrame(nil)) // alive, but no answer
		s.endsAfter(t, begun, 30*time.Second, reasonHeartbeat)
	})
}
