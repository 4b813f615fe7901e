package caddymodule

import (
	"context"
	"errors"
	"math/rand/v2"
	"net/http"
	"time"

	"go.uber.org/zap"

	"example.com/caddy-token-auth/dialect"
	"example.com/caddy-token-auth/revocation"
	"example.com/caddy-token-auth/token"
	"example.com/caddy-token-auth/token/apikey"
	"example.com/caddy-token-auth/token/opaque"
)

// caller is who sends a request, by a credential that was found good.
type caller struct {
	// identity is nil where the API judges the credential and nothing can revoke it.
	identity *revocation.Identity
	claims   claimSource // nil: none
	// unfit says why a genuine token does not authorise its bearer; nil: it does.
	unfit error
	// unproven says that only the API knows whether the credential is genuine.
	unproven bool
	// session is that of an API key, nil otherwise; begun says that it is a new one.
	session *apikey.Session
	begun   bool
	// withdrawn reports whether a credential that was good has been taken out of the
	// configuration; nil: it cannot be.
	withdrawn func() bool
	// ages is when the credential becomes too old for this handler; zero: it does not.
	ages time.Time
	// resolve finds out whose credential it is where that could not be told; nil: it could.
	resolve resolver
}

// resolver returns the identity of a credential, or nil if nothing more is known of it.
type resolver func(context.Context) (*revocation.Identity, error)

// claimSource has the claims of a credential.
type claimSource interface {
	Claim(name string) (string, bool)
}

// claim returns the claim with this name.
func (c *caller) claim(name string) (string, bool) {
	if c.claims == nil {
		return "", false
	}
	return c.claims.Claim(name)
}

// client returns the client's identifier, or "".
func (c *caller) client() string {
	if c.identity == nil {
		return ""
	}
	return c.identity.Client()
}

// isFor reports whether the credential may be presented for this use, as far as is known.
func (c *caller) isFor(use revocation.Use) bool {
	return c.identity == nil || c.identity.Use() == revocation.UseUnknown || c.identity.Use() == use
}

// checkSampling is of how many checks one is timed: to time each would make it a fifth dearer.
const checkSampling = 64

// authorize judges the credential of a request. It returns either who sends it, by a
// credential that the list holds nothing against, or why it is refused.
func (h *Handler) authorize(r *http.Request) (c caller, refused *refusal) {
	if rand.Uint32()%checkSampling == 0 { //nolint:gosec // nobody gains by foreseeing it
		begun := time.Now()
		defer func() { checkSeconds.Observe(time.Since(begun).Seconds()) }()
	}
	found, err := h.sources.find(r)
	return h.authorizeFound(r, found, err)
}

// authorizeFound is authorize for what sources.find has returned. A token that was seen being
// issued for refreshing authorizes nothing.
func (h *Handler) authorizeFound(r *http.Request, found credential, err error) (caller, *refusal) {
	if err != nil {
		return caller{}, credentialRefusal(err)
	}
	c, refused := h.judge(r, found)
	if refused == nil && !c.isFor(revocation.UseAccess) {
		c, refused = caller{}, credentialRefusal(errUse)
	}
	if refused == nil {
		h.sources.moveQuery(r, found.text)
	}
	return c, refused
}

// errUse says that a refresh token is presented as an access token, or the reverse.
var errUse = errors.New("the token was issued for another use")

// judgeAs is judge for a token that is presented for one use, and must not have been issued
// for another.
func (h *Handler) judgeAs(r *http.Request, raw string, use revocation.Use) (caller, *refusal) {
	c, refused := h.judge(r, credential{text: raw, held: use == revocation.UseRefresh})
	if refused == nil && !c.isFor(use) {
		return caller{}, credentialRefusal(errUse)
	}
	return c, refused
}

// judge verifies a credential, looks it up in the list and checks the client's address,
// in this order: nothing is looked up that was not verified.
func (h *Handler) judge(r *http.Request, found credential) (caller, *refusal) {
	c, err := h.verify(r.Context(), found)
	if err != nil {
		return caller{}, credentialRefusal(err)
	}
	refused := h.admissible(r, &c)
	if refused != nil && refused.reason == dialect.AgedCredential && found.session != "" {
		// A session of an API key that is too old to be judged: a new one is begun.
		found.session = ""
		return h.judge(r, found)
	}
	return c, refused
}

// admissible looks a verified caller up in the list and checks its address.
func (h *Handler) admissible(r *http.Request, c *caller) *refusal {
	if refused := h.check(r, c); refused != nil {
		return refused
	}
	if !h.addressAllowed(r, c.client()) {
		return &refusal{reason: dialect.AddressForbidden}
	}
	return nil
}

// verify finds out whose credential this is, without asking whether it was revoked.
func (h *Handler) verify(ctx context.Context, found credential) (caller, error) {
	switch found.kind {
	case kindAPIKey:
		return h.verifyAPIKey(ctx, found)
	case kindScheme:
		return caller{unproven: true}, nil
	default:
		c, err := h.verifyToken(ctx, found.text)
		if err == nil && !found.held {
			err = c.unfit
		}
		if err != nil {
			return caller{}, err
		}
		return c, nil
	}
}

