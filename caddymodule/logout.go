package caddymodule

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"example.com/caddy-token-auth/dialect"
	"example.com/caddy-token-auth/revocation"
	"example.com/caddy-token-auth/token"
)

// serveLogout answers the API's logout. Whatever body the request has is left
// unread, unless the configuration looks into it: the server drops it, and ends the
// connection over one that is large.
func (h *Handler) serveLogout(w http.ResponseWriter, r *http.Request, next caddyhttp.Handler) error {
	if !h.logoutMethods.has(r.Method) {
		return h.refuseMethod(w, r, next, h.logoutMethods)
	}
	h.remember(r)
	callers, refused := h.authorizeLogout(r)
	if refused != nil {
		countRefusedLogout(h.logoutScope, refused)
		return h.refuseOr(w, r, refused, next)
	}
	scope, err := h.scopeRules.scope(r, h.logoutScope)
	if err != nil {
		return h.refuseOr(w, r, grantRefusal(err), next)
	}
	for i := range callers {
		refused := h.logOut(r, &callers[i], scope)
		countLogout(&callers[i], scope, refused)
		if refused != nil {
			return h.refuseOr(w, r, refused, next)
		}
	}
	if h.forwardLogout || h.dryRun {
		h.admit(r, &callers[0])
		return next.ServeHTTP(w, r)
	}
	return writeAnswer(w, h.dialect.LoggedOut(h.describe(r)))
}

// authorizeLogout returns whom a logout is about: the sender of the access token, and the
// owner of the refresh token where one is looked for. They must be the same client.
func (h *Handler) authorizeLogout(r *http.Request) ([]caller, *refusal) {
	grant, grantErr := "", errNoRefreshToken
	if !h.logoutToken.empty() {
		// What cannot be read may be a token that would outlive the logout.
		if grant, grantErr = h.logoutToken.findHere(r); grantErr != nil && !errors.Is(grantErr, errNoRefreshToken) {
			return nil, grantRefusal(grantErr)
		}
	}
	c, refused := h.authorizeAccess(r)
	if grantErr != nil {
		return []caller{c}, refused
	}
	owner, grantRefused := h.judge(r, credential{text: grant, held: true})
	switch {
	case refused != nil && refused.reason != dialect.MissingCredential && refused.reason != dialect.ExpiredCredential:
		return nil, refused
	case grantRefused != nil && (refused != nil || grantRefused.reason == dialect.Unavailable):
		return nil, grantRefused
	case grantRefused != nil:
		return []caller{c}, nil // expired or revoked already: nothing is left to revoke
	case refused != nil:
		return []caller{owner}, nil
	case c.identity.Realm() != owner.identity.Realm() || c.identity.ClientKey() != owner.identity.ClientKey():
		return nil, credentialRefusal(token.ErrConflict)
	}
	return []caller{c, owner}, nil
}

// authorizeAccess is authorize for who gives a token up: it may be one that does not authorise
// its bearer and, where that is configured, one that has expired.
func (h *Handler) authorizeAccess(r *http.Request) (caller, *refusal) {
	found, err := h.sources.find(r)
	found.held = true
	c, refused := h.authorizeFound(r, found, err)
	if refused == nil && c.identity == nil {
		// Of this credential nothing can be revoked.
		return caller{}, credentialRefusal(errNoClaim)
	}
	if refused == nil || refused.reason != dialect.ExpiredCredential || !h.acceptExpired {
		return c, refused
	}
	if c, err = h.verifyExpired(r.Context(), found.text); err != nil {
		return caller{}, credentialRefusal(err)
	}
	return c, h.admissible(r, &c)
}

// verifyExpired is verifyToken, but for the expiry.
func (h *Handler) verifyExpired(ctx context.Context, raw string) (caller, error) {
	if !h.takesAsJWT(raw) {
		return h.opaque.identifyExpired(ctx, h.app, raw)
	}
	t, err := h.verifier.VerifyIgnoringExpiry(ctx, raw)
	if err != nil {
		return caller{}, err
	}
	return h.complete(ctx, t)
}

// logOut records the revocation of one caller's token, session or client.
func (h *Handler) logOut(r *http.Request, c *caller, scope revocation.Scope) *refusal {
	if c.begun {
		return nil // a session that nobody has been told of
	}
	if c.unproven && !h.unproven.allow(clientAddr(r), h.app.listLifetime()) {
		return &refusal{reason: dialect.RateLimited, err: errUnproven}
	}
	scope = scopeFor(c, scope)
	asked := attempt{
		cause: causeLogout, from: auditAddr(r), of: c.identity,
		scope: scope, kind: kindOf(c.identity, scope), realm: c.identity.Realm(), id: identifierOf(c.identity, scope),
	}
	return h.app.revoke(r, asked, func(ctx context.Context, list *revocation.List) (revocation.Entry, error) {
		return list.Revoke(ctx, c.identity, scope)
	})
}

// scopeFor narrows or widens the scope of a logout to what there is: of an opaque token
// that was not seen being issued, nobody knows more than itself; a token that names no
// client may name its session; and an API key is never revoked, only its session.
func scopeFor(c *caller, scope revocation.Scope) revocation.Scope {
	if c.session != nil && scope == revocation.ScopeToken {
		return revocation.ScopeSession
	}
	if c.identity.Undated() {
		return revocation.ScopeToken
	}
	if scope == revocation.ScopeClient && c.identity.Client() == "" {
		scope = revocation.ScopeSession
	}
	if scope == revocation.ScopeSession && c.identity.Session() == "" {
		scope = revocation.ScopeToken
	}
	return scope
}

// recordTimeout bounds how long a request waits for its record to become durable.
const recordTimeout = 10 * time.Second

// recordContext is the context in which something is recorded. It does not end with
// the request: who closes the tab right after logging out is logged out.
func recordContext(r *http.Request) (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.WithoutCancel(r.Context()), recordTimeout)
}
