package websocket

import (
	"unicode/utf8"

	"github.com/gobwas/ws"
)

// serverInspector assembles the upstream's messages. Control frames go on at once, and so
// does what need not be looked at.
type serverInspector struct {
	assembler
	conn *Conn
	// passing is set while a message goes by that is not looked at.
	passing bool
}

func (i *serverInspector) visit(kind part, b []byte) error {
	server := &i.conn.server
	switch kind {
	case partControl:
		if server.closed {
			i.conn.beginServerClose() // before the client can answer it
			if err := i.conn.serverCloses(server.closeCode, server.reason); err != nil {
				return err
			}
		}
		i.out = append(i.out, b...)
		return nil
	case partHeader:
		if err := i.choose(server.header); err != nil {
			return err
		}
		if !i.passing {
			i.begin(server.header, b)
		}
	case partPayload:
		if !i.passing {
			i.add(b)
		}
	case partHeld:
	}
	switch {
	case i.passing:
		i.out = append(i.out, b...)
		return nil
	case server.left > 0 || server.fragmented:
		return nil
	}
	err := i.decide()
	i.forget()
	return err
}

// serverCloses asks, once, what becomes of the end of the upstream or the proxy. It returns
// an error if the client is told something else.
func (c *Conn) serverCloses(code ws.StatusCode, reason string) error {
	if c.options.ServerClosing == nil || c.closingAsked.Swap(true) {
		return nil
	}
	if d := c.options.ServerClosing(code, reason); d.action != actionPass {
		return disconnected(d.closing)
	}
	return nil
}

// choose says what becomes of a frame before any of its payload is kept.
func (i *serverInspector) choose(h ws.Header) error {
	o := &i.conn.options
	if h.OpCode != ws.OpContinuation {
		i.passing = o.InspectServer != nil && !o.InspectServer()
	}
	long, many := h.Length > int64(o.MaxServerMessage-i.size), len(i.frames) == o.MaxFragments
	if i.passing || !long && !many {
		return nil
	}
	if o.RefuseLongServerMessage != nil && o.RefuseLongServerMessage() {
		switch {
		case h.Length > int64(o.MaxAwaitedServerMessage-i.size):
			return violation(true, ErrMessageTooLong)
		case many:
			return violation(true, ErrTooManyFragments)
		}
		return nil
	}
	i.passing = true
	i.release()
	return nil
}

// decide asks about the message that is complete, and does what is decided.
func (i *serverInspector) decide() error {
	d := i.conn.options.FromServer(i.message())
	switch d.action {
	case actionPass:
		i.pass()
	case actionDrop:
	case actionAnswer:
		if i.op == ws.OpText && !utf8.Valid(d.payload) {
			return ErrUTF8
		}
		i.out = append(i.out, encode(ws.NewFrame(i.op, true, d.payload))...)
	default:
		return disconnected(d.closing)
	}
	return nil
}
