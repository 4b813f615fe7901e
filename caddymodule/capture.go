package caddymodule

import (
	"bytes"
	"maps"
	"net/http"
)

// maxAnswerBody bounds the answers that are held back until what they issue has
// been recorded.
const maxAnswerBody = 1 << 20

// capture holds back the upstream's answer to a login or a refresh. It has no
// Unwrap on purpose: nothing may flush, hijack or otherwise reach the client
// around it before the answer has been judged.
type capture struct {
	header   http.Header
	status   int
	body     bytes.Buffer
	overflow bool
}

func newCapture() *capture { return &capture{header: make(http.Header)} }

// Header implements http.ResponseWriter.
func (c *capture) Header() http.Header { return c.header }

// WriteHeader implements http.ResponseWriter. Informational answers are dropped.
func (c *capture) WriteHeader(status int) {
	if c.status == 0 && status >= http.StatusOK {
		c.status = status
	}
}

// Write implements http.ResponseWriter. What exceeds maxAnswerBody is dropped: an
// error would have the proxy abort the connection, and the client would get no
// answer at all.
func (c *capture) Write(p []byte) (int, error) {
	c.WriteHeader(http.StatusOK)
	if c.overflow || c.body.Len()+len(p) > maxAnswerBody {
		c.overflow = true
		return len(p), nil
	}
	return c.body.Write(p)
}

// FlushError implements the optional interface of http.ResponseController: there
// is nothing to flush to.
func (c *capture) FlushError() error { return nil }

// succeeded reports whether the upstream did what it was asked to.
func (c *capture) succeeded() bool { return c.status >= 200 && c.status < 300 }

// release sends the answer to the client, unchanged.
func (c *capture) release(w http.ResponseWriter) error {
	maps.Copy(w.Header(), c.header)
	if c.status != 0 {
		w.WriteHeader(c.status)
	}
	_, err := w.Write(c.body.Bytes()) //nolint:gosec // the upstream's own answer, as it came
	return err
}
