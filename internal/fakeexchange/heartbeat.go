package fakeexchange

import (
	"context"
	"time"

	"github.com/coder/websocket"
)

// minHeartbeat is the shortest interval, in seconds.
const minHeartbeat = 10

// heartbeat is what a connection has agreed on. Exchange.mu guards it.
type heartbeat struct {
	stop    context.CancelFunc // nil: there is none
	waiting int                // intervals since the test_request that has no answer; 0: there is none
}

// setHeartbeat is public/set_heartbeat.
func (x *Exchange) setHeartbeat(c *call) (any, *rpcError) {
	interval, failure := c.number("interval")
	if failure != nil || interval < minHeartbeat || interval > 3600 {
		return nil, badParam("interval")
	}
	x.endHeartbeat(c.connection)
	ctx, cancel := context.WithCancel(c.connection.ctx)
	c.connection.beat = heartbeat{stop: cancel}
	x.running.Go(func() { x.beat(ctx, c.connection, time.Duration(interval*float64(x.options.Second))) })
	return "ok", nil
}

// stopHeartbeat is public/disable_heartbeat.
func (x *Exchange) stopHeartbeat(c *call) (any, *rpcError) {
	x.endHeartbeat(c.connection)
	return "ok", nil
}

// endHeartbeat ends what beats. x.mu is held.
func (x *Exchange) endHeartbeat(c *connection) {
	if c.beat.stop != nil {
		c.beat.stop()
	}
	c.beat = heartbeat{}
}

// beat sends heartbeats and test requests, by turns, until ctx is done or the client has
// not answered.
func (x *Exchange) beat(ctx context.Context, c *connection, interval time.Duration) {
	ticker := time.NewTicker(interval)
	defer ticker.Stop()
	for ask := false; ; ask = !ask {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		kind := "heartbeat"
		x.mu.Lock()
		switch {
		case ctx.Err() != nil:
			x.mu.Unlock()
			return
		case c.beat.waiting > x.options.Patience:
			x.finish(c, EndHeartbeat, 0)
			x.mu.Unlock()
			c.enqueue(outgoing{code: websocket.StatusPolicyViolation, reason: "heartbeat"})
			return
		case c.beat.waiting > 0:
			c.beat.waiting++
		case ask:
			kind, c.beat.waiting = "test_request", 1
		}
		x.mu.Unlock()
		c.notify("heartbeat", map[string]string{"type": kind})
	}
}
