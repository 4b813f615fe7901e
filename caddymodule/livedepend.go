package caddymodule

import (
	"context"
	"errors"
	"slices"

	"example.com/caddy-token-auth/revocation"
	"example.com/caddy-token-auth/websocket"
)

// maxIdentities is how many identities a request may depend on: the tokens that a
// connection is authenticated by, and those that single calls carry on it.
const maxIdentities = 64

// errTooManyIdentities says that a connection has presented more than maxIdentities
// tokens.
var errTooManyIdentities = errors.New("too many different tokens on one connection")

// depend has the request end when id is revoked or expires, which is checked before depend
// returns and from then on. The caller has found it good. An identity that it depends on
// already is counted once more. The error is errTooManyIdentities, errTooManyConnections, or
// errCut if the request has ended or is being ended.
func (l *liveRequest) depend(id *revocation.Identity) error {
	d, err := l.addDependency(id)
	if err != nil || d == nil {
		return err
	}
	l.set().check(context.Background(), d)
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.cause != 0 {
		return errCut
	}
	return nil
}

// addDependency returns the dependency that has to be checked, nil if there is none.
func (l *liveRequest) addDependency(id *revocation.Identity) (*dependency, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.ended || l.cause != 0 {
		return nil, errCut
	}
	if i := l.dependsOn(id); i >= 0 {
		l.deps[i].others++
		return nil, nil
	}
	if len(l.deps) >= maxIdentities {
		limitCounters.limited[limitIdentities].Inc()
		return nil, errTooManyIdentities
	}
	if l.counted != nil {
		if err := l.count(id); err != nil {
			return nil, err
		}
	}
	d := &dependency{live: l, identity: id}
	l.deps = append(l.deps, d)
	if !l.held {
		return nil, nil // checked with the others, when they are put into the set
	}
	l.set().add(d)
	return d, nil
}

// dependsOn returns the place of id among the dependencies, or -1. The caller holds mu.
func (l *liveRequest) dependsOn(id *revocation.Identity) int {
	return slices.IndexFunc(l.deps, func(d *dependency) bool { return d.identity.Equal(id) })
}

// release is the opposite of depend: what becomes of id no longer matters to the request,
// unless it depends on it for another reason as well.
func (l *liveRequest) release(id *revocation.Identity) {
	l.mu.Lock()
	defer l.mu.Unlock()
	i := l.dependsOn(id)
	if i < 0 {
		return
	}
	if l.deps[i].others > 0 {
		l.deps[i].others--
		return
	}
	if l.held {
		l.set().remove(l.deps[i])
	}
	l.deps = slices.Delete(l.deps, i, i+1)
	if l.counted != nil {
		l.uncount(id)
	}
}

// resolveCaller has the request depend on what the credential that has begun it proves to
// be, where nobody could tell at first. It returns an error if nobody still can.
func (l *liveRequest) resolveCaller(ctx context.Context) error {
	l.mu.Lock()
	resolve := l.resolve
	l.resolve = nil
	l.mu.Unlock()
	if resolve == nil {
		return nil
	}
	id, err := resolve(ctx)
	if err == nil && id != nil {
		err = l.depend(id)
	}
	if err == nil || errors.Is(err, errCut) {
		return nil
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.resolve = resolve
	return err
}

// leave says that the request is about to end by itself: from now on no revocation and no
// expiry cuts it, so that it can end in its own way after a logout of its own. It returns
// false if the request has been cut before.
func (l *liveRequest) leave() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.ended || l.cause != 0 {
		return false
	}
	l.leaving = true
	return true
}

// stay takes leave back: what has been revoked or has expired meanwhile cuts the request.
func (l *liveRequest) stay() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.leaving = false
	if !l.held {
		return
	}
	for _, d := range l.deps {
		l.set().recheckSoon(d)
	}
}

// socket returns the connection that the request was upgraded to, nil before.
func (l *liveRequest) socket() *websocket.Conn {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.conn
}

// cutFor cuts the request because of one identity, unless it no longer depends on that.
func (l *liveRequest) cutFor(d *dependency, cause cutCause) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.leaving && slices.Contains(l.deps, d) {
		l.cutLocked(cause)
	}
}
