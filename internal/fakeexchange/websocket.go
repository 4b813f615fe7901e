package fakeexchange

import (
	"context"
	"net/http"
	"time"

	"github.com/coder/websocket"
)

const (
	// writeTimeout bounds the sending of one message. Who does not read for that long
	// is lost.
	writeTimeout = 5 * time.Second
	// maxPending is how many messages may wait to be sent to one connection.
	maxPending = 1024
)

// connection is one WebSocket connection. Exchange.mu guards what is not set at its start.
type connection struct {
	number  int64
	socket  *websocket.Conn
	ctx     context.Context
	cancel  context.CancelFunc // ends it without a close frame
	session *session
	pending chan outgoing

	own          *token // what it was authenticated with last
	cancelOrders *bool  // Cancel On Disconnect, where something was said of it
	channels     map[string]*account
	beat         heartbeat
	ended        bool
}

// outgoing is a message, or the close frame after which there is none.
type outgoing struct {
	message []byte
	code    websocket.StatusCode
	reason  string
}

// serveWebSocket serves a connection to its end.
func (x *Exchange) serveWebSocket(w http.ResponseWriter, r *http.Request) {
	c := x.admit()
	if c == nil {
		http.Error(w, "no more connections", http.StatusServiceUnavailable)
		return
	}
	defer x.leave(c)
	socket, err := websocket.Accept(w, r, &websocket.AcceptOptions{InsecureSkipVerify: true}) // tests come from anywhere
	if err != nil {
		return // the answer has been sent
	}
	defer socket.CloseNow() //nolint:errcheck // fails where it has ended already
	socket.SetReadLimit(maxMessage)
	c.socket = socket
	x.record.add(Event{Kind: Opened, Connection: c.number})
	sending := make(chan struct{})
	go func() { defer close(sending); c.send() }()
	x.receive(c)
	c.cancel()
	<-sending
}

// admit returns a connection that is counted, or nil if there is no room for it.
func (x *Exchange) admit() *connection {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.closed || len(x.open) >= maxConnections {
		return nil
	}
	// Not the request's context, which is done once the connection is no longer its own.
	ctx, cancel := context.WithCancel(context.Background())
	// Counted before the client knows of it: who opens one after the other knows them.
	x.connections++
	c := &connection{
		number: x.connections, ctx: ctx, cancel: cancel, session: new(session),
		pending: make(chan outgoing, maxPending), channels: make(map[string]*account),
	}
	x.open[c] = struct{}{}
	x.running.Add(1)
	return c
}

func (x *Exchange) leave(c *connection) {
	x.mu.Lock()
	delete(x.open, c)
	x.mu.Unlock()
	c.cancel()
	x.running.Done()
}

// receive carries out calls until the connection ends.
func (x *Exchange) receive(c *connection) {
	for {
		_, message, err := c.socket.Read(c.ctx)
		if err != nil {
			x.lostSocket(c, err)
			return
		}
		if answer := x.answer(c, message); answer != nil {
			c.enqueue(outgoing{message: answer})
		}
	}
}

// lostSocket notes why nothing can be read any more.
func (x *Exchange) lostSocket(c *connection, err error) {
	x.mu.Lock()
	defer x.mu.Unlock()
	switch code := int(websocket.CloseStatus(err)); {
	case code > 0:
		x.finish(c, EndClose, code)
	case x.closed:
		x.finish(c, EndStopped, 0)
	default:
		x.finish(c, EndLost, 0)
	}
}

// finish notes how a connection has ended, once, and does with its orders what follows
// from that. x.mu is held.
func (x *Exchange) finish(c *connection, end End, code int) {
	if c.ended {
		return
	}
	c.ended = true
	x.endHeartbeat(c)
	switch {
	case end == EndLogout || end == EndStopped:
	case end == EndClose && x.options.CloseIsGraceful:
	default:
		x.cancelOrders(c)
	}
	if end != EndLogout {
		c.session.ended = true // what belongs to the connection does not outlive it
	}
	x.record.add(Event{Kind: Ended, Connection: c.number, End: end, Code: code})
}

// send sends what is pending until the connection ends.
func (c *connection) send() {
	for {
		select {
		case <-c.ctx.Done():
			return
		case out := <-c.pending:
			if out.code != 0 {
				_ = c.socket.Close(out.code, out.reason) // fails where the client is gone already
				return
			}
			ctx, cancel := context.WithTimeout(c.ctx, writeTimeout)
			err := c.socket.Write(ctx, websocket.MessageText, out.message)
			cancel()
			if err != nil {
				c.cancel()
				return
			}
		}
	}
}

// enqueue has something sent. Who takes too little of it is lost.
func (c *connection) enqueue(out outgoing) {
	select {
	case c.pending <- out:
	default:
		c.cancel()
	}
}
