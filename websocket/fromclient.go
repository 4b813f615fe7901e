package websocket

import (
	"bytes"
	"errors"
	"unicode/utf8"

	"github.com/gobwas/ws"
	"golang.org/x/time/rate"
)

// clientInspector assembles the client's messages. Control frames go on at once: what is
// held back is never more than one message, and the upstream always has whole messages.
type clientInspector struct {
	assembler
	conn *Conn
}

func (i *clientInspector) visit(kind part, b []byte) error {
	if err := i.conn.admit(kind, b); err != nil {
		return err
	}
	client := &i.conn.client
	switch kind {
	case partControl:
		if client.closed {
			if last := i.conn.lastMessage(); last != nil {
				// The upstream might not get to the message once it has seen the end.
				i.out = append(i.out, last...)
				i.conn.closeHeld = bytes.Clone(b)
				return nil
			}
		}
		i.out = append(i.out, b...)
		return nil
	case partHeader:
		if err := i.fits(client.header); err != nil {
			return err
		}
		i.begin(client.header, b)
	case partPayload:
		i.add(b)
	case partHeld:
	}
	if client.left > 0 || client.fragmented {
		return nil
	}
	return i.settle()
}

// errLater says that the message that is complete waits.
var errLater = errors.New("not decided yet")

// settle decides about the message that is complete and forgets it, unless it waits.
func (i *clientInspector) settle() error {
	err := i.decide()
	if !errors.Is(err, errLater) {
		i.forget()
	}
	return err
}

// fits applies the limits to a frame before any of its payload is kept.
func (i *clientInspector) fits(h ws.Header) error {
	switch limits := &i.conn.options; {
	case h.Length > int64(limits.MaxMessage-i.size):
		if limits.TooLong != nil {
			// What cannot be delivered is not missed: the connection ends.
			_ = i.conn.Send(ws.OpText, limits.TooLong())
		}
		return violation(false, ErrMessageTooLong)
	case len(i.frames) == limits.MaxFragments:
		return violation(false, ErrTooManyFragments)
	}
	return nil
}

// decide asks about the message that is complete, and does what is decided.
func (i *clientInspector) decide() error {
	m := i.message()
	if m.Op == ws.OpText && !utf8.Valid(m.Payload) {
		return violation(false, ErrUTF8)
	}
	i.conn.deciding.Store(true)
	d := i.conn.options.FromClient(m)
	if !i.conn.decided() {
		return ErrClosed // since it was asked: nothing goes on any more
	}
	switch d.action {
	case actionPass:
		i.pass()
	case actionDrop:
	case actionAnswer:
		return i.conn.answer(i.op, d.payload)
	case actionLater:
		i.keep()
		i.conn.wait = d.wait
		return errLater
	default:
		return disconnected(d.closing)
	}
	return nil
}

// answer sends payload to the client in place of the message that it answers.
func (c *Conn) answer(op ws.OpCode, payload []byte) error {
	err := c.send(op, payload, true)
	switch {
	case errors.Is(err, ErrClosed):
		return nil // the connection is being ended already: nobody wants the answer
	case errors.Is(err, ErrPending):
		return violation(false, err)
	}
	return err
}

// admit counts a message or control frame against Options.MessagesPerSecond.
func (c *Conn) admit(kind part, _ []byte) error {
	begins := kind == partControl || kind == partHeader && c.client.header.OpCode != ws.OpContinuation
	if begins && c.limiter != nil && !c.limiter.AllowN(c.options.Now(), 1) {
		return violation(false, ErrTooManyMessages)
	}
	return nil
}

func newLimiter(o Options) *rate.Limiter {
	if o.MessagesPerSecond == 0 {
		return nil
	}
	return rate.NewLimiter(rate.Limit(o.MessagesPerSecond), o.MessageBurst)
}
