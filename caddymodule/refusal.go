package caddymodule

import (
	"errors"
	"net/http"
	"slices"
	"strconv"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.uber.org/zap"

	"example.com/caddy-token-auth/dialect"
	"example.com/caddy-token-auth/revocation"
	"example.com/caddy-token-auth/token"
)

// refusal is the outcome of a request that is not let through. err says more to
// the log than the client is told; it never holds any part of a credential.
type refusal struct {
	reason dialect.Reason
	err    error
}

// retryAfter is how many seconds a client is told to wait when the list cannot
// answer. Long enough not to be hammered, short enough not to matter to a person.
const retryAfter = "5"

// credentialRefusal is the refusal for an error of verification.
func credentialRefusal(err error) *refusal {
	reason := dialect.InvalidCredential
	switch {
	case errors.Is(err, token.ErrMissing):
		reason = dialect.MissingCredential
	case errors.Is(err, token.ErrExpired):
		reason = dialect.ExpiredCredential
	case errors.Is(err, token.ErrTooOld):
		reason = dialect.AgedCredential
	case errors.Is(err, token.ErrKeysUnavailable):
		reason = dialect.Unavailable
	case errors.Is(err, errUnknownAPIKey):
		reason = dialect.InvalidAPIKey
	}
	if _, ok := errors.AsType[unavailableError](err); ok {
		reason = dialect.Unavailable
	}
	return &refusal{reason: reason, err: err}
}

// verdictRefusal is the refusal for a verdict of the list, or nil for Live.
func verdictRefusal(verdict revocation.Verdict, err error) *refusal {
	switch verdict {
	case revocation.Live:
		if err == nil {
			return nil
		}
	case revocation.RevokedToken, revocation.RevokedSession, revocation.RevokedClient, revocation.RotatedToken:
		return &refusal{reason: dialect.RevokedCredential}
	case revocation.TooOld:
		return &refusal{reason: dialect.AgedCredential}
	case revocation.Unknown:
	}
	return &refusal{reason: dialect.Unavailable, err: err}
}

// refuse answers a request that is not let through, and logs why: at debug level
// what clients cause, at error level what keeps the list from answering.
func (h *Handler) refuse(w http.ResponseWriter, r *http.Request, refused *refusal) error {
	decisions.refuse(refused.reason, false)
	return h.refuseAllowed(w, r, refused)
}

// refuseAllowed is refuse for a request that is counted as allowed already.
func (h *Handler) refuseAllowed(w http.ResponseWriter, r *http.Request, refused *refusal) error {
	h.note(r, refused, "request refused", false)
	if slices.Contains([]dialect.Reason{dialect.InvalidCredential, dialect.RevokedCredential, dialect.AgedCredential}, refused.reason) {
		h.apiKeys.forgetCookie(w, r)
	}
	return writeRefusal(w, h.dialect, dialect.Refusal{
		Request: h.describe(r),
		Reason:  refused.reason,
		Grant:   r.Method == http.MethodPost && h.refreshAt.mayBe(parsePath(requestURL(r))),
	})
}

// refuseOr is refuse or, in a dry run, forwards the request all the same.
func (h *Handler) refuseOr(w http.ResponseWriter, r *http.Request, refused *refusal, next caddyhttp.Handler) error {
	if h.waves(r, refused) {
		h.sources.apiKey.removeSession(r.Header)
		return next.ServeHTTP(w, r)
	}
	return h.refuse(w, r, refused)
}

// waves reports whether a request goes through although it would be refused.
func (h *Handler) waves(r *http.Request, refused *refusal) bool {
	if h.dryRun {
		decisions.refuse(refused.reason, true)
		h.note(r, refused, "request would be refused", true)
	}
	return h.dryRun
}

// note logs a refusal, and tells it to other directives.
func (h *Handler) note(r *http.Request, refused *refusal, message string, dryRun bool) {
	if repl, ok := r.Context().Value(caddy.ReplacerCtxKey).(*caddy.Replacer); ok {
		repl.Set(placeholderVerdict, refused.reason.String())
	}
	level := zap.DebugLevel
	switch {
	case refused.reason == dialect.Unavailable && r.Context().Err() == nil:
		level = zap.ErrorLevel
	case dryRun:
		level = zap.InfoLevel
	}
	if entry := h.refusals.Check(level, message); entry != nil {
		entry.Write(zap.Stringer("reason", refused.reason), zap.Error(refused.err))
	}
}

// refuseMethod answers a request whose path does not take its method.
func (h *Handler) refuseMethod(w http.ResponseWriter, r *http.Request, next caddyhttp.Handler, allowed methods) error {
	if !h.dryRun {
		w.Header().Set("Allow", allowed.allow())
	}
	return h.refuseOr(w, r, &refusal{reason: dialect.MethodNotAllowed}, next)
}

// writeRefusal answers a request that is refused. The body goes out as it is, so
// that no error page replaces the API's own format.
func writeRefusal(w http.ResponseWriter, d dialect.Dialect, refused dialect.Refusal) error {
	answer := d.Refuse(refused)
	// Only 401 asks for a credential (RFC 9110 §11.6.1), whatever the reason is.
	if answer.Status == http.StatusUnauthorized {
		w.Header().Set("WWW-Authenticate", challenge(refused.Reason))
	}
	if slices.Contains([]dialect.Reason{dialect.Unavailable, dialect.RateLimited, dialect.TooManyConnections}, refused.Reason) {
		w.Header().Set("Retry-After", retryAfter)
	}
	return writeAnswer(w, answer)
}

// challenge is the field WWW-Authenticate of a 401.
func challenge(reason dialect.Reason) string {
	switch reason {
	case dialect.ExpiredCredential:
		return `Bearer error="invalid_token", error_description="The access token expired"`
	case dialect.InvalidCredential, dialect.RevokedCredential, dialect.AgedCredential:
		return `Bearer error="invalid_token", error_description="The access token is invalid or was revoked"`
	default:
		// RFC 6750 §3.1: no error code where no token was sent.
		return "Bearer"
	}
}

// writeAnswer writes an answer of the sidecar's own. To a HEAD request the server
// sends the same header fields and no body (RFC 9110 §9.3.2).
func writeAnswer(w http.ResponseWriter, answer dialect.Answer) error {
	h := w.Header()
	if answer.ContentType != "" {
		h.Set("Content-Type", answer.ContentType)
	}
	// A 204 has no length (RFC 9110 §8.6).
	if answer.Status != http.StatusNoContent {
		h.Set("Content-Length", strconv.Itoa(len(answer.Body)))
	}
	h.Set("Cache-Control", "no-store")
	w.WriteHeader(answer.Status)
	if len(answer.Body) == 0 {
		return nil
	}
	_, err := w.Write(answer.Body)
	return err
}
