package caddymodule

import (
	"context"
	"net/http"
	"time"

	"go.uber.org/zap"

	"example.com/caddy-token-auth/dialect"
	"example.com/caddy-token-auth/revocation"
)

// serveLogout answers the API's logout. Whatever body the request has is left
// unread: the server drops it, and ends the connection over one that is large.
func (h *Handler) serveLogout(w http.ResponseWriter, r *http.Request) error {
	if r.Method != http.MethodPost {
		w.Header().Set("Allow", http.MethodPost)
		return h.refuse(w, r, &refusal{reason: dialect.MethodNotAllowed})
	}
	t, refused := h.authorize(r)
	if refused != nil {
		return h.refuse(w, r, refused)
	}
	list := h.app.list(r.Context())
	if list == nil {
		return h.refuse(w, r, &refusal{reason: dialect.Unavailable, err: revocation.ErrClosed})
	}
	ctx, cancel := recordContext(r)
	defer cancel()
	entry, err := list.Revoke(ctx, t.Identity(), h.logoutScope)
	if err != nil {
		return h.refuse(w, r, &refusal{reason: dialect.Unavailable, err: err})
	}
	h.logRevocation("logout", entry)
	return writeAnswer(w, h.dialect.LoggedOut(describe(w, r)))
}

// recordTimeout bounds how long a request waits for its record to become durable.
const recordTimeout = 10 * time.Second

// recordContext is the context in which something is recorded. It does not end with
// the request: who closes the tab right after logging out is logged out.
func recordContext(r *http.Request) (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.WithoutCancel(r.Context()), recordTimeout)
}

// logRevocation writes the audit line of a revocation. It holds identifiers, which
// cannot be presented as credentials.
func (h *Handler) logRevocation(cause string, entry revocation.Entry) {
	h.log.Info("revoked",
		zap.String("cause", cause),
		zap.Stringer("scope", entry.Scope),
		zap.String("realm", entry.Realm),
		zap.String("id", entry.ID),
		zap.Time("at", entry.At),
		zap.Time("kept_until", entry.Expires))
}