// verifyToken verifies an access or refresh token, whatever it is good for.
func (h *Handler) verifyToken(ctx context.Context, raw string) (caller, error) {
	if !h.takesAsJWT(raw) {
		return h.opaque.identify(ctx, h.app, raw)
	}
	t, err := h.verifier.Verify(ctx, raw)
	if err != nil {
		return caller{}, err
	}
	return h.complete(ctx, t)
}

// takesAsJWT reports whether raw is verified as a JWT. Where both kinds are taken, one
// that any parser could take for a JWT is never passed for an opaque token.
func (h *Handler) takesAsJWT(raw string) bool {
	return h.opaque == nil || h.verifier != nil && opaque.ResemblesJWT(raw)
}

// complete returns the caller of a verified JWT. Where it lacks the claim that a logout
// needs, what was seen of its issue is used.
func (h *Handler) complete(ctx context.Context, t *token.Token) (caller, error) {
	id := t.Identity()
	ages := ageLimit(id, h.tokenMaxAge)
	if !h.lacksClaim(id) {
		return caller{identity: id, claims: t, unfit: t.Unfit(), ages: ages}, nil
	}
	seen, err := known(ctx, h.app, id.Realm(), id.Token())
	switch {
	case err != nil:
		return caller{}, unavailableError{err}
	case seen == nil:
		return caller{}, errNoClaim
	}
	return caller{identity: seen, claims: t, unfit: t.Unfit(), ages: ages}, nil
}

// ageLimit returns when an identity is older than maxAge; the zero time: never.
func ageLimit(id *revocation.Identity, maxAge time.Duration) time.Time {
	if maxAge == 0 || id.IssuedAt().IsZero() {
		return time.Time{}
	}
	return id.IssuedAt().Add(maxAge)
}

// lacksClaim reports whether a token lacks what a logout revokes.
func (h *Handler) lacksClaim(id *revocation.Identity) bool {
	if !h.hasLogout {
		return false
	}
	return h.logoutScope == revocation.ScopeClient && id.Client() == "" ||
		h.logoutScope == revocation.ScopeSession && id.Session() == ""
}

var (
	// errNoClaim says that no logout could reach the token.
	errNoClaim = errors.New("the token does not name what a logout revokes, and was not seen being issued")
	// errNotIssued says that the token was not seen being issued.
	errNotIssued = errors.New("the token was not seen being issued")
)

// unavailableError says nothing about the credential.
type unavailableError struct{ error }

func (e unavailableError) Unwrap() error { return e.error }

// check asks the list about a verified caller.
func (h *Handler) check(r *http.Request, c *caller) *refusal {
	if c.identity == nil {
		return nil
	}
	ctx := r.Context()
	list := h.app.list(ctx)
	if list == nil {
		return h.unchecked(ctx, revocation.ErrClosed)
	}
	verdict, err := list.Check(ctx, c.identity)
	switch {
	case verdict == revocation.RotatedToken && h.rotateGrace > 0:
		return h.checkRotated(ctx, list, c)
	case verdict == revocation.Unknown:
		return h.unchecked(ctx, err)
	}
	return verdictRefusal(verdict, err)
}

// checkStore is check, but it asks the store, whatever is cached: what a grant is exchanged
// for is newer than a logout that is only on its way here.
func (h *Handler) checkStore(r *http.Request, c *caller) *refusal {
	ctx := r.Context()
	list := h.app.list(ctx)
	if list == nil {
		return &refusal{reason: dialect.Unavailable, err: revocation.ErrClosed}
	}
	verdict, err := list.CheckStore(ctx, c.identity)
	if verdict == revocation.RotatedToken && h.rotateGrace > 0 {
		return h.checkRotated(ctx, list, c)
	}
	return verdictRefusal(verdict, err)
}

// unchecked decides about a credential of which nobody can tell whether it was revoked.
func (h *Handler) unchecked(ctx context.Context, err error) *refusal {
	if !h.app.allowsUnchecked || ctx.Err() != nil {
		return &refusal{reason: dialect.Unavailable, err: err}
	}
	decisions.unchecked.Inc()
	if entry := h.refusals.Check(zap.WarnLevel, "request let through unchecked: the list cannot answer"); entry != nil {
		entry.Write(zap.Error(err))
	}
	return nil
}

// checkRotated lets a token through that was exchanged for a newer one just now.
func (h *Handler) checkRotated(ctx context.Context, list *revocation.List, c *caller) *refusal {
	at, err := list.RotatedAt(ctx, c.identity)
	switch {
	case err != nil:
		return &refusal{reason: dialect.Unavailable, err: err}
	case at.IsZero() || time.Since(at) > h.rotateGrace:
		return &refusal{reason: dialect.RevokedCredential}
	default:
		return nil
	}
}

func (h *Handler) addressAllowed(r *http.Request, client string) bool {
	list := h.allowed.get()
	return list == nil || list.allows(client, clientAddr(r))
}
