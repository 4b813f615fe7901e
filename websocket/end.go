package websocket

import (
	"cmp"
	"errors"
	"fmt"
	"time"

	"github.com/gobwas/ws"
)

// ending is what is known about the end of a connection. Conn.mu guards it.
//
// While the connection is being ended, the client gets a close frame and is read from
// until it has answered: closing a socket with unread bytes in it would reset it, and the
// client might lose the close frame. The upstream gets its last message and, where the
// end is graceful and once it has answered that, a close frame, and is read from until it
// has answered it too. When both sides are done, or have used up their time, the
// connection has ended.
type ending struct {
	cause error       // why; nil while the connection is open
	frame []byte      // the close frame that waits for the client
	timer *time.Timer // calls Conn.expire

	byServer bool // the client gets, or has got, a close frame of the upstream or the proxy

	told    bool // the client has a close frame, whoever sent it, and gets nothing more
	replied bool // the client's close frame or the end of its stream has been read
	gone    bool // the client's stream is closed or broken

	farewell   farewell
	graceful   bool          // the upstream gets a close frame and is to answer it
	goodbye    ws.StatusCode // the code of that close frame
	asked      bool          // the upstream gets a last message and is to answer it
	answered   bool          // it has, or has used up its time for that
	patience   *time.Timer   // calls Conn.UpstreamAnswered
	closeUntil time.Time     // how long the upstream has to end after that
	askUntil   time.Time     // how long a decision may keep back the last message
	silent     bool          // the upstream's close frame or the end of its stream has been seen

	ended bool
}

// farewell is how far the last bytes for the upstream are on their way.
type farewell uint8

const (
	farewellNone  farewell = iota // there are none, or the proxy has written them
	farewellDue                   // Read has yet to make the last message
	farewellAsked                 // Read returns it, and the answer is awaited
	farewellSaid                  // Read returns the close frame
)

// step is what Read has to do next.
type step uint8

const (
	stepRead        step = iota // from the client
	stepAsk                     // make the last message for the upstream
	stepAwaitAnswer             // wait for the answer to it
	stepSayClose                // make the close frame for the upstream
	stepAwaitEnd                // there is nothing to do but to wait
	stepEnded
)

// Disconnect ends the connection: at the end of the server's frame that is under way, at
// once if there is none, the client gets a close frame. It returns without waiting for
// that. If the frame does not end within Options.CloseWait, the connection is cut without
// a close frame. Only the first Disconnect or violation counts.
func (c *Conn) Disconnect(cl Closing) { c.fail(disconnected(cl)) }

// fail ends the connection for a cause that says what the client is told.
func (c *Conn) fail(err error) {
	cl := Closing{Code: ws.StatusInternalServerError}
	if asked, ok := errors.AsType[*DisconnectError](err); ok {
		cl = asked.Closing
	} else if violated, ok := errors.AsType[*ViolationError](err); ok {
		cl.Code, cl.Reason = violated.Code, "upstream error"
		if !violated.Server {
			cl.Reason = violated.Err.Error()
		}
	}
	c.begin(err, cl)
}

// begin begins to end the connection.
func (c *Conn) begin(cause error, cl Closing) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.open() {
		return
	}
	c.frame, c.graceful, c.goodbye = closeFrame(cl), cl.Graceful, cmp.Or(cl.UpstreamCode, ws.StatusNormalClosure)
	c.setCause(cause)
	c.beginWaiting()
	if !c.writing && !c.told && c.betweenFrames() {
		c.writing = true
		c.background.Go(c.passTurn)
	}
	c.settle()
}

// setCause says why the connection ends, once. The caller holds mu.
func (c *Conn) setCause(cause error) {
	c.cause = cause
	close(c.failing)
}

// beginWaiting starts the time that the two sides have. The caller holds mu.
func (c *Conn) beginWaiting() {
	if !c.replied && (c.graceful || c.options.LastMessage != nil) || c.asked {
		c.farewell = farewellDue
	}
	c.timer = time.AfterFunc(c.options.CloseWait, c.expire)
	c.askUntil = time.Now().Add(2*c.options.CloseWait + c.options.AnswerWait)
	c.turn.Broadcast()
}

// expire is called when the client's time is up, and again when the upstream's is.
func (c *Conn) expire() {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.ended:
	case c.gone && c.awaitsAnswer():
		c.timer.Reset(c.options.CloseWait) // that has a time of its own
	case c.gone && c.farewell == farewellDue && c.deciding.Load() && time.Until(c.askUntil) > 0:
		c.timer.Reset(min(c.options.CloseWait, time.Until(c.askUntil)))
	case c.gone && time.Until(c.closeUntil) > 0:
		c.timer.Reset(time.Until(c.closeUntil))
	case c.gone:
		c.end()
	default:
		c.lose()
	}
}

// decided records that FromClient has returned, and says whether nothing has begun to end
// the connection. Otherwise the last message has its time from now on.
func (c *Conn) decided() (open bool) {
	c.deciding.Store(false)
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.gone && !c.ended {
		c.timer.Reset(c.options.CloseWait)
	}
	return c.open()
}

// lose gives the client up. The caller holds mu.
func (c *Conn) lose() {
	c.gone, c.pending, c.frame = true, nil, nil
	c.settle()
	if !c.ended {
		c.timer.Reset(c.options.CloseWait)
		c.background.Go(c.closeQuietly) // ends the Read that is under way
	}
}

// settle ends the connection if both sides are done. The caller holds mu.
func (c *Conn) settle() {
	c.turn.Broadcast()
	if c.open() || c.ended {
		return
	}
	client := c.gone || c.told && c.replied
	answered := c.silent || !c.graceful && (!c.asked || c.answered)
	upstream := c.farewell == farewellNone && answered
	if client && upstream {
		c.end()
	}
}

// end is the end. The caller holds mu and knows that it has not come yet.
func (c *Conn) end() {
	c.ended = true
	if c.cause == nil {
		c.setCause(ErrClosed)
	}
	for _, timer := range []*time.Timer{c.timer, c.patience} {
		if timer != nil {
			timer.Stop()
		}
	}
	c.pending, c.frame = nil, nil
	close(c.done)
	c.turn.Broadcast()
	c.background.Go(c.closeQuietly)
}

// closeQuietly closes the stream. Close returns its error.
func (c *Conn) closeQuietly() { _ = c.closeStream() }

// Close closes the stream at once, or once Options.ServerClosing has returned. When it returns, nothing is being written to the
// stream, nothing will be, and no goroutine of the Conn is left.
func (c *Conn) Close() error {
	_ = c.serverCloses(0, "") // it is told, and nothing else
	c.mu.Lock()
	if !c.ended {
		c.end()
	}
	c.mu.Unlock()
	err := c.closeStream()

	c.mu.Lock()
	for c.writing {
		c.turn.Wait()
	}
	c.mu.Unlock()
	c.background.Wait()
	return err
}

// open says whether nothing has begun to end the connection. The caller holds mu.
func (c *Conn) open() bool { return c.cause == nil }

// isOpen is open for a caller that does not hold mu.
func (c *Conn) isOpen() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.open()
}

// closedErr is ErrClosed with the cause. The caller holds mu.
func (c *Conn) closedErr() error {
	switch {
	case c.cause == nil:
		return ErrClosed
	case errors.Is(c.cause, ErrClosed):
		return c.cause
	}
	return fmt.Errorf("%w: %w", ErrClosed, c.cause)
}

// endedErr is closedErr once the connection has ended, and nil before.
func (c *Conn) endedErr() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.ended {
		return nil
	}
	return c.closedErr()
}
