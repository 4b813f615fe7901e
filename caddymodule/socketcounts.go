package caddymodule

import (
	"errors"
	"sync"

	"example.com/caddy-token-auth/revocation"
	"example.com/caddy-token-auth/websocket"
)

// socketCounts are how many WebSockets there are of each client and token. Its zero value
// is ready.
type socketCounts struct {
	mu sync.Mutex
	n  map[revocation.Key]int
}

// take counts one more under k, unless there are limit already; a negative limit is none.
func (c *socketCounts) take(k revocation.Key, limit int) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if limit >= 0 && c.n[k] >= limit {
		return false
	}
	if c.n == nil {
		c.n = make(map[revocation.Key]int)
	}
	c.n[k]++
	return true
}

// give takes back what was counted under the keys of a connection.
func (c *socketCounts) give(keys map[revocation.Key]int) {
	if len(keys) == 0 {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for k := range keys {
		if c.n[k]--; c.n[k] == 0 {
			delete(c.n, k)
		}
	}
}

// errTooManyConnections says that the client or the token has as many WebSockets as it may.
var errTooManyConnections = errors.New("too many connections of this client or token")

// countSocket counts the request as a connection of id, and from now on of the identities
// that it depends on. It returns false if there are too many.
func (l *liveRequest) countSocket(id *revocation.Identity) bool {
	if l.handler.dryRun {
		return true
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.counted = make(map[revocation.Key]int)
	return id == nil || l.count(id) == nil
}

// count counts the connection under the client and the token of id, once under each. The
// caller holds mu.
func (l *liveRequest) count(id *revocation.Identity) error {
	client, token := socketKeys(id)
	if !l.countUnder(client, l.limits.perClient(), limitClient) {
		return errTooManyConnections
	}
	if !l.countUnder(token, l.limits.perToken(), limitToken) {
		l.uncountUnder(client)
		return errTooManyConnections
	}
	return nil
}

// uncount is the opposite of count.
func (l *liveRequest) uncount(id *revocation.Identity) {
	client, token := socketKeys(id)
	l.uncountUnder(client)
	l.uncountUnder(token)
}

func (l *liveRequest) countUnder(k revocation.Key, limit int, name socketLimit) bool {
	if k.IsZero() {
		return true
	}
	if l.counted[k] == 0 && !l.set().sockets.take(k, limit) {
		limitCounters.limited[name].Inc()
		return false
	}
	l.counted[k]++
	return true
}

func (l *liveRequest) uncountUnder(k revocation.Key) {
	if l.counted[k] == 0 {
		return
	}
	if l.counted[k]--; l.counted[k] == 0 {
		delete(l.counted, k)
		l.set().sockets.give(map[revocation.Key]int{k: 1})
	}
}

// socketKeys returns the keys of the client and of the token of id, the zero Key for what
// it does not have.
func socketKeys(id *revocation.Identity) (client, token revocation.Key) {
	return id.ClientKey(), revocation.KeyOf(revocation.ScopeToken, id.Realm(), id.Token())
}

// socketOptions returns how frames are followed.
func (l *liveRequest) socketOptions() websocket.Options {
	var o websocket.Options
	if l.tap != nil {
		o = l.tap(l)
	}
	l.limits.complete(&o)
	return o
}
