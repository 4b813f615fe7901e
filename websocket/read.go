package websocket

import (
	"bytes"
	"errors"

	"github.com/gobwas/ws"
)

// Read returns bytes for the upstream. When the client's direction has ended by itself it
// returns what the stream did, io.EOF included, once the upstream has answered its last
// message. After Disconnect or a violation, and after
// the last bytes that the upstream is to get, it reads and discards what the client sends
// until its close frame has come, and then returns an error that wraps ErrClosed. It may
// use all of p as scratch space.
func (c *Conn) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	c.reading.Lock()
	defer c.reading.Unlock()
	if err := c.endedErr(); err != nil {
		return 0, err
	}
	for len(c.ready) == 0 {
		if err := c.receive(p); err != nil {
			return 0, err
		}
	}
	n := copy(p, c.ready)
	if c.ready = c.ready[n:]; len(c.ready) == 0 {
		c.ready = nil // it is memory of somebody else
	}
	return n, nil
}

// receive takes one step that may fill c.ready: it reads from the client, makes the last
// bytes for the upstream, or waits for the end. That it is called again says that the
// proxy has written what was ready before.
func (c *Conn) receive(p []byte) error {
	c.joined = emptied(c.joined)
	if c.inspector != nil {
		c.inspector.out = emptied(c.inspector.out)
	}
	switch c.nextStep() {
	case stepEnded:
		return c.endedErr()
	case stepAwaitEnd:
		<-c.done
	case stepAsk:
		c.ask()
	case stepAwaitAnswer:
		c.awaitAnswer()
	case stepSayClose:
		c.sayClose()
	case stepRead:
		if c.readErr != nil {
			return c.readErr
		}
		if c.wait != nil && c.isOpen() {
			c.resume()
			return nil
		}
		b, err := c.input(p)
		if c.isOpen() {
			c.take(b)
		} else {
			c.drain(b)
		}
		switch {
		case err != nil && c.wait != nil:
			c.streamErr = err
		case err != nil:
			c.clientGone(err)
		}
	}
	return nil
}

// input returns bytes from the client, in p or in memory that is ours.
func (c *Conn) input(p []byte) ([]byte, error) {
	if b := c.buffered; len(b) > 0 {
		c.buffered = nil
		return b, nil
	}
	if c.streamErr != nil {
		return nil, c.streamErr
	}
	n, err := c.stream.Read(p)
	if n > 0 {
		c.heard.Store(c.options.Now().UnixNano())
	}
	return p[:n], err
}

// take follows b's frames and makes ready what goes on.
func (c *Conn) take(b []byte) {
	c.joined = append(c.joined[:0], c.client.held()...)
	if c.inspector != nil {
		c.inspector.expect(len(b))
	}
	n, good, err := c.client.scan(b, false)
	switch {
	case c.inspector != nil:
		c.ready = c.inspector.out
	case len(c.joined) == 0:
		c.ready = b[:good]
	case good > 0:
		c.joined = append(c.joined, b[:good]...)
		c.ready = c.joined
	}
	if c.client.closed {
		c.closePassed = c.closeHeld == nil
		c.clientClosed(c.client.closeCode)
	}
	switch {
	case errors.Is(err, errLater):
		c.buffered = bytes.Clone(b[n:])
	case err != nil:
		if _, violated := errors.AsType[*ViolationError](err); violated {
			c.client.breakOff()
		}
		c.fail(err)
		c.drain(b[n:])
	}
}

// resume waits for what the message waits for, and asks about it again.
func (c *Conn) resume() {
	wait := c.wait
	c.wait = nil
	wait()
	if !c.isOpen() {
		return
	}
	if err := c.inspector.settle(); err != nil && !errors.Is(err, errLater) {
		c.fail(err)
	}
	c.ready = c.inspector.out
}

// drain follows b's frames while the connection is being ended. What is in them is
// discarded, except for the end of a frame whose beginning the upstream has, where its
// close frame has yet to come.
func (c *Conn) drain(b []byte) {
	if c.inspector == nil && c.client.left > 0 && c.farewellDue() {
		n, good, _ := c.client.scan(b, true)
		c.ready, b = b[:good], b[n:]
	}
	c.client.visit = nil
	if _, _, err := c.client.scan(b, false); err != nil {
		c.client.breakOff()
	}
	if c.client.closed {
		c.clientClosed(c.client.closeCode)
	}
}

// clientGone is for an end of the client's direction that the client's stream has
// reported. While the connection is open, the upstream sees it too, after the last message.
func (c *Conn) clientGone(err error) {
	c.readErr = err
	if c.isOpen() {
		c.ready = append(c.ready, c.lastMessage()...)
	}
	c.clientSilent()
}

// lastMessage returns the frame for what Options.LastMessage returns, once.
func (c *Conn) lastMessage() []byte {
	if c.lastAsked || c.options.LastMessage == nil || c.endedByOthers() {
		return nil
	}
	c.lastAsked = true
	payload := c.options.LastMessage()
	if payload == nil {
		return nil
	}
	c.beginAsking()
	return masked(ws.NewTextFrame(payload))
}
