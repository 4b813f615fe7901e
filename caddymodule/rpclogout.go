package caddymodule

import (
	"context"
	"errors"

	"example.com/caddy-token-auth/jsonrpc"
	"example.com/caddy-token-auth/revocation"
	"example.com/caddy-token-auth/token"
)

// Revoke implements jsonrpc.Authorizer: it revokes the sessions of the tokens that the
// logout names, and those that were begun on this connection.
func (a *rpcAuthorizer) Revoke(_ context.Context, logout jsonrpc.Logout) error {
	live := a.conn.live
	if !live.leave() {
		return errCut // for another reason, and the client is told so
	}
	if refused := a.revoke(logout); refused != nil {
		live.stay()
		a.fails(refused.err)
		return &jsonrpc.RefusedError{Reason: refused.reason, Err: refused.err}
	}
	return nil
}

func (a *rpcAuthorizer) revoke(logout jsonrpc.Logout) *refusal {
	h, r := a.conn.handler, a.conn.handshake()
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
