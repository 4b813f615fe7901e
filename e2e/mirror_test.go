package e2e

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gobwas/ws"
)

// mirror is an upstream whose WebSocket connections a test holds at both ends.
type mirror struct {
	server *httptest.Server
	serial atomic.Int64

	mu      sync.Mutex
	waiting map[string]chan *wire // by the number in the URL
}

// newMirror returns an upstream that takes a WebSocket at every path, and serves other
// requests as an empty page.
func newMirror(t *testing.T) *mirror {
	t.Helper()
	m := &mirror{waiting: make(map[string]chan *wire)}
	m.server = httptest.NewServer(m)
	t.Cleanup(m.server.Close)
	return m
}

func (m *mirror) addr() string { return m.server.Listener.Addr().String() }

func (m *mirror) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	m.mu.Lock()
	to := m.waiting[r.URL.Query().Get("number")]
	m.mu.Unlock()
	if to == nil || r.Header.Get("Upgrade") == "" {
		return
	}
	upgrader := ws.HTTPUpgrader{
		Protocol: func(name string) bool { return name == "spoken" },
		Header:   http.Header{"X-Upstream": {"mirror"}},
	}
	conn, rw, handshake, err := upgrader.Upgrade(r, w)
	if err != nil {
		return // the client's dial fails
	}
	end := newWire(conn, rw.Reader, false)
	end.handshake = fmt.Sprintf("protocol %q, extensions %v", handshake.Protocol, handshake.Extensions)
	to <- end
}

// ends are both ends of one connection.
type ends struct{ client, server *wire }

// dial opens a connection to a URL that leads to the mirror, directly or not.
func (m *mirror) dial(url string, header http.Header) (*ends, error) {
	number := strconv.FormatInt(m.serial.Add(1), 10)
	to := make(chan *wire, 1)
	m.mu.Lock()
	m.waiting[number] = to
	m.mu.Unlock()
	defer func() {
		m.mu.Lock()
		defer m.mu.Unlock()
		delete(m.waiting, number)
	}()
	ctx, cancel := context.WithTimeout(context.Background(), wireTimeout)
	defer cancel()
	var answer []string
	dialer := ws.Dialer{
		Header: ws.HandshakeHeaderHTTP(header), Protocols: []string{"unknown", "spoken"},
		OnHeader: func(key, value []byte) error {
			if k := string(key); strings.EqualFold(k, "X-Upstream") {
				answer = append(answer, string(value))
			}
			return nil
		},
	}
	conn, in, handshake, err := dialer.Dial(ctx, url+"?number="+number)
	if err != nil {
		return nil, err
	}
	client := newWire(conn, in, true)
	client.handshake = fmt.Sprintf("protocol %q, extensions %v, upstream %q", handshake.Protocol, handshake.Extensions, answer)
	select {
	case server := <-to:
		return &ends{client, server}, nil
	case <-time.After(wireTimeout):
		_ = conn.Close()
		return nil, context.DeadlineExceeded
	}
}

// close ends both ends and waits until nothing more is received.
func (e *ends) close() {
	_, _ = e.client.conn.Close(), e.server.conn.Close()
	e.awaitEnds()
}

// awaitEnds waits until both ends have seen the end of the connection.
func (e *ends) awaitEnds() {
	e.client.awaitEnd()
	e.server.awaitEnd()
}
