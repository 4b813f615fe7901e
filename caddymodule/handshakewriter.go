package caddymodule

import (
	"io"
	"net/http"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

// handshakeWriter is the response to an Upgrade that needs no credential. An API that does
// not change the protocol may have carried out a call (RFC 9110 §7.8): what it answers with
// success is not for somebody who has shown no credential.
type handshakeWriter struct {
	caddyhttp.ResponseWriterWrapper
	withheld bool
	begun    bool
}

// WriteHeader implements http.ResponseWriter.
func (w *handshakeWriter) WriteHeader(status int) {
	if w.withheld {
		return
	}
	if w.withheld = status >= http.StatusOK && status < http.StatusMultipleChoices; w.withheld {
		clear(w.Header())
		status = http.StatusBadGateway
	}
	w.begun = w.begun || status >= http.StatusOK
	w.ResponseWriter.WriteHeader(status)
}

// Write implements http.ResponseWriter. What is withheld goes nowhere.
func (w *handshakeWriter) Write(p []byte) (int, error) {
	if !w.begun {
		w.WriteHeader(http.StatusOK)
	}
	if w.withheld {
		return len(p), nil
	}
	return w.ResponseWriter.Write(p)
}

// ReadFrom implements io.ReaderFrom, so that nothing goes past Write.
func (w *handshakeWriter) ReadFrom(r io.Reader) (int64, error) {
	return io.Copy(struct{ io.Writer }{w}, r)
}

// FlushError implements the optional interface of http.ResponseController.
func (w *handshakeWriter) FlushError() error {
	if !w.begun || w.withheld {
		return nil // a flush would begin a response of success, or let trailers follow this one
	}
	return http.NewResponseController(w.ResponseWriter).Flush()
}
