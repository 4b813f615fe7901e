package websocket

import "github.com/gobwas/ws"

// nextStep says what Read has to do. Read calls it when the proxy has written all that
// was ready.
func (c *Conn) nextStep() step {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.farewell == farewellSaid {
		c.farewell = farewellNone
		c.settle()
	}
	silent := c.gone || c.replied // the client
	switch {
	case c.ended:
		return stepEnded
	case c.open():
		return stepRead
	case c.farewell == farewellDue && (silent || c.upstreamWhole()):
		return stepFarewell
	case c.farewell == farewellNone && silent:
		return stepAwaitEnd
	}
	return stepRead
}

// upstreamWhole says whether the upstream has whole frames only. It is for Read.
func (c *Conn) upstreamWhole() bool { return c.inspector != nil || c.client.left == 0 }

// sayFarewell makes ready what the upstream gets before the end.
func (c *Conn) sayFarewell() {
	c.ready = c.lastMessage()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.asked = len(c.ready) > 0
	switch {
	case !c.upstreamWhole():
		c.graceful = false // the frame that the client had begun will never be complete
	case c.graceful && !c.closePassed:
		body := ws.NewCloseFrameBody(ws.StatusNormalClosure, "")
		c.ready = append(c.ready, masked(ws.NewCloseFrame(body))...)
	}
	c.farewell = farewellSaid
	if len(c.ready) == 0 {
		c.farewell = farewellNone
		c.settle()
	}
}

// farewellDue says whether the upstream is still to get its last bytes.
func (c *Conn) farewellDue() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.farewell == farewellDue
}

// clientClosed records the client's close frame.
func (c *Conn) clientClosed(code ws.StatusCode) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.clientCode, c.replied = code, true
	c.settle()
}

// clientSilent records that nothing more comes from the client.
func (c *Conn) clientSilent() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.replied = true
	c.settle()
}

// clientLost records that nothing can be written to the client any more. That ends an
// open connection, so that the upstream gets its last message.
func (c *Conn) clientLost(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.open() {
		c.cause = err
		c.beginWaiting()
	}
	if !c.gone && !c.ended {
		c.lose()
	}
}

// serverClosed records the upstream's close frame.
func (c *Conn) serverClosed(code ws.StatusCode) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.serverCode, c.told, c.silent = code, true, true
	c.settle()
}

// serverSilent records that nothing more comes from the upstream, or nothing that
// counts.
func (c *Conn) serverSilent() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.silent = true
	c.settle()
}

// UpstreamAnswered says that the upstream has answered what LastMessage returned, so that
// the end need not wait for that. FromServer may call it.
func (c *Conn) UpstreamAnswered() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.answered = true
	c.settle()
}

// writeClosed records that the client's stream has been told of its end: it can get no
// close frame any more.
func (c *Conn) writeClosed() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.told, c.silent = true, true
	c.settle()
}
