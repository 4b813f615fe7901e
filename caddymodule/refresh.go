package caddymodule

import (
	"encoding/base64"
	"errors"
	"net/http"
	"strings"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.uber.org/zap"

	"example.com/caddy-token-auth/dialect"
	"example.com/caddy-token-auth/revocation"
	"example.com/caddy-token-auth/token"
)

// serveRefresh forwards a refresh if its refresh token is genuine, unexpired and
// unrevoked, and revokes that token before the new one is handed out.
func (h *Handler) serveRefresh(w http.ResponseWriter, r *http.Request, next caddyhttp.Handler) error {
	if r.Method != http.MethodPost {
		return h.refuseMethod(w, r, next, methods{http.MethodPost})
	}
	h.remember(r)
	if refused := h.checkBeside(r); refused != nil {
		return h.refuseOr(w, r, refused, next)
	}
	raw, err := h.refreshToken.find(r)
	switch {
	case errors.Is(err, errNoRefreshToken) && h.login.exact == h.refreshAt.exact:
		// What only looks like the login may be another call, which needs a credential.
		if !h.login.is(parsePath(requestURL(r))) {
			return h.refuseOr(w, r, &refusal{reason: dialect.InvalidRequest, err: errAmbiguousPath}, next)
		}
		if refused := h.checkSubjects(r); refused != nil {
			return h.refuseOr(w, r, refused, next)
		}
		return h.serveLogin(w, r, next)
	case err != nil:
		return h.refuseOr(w, r, grantRefusal(err), next)
	}
	return h.exchange(w, r, next, raw)
}

// subjectTokens are the parameters in which a request for a token may have another one, in
// whose place it asks for its own (RFC 8693 §2.1, RFC 7521 §4.1).
var subjectTokens = []tokenPlaces{formPlace("subject_token"), formPlace("actor_token"), formPlace("assertion")}

// checkSubjects judges the tokens in whose place a request asks for one. Those that are
// not ours are the API's to judge.
func (h *Handler) checkSubjects(r *http.Request) *refusal {
	if len(h.refreshToken.forms) == 0 {
		return nil
	}
	for i := range subjectTokens {
		raw, err := subjectTokens[i].find(r)
		if errors.Is(err, errNoRefreshToken) {
			continue
		}
		if err != nil {
			return grantRefusal(err)
		}
		c, err := h.verify(r.Context(), credential{text: raw, held: true})
		if err != nil {
			if refused := credentialRefusal(err); refused.reason == dialect.Unavailable {
				return refused
			}
			continue
		}
		if refused := h.checkStore(r, &c); refused != nil {
			return refused
		}
	}
	return nil
}

// grantRefusal is the refusal for an error of tokenPlaces.find.
func grantRefusal(err error) *refusal {
	switch {
	case errors.Is(err, errBodyTooLarge):
		return &refusal{reason: dialect.RequestTooLarge, err: err}
	case errors.Is(err, token.ErrConflict):
		return credentialRefusal(err)
	case errors.Is(err, errNotStrictJSON), errors.Is(err, errNotForm):
		return &refusal{reason: dialect.MalformedRequest, err: err}
	}
	return &refusal{reason: dialect.InvalidRequest, err: err}
}

// exchange forwards the exchange of a refresh token for new ones.
func (h *Handler) exchange(w http.ResponseWriter, r *http.Request, next caddyhttp.Handler, raw string) error {
	used, refused := h.judge(r, credential{text: raw, held: true})
	if refused != nil {
		return h.refuseOr(w, r, refused, next)
	}
	// Of several requests with one refresh token, one at a time: those that come
	// after a success find it revoked.
	id := used.identity
	release, err := h.app.shared.refreshes.acquire(r.Context(), revocation.KeyOf(revocation.ScopeToken, id.Realm(), id.Token()))
	if err != nil {
		return h.refuseOr(w, r, &refusal{reason: dialect.Unavailable, err: err}, next)
	}
	defer release()
	list := h.app.list(r.Context())
	if list == nil {
		return h.refuseOr(w, r, &refusal{reason: dialect.Unavailable, err: revocation.ErrClosed}, next)
	}
	since := list.Mark()
	if refused := h.checkStore(r, &used); refused != nil {
		return h.refuseOr(w, r, refused, next)
	}
	answer, err := h.forwardWatched(w, r, next)
	if answer == nil {
		return err
	}
	if answer.succeeded() {
		if refused := h.exchanged(r, answer, list, since, &used, raw); refused != nil && !h.waves(r, refused) {
			return h.refuse(w, r, refused)
		}
	}
	return answer.release(w)
}

