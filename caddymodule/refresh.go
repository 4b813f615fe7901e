package caddymodule

import (
	"errors"
	"net/http"
	"net/url"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"example.com/caddy-token-auth/dialect"
	"example.com/caddy-token-auth/revocation"
	"example.com/caddy-token-auth/token"
)

// serveRefresh forwards a refresh if its refresh token is genuine, unexpired and
// unrevoked, and revokes that token before the new one is handed out.
func (h *Handler) serveRefresh(w http.ResponseWriter, r *http.Request, next caddyhttp.Handler) error {
	if r.Method != http.MethodPost {
		w.Header().Set("Allow", http.MethodPost)
		return h.refuse(w, r, &refusal{reason: dialect.MethodNotAllowed})
	}
	if refused := h.checkBeside(r); refused != nil {
		return h.refuse(w, r, refused)
	}
	raw, refused := h.refreshToken(w, r)
	if refused != nil {
		return h.refuse(w, r, refused)
	}
	used, refused := h.judge(r, raw)
	if refused != nil {
		return h.refuse(w, r, refused)
	}
	// Of several requests with one refresh token, one at a time: those that come
	// after a success find it revoked.
	id := used.Identity()
	release, err := h.app.shared.refreshes.acquire(r.Context(), revocation.KeyOf(revocation.ScopeToken, id.Realm(), id.Token()))
	if err != nil {
		return h.refuse(w, r, &refusal{reason: dialect.Unavailable, err: err})
	}
	defer release()
	list := h.app.list(r.Context())
	if list == nil {
		return h.refuse(w, r, &refusal{reason: dialect.Unavailable, err: revocation.ErrClosed})
	}
	since := list.Mark()
	if refused := h.check(r, used); refused != nil {
		return h.refuse(w, r, refused)
	}
	answer, err := h.forwardWatched(w, r, next)
	if answer == nil {
		return err
	}
	if answer.succeeded() {
		// A logout that came while the upstream was working wins: what it has
		// issued since is not handed out.
		if refused := h.check(r, used); refused != nil {
			return h.refuse(w, r, refused)
		}
		found, _, err := h.learn(r, answer, since)
		// Of an answer that cannot be read nobody knows what it hands out, and the
		// client may have seen to that.
		spent := err != nil || found.refresh != "" && found.refresh != raw
		if spent && h.paths.rotate {
			if err := h.rotate(r, list, used); err != nil {
				return h.refuse(w, r, &refusal{reason: dialect.Unavailable, err: err})
			}
		}
	}
	return answer.release(w)
}

// checkBeside judges an access token that comes along with a refresh. The call does not
// need one, and clients send whatever they have; but a revoked one is not passed on.
func (h *Handler) checkBeside(r *http.Request) *refusal {
	raw, err := h.sources.find(r)
	if errors.Is(err, token.ErrConflict) {
		return credentialRefusal(err)
	}
	if err != nil {
		return nil
	}
	t, err := h.verifier.Verify(r.Context(), raw)
	if err != nil {
		return nil // the API judges it too
	}
	return h.check(r, t)
}

// rotate revokes the refresh token that was used.
func (h *Handler) rotate(r *http.Request, list *revocation.List, used *token.Token) error {
	ctx, cancel := recordContext(r)
	defer cancel()
	entry, err := list.Revoke(ctx, used.Identity(), revocation.ScopeToken)
	if err != nil {
		return err
	}
	h.logRevocation("rotation", entry)
	return nil
}

var (
	errNoRefreshToken = errors.New("the request has no refresh token")
	errTokenElsewhere = errors.New("the query may have a parameter of the refresh token's name")
)

// refreshToken returns the refresh token of a request.
func (h *Handler) refreshToken(w http.ResponseWriter, r *http.Request) (string, *refusal) {
	invalid := func(err error) *refusal { return &refusal{reason: dialect.InvalidRequest, err: err} }
	// An upstream that also reads the query would take its token from there.
	query, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return "", invalid(errTokenElsewhere)
	}
	for name := range query {
		if foldName(name) == foldName(h.refreshField[len(h.refreshField)-1]) {
			return "", invalid(errTokenElsewhere)
		}
	}
	body, err := readBody(w, r)
	switch {
	case errors.Is(err, errBodyTooLarge):
		return "", &refusal{reason: dialect.RequestTooLarge, err: err}
	case err != nil:
		return "", invalid(err)
	}
	raw, err := h.refreshField.find(body)
	switch {
	case err != nil:
		return "", invalid(err)
	case raw == "":
		return "", invalid(errNoRefreshToken)
	}
	return raw, nil
}
