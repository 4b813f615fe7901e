package caddymodule

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"time"

	"github.com/caddyserver/caddy/v2"
	lru "github.com/hashicorp/golang-lru/v2"

	"example.com/caddy-token-auth/revocation"
	"example.com/caddy-token-auth/token"
	"example.com/caddy-token-auth/token/introspect"
	"example.com/caddy-token-auth/token/opaque"
)

// Opaque says how tokens are judged that are not JWTs.
type Opaque struct {
	// Mode is "pass": the API judges whether they are genuine, and the list whether they
	// were revoked. Or "known": only those are taken that were seen being issued, in the
	// answer to a login or refresh. Or "introspect": an authorization server is asked.
	Mode string `json:"mode"`
	// Introspection is for the mode "introspect".
	Introspection *Introspection `json:"introspection,omitempty"`
}

// Introspection is how an authorization server is asked about a token (RFC 7662).
type Introspection struct {
	// URL of the introspection endpoint. Plain http is for loopback hosts, unless
	// AllowHTTP is set.
	URL string `json:"url"`
	// ClientID and ClientSecret authenticate the sidecar. Placeholders are replaced.
	ClientID     string `json:"client_id,omitempty"`
	ClientSecret string `json:"client_secret,omitempty"`
	// ClientAuth is how: client_secret_basic or client_secret_post. Default:
	// client_secret_basic.
	ClientAuth string `json:"client_auth,omitempty"`
	// Bearer is a token that authenticates the sidecar, in place of ClientID.
	// Placeholders are replaced.
	Bearer string `json:"bearer,omitempty"`
	// Timeout of one request. Default: 5s.
	Timeout caddy.Duration `json:"timeout,omitempty"`
	// Cache is how long it is believed that a token is active, at most 60s and never past
	// its exp. Default: 60s.
	Cache caddy.Duration `json:"cache,omitempty"`
	// AllowHTTP permits an http URL of a host that is not loopback.
	AllowHTTP bool `json:"allow_http,omitempty"`
}

const (
	opaquePass       = "pass"
	opaqueKnown      = "known"
	opaqueIntrospect = "introspect"
)

// opaqueTokens judges tokens that are not JWTs, for one handler.
type opaqueTokens struct {
	mode  string
	realm string
	// scope is what a logout revokes, 0 if there is none.
	scope revocation.Scope
	// cutOff says that a client or session may be cut off, by a logout or a reset.
	cutOff                    bool
	clientClaim, sessionClaim string
	leeway                    time.Duration
	issuers                   bool // the realm is that of the issuer
	allowsBound               bool // tokens that are bound to a key
	client                    *introspect.Client
	// names are by a digest of the token, which anybody can make up at any length.
	names *lru.Cache[[sha256.Size]byte, *opaqueToken]
}

// opaqueToken is what is kept of one token: its name, which takes a digest to find, and
// what was made of it last.
type opaqueToken struct {
	name    string
	undated *revocation.Identity
	active  atomic.Pointer[introspected]
}

// introspected is an answer of the authorization server, and what it means.
type introspected struct {
	answer   *introspect.Answer
	identity *revocation.Identity
}

// newOpaqueTokens returns nil if config is nil: no such token is taken.
func (h *Handler) newOpaqueTokens(config *Opaque) (*opaqueTokens, error) {
	if config == nil {
		return nil, nil
	}
	if err := config.check(); err != nil {
		return nil, err
	}
	realm, ok := h.onlyRealm()
	if !ok && config.Mode != opaqueIntrospect {
		return nil, errors.New("with several issuers it cannot be told whose an opaque token is: add a line realm <name>")
	}
	o := &opaqueTokens{
		mode: config.Mode, realm: realm, issuers: h.Realm == "" && len(h.Issuers) > 0,
		clientClaim: orDefault(h.ClientClaim, "sub"), sessionClaim: orDefault(h.SessionClaim, "sid"),
		leeway:      durationOr(h.Leeway, defaultLeeway),
		allowsBound: h.allowsBound,
	}
	if h.hasLogout {
		o.scope = h.logoutScope
	}
	o.cutOff = o.scope > revocation.ScopeToken || len(h.scopeRules) > 0 || h.reset.configured()
	if err := h.app.needsDigests(); err != nil {
		return nil, err
	}
	var err error
	if o.names, err = lru.New[[sha256.Size]byte, *opaqueToken](h.app.cacheSize()); err != nil {
		return nil, err
	}
	if o.mode == opaqueIntrospect {
		if o.client, err = config.Introspection.newClient(h); err != nil {
			return nil, err
		}
	}
	return o, nil
}

// check checks what needs nothing else.
func (o *Opaque) check() error {
	switch o.Mode {
	case opaquePass, opaqueKnown:
		if o.Introspection != nil {
			return fmt.Errorf("%s takes no introspection endpoint", o.Mode)
		}
		return nil
	case opaqueIntrospect:
		if o.Introspection == nil || o.Introspection.URL == "" {
			return errors.New("introspect: no URL of an introspection endpoint")
		}
		if o.Introspection.ClientID == "" && o.Introspection.Bearer == "" {
			return errors.New("introspect: no client_id and no bearer, by which the authorization server knows who asks")
		}
		return nil
	default:
		return fmt.Errorf("unknown mode %q: want pass, known or introspect", o.Mode)
	}
}

