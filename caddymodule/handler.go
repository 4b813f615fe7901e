package caddymodule

import (
	"errors"
	"fmt"
	"net/http"
	"time"

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
	// documented API. Every other field overrides it. Known: deribit, ecgrid, oauth
	// and octopus_cards.
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
	// Types are the accepted values of typ in the header of an access token (RFC 9068 §4).
	// Default: JWT, at+jwt, and none. Refresh tokens may have one of those as well.
	Types []string `json:"types,omitempty"`
	// SenderConstrained is what becomes of a token that is bound to a key of its sender (cnf:
	// RFC 9449, RFC 8705): "refuse", because the proof is not checked here, or "ignore",
	// where something else does. Default: refuse.
	SenderConstrained string `json:"sender_constrained,omitempty"`
	// Leeway is the clock difference granted for exp and nbf, at most 10m. Default: 30s.
	Leeway *caddy.Duration `json:"leeway,omitempty"`
	// IATLeeway is how far iat may lie in the future, at most 10m. Default: 5s. A
	// token of an issuer whose clock is ahead may outlive a logout by this much.
	IATLeeway *caddy.Duration `json:"iat_leeway,omitempty"`
	// From are the places where a request may carry its token; it must not carry two
	// different ones. Default: the header Authorization with the scheme Bearer.
	From []Source `json:"from,omitempty"`
	// PassSchemes are authentication schemes of the header Authorization that are
	// forwarded for the API to judge, such as Basic. Nothing can revoke what they carry.
	PassSchemes []string `json:"pass_schemes,omitempty"`
	// Opaque says how tokens are judged that are not JWTs. Default: none is taken.
	Opaque *Opaque `json:"opaque,omitempty"`
	// APIKey takes API keys besides tokens.
	APIKey *APIKey `json:"api_key,omitempty"`
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
	// Reset is the call that ends all sessions of another client.
	Reset *Reset `json:"reset,omitempty"`
	// JSONRPC is where the API takes JSON-RPC over HTTP.
	JSONRPC *JSONRPC `json:"jsonrpc,omitempty"`
	// WebSockets says how WebSockets at certain paths are followed.
	WebSockets []*WebSocket `json:"websockets,omitempty"`
	// Public are the paths that need no credential: exact, or everything below one
	// with "/*" at the end.
	Public []string `json:"public,omitempty"`
	// Ready is a path at which GET tells, without a credential, whether the sidecar can
	// judge credentials: 200, or 503. Default: none.
	Ready string `json:"ready,omitempty"`
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
	// OnRevoked is "close" to end WebSocket connections and long responses when what let
	// them through is revoked or expires, or "ignore" to leave them open. Default: close.
	OnRevoked string `json:"on_revoked,omitempty"`
	// DryRun decides, logs and counts, but lets every request through. Logouts are
	// recorded, and forwarded.
	DryRun bool `json:"dry_run,omitempty"`

	// lifetime is how long the tokens of a preset live.
	lifetime time.Duration

	app      *App
	log      *zap.Logger
	refusals *zap.Logger // sampled
	keySets  heldKeySets
	verifier *token.Verifier // nil: no JWT is taken as one
	opaque   *opaqueTokens   // nil: no other token is taken
	// tokenMaxAge is how long ago a JWT may have been issued.
	tokenMaxAge time.Duration
	apiKeys     *apiKeys // nil: no API key is taken
	dialect     dialect.Dialect
	// rpcDialect is that of messages on a WebSocket.
	rpcDialect dialect.Dialect
	sources    sources
	forward    forwarder
	allowed    *allowLists
	unproven   *unprovenLimit

	login, logout, refreshAt    endpoint
	readyAt                     endpoint
	loginMethods, logoutMethods methods
	reset                       prefix
	rpc                         *rpcPaths // nil: none
	sockets                     sockets
	issue                       answerPaths
	refreshToken, logoutToken   tokenPlaces
	rotates                     bool
	allowsBound                 bool // tokens that are bound to a key
	learns                      bool // tokens are known from their issue
	rotateGrace                 time.Duration
	hasLogout                   bool
	logoutScope                 revocation.Scope
	scopeRules                  scopeRules
	acceptExpired               bool
	forwardLogout               bool
	public                      publicPaths
	passPreflight               bool
	remembersID                 bool
	dryRun                      bool
	follows                     bool
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
	original := requestURL(r)
	if !isTarget(r.Method, original) || !isTarget(r.Method, r.URL) {
		// Not even in a dry run: nothing can be said of what the API would make of it.
		return h.refuse(w, r, &refusal{reason: dialect.InvalidRequest, err: errTarget})
	}
	h.clean(r)
	if !checkUpgrade(r) {
		return h.refuseOr(w, r, &refusal{reason: dialect.UpgradeRefused}, next)
	}
	if h.passPreflight && isPreflight(r) {
		h.sources.remove(r)
		removeBody(r)
		return h.pass(w, r, next)
	}
	p := parsePath(original)
	if asksForWebSocket(r) {
		s, ok := h.sockets.at(p)
		switch {
		case s != nil && s.isRPC():
			return h.serveRPCSocket(w, r, next, s)
		case !ok || h.rpc.include(p):
			return h.refuseOr(w, r, &refusal{reason: dialect.InvalidRequest, err: errNoSocket}, next)
		}
	}
	switch {
	case h.logout.mayBe(p):
		return h.serveLogout(w, r, next)
	case h.refreshAt.mayBe(p):
		return h.serveRefresh(w, r, next)
	case h.login.is(p) && h.loginMethods.has(r.Method):
		return h.serveLogin(w, r, next)
	case h.learns && h.login.mayBe(p):
		return h.refuseLogin(w, r, next, p)
	case h.readyAt.is(p) && (r.Method == http.MethodGet || r.Method == http.MethodHead):
		return h.serveReady(w, r)
	case h.rpc.include(p):
		return h.serveRPC(w, r, next, p)
	case h.public.include(p):
		return h.pass(w, r, next)
	}
	if client, ok := h.reset.rest(p); ok {
		return h.serveReset(w, r, next, client)
	}
	c, refused := h.authorize(r)
	if refused != nil {
		return h.refuseOr(w, r, refused, next)
	}
	return h.proceed(w, r, next, &c)
}

