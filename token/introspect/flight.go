package introspect

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"example.com/caddy-token-auth/token/internal/serverurl"
)

// flight is one question to the server. Everyone who has the same token meanwhile waits
// for it.
type flight struct {
	callers   int           // who wait; Client.mu guards it
	begun     bool          // the request has been sent; Client.mu guards it
	tickets   []ticket      // while it waits for its turn; Client.mu guards it
	party     *party        // whose turn it has; Client.mu guards it
	turn      chan struct{} // closed when it has its turn
	abandoned chan struct{} // closed when the last caller leaves before that
	done      chan struct{} // closed when what follows is set
	verdict   verdict
	err       error // why there is no verdict
}

// await returns the verdict about a token for which the cache has none.
func (c *Client) await(ctx context.Context, k key, from netip.Prefix, raw string) (verdict, error) {
	f, v, err := c.board(k, from, raw)
	if f == nil {
		return v, err
	}
	select {
	case <-f.done:
		return f.verdict, f.err
	case <-ctx.Done():
		c.leave(k, f)
		return verdict{}, ctx.Err()
	}
}

// board returns the flight to wait for. It is nil if there is a verdict by now, or if
// the server will not be asked, as the error says.
func (c *Client) board(k key, from netip.Prefix, raw string) (*flight, verdict, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := c.options.Now()
	if f, ok := c.flights[k]; ok {
		f.callers++
		c.queue.add(from, f, now)
		return f, verdict{}, nil
	}
	// A flight may have landed since the cache was looked at.
	if v, ok := c.cache.get(k, now); ok {
		return nil, v, nil
	}
	if err := c.grounded(now); err != nil {
		return nil, verdict{}, err
	}
	f := &flight{callers: 1, turn: make(chan struct{}), abandoned: make(chan struct{}), done: make(chan struct{})}
	c.flights[k] = f
	c.queue.add(from, f, now)
	c.running.Go(func() {
		v, err := c.ask(f, raw)
		c.land(k, f, v, err)
	})
	return f, verdict{}, nil
}

// grounded says why the server is not to be asked now. c.mu is held.
func (c *Client) grounded(now time.Time) error {
	switch {
	case c.closed:
		return errClosed
	case c.circuit.open(now):
		return fmt.Errorf("not asked again yet after: %w", c.circuit.cause)
	}
	return nil
}

// leave takes a caller off a flight. A request that has been sent is not ended by that:
// its answer is there for the next one. One that waits for its turn is, or
// clients that go away could make a queue of any length.
func (c *Client) leave(k key, f *flight) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if f.callers--; f.callers > 0 || f.begun || c.flights[k] != f {
		return
	}
	delete(c.flights, k)
	close(f.abandoned)
}

// land gives the result of f to those who wait.
func (c *Client) land(k key, f *flight, v verdict, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err == nil {
		c.cache.add(k, v, c.options.Now())
		c.queue.judged(f.party, v.err == nil, c.options.Now())
	}
	c.queue.leave(f)
	if c.flights[k] == f {
		delete(c.flights, k)
	}
	f.verdict, f.err = v, err
	close(f.done)
}

// ask asks the server when it is the turn of f.
func (c *Client) ask(f *flight, raw string) (verdict, error) {
	if err := c.awaitTurn(f); err != nil {
		return verdict{}, err
	}
	probe, err := c.begin(f)
	if err != nil {
		return verdict{}, err
	}
	ctx, cancel := context.WithTimeout(c.ctx, c.options.Timeout)
	defer cancel()
	asked := c.options.Now()
	body, reached, err := c.endpoint.post(ctx, raw)
	if c.ctx.Err() != nil {
		err = errClosed
	}
	c.end(probe, reached, err)
	switch {
	case errors.Is(err, ErrInactive):
		return verdict{err: err, until: asked.Add(c.options.RejectTTL)}, nil
	case err != nil:
		return verdict{}, err
	}
	a, err := parse(body, c.options.ClientClaim, c.options.SessionClaim)
	switch {
	case errors.Is(err, ErrInactive):
		return verdict{err: err, until: asked.Add(c.options.RejectTTL)}, nil
	case err != nil:
		return verdict{}, fmt.Errorf("%s: %w", serverurl.Name(c.endpoint.address), err)
	}
	return c.judge(a, asked), nil
}

// awaitTurn waits for the turn of f: at most MaxConcurrent requests are under way.
func (c *Client) awaitTurn(f *flight) error {
	timeout := time.NewTimer(c.options.Timeout)
	defer timeout.Stop()
	select {
	case <-f.turn:
		return nil
	case <-timeout.C:
		return errBusy
	case <-f.abandoned:
		return errAbandoned
	case <-c.ctx.Done():
		return errClosed
	}
}

// begin is called right before the request is sent.
func (c *Client) begin(f *flight) (probe bool, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if f.callers == 0 {
		return false, errAbandoned
	}
	// The server may have failed others since f was boarded.
	if err := c.grounded(c.options.Now()); err != nil {
		return false, err
	}
	f.begun = true
	return c.circuit.enter(), nil
}

// end is called when the request is over.
func (c *Client) end(probe, reached bool, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if reached {
		err = nil
	}
	c.circuit.leave(probe, err, c.options.Now().Add(c.options.FailureBackoff))
}
