package websocket

import (
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gobwas/ws"
	"golang.org/x/time/rate"
)

// A Conn is the client's side of a relayed WebSocket connection: Read returns what goes
// to the upstream, Write takes what came from there. It has neither ReadFrom nor WriteTo,
// which would lead bytes past it.
type Conn struct {
	stream  io.ReadWriteCloser
	options Options
	limiter *rate.Limiter // nil: no limit

	// reading is held by Read. It guards the fields up to the next blank line.
	reading   sync.Mutex
	client    scanner
	inspector *clientInspector // nil: the client's messages are not inspected
	buffered  []byte           // came with the handshake, or behind a message that waits
	wait      func()           // of a message that waits, or nil
	ready     []byte           // what Read returns next; may be memory of Read's caller during the call
	joined    []byte           // memory for ready where it begins in an earlier segment
	streamErr error            // with which stream has ended behind a message that waits
	readErr   error            // how the client's direction ended by itself
	lastAsked bool             // Options.LastMessage was called
	// closePassed is set when the client's close frame goes on to the upstream, closeHeld
	// is that frame while the last message is answered.
	closePassed bool
	closeHeld   []byte

	// mu guards all that follows, except what belongs to the one who has set writing:
	// stream's Write, server, screen and held. Whoever finds writing unset may look at
	// them.
	mu      sync.Mutex
	turn    sync.Cond // writing, ended, cause or pending has changed
	writing bool
	server  scanner
	screen  *serverInspector // nil: the upstream's messages are not inspected
	held    []byte           // of a frame of the server whose beginning came earlier
	pending []byte           // data frames for the client

	ending
	clientCode, serverCode ws.StatusCode // of the close frames that were seen, or 0

	// background are the goroutines that write a close frame or close stream.
	background  sync.WaitGroup
	closeStream func() error
	failing     chan struct{} // closed when the connection is being ended
	done        chan struct{}

	heard atomic.Int64 // Unix time in nanoseconds

	deciding     atomic.Bool // FromClient is being called
	closingAsked atomic.Bool // ServerClosing was called
}

// New returns a Conn for the client that is at the other end of stream. buffered is what
// the client has sent already: it comes before what stream has. The error is about the
// options.
//
// Close of stream must end a Read and a Write that are under way, as that of a net.Conn
// does. CloseWrite, the deadlines and the addresses are passed through if stream has them.
func New(stream io.ReadWriteCloser, buffered []byte, o Options) (*Conn, error) {
	o, err := o.withDefaults()
	if err != nil {
		return nil, fmt.Errorf("websocket: %w", err)
	}
	c := &Conn{
		stream: stream, options: o, limiter: newLimiter(o),
		buffered: slices.Clone(buffered), closeStream: sync.OnceValue(stream.Close),
		failing: make(chan struct{}), done: make(chan struct{}),
	}
	c.heard.Store(o.Now().UnixNano())
	c.turn.L = &c.mu
	c.client.state, c.client.deflate = ws.StateServerSide, !o.inspects()
	c.server.state, c.server.deflate = ws.StateClientSide, !o.inspects()
	switch {
	case o.FromClient != nil:
		c.inspector = &clientInspector{conn: c}
		c.client.visit = c.inspector.visit
	case c.limiter != nil:
		c.client.visit = c.admit
	}
	if o.FromServer != nil {
		c.screen = &serverInspector{conn: c}
		c.server.visit = c.screen.visit
	}
	return c, nil
}

// Done is closed when the connection has ended, after which nothing goes on in either
// direction. A proxy that is still waiting for the upstream then has to let go of it.
func (c *Conn) Done() <-chan struct{} { return c.done }

// Ending is closed when the connection is being ended from the inside, or has ended: a
// callback that waits for something need not wait any longer.
func (c *Conn) Ending() <-chan struct{} { return c.failing }

// Heard returns when bytes last came from the client; before that, when c was made.
func (c *Conn) Heard() time.Time { return time.Unix(0, c.heard.Load()) }

// Err returns why the connection has ended, and nil before: a *DisconnectError, a
// *ViolationError, an error of the stream, or ErrClosed after a Close.
func (c *Conn) Err() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.ended {
		return nil
	}
	return c.cause
}

// ClientClose returns the code of the close frame that the client has sent, 1005 if there
// was none in it. ok is false if there was no close frame: then the client has not ended
// the connection, or has vanished (1006).
func (c *Conn) ClientClose() (code ws.StatusCode, ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.clientCode, c.clientCode != 0
}

// ServerClose is ClientClose for what was written to the Conn: the close frame of the
// upstream, or that of the proxy itself.
func (c *Conn) ServerClose() (code ws.StatusCode, ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.serverCode, c.serverCode != 0
}

// LocalAddr is that of the stream, or nil.
func (c *Conn) LocalAddr() net.Addr {
	if s, ok := c.stream.(interface{ LocalAddr() net.Addr }); ok {
		return s.LocalAddr()
	}
	return nil
}

// RemoteAddr is that of the stream, or nil.
func (c *Conn) RemoteAddr() net.Addr {
	if s, ok := c.stream.(interface{ RemoteAddr() net.Addr }); ok {
		return s.RemoteAddr()
	}
	return nil
}

// SetDeadline sets both deadlines of the stream. After any error of the stream, a
// deadline that has passed included, its direction is over.
func (c *Conn) SetDeadline(t time.Time) error {
	if s, ok := c.stream.(interface{ SetDeadline(t time.Time) error }); ok {
		return s.SetDeadline(t)
	}
	return errors.Join(c.SetReadDeadline(t), c.SetWriteDeadline(t))
}

// SetReadDeadline sets the deadline for reading from the stream; see SetDeadline.
func (c *Conn) SetReadDeadline(t time.Time) error {
	if s, ok := c.stream.(interface{ SetReadDeadline(t time.Time) error }); ok {
		return s.SetReadDeadline(t)
	}
	return fmt.Errorf("websocket: read deadline: %w", errors.ErrUnsupported)
}

// SetWriteDeadline sets the deadline for writing to the stream; see SetDeadline.
func (c *Conn) SetWriteDeadline(t time.Time) error {
	if s, ok := c.stream.(interface{ SetWriteDeadline(t time.Time) error }); ok {
		return s.SetWriteDeadline(t)
	}
	return fmt.Errorf("websocket: write deadline: %w", errors.ErrUnsupported)
}

var _ net.Conn = (*Conn)(nil)
