package caddymodule

import (
	"context"
	"crypto/rand"
	"errors"
	"slices"
	"sync"
	"time"

	"example.com/caddy-token-auth/dialect"
	"example.com/caddy-token-auth/jsonrpc"
	"example.com/caddy-token-auth/revocation"
)

// rpcAuthorizer judges the tokens on one connection like those of requests, records those
// that it hands out, and has the connection depend on those that it works with.
type rpcAuthorizer struct {
	conn *rpcConnection
	name string // of the sessions that begin on the connection
	// handshake is the credential of the handshake, on which the connection depends to its
	// end; nil if there is none.
	handshake *revocation.Identity
	// checked says that the message at hand has a credential that was found good. It
	// belongs to the client's direction.
	checked bool

	mu       sync.Mutex // guards what follows
	since    revocation.Mark
	marked   bool // since is that of the open call for tokens
	tokens   []rpcToken
	sessions map[string]string // realm of each session that has begun
	err      error             // what has gone wrong last
}

// rpcToken is an access token that the connection depends on.
type rpcToken struct {
	identity *revocation.Identity
	// carried says that calls carry it: it is not just the connection's own.
	carried bool
}

func newRPCAuthorizer(c *rpcConnection) *rpcAuthorizer {
	return &rpcAuthorizer{conn: c, name: "connection:" + rand.Text(), sessions: make(map[string]string)}
}

// Check implements jsonrpc.Authorizer.
func (a *rpcAuthorizer) Check(ctx context.Context, cred jsonrpc.Credential) jsonrpc.Verdict {
	refused := a.check(ctx, cred)
	if refused != nil {
		a.fails(refused.err)
		return jsonrpc.Verdict{Reason: refused.reason}
	}
	a.checked = true
	return jsonrpc.Verdict{Live: true}
}

func (a *rpcAuthorizer) check(ctx context.Context, cred jsonrpc.Credential) *refusal {
	h := a.conn.handler
	r := a.conn.handshake()
	use := revocation.UseAccess
	if cred.Refresh {
		use = revocation.UseRefresh
	}
	c, refused := h.judgeAs(r, string(cred.Token), use)
	switch {
	case refused != nil:
		return refused
	case cred.Refresh:
		return h.checkStore(r, &c)
	case cred.Own || h.dryRun:
		return nil
	}
	return a.depend(rpcToken{identity: c.identity, carried: true})
}

// depend has the connection end with a token, as which it is known from now on.
func (a *rpcAuthorizer) depend(t rpcToken) *refusal {
	a.mu.Lock()
	defer a.mu.Unlock()
	for i := range a.tokens {
		if known := &a.tokens[i]; known.identity.Equal(t.identity) {
			known.carried = known.carried || t.carried
			return nil
		}
	}
	if err := a.conn.live.depend(t.identity); err != nil {
		return dependencyRefusal(err)
	}
	a.tokens = append(a.tokens, t)
	return nil
}

// dependencyRefusal is the refusal for an error of liveRequest.depend.
func dependencyRefusal(err error) *refusal {
	switch {
	case errors.Is(err, errCut):
		return &refusal{reason: dialect.RevokedCredential, err: err}
	case errors.Is(err, errTooManyConnections):
		return &refusal{reason: dialect.TooManyConnections, err: err}
	}
	return &refusal{reason: dialect.RateLimited, err: err}
}

// Asking implements jsonrpc.Authorizer.
func (a *rpcAuthorizer) Asking(ctx context.Context) {
	list := a.conn.handler.app.list(ctx)
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.marked = list != nil; a.marked {
		a.since = list.Mark()
	}
}

// Learned implements jsonrpc.Authorizer. The session of the tokens is the API's own where
// it names one; otherwise that of the refresh token that they were issued for, or one of
// this connection.
func (a *rpcAuthorizer) Learned(ctx context.Context, grant jsonrpc.Grant) (string, error) {
	owner, refused := a.learn(ctx, grant)
	if refused != nil {
		a.fails(refused.err)
		return "", &jsonrpc.RefusedError{Reason: refused.reason, Err: refused.err}
	}
	return owner.Session, nil
}

const (
	methodAuth  = "public/auth"
	typeRefresh = "refresh_token"
)

func (a *rpcAuthorizer) learn(ctx context.Context, grant jsonrpc.Grant) (owner revocation.Issuance, refused *refusal) {
	h, r := a.conn.handler, a.conn.handshake()
	list := h.app.list(ctx)
	a.mu.Lock()
	since, marked := a.since, a.marked
	a.mu.Unlock()
	if list == nil || !marked {
		return owner, &refusal{reason: dialect.Unavailable, err: revocation.ErrClosed}
	}
	var exchanged *caller
	var used *revocation.Identity
	if grant.Used != "" {
		c, err := h.verifyToken(ctx, string(grant.Used))
		if err != nil {
			return owner, credentialRefusal(err)
		}
		exchanged, used = &c, c.identity
	}
	if used != nil && h.rotates {
		// Of several answers to one refresh token, one is handed out.
		wait, cancel := context.WithTimeout(ctx, recordTimeout)
		release, err := h.app.shared.refreshes.acquire(wait, revocation.KeyOf(revocation.ScopeToken, used.Realm(), used.Token()))
		cancel()
		if err != nil {
			return owner, &refusal{reason: dialect.Unavailable, err: err}
		}
		defer release()
		if refused := h.checkStore(r, exchanged); refused != nil {
			return owner, refused
		}
	}
	seen := learned{found: issued{
		access: string(grant.Access), refresh: string(grant.Refresh),
		session: firstOf(grant.SID, sessionOf(used), a.sessionOf(grant)),
	}}
	if grant.ExpiresIn > 0 {
		seen.found.accessExpires = time.Now().Add(grant.ExpiresIn)
	}
	h.learnTokens(r, &seen, since, used)
	switch {
	case seen.refused != nil:
		return owner, seen.refused
	case seen.owner.Client != "" && !h.addressAllowed(r, seen.owner.Client):
		return owner, &refusal{reason: dialect.AddressForbidden}
	}
	if exchanged != nil {
		// A logout that came while the upstream was working wins.
		if refused := h.checkStore(r, exchanged); refused != nil {
			return owner, refused
		}
	}
	if refused := a.joins(seen.owner); refused != nil {
		return owner, refused
	}
	var own *revocation.Identity
	if grant.Method == methodAuth && !h.dryRun {
		if own, refused = a.takeOn(ctx, grant); refused != nil {
			return owner, refused
		}
	}
	// From here on nothing but the store can keep the tokens from the client: the one that
	// they were issued for is not spent for nothing.
	if exchanged != nil && h.rotates && grant.Type == typeRefresh && grant.Refresh != "" && grant.Refresh != grant.Used {
		if err := h.rotate(r, list, since, exchanged); err != nil {
			a.drop(own)
			return owner, &refusal{reason: dialect.Unavailable, err: err}
		}
	}
	if own != nil {
		a.becomes(own, grant, used)
	}
	return seen.owner, nil
}

