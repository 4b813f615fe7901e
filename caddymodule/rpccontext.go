package caddymodule

import (
	"context"
	"net/http"
)

// endingContext ends when a connection is being ended: what waits for something in one of
// its directions would keep it otherwise, and the close frame from the client.
type endingContext struct {
	context.Context // of the handshake, for its values
	ending          <-chan struct{}
}

// Done implements context.Context.
func (c endingContext) Done() <-chan struct{} { return c.ending }

// Err implements context.Context.
func (c endingContext) Err() error {
	select {
	case <-c.ending:
		return context.Canceled
	default:
		return nil
	}
}

// handshake is the request that has opened the connection, in a context that ends when the
// connection does. It must not be called before the first message.
func (c *rpcConnection) handshake() *http.Request {
	c.bind.Do(func() {
		c.request = c.request.WithContext(endingContext{Context: c.request.Context(), ending: c.live.socket().Ending()})
	})
	return c.request
}
