package caddymodule

import (
	"bufio"
	"context"
	"errors"
	"net"
	"net/http"
	"time"

	"example.com/caddy-token-auth/websocket"
)

// upgradeWriter is the response to a request that asks for WebSocket by Upgrade. Whoever
// upgrades the connection gets one that can be ended between two frames.
type upgradeWriter struct {
	*liveWriter
	ctx context.Context // of the request
}

// errCut says that the request is being ended: what it depends on was revoked or has expired
// meanwhile, or nobody could tell any more.
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
		conn.Disconnect(cutCauses[l.cause].closing)
	}
	l.mu.Unlock()
	go l.letGo(ctx, conn)
}

// letGo has the proxy let go of a connection that has ended: it may be waiting for the
// upstream. If it has closed the connection itself, it may yet have a close frame for that, as
// it may at the end of a configuration.
func (l *liveRequest) letGo(ctx context.Context, conn *websocket.Conn) {
	select {
	case <-conn.Done():
	case <-ctx.Done():
		return
	}
	switch {
	case conn.Err() == websocket.ErrClosed: //nolint:errorlint // a Close is the cause, and nothing before it
	case l.cutBy() == cutUnavailable:
		select {
		case <-time.After(abortAfter):
			l.cancel()
		case <-ctx.Done():
		}
	default:
		l.cancel()
	}
}

var _ http.Hijacker = (*upgradeWriter)(nil)
