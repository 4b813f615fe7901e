package token

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"example.com/caddy-token-auth/revocation"
	"example.com/caddy-token-auth/token/opaque"
)

// Verifier verifies JWTs. It never changes after NewVerifier, but for its cache and for
// the keys of its sources.
type Verifier struct {
	config     Config
	static     *keySet
	sources    sources
	signatures signatureChecker
	cache      *cache

	leeway, issuedAtLeeway date
	maxAge                 date // 0: any
}

// NewVerifier returns a Verifier for c, or an error that says what is wrong with c.
func NewVerifier(c Config) (*Verifier, error) {
	c, err := c.withDefaults()
	if err != nil {
		return nil, err
	}
	tokens, err := newCache(c.CacheSize)
	if err != nil {
		return nil, err
	}
	v := &Verifier{
		static:         staticKeySet(c.Keys),
		sources:        newSources(c.Sources),
		signatures:     newSignatureChecker(c.Algorithms),
		cache:          tokens,
		leeway:         date(c.Leeway.Microseconds()),
		issuedAtLeeway: date(c.IssuedAtLeeway.Microseconds()),
		maxAge:         date(c.MaxAge.Microseconds()),
	}
	c.Keys, c.Sources = nil, nil
	v.config = c
	return v, nil
}

// Verify returns the verified token for raw, a JWT in compact form (RFC 7519 §7.2),
// or nil and an error that wraps one of the errors of this package. Before it authorises
// anything, see Token.Unfit. ctx bounds how long
// it waits for a source to look for a key; without sources it never waits.
func (v *Verifier) Verify(ctx context.Context, raw string) (*Token, error) {
	t, err := v.genuine(ctx, raw)
	if err != nil {
		return nil, err
	}
	if err := v.checkTimes(t, v.now()); err != nil {
		return nil, err
	}
	return t, nil
}

func (v *Verifier) now() date { return date(v.config.Now().UnixMicro()) }

// VerifyIgnoringExpiry is Verify for a caller that takes an expired token as well. All
// else must be right, its age (Config.MaxAge) included.
func (v *Verifier) VerifyIgnoringExpiry(ctx context.Context, raw string) (*Token, error) {
	t, err := v.genuine(ctx, raw)
	if err != nil {
		return nil, err
	}
	now := v.now()
	if err = v.checkTimes(t, now); errors.Is(err, ErrExpired) {
		err = v.checkAge(t, now)
	}
	if err != nil {
		return nil, err
	}
	return t, nil
}

// genuine returns the token for raw, whatever its times.
func (v *Verifier) genuine(ctx context.Context, raw string) (*Token, error) {
	if len(raw) > v.config.MaxLength {
		return nil, ErrTooLarge
	}
	t, ok := v.cache.get(raw)
	if !ok || t.key.ended.Load() {
		if v.config.CacheMisses != nil {
			v.config.CacheMisses.Add(1)
		}
		var err error
		if t, err = v.verify(ctx, raw); err != nil {
			if ok {
				v.cache.remove(raw)
			}
			return nil, err
		}
	}
	return t, nil
}

// verify checks everything but the times, which Verify checks again and again, and
// keeps what was found good. So an expired token costs its cryptography only once.
func (v *Verifier) verify(ctx context.Context, raw string) (*Token, error) {
	if raw == "" {
		return nil, ErrMissing
	}
	parts, ok := parseCompact(raw)
	if !ok {
		return nil, refusal(ErrMalformed, "not a compact JWS")
	}
	head, ok := decodeSegment(parts.header)
	if !ok {
		return nil, refusal(ErrMalformed, "base64url")
	}
	h, err := parseHeader(head, v.config.Types)
	if err != nil {
		return nil, err
	}
	if !slices.Contains(v.config.Algorithms, h.alg) {
		return nil, ErrAlgorithm
	}
	payload, ok := decodeSegment(parts.payload)
	if !ok {
		return nil, refusal(ErrMalformed, "base64url")
	}
	if _, ok := decodeSegment(parts.signature); !ok || parts.signature == "" {
		return nil, refusal(ErrMalformed, "base64url")
	}
	key, err := v.checkSignature(ctx, raw, h, parts, payload)
	if err != nil {
		return nil, err
	}
	c, err := parseClaims(payload, v.config.ClientClaim, v.config.SessionClaim)
	if err != nil {
		return nil, err
	}
	if err := v.checkClaims(c); err != nil {
		return nil, err
	}
	// A copy, because raw may be part of something larger, such as a cookie field.
	raw = strings.Clone(raw)
	if parts, ok = parseCompact(raw); !ok {
		return nil, ErrMalformed
	}
	t := v.newToken(parts, c, key)
	switch {
	case c.bound && !v.config.AllowSenderConstrained:
		t.unfit = ErrSenderConstrained
	case len(v.config.AccessTypes) > 0 && !slices.Contains(v.config.AccessTypes, h.typ):
		t.unfit = refusal(ErrHeader, "typ")
	}
	v.cache.add(raw, t)
	return t, nil
}

func (v *Verifier) checkClaims(c claims) error {
	if len(v.config.Issuers) > 0 && !slices.Contains(v.config.Issuers, c.issuer) {
		return ErrIssuer
	}
	if len(v.config.Audiences) > 0 &&
		!slices.ContainsFunc(c.audience, func(aud string) bool { return slices.Contains(v.config.Audiences, aud) }) {
		return ErrAudience
	}
	if v.config.RequireClient && c.client == "" {
		return refusal(ErrClaim, "client")
	}
	if v.config.RequireSession && c.session == "" {
		return refusal(ErrClaim, "session")
	}
	return nil
}

// checkTimes compares the times of t with the clock. A token that has expired is not
// called too old as well.
func (v *Verifier) checkTimes(t *Token, now date) error {
	switch {
	case t.notBefore > now+v.leeway:
		return ErrNotYetValid
	case t.issuedAt > now+v.issuedAtLeeway:
		return ErrIssuedInFuture
	case t.expires != 0 && t.expires <= now-v.leeway:
		return ErrExpired
	}
	return v.checkAge(t, now)
}

func (v *Verifier) checkAge(t *Token, now date) error {
	if v.maxAge != 0 && t.issuedAt != 0 && t.issuedAt < now-v.maxAge {
		return ErrTooOld
	}
	return nil
}

// digestPrefix begins the identifiers of tokens without jti.
const digestPrefix = "digest:"

// isReserved reports whether a jti could be meant to pass for the identifier of a token
// that has none: of a JWT, or of one that is no JWT.
func isReserved(id string) bool {
	return strings.HasPrefix(id, digestPrefix) || strings.HasPrefix(id, opaque.Prefix)
}

func (v *Verifier) newToken(parts compact, c claims, key *life) *Token {
	realm := v.config.Realm
	if realm == "" && len(v.config.Issuers) > 0 {
		realm = c.issuer
	}
	id := c.id
	if id == "" || isReserved(id) {
		sum := sha256.Sum256([]byte(parts.signed))
		id = digestPrefix + base64.RawURLEncoding.EncodeToString(sum[:])
	}
	var expires time.Time
	if c.expires != 0 {
		expires = (c.expires + v.leeway).time()
	}
	return &Token{
		identity:  revocation.NewIdentity(realm, id, c.session, c.client, c.issuedAt.time(), expires),
		key:       key,
		expires:   c.expires,
		notBefore: c.notBefore,
		issuedAt:  c.issuedAt,
		payload:   parts.payload,
	}
}

// Format implements fmt.Formatter. A Verifier holds secrets and shows nothing.
func (Verifier) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, "token verifier") }