func (in *Introspection) newClient(h *Handler) (*introspect.Client, error) {
	texts := []string{in.URL, in.ClientID, in.ClientSecret, in.Bearer}
	for i, text := range texts {
		if text == "" {
			continue
		}
		var err error
		if texts[i], err = replace(text); err != nil {
			return nil, err
		}
	}
	return introspect.New(texts[0], introspect.Options{
		ClientID: texts[1], ClientSecret: texts[2], BearerToken: texts[3], Method: in.ClientAuth,
		Timeout: time.Duration(in.Timeout), CacheTTL: time.Duration(in.Cache), CacheSize: h.app.cacheSize(),
		Issuers: h.Issuers, Audiences: h.Audiences, AllowHTTP: in.AllowHTTP,
		Leeway: durationOr(h.Leeway, defaultLeeway), IssuedAtLeeway: durationOr(h.IATLeeway, defaultIATLeeway),
		ClientClaim: h.ClientClaim, SessionClaim: h.SessionClaim,
	})
}

// close ends idle connections.
func (o *opaqueTokens) close() error {
	if o == nil || o.client == nil {
		return nil
	}
	return o.client.Close()
}

// identify finds out whose token raw is.
func (o *opaqueTokens) identify(ctx context.Context, app *App, raw string) (caller, error) {
	c, err := o.identifyExpired(ctx, app, raw)
	if err != nil || c.identity.Expires().IsZero() || o.mode == opaqueIntrospect {
		return c, err
	}
	if !time.Now().Before(c.identity.Expires()) {
		return caller{}, token.ErrExpired
	}
	return c, nil
}

// identifyExpired is identify, but for the expiry that was told when the token was issued.
func (o *opaqueTokens) identifyExpired(ctx context.Context, app *App, raw string) (caller, error) {
	t, err := o.named(ctx, app, raw)
	if err != nil {
		return caller{}, err
	}
	if o.mode == opaqueIntrospect {
		return o.introspect(ctx, t, raw)
	}
	id, err := known(ctx, app, o.realm, t.name)
	switch {
	case err != nil && o.mode == opaquePass && app.allowsUnchecked:
		resolve := func(ctx context.Context) (*revocation.Identity, error) { return known(ctx, app, o.realm, t.name) }
		return caller{identity: t.undated, unproven: true, resolve: resolve}, nil
	case err != nil:
		return caller{}, unavailableError{err}
	case id == nil && o.mode == opaqueKnown:
		return caller{}, errNotIssued
	case id == nil:
		return caller{identity: t.undated, unproven: true}, nil
	}
	return caller{identity: id, claims: learnedClaims{o, id}}, nil
}

// known asks the list for what was seen of a token being issued.
func known(ctx context.Context, app *App, realm, name string) (*revocation.Identity, error) {
	list := app.list(ctx)
	if list == nil {
		return nil, revocation.ErrClosed
	}
	return list.Known(ctx, realm, name)
}

// named returns what is kept of raw.
func (o *opaqueTokens) named(ctx context.Context, app *App, raw string) (*opaqueToken, error) {
	if len(raw) > opaque.MaxLength {
		return nil, token.ErrTooLarge
	}
	key := sha256.Sum256([]byte(raw))
	if t, ok := o.names.Get(key); ok {
		return t, nil
	}
	digests := app.digests(ctx)
	if digests == nil {
		return nil, unavailableError{revocation.ErrClosed}
	}
	name, err := digests.tokens.Name(raw)
	if err != nil {
		return nil, err
	}
	t := &opaqueToken{name: name, undated: revocation.NewUndatedIdentity(o.realm, name, "", "")}
	o.names.Add(key, t)
	return t, nil
}

// introspect asks the authorization server.
func (o *opaqueTokens) introspect(ctx context.Context, t *opaqueToken, raw string) (caller, error) {
	answer, err := o.client.IntrospectFor(ctx, ownNetwork(clientAddrIn(ctx)), raw)
	switch {
	case errors.Is(err, introspect.ErrInactive):
		return caller{}, err
	case err != nil:
		return caller{}, unavailableError{err}
	}
	active := t.active.Load()
	if active == nil || active.answer != answer {
		active = &introspected{answer: answer, identity: o.identityOf(t, answer)}
		t.active.Store(active)
	}
	id := active.identity
	switch {
	case o.scope == revocation.ScopeClient && id.Client() == "", o.scope == revocation.ScopeSession && id.Session() == "":
		return caller{}, errNoClaim
	}
	c := caller{identity: id, claims: answer}
	if answer.SenderConstrained() && !o.allowsBound {
		c.unfit = token.ErrSenderConstrained
	}
	return c, nil
}

// identityOf reads the identity of a token in an answer about it. Without jti, the token
// is known by its name.
func (o *opaqueTokens) identityOf(t *opaqueToken, answer *introspect.Answer) *revocation.Identity {
	realm, id := o.realm, t.name
	if o.issuers {
		realm = answer.Issuer()
	}
	if jti := answer.ID(); jti != "" && !strings.HasPrefix(jti, opaque.Prefix) {
		id = jti
	}
	// Nothing but itself can revoke it: its age does not matter then.
	if answer.IssuedAt().IsZero() && !o.cutOff {
		return revocation.NewUndatedIdentity(realm, id, answer.Session(), answer.Client())
	}
	expires := answer.Expires()
	if !expires.IsZero() {
		expires = expires.Add(o.leeway)
	}
	return revocation.NewIdentity(realm, id, answer.Session(), answer.Client(), answer.IssuedAt(), expires)
}

// learnedClaims are the claims of an opaque token that was seen being issued.
type learnedClaims struct {
	of *opaqueTokens
	id *revocation.Identity
}

// Claim implements claimSource.
func (c learnedClaims) Claim(name string) (string, bool) {
	value := ""
	switch name {
	case c.of.clientClaim:
		value = c.id.Client()
	case c.of.sessionClaim:
		value = c.id.Session()
	}
	return value, value != ""
}
