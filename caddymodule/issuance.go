package caddymodule

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.uber.org/zap"

	"example.com/caddy-token-auth/dialect"
	"example.com/caddy-token-auth/revocation"
)

// errAnswerTooLarge ends an answer that exceeds maxAnswerBody.
var errAnswerTooLarge = errors.New("the upstream's answer is too large to be watched")

// forwardWatched proxies r and holds the answer back. It returns nil, with the
// response written or an error, where there is no answer to judge.
func (h *Handler) forwardWatched(w http.ResponseWriter, r *http.Request, next caddyhttp.Handler) (*capture, error) {
	// The answer is read here, whatever compression the client would understand.
	r.Header.Set("Accept-Encoding", "identity")
	// Nor may the client ask for a part of it.
	r.Header.Del("Range")
	r.Header.Del("If-Range")
	answer := h.newCapture(w)
	err := h.pass(answer, r, next)
	switch {
	case answer.passed:
		return nil, err
	case answer.overflow:
		return nil, h.refuse(w, r, &refusal{reason: dialect.Unavailable, err: errAnswerTooLarge})
	case err != nil:
		return nil, err
	}
	return answer, nil
}

// serveLogin forwards a login. It needs no credential; what it issues is recorded
// where a cut-off would wrongly cover it.
func (h *Handler) serveLogin(w http.ResponseWriter, r *http.Request, next caddyhttp.Handler) error {
	h.remember(r)
	var since revocation.Mark
	if list := h.app.list(r.Context()); list != nil {
		since = list.Mark()
	}
	answer, err := h.forwardWatched(w, r, next)
	if answer == nil {
		return err
	}
	if !answer.succeeded() {
		return answer.release(w)
	}
	seen, err := h.learn(r, answer, since, nil)
	refused := seen.refused
	if refused == nil {
		refused = h.unreadable(err)
	}
	if refused == nil && seen.owner.Client != "" && !h.addressAllowed(r, seen.owner.Client) {
		refused = &refusal{reason: dialect.AddressForbidden}
	}
	if refused != nil && !h.waves(r, refused) {
		return h.refuse(w, r, refused)
	}
	return answer.release(w)
}

// refuseLogin answers what the API might take for a login and what would go by unseen: the
// tokens that it issues would be out of a logout's reach.
func (h *Handler) refuseLogin(w http.ResponseWriter, r *http.Request, next caddyhttp.Handler, p requestPath) error {
	if h.login.is(p) {
		return h.refuseMethod(w, r, next, h.loginMethods)
	}
	return h.refuseOr(w, r, &refusal{reason: dialect.InvalidRequest, err: errAmbiguousPath}, next)
}

// learned is what an answer has taught.
type learned struct {
	found   issued
	owner   revocation.Issuance // whose the tokens are
	refused *refusal            // why they must not be handed out
}

// learn reads an answer and records the issuance of the tokens in it. used is the
// identity of the refresh token that they were exchanged for, or nil. The error means
// that the answer cannot be read.
//
// A JWT that says everything itself can be handed out though its issuance could not be
// recorded: it is treated by the strict rule then, as one that was not seen. All others
// would be refused, or be out of a logout's reach.
func (h *Handler) learn(r *http.Request, answer *capture, since revocation.Mark, used *revocation.Identity) (learned, error) {
	if answer.body.Len() == 0 {
		return learned{}, nil
	}
	body, err := answer.plainBody()
	if err == nil {
		var seen learned
		if seen.found, err = h.issue.read(body); err == nil {
			h.learnTokens(r, &seen, since, used)
			return seen, nil
		}
	}
	h.log.Warn("answer that issues tokens cannot be read", zap.Error(err))
	return learned{}, err
}

// unreadable is the refusal to hand out an answer that cannot be read, where a token that
// nobody has seen would be out of a logout's reach. A JWT says itself whose it is.
func (h *Handler) unreadable(err error) *refusal {
	if err == nil || !h.learns {
		return nil
	}
	return &refusal{reason: dialect.Unavailable, err: err}
}

// newToken is one token that an answer hands out.
type newToken struct {
	raw     string
	expires time.Time // as the answer says, or zero
	use     revocation.Use
	id      *revocation.Identity // what the token says itself; nil for an opaque one
}

// learnTokens records the tokens of an answer as belonging together.
func (h *Handler) learnTokens(r *http.Request, seen *learned, since revocation.Mark, used *revocation.Identity) {
	tokens := []newToken{
		{raw: seen.found.access, expires: seen.found.accessExpires, use: revocation.UseAccess},
		{raw: seen.found.refresh, expires: seen.found.refreshExpires, use: revocation.UseRefresh},
	}
	if tokens[1].raw == "" || tokens[1].raw == tokens[0].raw {
		// One token is good for both.
		tokens[0].use, tokens[1].use = revocation.UseUnknown, revocation.UseUnknown
	}
	owner := &seen.owner
	owner.Realm, _ = h.onlyRealm()
	for i := range tokens {
		t := &tokens[i]
		if t.raw == "" || !h.takesAsJWT(t.raw) {
			continue
		}
		verified, err := h.verifier.Verify(r.Context(), t.raw)
		if err != nil {
			h.log.Warn("the API issued a token that does not verify", zap.Error(err))
			t.raw = ""
			continue
		}
		t.id = verified.Identity()
		owner.Realm = t.id.Realm()
		owner.Client = firstOf(owner.Client, t.id.Client())
		owner.Session = firstOf(owner.Session, t.id.Session())
	}
	owner.Client = firstOf(owner.Client, seen.found.client, clientOf(used))
	owner.Session = firstOf(owner.Session, seen.found.session, sessionOf(used))
	for _, t := range tokens {
		if t.raw == "" {
			continue
		}
		if refused := h.learnToken(r, t, owner, since); refused != nil {
			seen.refused = refused
			return
		}
	}
}

// learnToken records one token.
func (h *Handler) learnToken(r *http.Request, t newToken, owner *revocation.Issuance, since revocation.Mark) *refusal {
	list := h.app.list(r.Context())
	ctx, cancel := recordContext(r)
	defer cancel()
	complete := t.id != nil && !h.lacksClaim(t.id)
	switch {
	case complete && list == nil:
		return nil
	case complete:
		if err := list.Issued(ctx, t.id, since); err != nil {
			h.log.Error("issuance not recorded, the token may be refused if it was issued in the second of a logout", zap.Error(err))
		}
		return nil
	case t.id == nil && h.opaque == nil:
		return nil // it will not be taken
	case t.id == nil && h.opaque.mode == opaqueIntrospect:
		h.learnIntrospected(ctx, t, since)
		return nil
	case list == nil:
		return &refusal{reason: dialect.Unavailable, err: revocation.ErrClosed}
	}
	seen, err := h.issuanceOf(ctx, t, owner)
	if err != nil {
		h.log.Warn("the API issued a token that cannot be one", zap.Error(err))
		return nil
	}
	if _, err := list.Learn(ctx, seen, since); err != nil {
		return &refusal{reason: dialect.Unavailable, err: err}
	}
	return nil
}

// learnIntrospected accounts for the issue of a token that the authorization server knows.
// What is no access token, it calls inactive.
func (h *Handler) learnIntrospected(ctx context.Context, t newToken, since revocation.Mark) {
	c, err := h.opaque.identify(ctx, h.app, t.raw)
	if err != nil {
		return
	}
	if list := h.app.list(ctx); list != nil && !c.identity.Undated() {
		if err := list.Issued(ctx, c.identity, since); err != nil {
			h.log.Error("issuance not recorded, the token may be refused if it was issued in the second of a logout", zap.Error(err))
		}
	}
}
