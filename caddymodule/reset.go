package caddymodule

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"example.com/caddy-token-auth/dialect"
	"example.com/caddy-token-auth/request"
	"example.com/caddy-token-auth/revocation"
)

// prefix is a path that goes on with one more segment.
type prefix struct {
	skeleton request.PathSkeleton // "": none
}

func newPrefix(path string) (prefix, error) {
	if len(path) < 2 || !strings.HasSuffix(path, "/") {
		return prefix{}, errors.New("the path must end in a slash: what follows is the client's identifier")
	}
	if err := validatePath(path); err != nil {
		return prefix{}, err
	}
	return prefix{skeleton: request.NewPathSkeleton(loosePath(path))}, nil
}

func (p prefix) configured() bool { return p.skeleton != "" }

// rest returns the segment after the prefix, as whatever upstream might read it.
func (p prefix) rest(of requestPath) (string, bool) {
	if !p.configured() {
		return "", false
	}
	for _, reading := range []string{of.loose, of.behind} {
		i := strings.LastIndexByte(reading, '/')
		if i > 0 && i+1 < len(reading) && p.skeleton.Resembles(reading[:i]) {
			return reading[i+1:], true
		}
	}
	return "", false
}

var errAmbiguousPath = errors.New("the path can be read in more than one way")

// serveReset forwards the call that ends all sessions of another client, and revokes them
// before its success is told. Reading is no reset.
func (h *Handler) serveReset(w http.ResponseWriter, r *http.Request, next caddyhttp.Handler, segment string) error {
	h.remember(r)
	c, refused := h.authorize(r)
	if refused != nil {
		return h.refuseOr(w, r, refused, next)
	}
	if r.Method == http.MethodGet || r.Method == http.MethodHead || r.Method == http.MethodOptions {
		return h.proceed(w, r, next, &c)
	}
	// Of a path with two readings nobody knows whom the API resets.
	if parsePath(requestURL(r)).exact == "" || url.PathEscape(segment) != segment {
		return h.refuseOr(w, r, &refusal{reason: dialect.InvalidRequest, err: errAmbiguousPath}, next)
	}
	answer := h.newCapture(w)
	err := h.forwardReset(answer, r, next, &c)
	switch {
	case answer.passed:
		return err
	case answer.overflow:
		return h.refuseAllowed(w, r, &refusal{reason: dialect.Unavailable, err: errAnswerTooLarge})
	case err != nil:
		return err
	}
	if answer.succeeded() {
		if refused := h.resetClient(r, &c, segment); refused != nil && !h.waves(r, refused) {
			return h.refuseAllowed(w, r, refused)
		}
	}
	return answer.release(w)
}

// abandonedReset is how long the API may go on with a reset whose client has gone.
const abandonedReset = time.Minute

// forwardReset forwards a reset and lets the API finish it, whatever becomes of the client
// meanwhile and of what has let it through: only a reset whose success is known is revoked for.
func (h *Handler) forwardReset(w http.ResponseWriter, r *http.Request, next caddyhttp.Handler, c *caller) error {
	decisions.allowed.Inc()
	w = h.prepare(w, r, c)
	from := r.Context()
	ctx, cancel := context.WithCancel(context.WithoutCancel(from))
	*r = *r.WithContext(ctx) // in place, as in follow
	done := make(chan struct{})
	defer close(done)
	context.AfterFunc(from, func() {
		select {
		case <-time.After(abandonedReset):
		case <-done:
		}
		cancel()
	})
	return next.ServeHTTP(w, r)
}

// resetClient revokes everything of the client that a reset was about.
func (h *Handler) resetClient(r *http.Request, c *caller, segment string) *refusal {
	realm, _ := h.onlyRealm()
	if c.identity != nil {
		realm = c.identity.Realm()
	}
	for _, client := range namesOf(segment) {
		// The API may know its users and its API keys by the same names.
		for _, kind := range h.kinds() {
			t := target{scope: revocation.ScopeClient, kind: kind, realm: realm, id: client}
			asked := t.attempt(r)
			asked.cause, asked.by = causeReset, c.identity
			if refused := h.app.revoke(r, asked, t.revoke); refused != nil {
				return refused
			}
		}
	}
	return nil
}

// kinds are those of the clients that the handler knows.
func (h *Handler) kinds() []revocation.Kind {
	if h.apiKeys == nil {
		return []revocation.Kind{revocation.KindSubject}
	}
	return []revocation.Kind{revocation.KindSubject, revocation.KindAPIKey}
}

// namesOf returns the identifiers that an API may read in a segment: it may take off an
// extension, and zeros in front of a number.
func namesOf(segment string) []string {
	names := []string{segment}
	for _, name := range []string{strings.TrimSuffix(segment, path.Ext(segment)), strings.TrimLeft(segment, "0")} {
		if name != "" && !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	return names
}
