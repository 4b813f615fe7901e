package websocket

import (
	"errors"
	"fmt"
	"unicode/utf8"

	"github.com/gobwas/ws"
)

var errNoCloseWrite = fmt.Errorf("websocket: half-close: %w", errors.ErrUnsupported)

// Write passes bytes of the upstream on to the client, with what waits for the client
// between two frames. While the connection is being ended it discards what may no longer
// be passed on and reports success, so that the proxy goes on until the end has come.
func (c *Conn) Write(p []byte) (n int, err error) {
	if !c.takeTurn() {
		return 0, c.endedErr()
	}
	defer func() {
		c.passTurn()
		err = c.endedErr()
	}()
	for n < len(p) {
		n += c.relay(p[n:], c.flush())
	}
	return n, nil
}

// relay passes on bytes from the front of b: all of them, or with stop those up to the
// end of the frame. It returns how many it took. The caller has the turn.
func (c *Conn) relay(b []byte, stop bool) int {
	c.held = append(c.held[:0], c.server.held()...)
	if c.screen != nil {
		c.screen.expect(len(b))
	}
	before := c.server.closed
	n, good, err := c.server.scan(b, stop)
	closes := c.server.closed && !before
	if closes {
		c.beginServerClose() // before the client can answer it
	}
	switch {
	case !c.canWrite():
	case c.screen != nil:
		c.writeStream(c.screen.out)
	case good > 0:
		c.writeStream(c.held)
		c.writeStream(b[:good])
	}
	if c.screen != nil {
		c.screen.out = emptied(c.screen.out)
	}
	if closes {
		c.serverClosed(c.server.closeCode, err == nil)
	}
	if err != nil {
		c.fail(err)
		if _, violated := errors.AsType[*ViolationError](err); violated {
			c.server.breakOff()
			c.serverSilent()
		}
	}
	if c.server.broken {
		return len(b)
	}
	return n
}

// betweenFrames says whether the client has whole frames only, so that a control frame
// may come now. The caller has the turn, or holds mu while nobody has it.
func (c *Conn) betweenFrames() bool {
	return c.server.left == 0 || c.screen != nil && c.screen.holding()
}

// betweenMessages says the same of messages and data frames (§5.4).
func (c *Conn) betweenMessages() bool {
	return c.betweenFrames() && (!c.server.fragmented || c.screen != nil && c.screen.holding())
}

// CloseWrite passes on that the upstream has ended its direction. If the stream has no
// CloseWrite, that is an error, unless the connection is being ended anyway.
func (c *Conn) CloseWrite() error {
	if !c.takeTurn() {
		return c.endedErr()
	}
	c.flush()
	if err := c.serverCloses(0, ""); err != nil {
		c.fail(err)
		c.serverSilent()
		c.passTurn()
		return c.endedErr()
	}
	err := errNoCloseWrite
	if s, ok := c.stream.(interface{ CloseWrite() error }); ok {
		err = s.CloseWrite()
	}
	c.writeClosed()
	c.passTurn()
	if !c.isOpen() {
		return c.endedErr()
	}
	return err
}

// Send sends a message of the given type, ws.OpText or ws.OpBinary, to the client, as
// soon as the server's frame and message are complete, and at once if they are. Then it
// may block like a Write. It returns ErrPending if more than Options.MaxPending would
// wait, and an error that wraps ErrClosed if the client gets no more messages. What waits
// when the connection is ended in the middle of a fragmented message is discarded.
func (c *Conn) Send(op ws.OpCode, payload []byte) error { return c.send(op, payload, false) }

// send is Send; with patience it waits while another writer may be what makes the queue
// long.
func (c *Conn) send(op ws.OpCode, payload []byte, patient bool) error {
	switch {
	case op != ws.OpText && op != ws.OpBinary:
		return fmt.Errorf("websocket: %#x is no type of a message", byte(op))
	case op == ws.OpText && !utf8.Valid(payload):
		return ErrUTF8
	}
	frame := encode(ws.NewFrame(op, true, payload))

	c.mu.Lock()
	for patient && c.writing && c.open() && len(c.pending)+len(frame) > c.options.MaxPending {
		c.turn.Wait()
	}
	switch {
	case !c.open() || c.told:
		defer c.mu.Unlock()
		return c.closedErr()
	case len(c.pending)+len(frame) > c.options.MaxPending:
		c.mu.Unlock()
		return ErrPending
	}
	c.pending = append(c.pending, frame...)
	mine := !c.writing
	c.writing = true
	c.mu.Unlock()
	if mine {
		c.passTurn()
	}
	return nil
}

// takeTurn waits until nobody else writes. It returns false if the connection has ended.
func (c *Conn) takeTurn() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	for c.writing && !c.ended {
		c.turn.Wait()
	}
	if c.ended {
		return false
	}
	c.writing = true
	return true
}

// passTurn writes what waits and may be written, and lets others write. The caller has
// the turn.
func (c *Conn) passTurn() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.flushLocked()
	c.writing = false
	c.turn.Broadcast()
}

// flush writes what waits and may be written, and says whether something still waits.
// The caller has the turn.
func (c *Conn) flush() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.flushLocked()
	return len(c.pending) > 0 || c.frame != nil
}

// flushLocked is flush for a caller that holds mu, which is released meanwhile.
func (c *Conn) flushLocked() {
	for !c.told && !c.gone && !c.ended && c.betweenFrames() {
		var b []byte
		if c.betweenMessages() {
			b, c.pending = c.pending, nil
		}
		last := c.frame != nil
		b = append(b, c.frame...)
		c.frame = nil
		if len(b) == 0 {
			return
		}
		c.mu.Unlock()
		c.writeStream(b)
		c.mu.Lock()
		if last {
			c.told = true
			c.settle()
		}
		c.turn.Broadcast()
	}
}

// canWrite says whether the client still gets what the upstream sends. The caller has
// the turn.
func (c *Conn) canWrite() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return !c.told && !c.gone && !c.ended
}

// writeStream writes to the client. The caller has the turn.
func (c *Conn) writeStream(b []byte) {
	if len(b) == 0 {
		return
	}
	if _, err := c.stream.Write(b); err != nil {
		c.clientLost(err)
	}
}
