package caddymodule

import (
	"fmt"
	"net/http"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.uber.org/zap"

	"example.com/caddy-token-auth/dialect"
	"example.com/caddy-token-auth/revocation"
	"example.com/caddy-token-auth/token"
)

func init() {
	caddy.RegisterModule(new(Handler))
}

// Handler lets a request through only with a genuine, unexpired and unrevoked
// credential. It answers the API's logout itself and records the revocation in the
// list of the token_auth app before it does.
//
// After a request was let through, {http.auth.user.id} is its client and
// {http.auth.user.<claim>} is each claim of its token. {http.token_auth.verdict}
// is "live", or the reason of the refusal.
//
// Paths are those of the request as it arrived, before any rewrite.
type Handler struct {
	// API is the name of a preset: the paths, claims, scope and formats of a
	// documented API. Every other field overrides it. Known: octopus_cards.
	API string `json:"api,omitempty"`

	// Secrets are the keys of HS256, HS384 and HS512, at least 32 bytes each. With
	// the prefix "base64:" they are decoded first. Placeholders are replaced; keep
	// secrets out of the configuration with {env.NAME} or {file./path}.
	Secrets []string `json:"secrets,omitempty"`
	// PublicKeys are RSA, ECDSA or Ed25519 keys, each PEM text or the name of a PEM
	// file. Placeholders are replaced.
	PublicKeys []string `json:"public_keys,omitempty"`
	// KeySets are JWK sets that are fetched and kept up to date. Without them,
	// Secrets and PublicKeys, the keys are those that the issuers publish (OpenID
	// Connect Discovery 1.0).
	KeySets []KeySet `json:"jwks,omitempty"`
	// Algorithms are the accepted signature algorithms (RFC 7518 §3.1). Default: all
	// that the keys can do.
	Algorithms []string `json:"algorithms,omitempty"`
	// Issuers are the accepted values of iss. Default: any.
	Issuers []string `json:"issuers,omitempty"`
	// Audiences are the accepted values of aud, of which a token must have one.
	// Default: any.
	Audiences []string `json:"audiences,omitempty"`
	// Leeway is the clock difference granted for exp and nbf, at most 10m. Default: 30s.
	Leeway *caddy.Duration `json:"leeway,omitempty"`
	// IATLeeway is how far iat may lie in the future, at most 10m. Default: 5s. A
	// token of an issuer whose clock is ahead may outlive a logout by this much.
	IATLeeway *caddy.Duration `json:"iat_leeway,omitempty"`
	// From are the places where a request may carry its token; it must not carry two
	// different ones. Default: the header Authorization with the scheme Bearer.
	From []Source `json:"from,omitempty"`
	// Realm separates the clients, sessions and tokens of this API from those of
	// others that share the list. Default: the token's iss where Issuers is set,
	// otherwise the empty realm, which only handlers with a common key may share.
	Realm string `json:"realm,omitempty"`
	// ClientClaim is the claim that names the client. Default: sub.
	ClientClaim string `json:"client_claim,omitempty"`
	// SessionClaim is the claim that names the session. Default: sid.
	SessionClaim string `json:"session_claim,omitempty"`

	// Login is the call that issues tokens. It is forwarded without a credential.
	Login *Login `json:"login,omitempty"`
	// Refresh is the call that takes a refresh token and issues new ones.
	Refresh *Refresh `json:"refresh,omitempty"`
	// Logout is the call that is answered here.
	Logout *Logout `json:"logout,omitempty"`
	// Public are the paths that need no credential: exact, or everything below one
	// with "/*" at the end.
	Public []string `json:"public,omitempty"`
	// CORSPreflight is "pass" to forward CORS preflight requests, which never carry
	// a credential, or "check" to treat them like any other. Default: pass.
	CORSPreflight string `json:"cors_preflight,omitempty"`

	// AllowIPs says from which addresses clients may call.
	AllowIPs *AllowIPs `json:"allow_ips,omitempty"`
	// Responses is the format of refusals and of the logout's answer: deribit,
	// ecgrid, oauth, octopus_cards or problem. Default: octopus_cards.
	Responses string `json:"responses,omitempty"`
	// ResponseRules replace single answers of that format.
	ResponseRules []dialect.Rule `json:"response_rules,omitempty"`
	// ForwardIdentity are the headers that tell the upstream who is calling.
	ForwardIdentity []ForwardIdentity `json:"forward_identity,omitempty"`

	app      *App
	log      *zap.Logger
	refusals *zap.Logger // sampled
	keySets  heldKeySets
	verifier *token.Verifier
	dialect  dialect.Dialect
	sources  sources
	forward  forwarder
	allowed  *allowLists

	login, logout, refreshAt endpoint
	paths                    answerPaths
	refreshField             jsonPath
	logoutScope              revocation.Scope
	public                   publicPaths
	passPreflight            bool
}

// CaddyModule implements caddy.Module.
func (*Handler) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{
		ID:  "http.handlers.token_auth",
		New: func() caddy.Module { return new(Handler) },
	}
}