// exchanged records what an exchange has done, or says why its answer is withheld.
func (h *Handler) exchanged(
	r *http.Request, answer *capture, list *revocation.List, since revocation.Mark, used *caller, raw string,
) *refusal {
	seen, err := h.learn(r, answer, since, used.identity)
	if seen.refused != nil {
		return seen.refused
	}
	if refused := h.unreadable(err); refused != nil {
		return refused
	}
	// A logout that came while the upstream was working wins: what it has
	// issued since is not handed out.
	if refused := h.checkStore(r, used); refused != nil {
		return refused
	}
	// Of an answer that cannot be read nobody knows what it hands out, and the
	// client may have seen to that.
	if h.rotates && (err != nil || h.isSpent(seen.found, raw)) {
		if err := h.rotate(r, list, since, used); err != nil {
			return &refusal{reason: dialect.Unavailable, err: err}
		}
	}
	return nil
}

// isSpent reports whether the API has handed out another token in place of raw: another
// refresh token or, where there are none, another access token.
func (h *Handler) isSpent(found issued, raw string) bool {
	if len(h.issue.refresh) > 0 {
		return found.refresh != "" && found.refresh != raw
	}
	return found.access != "" && found.access != raw
}

// checkBeside judges a credential that comes along with a refresh. The call does not
// need one, and clients send whatever they have: a token that has just expired, or the
// credentials of an OAuth client (RFC 6749 §2.3.1). One that was revoked is refused, and
// what cannot be judged is taken off: the upstream might see a revoked token in it.
func (h *Handler) checkBeside(r *http.Request) *refusal {
	if isBasic(r.Header) {
		return nil
	}
	found, err := h.sources.find(r)
	if errors.Is(err, token.ErrMissing) {
		return nil
	}
	var c caller
	if err == nil {
		found.held = true
		c, err = h.verify(r.Context(), found)
	}
	switch {
	case err == nil:
		return h.check(r, &c)
	case errors.Is(err, token.ErrExpired):
		return nil // the API knows that too
	case errors.Is(err, token.ErrConflict) || !h.sources.plain:
		return credentialRefusal(err)
	}
	delete(r.Header, "Authorization")
	return nil
}

// isBasic reports whether Authorization has nothing but Basic credentials (RFC 7617).
func isBasic(h http.Header) bool {
	values := h["Authorization"]
	if len(values) != 1 {
		return false
	}
	scheme, encoded, ok := strings.Cut(values[0], " ")
	_, err := base64.StdEncoding.DecodeString(encoded)
	return ok && err == nil && strings.EqualFold(scheme, "Basic")
}

// rotate revokes the refresh token that was used. With a grace, one that was exchanged
// before keeps the end that it has.
func (h *Handler) rotate(r *http.Request, list *revocation.List, since revocation.Mark, used *caller) error {
	ctx, cancel := recordContext(r)
	defer cancel()
	if h.rotateGrace > 0 {
		if verdict, err := list.Check(ctx, used.identity); err != nil || verdict == revocation.RotatedToken {
			return err
		}
	}
	entry, err := list.Rotate(ctx, used.identity, since)
	if err != nil {
		return err
	}
	h.log.Debug("refresh token exchanged", zap.String("realm", entry.Realm), zap.String("id", entry.ID), zap.Time("at", entry.At))
	return nil
}
