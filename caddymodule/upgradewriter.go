package caddymodule

import (
	"bufio"
	"context"
	"errors"
	"net"
	"net/http"

	"example.com/caddy-token-auth/websocket"
)

// upgradeWriter is the response to a request that asks for WebSocket by Upgrade. Whoever
// upgrades the connection gets one that can be ended between two frames.
type upgradeWriter struct {
	*liveWriter
	ctx context.Context // of the request
}

// errCut says that what the request depends on was revoked or has expired meanwhile.
var errCut = errors.New("the credential is no longer good")

// WriteHeader implements http.ResponseWriter. As long as the connection is not upgraded, a
// request that was cut can be answered.
func (w *upgradeWriter) WriteHeader(status int) {
	if status != http.StatusSwitchingProtocols {
		w.liveWriter.WriteHeader(status)
		return
	}
	if !w.live.beginUpgrade() {
		w.withhold()
		return
	}
	w.begun = true
	w.ResponseWriter.WriteHeader(status)
}

// Hijack implements http.Hijacker. What the client has sent behind its request comes out
// of the connection, where its frames are followed, and not of the reader. A request that
// is cut by now is upgraded all the same if the client was told so: it gets a close frame.
func (w *upgradeWriter) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	if w.withheld {
		return nil, nil, errCut
	}
	stream, buffer, err := http.NewResponseController(w.ResponseWriter).Hijack()
	if err != nil {
		return nil, nil, err
	}
	w.begun = true
	early, err := buffer.Reader.Peek(buffer.Reader.Buffered())
	if err != nil {
		return nil, nil, errors.Join(err, stream.Close())
	}
	conn, err := websocket.New(stream, early, w.live.socketOptions())
	if err != nil {
		return nil, nil, errors.Join(err, stream.Close())
	}
	buffer.Reader.Reset(conn)
	buffer.Writer.Reset(conn)
	w.live.upgraded(w.ctx, conn)
	return conn, buffer, nil
}

// beginUpgrade says that the client is about to be told of the upgrade: what is cut from
// now on gets a close frame. It returns false if the request was cut before.
func (l *liveRequest) beginUpgrade() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.upgrading = l.cause == 0
	return l.upgrading
}

// upgraded has the request end by the end of its connection.
func (l *liveRequest) upgraded(ctx context.Context, conn *websocket.Conn) {
	l.mu.Lock()
	if l.conn = conn; l.cause != 0 {
		conn.Disconnect(l.closing())
	}
	l.mu.Unlock()
	// The proxy may be waiting for the upstream when the connection ends. If it has closed
	// the connection itself, it may yet have a close frame for the upstream.
	go func() {
		select {
		case <-conn.Done():
			if conn.Err() != websocket.ErrClosed { //nolint:errorlint // a Close is the cause, and nothing before it
				l.cancel()
			}
		case <-ctx.Done():
		}
	}()
}

var _ http.Hijacker = (*upgradeWriter)(nil)
