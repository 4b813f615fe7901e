package caddymodule

import (
	"bufio"
	"context"
	"errors"
	"net"
	"net/http"

	"example.com/caddy-token-auth/websocket"
)

// upgradeWriter is the response to a request that asks for WebSocket. Whoever upgrades the
// connection gets one that can be ended between two frames.
type upgradeWriter struct {
	*liveWriter
	ctx context.Context // of the request
}

// errCut says that the credential was revoked or has expired meanwhile.
var errCut = errors.New("the credential is no longer good")

// Hijack implements http.Hijacker. What the client has sent behind its request comes out
// of the connection, where its frames are followed, and not of the reader.
func (w *upgradeWriter) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	if w.live.cutBefore() != 0 {
		return nil, nil, errCut
	}
	stream, buffer, err := http.NewResponseController(w.ResponseWriter).Hijack()
	if err != nil {
		return nil, nil, err
	}
	early, err := buffer.Reader.Peek(buffer.Reader.Buffered())
	if err != nil {
		return nil, nil, errors.Join(err, stream.Close())
	}
	var options websocket.Options
	if w.live.tap != nil {
		options = w.live.tap(w.live)
	}
	conn, err := websocket.New(stream, early, options)
	if err != nil {
		return nil, nil, errors.Join(err, stream.Close())
	}
	buffer.Reader.Reset(conn)
	buffer.Writer.Reset(conn)
	w.live.upgraded(w.ctx, conn)
	return conn, buffer, nil
}

// upgraded has the request end by the end of its connection.
func (l *liveRequest) upgraded(ctx context.Context, conn *websocket.Conn) {
	l.mu.Lock()
	l.timer.Stop()
	if l.conn = conn; l.cause != 0 {
		conn.Disconnect(l.closing())
	}
	l.mu.Unlock()
	// The proxy may be waiting for the upstream when the connection ends.
	go func() {
		select {
		case <-conn.Done():
			l.cancel()
		case <-ctx.Done():
		}
	}()
	l.watch()
}

var _ http.Hijacker = (*upgradeWriter)(nil)
