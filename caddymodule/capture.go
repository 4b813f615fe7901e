package caddymodule

import (
	"bytes"
	"compress/gzip"
	"compress/zlib"
	"fmt"
	"io"
	"maps"
	"net/http"
	"strings"
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

	// passTo takes an answer that is too large to be held, as it comes; nil: nobody does.
	passTo http.ResponseWriter
	passed bool
}

// newCapture returns a capture for an answer to w. In a dry run, an answer that is too
// large goes out unseen.
func (h *Handler) newCapture(w http.ResponseWriter) *capture {
	c := &capture{header: make(http.Header)}
	if h.dryRun {
		c.passTo = w
	}
	return c
}

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
	if c.passed {
		return c.passTo.Write(p)
	}
	if c.overflow || c.body.Len()+len(p) > maxAnswerBody {
		c.overflow = true
		if c.passTo == nil {
			return len(p), nil
		}
		c.passed = true
		if err := c.release(c.passTo); err != nil {
			return 0, err
		}
		return c.passTo.Write(p)
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

// plainBody returns the body without its content encoding, at most maxAnswerBody bytes: an
// upstream may compress unasked.
func (c *capture) plainBody() ([]byte, error) {
	encodings := c.header["Content-Encoding"]
	if len(encodings) == 0 {
		return c.body.Bytes(), nil
	}
	var from io.ReadCloser
	var err error
	switch encoding := strings.ToLower(strings.TrimSpace(encodings[0])); {
	case len(encodings) > 1:
		return nil, errEncoding
	case encoding == "identity":
		return c.body.Bytes(), nil
	case encoding == "gzip", encoding == "x-gzip":
		from, err = gzip.NewReader(bytes.NewReader(c.body.Bytes()))
	case encoding == "deflate": // RFC 9110 §8.4.1.2: the zlib format
		from, err = zlib.NewReader(bytes.NewReader(c.body.Bytes()))
	default:
		return nil, errEncoding
	}
	if err != nil {
		return nil, fmt.Errorf("decompress the answer: %w", err)
	}
	defer from.Close()
	body, err := io.ReadAll(io.LimitReader(from, maxAnswerBody+1))
	switch {
	case err != nil:
		return nil, fmt.Errorf("decompress the answer: %w", err)
	case len(body) > maxAnswerBody:
		return nil, errAnswerTooLarge
	}
	return body, nil
}
