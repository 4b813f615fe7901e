package caddymodule

import (
	"errors"
	"net/http"
	"net/url"
	"strings"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"example.com/caddy-token-auth/dialect"
	"example.com/caddy-token-auth/revocation"
)

// prefix is a path that goes on with one more segment.
type prefix struct {
	loose string // with a slash at the end; "": none
}

func newPrefix(path string) (prefix, error) {
	if !strings.HasSuffix(path, "/") {
		return prefix{}, errors.New("the path must end in a slash: what follows is the client's identifier")
	}
	if err := validatePath(path); err != nil {
		return prefix{}, err
	}
	return prefix{loose: loosePath(path) + "/"}, nil
}

// rest returns the segment after the prefix, as whatever upstream might read it.
func (p prefix) rest(path requestPath) (string, bool) {
	n := len(p.loose)
	if n == 0 || len(path.loose) <= n || !strings.EqualFold(path.loose[:n], p.loose) {
		return "", false
	}
	segment := path.loose[n:]
	return segment, !strings.Contains(segment, "/")
}

// serveReset forwards the call that ends all sessions of another client, and revokes them
// before its success is told.
func (h *Handler) serveReset(w http.ResponseWriter, r *http.Request, next caddyhttp.Handler, client string) error {
	h.remember(w, r)
	c, refused := h.authorize(r)
	if refused != nil {
		return h.refuseOr(w, r, refused, next)
	}
	// Of a path with two readings nobody knows whom the API resets.
	if strings.ContainsAny(client, "%;") || parsePath(requestURL(r)).exact == "" || url.PathEscape(client) != client {
		return h.refuseOr(w, r, &refusal{reason: dialect.InvalidRequest, err: errAmbiguousPath}, next)
	}
	answer := newCapture()
	err := h.proceed(answer, r, next, &c)
	switch {
	case answer.overflow:
		return h.refuse(w, r, &refusal{reason: dialect.Unavailable, err: errAnswerTooLarge})
	case err != nil:
		return err
	case !answer.succeeded():
		return answer.release(w)
	}
	realm := h.opaqueRealm()
	if c.identity != nil {
		realm = c.identity.Realm()
	}
	list := h.app.list(r.Context())
	if list == nil {
		return h.refuse(w, r, &refusal{reason: dialect.Unavailable, err: revocation.ErrClosed})
	}
	ctx, cancel := recordContext(r)
	defer cancel()
	entry, err := list.RevokeNamed(ctx, revocation.ScopeClient, realm, client)
	if err != nil {
		return h.refuse(w, r, &refusal{reason: dialect.Unavailable, err: err})
	}
	h.logRevocation("reset", entry)
	return answer.release(w)
}

var errAmbiguousPath = errors.New("the path can be read in more than one way")