// sessionOf is the name of a session that begins on this connection: one for all that its
// logins hand out, and one for each name that they give.
func (a *rpcAuthorizer) sessionOf(grant jsonrpc.Grant) string {
	if name := grant.SessionName(); name != "" {
		return a.name + ":" + name
	}
	return a.name
}

// errTooManySessions says that more than jsonrpc.MaxSessions have begun on one connection.
var errTooManySessions = errors.New("too many sessions on one connection")

// joins notes the session of tokens that are about to be handed out. jsonrpc.Session has the
// same limit, but learns of a session too late to save a refresh token.
func (a *rpcAuthorizer) joins(owner revocation.Issuance) *refusal {
	a.mu.Lock()
	defer a.mu.Unlock()
	if _, known := a.sessions[owner.Session]; !known && len(a.sessions) >= jsonrpc.MaxSessions {
		return &refusal{reason: dialect.RateLimited, err: errTooManySessions}
	}
	a.sessions[owner.Session] = owner.Realm
	return nil
}

// takeOn has the connection depend on the access token of a grant.
func (a *rpcAuthorizer) takeOn(ctx context.Context, grant jsonrpc.Grant) (*revocation.Identity, *refusal) {
	c, err := a.conn.handler.verifyToken(ctx, string(grant.Access))
	if err != nil {
		return nil, credentialRefusal(err)
	}
	if refused := a.depend(rpcToken{identity: c.identity}); refused != nil {
		return nil, refused
	}
	return c.identity, nil
}

// drop takes takeOn back for a token that is not handed out. nil is none.
func (a *rpcAuthorizer) drop(own *revocation.Identity) {
	if own == nil {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.tokens = slices.DeleteFunc(a.tokens, func(t rpcToken) bool {
		if t.carried || !t.identity.Equal(own) {
			return false
		}
		a.release(t.identity)
		return true
	})
}

// release ends a dependency, unless it is that of the handshake. a.mu is held.
func (a *rpcAuthorizer) release(id *revocation.Identity) {
	if a.handshake == nil || !id.Equal(a.handshake) {
		a.conn.live.release(id)
	}
}

// becomes makes the access token of a grant, which the connection depends on, its own. The
// connection no longer depends on the one before of the same session, nor on others that a
// refresh replaces. With the own token of another session it goes on to end when that is
// revoked, since what it has opened there lasts; that it expires no longer matters.
func (a *rpcAuthorizer) becomes(own *revocation.Identity, grant jsonrpc.Grant, used *revocation.Identity) {
	a.mu.Lock()
	defer a.mu.Unlock()
	refreshed := used != nil && grant.Type == typeRefresh && used.Session() != ""
	a.tokens = slices.DeleteFunc(a.tokens, func(t rpcToken) bool {
		replaced := refreshed && t.identity.Realm() == used.Realm() && t.identity.Session() == used.Session()
		if t.identity.Equal(own) || !replaced && (t.carried || !sameSession(t.identity, own)) {
			return false
		}
		a.release(t.identity)
		return true
	})
	for i := range a.tokens {
		if t := &a.tokens[i]; !t.carried && !t.identity.Equal(own) {
			a.outlive(t)
		}
	}
}

// sameSession reports whether two tokens are of one session: where neither names one, of
// one client.
func sameSession(a, b *revocation.Identity) bool {
	return a.Realm() == b.Realm() && a.Session() == b.Session() && (a.Session() != "" || a.Client() == b.Client())
}

// outlive has the connection depend on all of a token but its expiry. If it cannot, nothing
// changes. a.mu is held.
func (a *rpcAuthorizer) outlive(t *rpcToken) {
	id := t.identity
	if id.Undated() || id.Expires().IsZero() {
		return
	}
	lasting := revocation.NewIdentity(id.Realm(), id.Token(), id.Session(), id.Client(), id.IssuedAt(), time.Time{})
	if a.conn.live.depend(lasting) == nil {
		a.release(id)
		t.identity = lasting
	}
}

// fails keeps an error for the log.
func (a *rpcAuthorizer) fails(err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.err = err
}

// takeErr returns it, once.
func (a *rpcAuthorizer) takeErr() error {
	a.mu.Lock()
	defer a.mu.Unlock()
	err := a.err
	a.err = nil
	return err
}
