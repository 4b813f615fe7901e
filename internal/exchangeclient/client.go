package exchangeclient

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/gorilla/websocket"
)

const (
	// maxNotifications is how many notifications are kept for Notification.
	maxNotifications = 1024
	// writeTimeout bounds the sending of a message.
	writeTimeout = 10 * time.Second
)

// Client is one connection.
type Client struct {
	conn          *websocket.Conn
	notifications chan Notification
	ended         chan struct{} // closed when nothing more can be read

	mu      sync.Mutex // guards writes, and all below
	serial  int64
	waiting map[int64]chan response
	silent  bool
	code    int
	reason  string
}

// Notification is a message that answers no call.
type Notification struct {
	Method string          `json:"method"`
	Params json.RawMessage `json:"params"`
}

// Error is the error of an answer.
type Error struct {
	Code    int             `json:"code"`
	Message string          `json:"message"`
	Data    json.RawMessage `json:"data"`
}

func (e *Error) Error() string { return fmt.Sprintf("error %d %s %s", e.Code, e.Message, e.Data) }

// EndError says that the connection has ended.
type EndError struct {
	// Code and Reason are those of the close frame that was received: 1005 if it had no
	// code in it, 1006 without a close frame.
	Code   int
	Reason string
}

func (e *EndError) Error() string { return fmt.Sprintf("connection ended: %d %q", e.Code, e.Reason) }

// response is any message that is received.
type response struct {
	ID     *int64          `json:"id"`
	Result json.RawMessage `json:"result"`
	Error  *Error          `json:"error"`
	Notification
}

// Dial opens a connection to a URL with the scheme ws or wss.
func Dial(ctx context.Context, url string, header http.Header) (*Client, error) {
	conn, resp, err := websocket.DefaultDialer.DialContext(ctx, url, header) //nolint:bodyclose // there is none to be closed
	if err != nil {
		if resp != nil {
			return nil, fmt.Errorf("exchangeclient: %w: %s", err, resp.Status)
		}
		return nil, fmt.Errorf("exchangeclient: %w", err)
	}
	c := &Client{
		conn: conn, notifications: make(chan Notification, maxNotifications),
		ended: make(chan struct{}), waiting: make(map[int64]chan response),
	}
	go c.receive()
	return c, nil
}

// receive takes messages until the connection has ended.
func (c *Client) receive() {
	defer close(c.ended)
	defer c.conn.Close()
	for {
		_, message, err := c.conn.ReadMessage()
		if err != nil {
			c.mu.Lock()
			defer c.mu.Unlock()
			c.code = websocket.CloseAbnormalClosure
			if closed, ok := errors.AsType[*websocket.CloseError](err); ok {
				c.code, c.reason = closed.Code, closed.Text
			}
			return
		}
		var r response
		if err := json.Unmarshal(message, &r); err != nil {
			continue // no server of ours sends it; whoever waits for an answer gets none
		}
		c.take(r)
	}
}

// take hands a message to who waits for it.
func (c *Client) take(r response) {
	c.mu.Lock()
	var to chan response
	if r.ID != nil {
		to = c.waiting[*r.ID]
		delete(c.waiting, *r.ID)
	}
	silent := c.silent
	c.mu.Unlock()
	switch {
	case to != nil:
		to <- r
		return
	case r.Method == "heartbeat" && string(r.Params) == `{"type":"test_request"}` && !silent:
		_, _ = c.send("public/test", nil, nil) // the connection ends if this fails
	}
	select {
	case c.notifications <- r.Notification:
	default: // nobody wants them
	}
}

// IgnoreHeartbeats leaves test requests without an answer from now on.
func (c *Client) IgnoreHeartbeats() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.silent = true
}

// Call calls a method and returns its result. The error is an *Error if the answer is
// one, and an *EndError if there is none.
func (c *Client) Call(ctx context.Context, method string, params any) (json.RawMessage, error) {
	answer := make(chan response, 1)
	id, err := c.send(method, params, answer)
	if err != nil {
		return nil, err
	}
	defer func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		delete(c.waiting, id)
	}()
	select {
	case r := <-answer:
		return r.result()
	case <-ctx.Done():
		return nil, fmt.Errorf("exchangeclient: %s: %w", method, context.Cause(ctx))
	case <-c.ended:
	}
	select {
	case r := <-answer: // it came before the end
		return r.result()
	default:
		return nil, c.end()
	}
}

func (r response) result() (json.RawMessage, error) {
	if r.Error != nil {
		return nil, r.Error
	}
	return r.Result, nil
}

// Send calls a method and does not wait for an answer.
func (c *Client) Send(method string, params any) error {
	_, err := c.send(method, params, nil)
	return err
}

func (c *Client) send(method string, params any, answer chan response) (int64, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.serial++
	id := c.serial
	if params == nil {
		params = struct{}{}
	}
	message, err := json.Marshal(map[string]any{"jsonrpc": "2.0", "id": id, "method": method, "params": params})
	if err != nil {
		return 0, fmt.Errorf("exchangeclient: %w", err)
	}
	if answer != nil {
		c.waiting[id] = answer
	}
	if err := c.conn.SetWriteDeadline(time.Now().Add(writeTimeout)); err != nil {
		return 0, fmt.Errorf("exchangeclient: %w", err)
	}
	if err := c.conn.WriteMessage(websocket.TextMessage, message); err != nil {
		return 0, fmt.Errorf("exchangeclient: %w", err)
	}
	return id, nil
}

// Notification returns the next message that answers no call, of the last thousand.
func (c *Client) Notification(ctx context.Context) (Notification, error) {
	select {
	case n := <-c.notifications:
		return n, nil
	default:
	}
	select {
	case n := <-c.notifications:
		return n, nil
	case <-ctx.Done():
		return Notification{}, fmt.Errorf("exchangeclient: awaiting a notification: %w", context.Cause(ctx))
	case <-c.ended:
		return Notification{}, c.end()
	}
}

// AwaitEnd waits for the connection to end and returns how it did.
func (c *Client) AwaitEnd(ctx context.Context) (*EndError, error) {
	select {
	case <-c.ended:
		return c.end(), nil
	case <-ctx.Done():
		return nil, fmt.Errorf("exchangeclient: awaiting the end: %w", context.Cause(ctx))
	}
}

// end is called once the connection has ended.
func (c *Client) end() *EndError {
	c.mu.Lock()
	defer c.mu.Unlock()
	return &EndError{Code: c.code, Reason: c.reason}
}

// Close sends a close frame with this code, and waits for that of the server.
func (c *Client) Close(ctx context.Context, code int) error {
	frame := websocket.FormatCloseMessage(code, "")
	if err := c.conn.WriteControl(websocket.CloseMessage, frame, time.Now().Add(writeTimeout)); err != nil {
		c.Drop()
		return fmt.Errorf("exchangeclient: %w", err)
	}
	_, err := c.AwaitEnd(ctx)
	c.Drop()
	return err
}

// Drop ends the connection without a close frame.
func (c *Client) Drop() {
	_ = c.conn.Close() // an error if it has ended already, which is fine
	<-c.ended
}

// Reset ends the connection with a TCP reset.
func (c *Client) Reset() error {
	if tcp, ok := c.conn.NetConn().(*net.TCPConn); ok {
		if err := tcp.SetLinger(0); err != nil {
			return fmt.Errorf("exchangeclient: %w", err)
		}
	}
	c.Drop()
	return nil
}
