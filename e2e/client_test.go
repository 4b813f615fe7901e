package e2e

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"
)

// exchangeTimeout bounds one request and its answer.
const exchangeTimeout = 20 * time.Second

// answer is a response that was received to its last byte.
type answer struct {
	status int
	header http.Header
	body   string
}

func (a answer) is(status int, body string) bool { return a.status == status && a.body == body }

func (a answer) String() string { return fmt.Sprintf("%d %s", a.status, a.body) }

// client is one keep-alive connection. Unlike net/http's client it sends nothing
// twice on its own account, and says how far an exchange got. It is used by one
// goroutine at a time.
type client struct {
	addr string
	conn net.Conn
	in   *bufio.Reader
	used bool // an answer has been received on conn

	// How often repeat has found a kept and a new connection closed.
	closedKept, closedFresh int
}

func (s *sidecar) client() *client { return &client{addr: s.addr} }

// lostError is an exchange without an answer.
type lostError struct {
	// dialed is false if there was no connection at all.
	dialed bool
	// reused is true if the connection had served a request before.
	reused bool
	// begun is true if some of the answer was received.
	begun bool
	err   error
}

func (e *lostError) Error() string {
	return fmt.Sprintf("no answer (connected %t, reused %t, begun %t): %v", e.dialed, e.reused, e.begun, e.err)
}

func (e *lostError) Unwrap() error { return e.err }

// do sends one request and receives its answer, on the connection of the request
// before if the server has kept it. An error is always a *lostError.
func (c *client) do(method, path, token, body string) (answer, error) {
	var header string
	if token != "" {
		header = "Authorization: Bearer " + token + "\r\n"
	}
	if body != "" {
		header += "Content-Type: application/json\r\n"
	}
	return c.exchange(method, path, header, body)
}

// exchange is do with header fields, each with CRLF at its end.
func (c *client) exchange(method, path, header, body string) (answer, error) {
	if c.conn == nil {
		ctx, cancel := context.WithTimeout(context.Background(), exchangeTimeout)
		defer cancel()
		conn, err := new(net.Dialer).DialContext(ctx, "tcp", c.addr)
		if err != nil {
			return answer{}, &lostError{err: err}
		}
		c.conn, c.in, c.used = conn, bufio.NewReader(conn), false
	}
	lost := &lostError{dialed: true, reused: c.used}
	a, keep, err := c.roundTrip(method, path, header, body, lost)
	if err != nil {
		lost.err = err
		c.close()
		return answer{}, lost
	}
	c.used = true
	if !keep {
		c.close()
	}
	return a, nil
}

func (c *client) roundTrip(method, path, header, body string, lost *lostError) (a answer, keep bool, err error) {
	if err := c.conn.SetDeadline(time.Now().Add(exchangeTimeout)); err != nil {
		return answer{}, false, err
	}
	var request strings.Builder
	fmt.Fprintf(&request, "%s %s HTTP/1.1\r\nHost: %s\r\n%s", method, path, c.addr, header)
	if method != http.MethodGet {
		fmt.Fprintf(&request, "Content-Length: %d\r\n", len(body))
	}
	request.WriteString("\r\n" + body)
	_, writeErr := io.WriteString(c.conn, request.String())
	// A server that will not read may still have answered.
	if _, err := c.in.Peek(1); err != nil {
		return answer{}, false, errors.Join(writeErr, err)
	}
	lost.begun = true
	resp, err := http.ReadResponse(c.in, &http.Request{Method: method})
	if err != nil {
		return answer{}, false, err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		return answer{}, false, err
	}
	return answer{resp.StatusCode, resp.Header, string(text)}, !resp.Close && writeErr == nil, nil
}

// repeat is do for a client that lives with a server whose listeners are replaced. It
// sends a request again in the two cases in which a reload of Caddy, with or without
// this plugin, closes a connection before the first byte of an answer:
//
//   - the connection was kept from the request before, and the old server closes idle
//     connections. All clients of HTTP know this race (RFC 9112 §9.3.1, §9.5).
//   - the connection is new, and the kernel had given it to the old listener, which
//     was closed before it accepted it. Old and new listen at the same time, with
//     SO_REUSEPORT.
//
// Neither server has seen the request then: who sends a logout again finds that the
// token was still good. Each happens at most once for one request.
func (c *client) repeat(method, path, token, body string) (answer, error) {
	var kept, fresh int
	for {
		a, err := c.do(method, path, token, body)
		var lost *lostError
		switch {
		case !errors.As(err, &lost) || lost.begun || errors.Is(err, os.ErrDeadlineExceeded):
			return a, err
		case lost.reused && kept == 0:
			kept++
			c.closedKept++
		case !lost.reused && fresh == 0 && !errors.Is(err, syscall.ECONNREFUSED):
			fresh++
			c.closedFresh++
		default:
			return a, err
		}
	}
}

// must is do where every request has to be answered.
func (c *client) must(t *testing.T, method, path, token, body string) answer {
	t.Helper()
	a, err := c.do(method, path, token, body)
	if err != nil {
		t.Fatalf("%s %s: %v", method, path, err)
	}
	return a
}

func (c *client) close() {
	if c.conn != nil {
		c.conn.Close()
		c.conn, c.in = nil, nil
	}
}