// proceed forwards a request whose credential was found good.
func (h *Handler) proceed(w http.ResponseWriter, r *http.Request, next caddyhttp.Handler, c *caller) error {
	w = h.prepare(w, r, c)
	isSocket := asksForWebSocket(r)
	if c.identity != nil && !h.dryRun && (h.follows || isSocket) {
		return h.follow(w, r, next, followed{
			identity: c.identity, judged: true, withdrawn: c.withdrawn, ages: c.ages, resolve: c.resolve,
			limits: h.limitsOf(r, isSocket),
		})
	}
	decisions.allowed.Inc()
	return next.ServeHTTP(w, r)
}

// prepare is admit for a call that may need a session. It returns where the answer goes.
func (h *Handler) prepare(w http.ResponseWriter, r *http.Request, c *caller) http.ResponseWriter {
	h.admit(r, c)
	if c.session != nil {
		return h.apiKeys.nameSession(w, r, c)
	}
	return w
}

// limitsOf returns the limits of a WebSocket whose messages are not looked into; nil are the
// defaults.
func (h *Handler) limitsOf(r *http.Request, isSocket bool) *WebSocketLimits {
	if !isSocket || len(h.sockets) == 0 {
		return nil
	}
	if s, _ := h.sockets.at(parsePath(requestURL(r))); s != nil {
		return s.Limits
	}
	return nil
}

// errTarget says that the request is for no path.
var errTarget = errors.New("the target of the request is no path")

// clean takes off a request what would make it another one after it was judged.
func (h *Handler) clean(r *http.Request) {
	dropTrailer(r)
	endHop(r.Header)
	for name, values := range r.Header {
		switch {
		case isRerouting(name):
			delete(r.Header, name)
		case len(values) > 1 && name == "Cookie":
			joinCookies(r.Header)
		}
	}
	removeHeaders(r.Header, h.forward.names)
}

// pass forwards a request that needs no credential.
func (h *Handler) pass(w http.ResponseWriter, r *http.Request, next caddyhttp.Handler) error {
	h.sources.apiKey.removeSession(r.Header)
	return next.ServeHTTP(w, r)
}

// admit prepares a request that was let through for what comes after.
func (h *Handler) admit(r *http.Request, c *caller) {
	h.forward.set(r, c)
	h.sources.apiKey.removeSession(r.Header)
	if repl, ok := r.Context().Value(caddy.ReplacerCtxKey).(*caddy.Replacer); ok {
		repl.Map(claimPlaceholders(c.identity, c.claims))
	}
}

// isPreflight reports whether r is a CORS preflight request (Fetch standard,
// §3.2.2), which browsers send without credentials, without a body and without asking
// for another protocol. Over HTTP/3 the length of a body is not known beforehand.
func isPreflight(r *http.Request) bool {
	hasNoBody := r.ContentLength == 0 || r.ContentLength < 0 && r.ProtoMajor == 3
	return hasNoBody && len(r.Header["Upgrade"]) == 0 && r.Method == http.MethodOptions && r.Header.Get("Origin") != "" &&
		r.Header.Get("Access-Control-Request-Method") != ""
}

// removeBody takes off whatever body a request may have.
func removeBody(r *http.Request) {
	r.Body, r.ContentLength, r.TransferEncoding = http.NoBody, 0, nil
	delete(r.Header, "Content-Length")
	delete(r.Header, "Transfer-Encoding")
}

// Cleanup implements caddy.CleanerUpper.
func (h *Handler) Cleanup() error {
	h.allowed.close()
	return errors.Join(h.opaque.close(), h.apiKeys.close(), h.keySets.release())
}

// fieldError says which option a problem is about.
func fieldError(option string, err error) error { return fmt.Errorf("token_auth: %s: %w", option, err) }

var (
	_ caddy.Provisioner           = (*Handler)(nil)
	_ caddy.CleanerUpper          = (*Handler)(nil)
	_ caddyhttp.MiddlewareHandler = (*Handler)(nil)
	_ caddyfile.Unmarshaler       = (*Handler)(nil)
)
