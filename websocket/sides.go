package websocket

import (
	"time"

	"github.com/gobwas/ws"
)

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
	case c.open() && silent && c.awaitsAnswer(), silent && c.farewell == farewellAsked && c.awaitsAnswer():
		return stepAwaitAnswer
	case c.open() && c.closeHeld != nil, c.open() && silent && c.owesClose(), c.farewell == farewellAsked && !c.awaitsAnswer():
		return stepSayClose
	case c.open():
		return stepRead
	case c.farewell == farewellDue && (silent || c.upstreamWhole()):
		return stepAsk
	case c.farewell == farewellNone && silent:
		return stepAwaitEnd
	}
	return stepRead
}

// upstreamWhole says whether the upstream has whole frames only. It is for Read.
func (c *Conn) upstreamWhole() bool { return c.inspector != nil || c.client.left == 0 }

// ask makes ready the last message that the upstream gets before the end.
func (c *Conn) ask() {
	c.ready = c.lastMessage()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.farewell = farewellAsked
}

// sayClose makes ready the close frame for the upstream: that of the client, or one that
// ends the connection gracefully.
func (c *Conn) sayClose() {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.open() && c.closeHeld != nil:
		c.ready, c.closeHeld, c.closePassed = c.closeHeld, nil, true
		return
	case c.open():
		c.ready, c.closePassed = c.closeAnswer(), true
		return
	case !c.upstreamWhole():
		c.graceful = false // the frame that the client had begun will never be complete
	case c.owesClose():
		c.ready, c.closePassed = c.closeAnswer(), true
	case c.graceful && !c.closePassed && !c.silent:
		body := ws.NewCloseFrameBody(c.goodbye, "")
		c.ready = masked(ws.NewCloseFrame(body))
	}
	c.farewell = farewellSaid
	if len(c.ready) == 0 {
		c.farewell = farewellNone
		c.settle()
	}
}

// owesClose says whether the upstream's close frame has to be answered in the client's place.
// The caller is Read, and holds mu.
func (c *Conn) owesClose() bool {
	return c.serverCode != 0 && !c.closePassed && (c.asked || c.graceful)
}

// closeAnswer is the answer to the upstream's close frame. The caller holds mu.
func (c *Conn) closeAnswer() []byte {
	var body []byte
	if c.serverCode != ws.StatusNoStatusRcvd {
		body = ws.NewCloseFrameBody(c.serverCode, "")
	}
	return masked(ws.NewCloseFrame(body))
}

// awaitsAnswer says whether the upstream has yet to answer the last message. The caller
// holds mu.
func (c *Conn) awaitsAnswer() bool { return c.asked && !c.answered && !c.silent }

// awaitAnswer waits until it has, or its time for that is up.
func (c *Conn) awaitAnswer() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for c.awaitsAnswer() && !c.ended {
		c.turn.Wait()
	}
}

// AwaitUpstream has the end of the connection wait as if LastMessage had returned something,
// for the answer to a message that the upstream has got before. It is for LastMessage.
func (c *Conn) AwaitUpstream() { c.beginAsking() }

// beginAsking starts the time that the upstream has to answer the last message.
func (c *Conn) beginAsking() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.asked {
		return
	}
	c.asked = true
	c.patience = time.AfterFunc(c.options.AnswerWait, c.UpstreamAnswered)
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
		c.setCause(err)
		c.beginWaiting()
	}
	if !c.gone && !c.ended {
		c.lose()
	}
}

// beginServerClose records that the client is about to get a close frame of the upstream,
// or of the proxy.
func (c *Conn) beginServerClose() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.byServer = true
}

// endedByOthers says whether the upstream or the proxy has ended the connection: whatever
// still comes from the client is an answer to that.
func (c *Conn) endedByOthers() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.byServer || c.ended
}

// serverClosed records the upstream's close frame, and whether the client has got it.
func (c *Conn) serverClosed(code ws.StatusCode, passed bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.serverCode, c.told, c.silent = code, c.told || passed, true
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
	if c.awaitsAnswer() {
		c.closeUntil = time.Now().Add(c.options.CloseWait)
	}
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