// ServeHTTP implements caddyhttp.MiddlewareHandler.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request, next caddyhttp.Handler) error {
	h.forward.clean(r)
	if !checkUpgrade(r) {
		return h.refuse(w, r, &refusal{reason: dialect.UpgradeRefused})
	}
	if h.passPreflight && isPreflight(r) {
		h.sources.remove(r)
		return h.pass(w, r, next)
	}
	switch p := parsePath(requestURL(r)); {
	case h.logout.mayBe(p):
		return h.serveLogout(w, r)
	case h.refreshAt.mayBe(p):
		return h.serveRefresh(w, r, next)
	case h.login.is(p) && r.Method == http.MethodPost:
		return h.serveLogin(w, r, next)
	case h.public.include(p):
		return h.pass(w, r, next)
	}
	t, refused := h.authorize(r)
	if refused != nil {
		return h.refuse(w, r, refused)
	}
	h.admit(r, t)
	return next.ServeHTTP(w, r)
}

// pass forwards a request that needs no credential, without the header fields by which
// some upstreams let it say that it means another path or method.
func (h *Handler) pass(w http.ResponseWriter, r *http.Request, next caddyhttp.Handler) error {
	for _, name := range reroutingHeaders {
		delete(r.Header, name)
	}
	return next.ServeHTTP(w, r)
}

var reroutingHeaders = []string{
	"X-Original-Url", "X-Rewrite-Url", "X-Http-Method", "X-Http-Method-Override", "X-Method-Override",
}

// authorize judges the credential of a request. It returns either a verified token
// that the list holds nothing against, or why there is none.
func (h *Handler) authorize(r *http.Request) (*token.Token, *refusal) {
	raw, err := h.sources.find(r)
	if err != nil {
		return nil, credentialRefusal(err)
	}
	t, refused := h.judge(r, raw)
	if refused == nil {
		h.sources.moveQuery(r, raw)
	}
	return t, refused
}

// judge verifies a token, looks it up in the list and checks the client's address,
// in this order: nothing is looked up that was not verified.
func (h *Handler) judge(r *http.Request, raw string) (*token.Token, *refusal) {
	t, err := h.verifier.Verify(r.Context(), raw)
	if err != nil {
		return nil, credentialRefusal(err)
	}
	if refused := h.check(r, t); refused != nil {
		return nil, refused
	}
	if !h.addressAllowed(r, t.Identity().Client()) {
		return nil, &refusal{reason: dialect.AddressForbidden}
	}
	return t, nil
}

// check asks the list about a verified token.
func (h *Handler) check(r *http.Request, t *token.Token) *refusal {
	list := h.app.list(r.Context())
	if list == nil {
		return &refusal{reason: dialect.Unavailable, err: revocation.ErrClosed}
	}
	return verdictRefusal(list.Check(r.Context(), t.Identity()))
}

func (h *Handler) addressAllowed(r *http.Request, client string) bool {
	list := h.allowed.get()
	return list == nil || list.allows(client, clientAddr(r))
}

// admit prepares a request that was let through for what comes after.
func (h *Handler) admit(r *http.Request, t *token.Token) {
	h.forward.set(r, t)
	if repl, ok := r.Context().Value(caddy.ReplacerCtxKey).(*caddy.Replacer); ok {
		repl.Map(claimPlaceholders(t))
	}
}

// refuse answers a request that is not let through, and logs why: at debug level
// what clients cause, at error level what keeps the list from answering.
func (h *Handler) refuse(w http.ResponseWriter, r *http.Request, refused *refusal) error {
	if repl, ok := r.Context().Value(caddy.ReplacerCtxKey).(*caddy.Replacer); ok {
		repl.Set(placeholderVerdict, refused.reason.String())
	}
	level := zap.DebugLevel
	if refused.reason == dialect.Unavailable && r.Context().Err() == nil {
		level = zap.ErrorLevel
	}
	if entry := h.refusals.Check(level, "request refused"); entry != nil {
		entry.Write(zap.Stringer("reason", refused.reason), zap.Error(refused.err))
	}
	return writeRefusal(w, h.dialect, dialect.Refusal{
		Request: describe(w, r),
		Reason:  refused.reason,
		Grant:   r.Method == http.MethodPost && h.refreshAt.mayBe(parsePath(requestURL(r))),
	})
}

// isPreflight reports whether r is a CORS preflight request (Fetch standard,
// §3.2.2), which browsers send without credentials, without a body and without asking
// for another protocol.
func isPreflight(r *http.Request) bool {
	return r.ContentLength == 0 && len(r.Header["Upgrade"]) == 0 && r.Method == http.MethodOptions && r.Header.Get("Origin") != "" &&
		r.Header.Get("Access-Control-Request-Method") != ""
}

// Cleanup implements caddy.CleanerUpper.
func (h *Handler) Cleanup() error {
	if h.allowed != nil {
		h.allowed.close()
	}
	return h.keySets.release()
}

// fieldError says which option a problem is about.
func fieldError(option string, err error) error { return fmt.Errorf("token_auth: %s: %w", option, err) }

var (
	_ caddy.Provisioner           = (*Handler)(nil)
	_ caddy.CleanerUpper          = (*Handler)(nil)
	_ caddyhttp.MiddlewareHandler = (*Handler)(nil)
	_ caddyfile.Unmarshaler       = (*Handler)(nil)
)
