package caddymodule

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"example.com/caddy-token-auth/websocket"
)

// connectWriter is the response to an extended CONNECT (RFC 8441, RFC 9220), which the
// proxy does not hijack: it reads the body of the request and writes to the response. From
// a status on that establishes the WebSocket, both go through a connection that can be
// ended between two frames.
type connectWriter struct {
	*liveWriter
	ctx  context.Context // of the request
	body *connectBody
	conn *websocket.Conn // nil until it is established
}

// newConnectWriter returns the response and the body for what comes next, or an error if
// the stream could not be ended from here.
func newConnectWriter(ctx context.Context, w *liveWriter, body io.ReadCloser) (*connectWriter, error) {
	// What is being written while the client does not read is ended by a deadline alone.
	if err := http.NewResponseController(w.ResponseWriter).SetWriteDeadline(time.Time{}); err != nil {
		return nil, err
	}
	return &connectWriter{liveWriter: w, ctx: ctx, body: &connectBody{from: body, live: w.live}}, nil
}

// WriteHeader implements http.ResponseWriter. To the client every status of success means
// that the WebSocket is established (RFC 8441 §5).
func (w *connectWriter) WriteHeader(status int) {
	switch {
	case w.conn != nil, w.withheld:
		return
	case status < 200 || status > 299:
		w.liveWriter.WriteHeader(status)
		return
	case !w.live.beginUpgrade():
		w.withhold()
		return
	}
	w.begun = true
	w.ResponseWriter.WriteHeader(status)
	control := http.NewResponseController(w.ResponseWriter)
	half := &connectHalf{to: w.ResponseWriter, control: control}
	conn, err := websocket.New(websocket.Join(w.body.from, half), nil, w.live.socketOptions())
	if err = errors.Join(err, control.Flush()); err != nil {
		w.withheld = true
		return
	}
	w.conn = conn
	w.live.upgraded(w.ctx, conn)
}

// Write implements http.ResponseWriter.
func (w *connectWriter) Write(p []byte) (int, error) {
	if !w.begun {
		w.WriteHeader(http.StatusOK)
	}
	if w.conn == nil {
		return w.liveWriter.Write(p)
	}
	return w.conn.Write(p)
}

// ReadFrom implements io.ReaderFrom, so that nothing goes past Write.
func (w *connectWriter) ReadFrom(r io.Reader) (int64, error) {
	return io.Copy(struct{ io.Writer }{w}, r)
}

// FlushError implements the optional interface of http.ResponseController. What is written
// to the connection is flushed by it, and by nobody else.
func (w *connectWriter) FlushError() error {
	if !w.begun {
		w.WriteHeader(http.StatusOK)
	}
	if w.conn != nil {
		return nil
	}
	return w.liveWriter.FlushError()
}

// SetWriteDeadline implements the optional interface of http.ResponseController.
func (w *connectWriter) SetWriteDeadline(t time.Time) error {
	if w.conn != nil {
		return w.conn.SetWriteDeadline(t)
	}
	return http.NewResponseController(w.ResponseWriter).SetWriteDeadline(t)
}

// Hijack implements http.Hijacker: streams of HTTP/2 and HTTP/3 are not hijacked.
func (*connectWriter) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	return nil, nil, http.ErrNotSupported
}

// connectBody is the body of an extended CONNECT, which nobody reads before the WebSocket
// is established.
type connectBody struct {
	from io.ReadCloser
	live *liveRequest
}

var errNotEstablished = errors.New("the WebSocket is not established")

// Read implements io.Reader.
func (b *connectBody) Read(p []byte) (int, error) {
	conn := b.live.socket()
	if conn == nil {
		return 0, errNotEstablished
	}
	return conn.Read(p)
}

// Close implements io.Closer.
func (b *connectBody) Close() error {
	if conn := b.live.socket(); conn != nil {
		return conn.Close()
	}
	return b.from.Close()
}

// connectHalf is the response to an extended CONNECT as the half of a stream.
type connectHalf struct {
	to      http.ResponseWriter
	control *http.ResponseController
	writing sync.Mutex // held by Write
	closed  atomic.Bool
}

// Write implements io.Writer.
func (h *connectHalf) Write(p []byte) (int, error) {
	h.writing.Lock()
	defer h.writing.Unlock()
	if h.closed.Load() {
		return 0, net.ErrClosed
	}
	n, err := h.to.Write(p)
	if err != nil {
		return n, err
	}
	return n, h.control.Flush()
}

// Close implements io.Closer. The stream itself ends with the handler, in good order
// unless a Write had to be broken off.
func (h *connectHalf) Close() error {
	h.closed.Store(true)
	if h.writing.TryLock() {
		h.writing.Unlock()
		return nil
	}
	return h.control.SetWriteDeadline(time.Unix(1, 0))
}

// SetWriteDeadline passes the deadline of the stream through.
func (h *connectHalf) SetWriteDeadline(t time.Time) error { return h.control.SetWriteDeadline(t) }
