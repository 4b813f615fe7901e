package websocket

import (
	"errors"
	"fmt"
	"io"
	"time"
)

// Join makes one stream for New of the two halves of an extended CONNECT (RFC 8441, RFC
// 9220): the request's body and what writes to the response. w must send at once what is
// written to it, and nobody else may write to the response or flush it. Close of r must
// end a Read that is under way, and Close of w a Write; both are called.
//
// CloseWrite and the deadlines are passed through to the half that has them.
func Join(r io.ReadCloser, w io.WriteCloser) io.ReadWriteCloser { return &halves{r: r, w: w} }

type halves struct {
	r io.ReadCloser
	w io.WriteCloser
}

func (h *halves) Read(p []byte) (int, error)  { return h.r.Read(p) }
func (h *halves) Write(p []byte) (int, error) { return h.w.Write(p) }

// Close closes w first: what is being written is what can take long.
func (h *halves) Close() error { return errors.Join(h.w.Close(), h.r.Close()) }

func (h *halves) CloseWrite() error {
	if w, ok := h.w.(interface{ CloseWrite() error }); ok {
		return w.CloseWrite()
	}
	return errNoCloseWrite
}

func (h *halves) SetReadDeadline(t time.Time) error {
	if r, ok := h.r.(interface{ SetReadDeadline(t time.Time) error }); ok {
		return r.SetReadDeadline(t)
	}
	return fmt.Errorf("websocket: read deadline: %w", errors.ErrUnsupported)
}

func (h *halves) SetWriteDeadline(t time.Time) error {
	if w, ok := h.w.(interface{ SetWriteDeadline(t time.Time) error }); ok {
		return w.SetWriteDeadline(t)
	}
	return fmt.Errorf("websocket: write deadline: %w", errors.ErrUnsupported)
}
