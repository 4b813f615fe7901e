package caddymodule

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"strings"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

// liveWriter is the response to a request that is followed.
type liveWriter struct {
	caddyhttp.ResponseWriterWrapper
	live *liveRequest
	// begun says that the response has begun.
	begun bool
	// withheld says that the request was cut before its response began.
	withheld bool
}

// statusClientClosed is what the proxy gives as the status of a request whose context has
// ended before the upstream has answered, for the log.
const statusClientClosed = 499

// WriteHeader implements http.ResponseWriter. The client of a request that was cut is
// there, and gets an answer of its own.
func (w *liveWriter) WriteHeader(status int) {
	if w.withheld || status == statusClientClosed && w.live.cutBefore() != 0 {
		w.withheld = true
		return
	}
	w.begun = w.begun || status >= http.StatusOK
	w.ResponseWriter.WriteHeader(status)
}

// Write implements http.ResponseWriter. Nothing follows a status that was withheld.
func (w *liveWriter) Write(p []byte) (int, error) {
	if w.withheld {
		return 0, errCut
	}
	w.begun = true
	return w.ResponseWriter.Write(p)
}

// ReadFrom implements io.ReaderFrom.
func (w *liveWriter) ReadFrom(r io.Reader) (int64, error) {
	if w.withheld {
		return 0, errCut
	}
	w.begun = true
	return w.ResponseWriterWrapper.ReadFrom(r)
}

// FlushError implements the optional interface of http.ResponseController.
func (w *liveWriter) FlushError() error {
	if w.withheld {
		return errCut
	}
	w.begun = true
	return http.NewResponseController(w.ResponseWriter).Flush()
}

// Hijack implements http.Hijacker: a connection that did not ask to be upgraded is not
// handed out, because nobody could end it.
func (*liveWriter) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	return nil, nil, http.ErrNotSupported
}

// withhold keeps an upgrade from the client of a request that was cut, and takes off what
// the upstream has said about it.
func (w *liveWriter) withhold() {
	w.withheld = true
	header := w.Header()
	for name := range header {
		lower := strings.ToLower(name)
		if lower == "connection" || lower == "upgrade" || strings.HasPrefix(lower, "sec-websocket-") {
			delete(header, name)
		}
	}
}

var (
	_ http.Hijacker = (*liveWriter)(nil)
	_ io.ReaderFrom = (*liveWriter)(nil)
)
