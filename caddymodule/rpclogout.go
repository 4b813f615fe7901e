package caddymodule

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/gobwas/ws"

	"example.com/caddy-token-auth/jsonrpc"
	"example.com/caddy-token-auth/revocation"
	"example.com/caddy-token-auth/token"
	"example.com/caddy-token-auth/websocket"
)

// watchLogout has a logout that was passed on recorded if the API does not close the
// connection in time.
func (c *rpcConnection) watchLogout() {
	if due, ok := c.session.LogoutDue(); ok {
		c.schedule(&c.logout, due, c.checkLogout)
	}
}

func (c *rpcConnection) checkLogout() {
	due, ok := c.session.LogoutDue()
	switch {
	case !ok:
	case time.Now().Before(due):
		c.watchLogout() // for another one: the first was refused
	default:
		if closing, ended := c.finishLogout(); ended {
			c.live.socket().Disconnect(closing)
		}
	}
}

// finishLogout records a logout that was passed on, if there is one, and says how the
// connection ends by it. It does not end with the connection.
func (c *rpcConnection) finishLogout() (closing websocket.Closing, ended bool) {
	ctx, cancel := recordContext(c.handshake())
	defer cancel()
	d := c.session.FinishLogout(ctx)
	c.note(d.Refused)
	if d.Action != jsonrpc.Close || c.handler.dryRun {
		return websocket.Closing{}, false
	}
	return c.closing(d), true
}

// serverClosing is told that the API ends the connection, before the client is. That is what
// a logout that was passed on has been waiting for.
func (c *rpcConnection) serverClosing(code ws.StatusCode, reason string) websocket.Decision {
	closing, ended := c.finishLogout()
	if !ended {
		return websocket.Pass()
	}
	if closing.Code == ws.StatusNormalClosure && code != 0 && code != ws.StatusNoStatusRcvd {
		closing.Code, closing.Reason = code, reason // it is the API that closes
	}
	return websocket.Disconnect(closing)
}

// Revoke implements jsonrpc.Authorizer: it revokes the sessions of the tokens that the
// logout names, and those that were begun on this connection. One that the API has been told
// of counts although the connection is gone or was cut meanwhile.
func (a *rpcAuthorizer) Revoke(ctx context.Context, logout jsonrpc.Logout) error {
	live := a.conn.live
	stays := live.leave()
	if !stays && !logout.Forwarded {
		return errCut // for another reason, and the client is told so
	}
	if refused := a.revoke(a.conn.handshake().WithContext(ctx), logout); refused != nil {
		if stays {
			live.stay()
		}
		a.fails(refused.err)
		return &jsonrpc.RefusedError{Reason: refused.reason, Err: refused.err}
	}
	return nil
}

func (a *rpcAuthorizer) revoke(r *http.Request, logout jsonrpc.Logout) *refusal {
	h := a.conn.handler
	done := make(map[revocation.Key]bool)
	var of *revocation.Identity
	for _, raw := range logout.Tokens {
		c, err := h.verifyToken(r.Context(), string(raw))
		switch {
		case errors.Is(err, token.ErrExpired):
			continue // meanwhile: nothing of it is left to revoke
		case err != nil:
			refused := credentialRefusal(err)
			countRefusedLogout(h.logoutScope, refused)
			return refused
		}
		if of = c.identity; done[a.keyOf(&c)] {
			continue
		}
		refused := h.logOut(r, &c, h.logoutScope)
		countLogout(&c, h.logoutScope, refused)
		if refused != nil {
			return refused
		}
		done[a.keyOf(&c)] = true
	}
	if h.logoutScope == revocation.ScopeToken {
		return nil
	}
	for _, session := range logout.Sessions {
		realm := a.realmOf(session)
		if done[revocation.KeyOf(revocation.ScopeSession, realm, revocation.CanonicalID(session))] {
			continue
		}
		asked := attempt{
			cause: causeLogout, from: auditAddr(r), of: of,
			scope: revocation.ScopeSession, realm: realm, id: revocation.CanonicalID(session),
		}
		refused := h.app.revoke(r, asked, func(ctx context.Context, list *revocation.List) (revocation.Entry, error) {
			return list.RevokeNamed(ctx, revocation.ScopeSession, realm, session)
		})
		if refused != nil {
			logouts.WithLabelValues(logoutFailed, revocation.ScopeSession.String()).Inc()
			return refused
		}
		logouts.WithLabelValues(logoutDone, revocation.ScopeSession.String()).Inc()
	}
	return nil
}

// keyOf returns the key of what a logout of c writes.
func (a *rpcAuthorizer) keyOf(c *caller) revocation.Key {
	scope := scopeFor(c, a.conn.handler.logoutScope)
	return revocation.KeyOf(scope, c.identity.Realm(), identifierOf(c.identity, scope))
}

// realmOf returns the realm of a session that has begun on this connection.
func (a *rpcAuthorizer) realmOf(session string) string {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.sessions[session]
}
