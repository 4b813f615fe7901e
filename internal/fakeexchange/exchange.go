package fakeexchange

import (
	"net/http"
	"strings"
	"sync"
)

// Paths of the API. A method is called at HTTPPath, a slash and its name.
const (
	WebSocketPath = "/ws/api/v2"
	HTTPPath      = "/api/v2"
)

// Limits of what clients can make grow.
const (
	maxConnections = 20_000
	maxMessage     = 1 << 20
	maxTokens      = 100_000
	maxSessions    = 100_000
	maxOrders      = 10_000 // of an account
	maxChannels    = 500    // of a connection
)

// Exchange is the exchange. New makes one; it is an http.Handler.
type Exchange struct {
	options Options
	record  record

	// running are the connections that are served.
	running sync.WaitGroup

	mu       sync.Mutex // guards all below, and the fields of what they lead to
	closed   bool
	accounts map[int64]*account
	tokens   map[string]*token // by their value
	sessions map[sessionKey]*session
	open     map[*connection]struct{}

	connections int64 // how many have been opened
	serial      int64 // how many orders have been given
}

// account is where orders are.
type account struct {
	number int64
	client string
	orders map[string]*Order // those that are open, by their ID
	cancel *bool             // Cancel On Disconnect, where something was said of it
}

// ServeHTTP serves the API.
func (x *Exchange) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch method, below := strings.CutPrefix(r.URL.Path, HTTPPath); {
	case r.URL.Path == WebSocketPath:
		x.serveWebSocket(w, r)
	case below && (method == "" || method[0] == '/'):
		x.serveCall(w, r, strings.TrimPrefix(method, "/"))
	default:
		http.NotFound(w, r)
	}
}

// Close ends all connections, without a close frame, and waits for them. No more are
// accepted.
func (x *Exchange) Close() {
	x.mu.Lock()
	x.closed = true
	for c := range x.open {
		c.cancel()
	}
	x.mu.Unlock()
	x.running.Wait()
}
