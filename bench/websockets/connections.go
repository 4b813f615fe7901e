package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/gobwas/ws"
)

// openers is how many connections are being opened at a time.
const openers = 32

// connection is an open WebSocket. early has what the server sent with its handshake.
type connection struct {
	net.Conn
	early *bufio.Reader // nil if there is nothing
}

// Read implements io.Reader.
func (c *connection) Read(p []byte) (int, error) {
	if c.early != nil && c.early.Buffered() > 0 {
		return c.early.Read(p)
	}
	return c.Conn.Read(p)
}

// dial opens a WebSocket, with a token unless it is empty.
func dial(ctx context.Context, s *server, token string) (*connection, error) {
	dialer := ws.Dialer{Timeout: time.Minute}
	if token != "" {
		dialer.Header = ws.HandshakeHeaderHTTP{"Authorization": {"Bearer " + token}}
	}
	conn, early, _, err := dialer.Dial(ctx, "ws://"+s.address+"/ws/api/v2")
	if err != nil {
		return nil, fmt.Errorf("open a WebSocket at %s: %w\n%s", s.Name, err, s.Log())
	}
	return &connection{Conn: conn, early: early}, nil
}

// crowd is many connections, of which some clients have equal shares. Nobody sends
// anything on them.
type crowd struct {
	tokens  []string // one for each client
	clients [][]*connection
}

// open opens all connections.
func (l *lab) open(ctx context.Context, s *server) (*crowd, error) {
	clients := l.connections / l.perClient
	tokens, err := l.signer.Tokens(0, clients)
	if err != nil {
		return nil, err
	}
	c := &crowd{tokens: tokens, clients: make([][]*connection, clients)}
	for i := range c.clients {
		c.clients[i] = make([]*connection, l.perClient)
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	places := make(chan int)
	var tasks sync.WaitGroup
	for range openers {
		tasks.Go(func() {
			for i := range places {
				conn, err := dial(ctx, s, c.tokens[i%clients])
				if err != nil {
					cancel(err)
					return
				}
				c.clients[i%clients][i/clients] = conn
			}
		})
	}
	for i := range clients * l.perClient {
		select {
		case places <- i:
			continue
		case <-ctx.Done():
		}
		break
	}
	close(places)
	tasks.Wait()
	if err := context.Cause(ctx); err != nil {
		c.close()
		return nil, err
	}
	return c, nil
}

func (c *crowd) close() {
	for _, client := range c.clients {
		for _, conn := range client {
			if conn != nil {
				_ = conn.Close() // it may have been closed by the server
			}
		}
	}
}

// cut is how a connection was closed.
type cut struct {
	at   time.Time
	code ws.StatusCode
	err  error
}

// awaitClose reads until the close frame.
func (c *connection) awaitClose() cut {
	for {
		header, err := ws.ReadHeader(c)
		if err == nil && header.OpCode != ws.OpClose {
			err = discard(c, header.Length)
		}
		if err != nil {
			return cut{at: time.Now(), err: err}
		}
		if header.OpCode == ws.OpClose {
			payload := make([]byte, min(header.Length, ws.MaxControlFramePayloadSize))
			_, err := io.ReadFull(c, payload)
			code, _ := ws.ParseCloseFrameData(payload)
			return cut{at: time.Now(), code: code, err: err}
		}
	}
}

// upgradeRefused says whether a server does not let a request through.
func upgradeRefused(err error) bool {
	status, ok := errors.AsType[ws.StatusError](err)
	return ok && status >= http.StatusBadRequest
}

// discard reads n bytes.
func discard(r io.Reader, n int64) error {
	_, err := io.CopyN(io.Discard, r, n)
	return err
}
