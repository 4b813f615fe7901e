package token

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"example.com/caddy-token-auth/revocation"
)

const (
	// DefaultMaxLength is the longest token that is looked at, in bytes. Common servers
	// accept about 8 KB for all header fields together.
	DefaultMaxLength = 8192
	// DefaultCacheSize is the number of verified tokens that are kept.
	DefaultCacheSize = 100_000

	// maxMaxLength is what net/http takes for a whole request header by default.
	maxMaxLength = 1 << 20
	// maxLeeway is the greatest clock difference that can be configured. More would
	// rather hide a broken clock, and the list remembers tokens for no longer.
	maxLeeway = revocation.MaxLeeway
	// MaxKeys is how many keys a Verifier or a KeyRing takes. It bounds what one forged
	// token costs: it is tried with each key.
	MaxKeys = 64
	// maxSources bounds how many sources one token of unknown key can keep busy.
	maxSources = 64
)

// Config says what a Verifier accepts.
type Config struct {
	// Keys to verify signatures with, whoever the issuer is; at most MaxKeys. There must
	// be a key or a source.
	Keys []VerificationKey
	// Sources of further keys, which may change at any time; at most 64.
	Sources []Source
	// Algorithms that are accepted (RFC 7518 §3.1, RFC 8037 §3.1, RFC 9864 §2.2). Default: all that the
	// keys can do, and with sources all asymmetric ones that their keys can do.
	Algorithms []string
	// Types are the accepted values of typ, compared without regard to case and to an
	// "application/" in front (RFC 8725 §3.11). A token without typ counts as "JWT".
	// Default: "JWT" and "at+jwt".
	Types []string
	// AccessTypes are those values of typ that an access token may have (RFC 9068 §4),
	// compared in the same way; see Token.Unfit. They are added to Types. Default: any of
	// Types.
	AccessTypes []string
	// AllowSenderConstrained says that somebody else makes sure that the sender of a token
	// has the key that it is bound to; see Token.Unfit.
	AllowSenderConstrained bool

	// Issuers: iss must be one of them, exactly. Default: any issuer, or none.
	Issuers []string
	// Audiences: aud must contain one of them, exactly. Default: any audience, or none.
	Audiences []string

	// Leeway for exp and nbf, 0 to 10 minutes.
	Leeway time.Duration
	// IssuedAtLeeway is how far iat may lie in the future, 0 to 10 minutes.
	IssuedAtLeeway time.Duration

	// MaxAge is how long ago a token may have been issued, if it says when. Default: any time.
	MaxAge time.Duration

	// Realm of the identities. Default: the token's iss if Issuers is set, "" otherwise.
	Realm string
	// ClientClaim and SessionClaim name the top-level claims that hold the identifiers
	// of the client and the session: strings or integers. Default: "sub" and "sid".
	ClientClaim, SessionClaim string
	// RequireClient and RequireSession refuse a token without the claim with ErrClaim.
	RequireClient, RequireSession bool

	// MaxLength of a token in bytes. Default: DefaultMaxLength.
	MaxLength int
	// CacheSize is the number of verified tokens kept. Default: DefaultCacheSize. A
	// negative value turns the cache off. A token takes its length and about 550 bytes
	// more, so that CacheSize × MaxLength bounds the memory that large tokens can take.
	CacheSize int
	// CacheMisses counts the tokens that were not in the cache, what is no token at all
	// included. Several Verifiers may share it. Default: it is not counted.
	CacheMisses *atomic.Uint64
	// Now is the clock. Default: time.Now.
	Now func() time.Time
}

// withDefaults checks c and returns it with the defaults filled in.
func (c Config) withDefaults() (Config, error) {
	switch {
	case len(c.Keys) == 0 && len(c.Sources) == 0:
		return c, errors.New("no verification key")
	case len(c.Keys) > MaxKeys:
		return c, fmt.Errorf("%d verification keys: at most %d are accepted", len(c.Keys), MaxKeys)
	case len(c.Sources) > maxSources:
		return c, fmt.Errorf("%d sources of keys: at most %d are accepted", len(c.Sources), maxSources)
	case c.Leeway < 0 || c.Leeway > maxLeeway:
		return c, fmt.Errorf("leeway %s: want 0 to %s", c.Leeway, maxLeeway)
	case c.IssuedAtLeeway < 0 || c.IssuedAtLeeway > maxLeeway:
		return c, fmt.Errorf("leeway of the issue time %s: want 0 to %s", c.IssuedAtLeeway, maxLeeway)
	case c.MaxAge < 0:
		return c, fmt.Errorf("maximum age %s is negative", c.MaxAge)
	case slices.Contains(c.Issuers, ""):
		return c, errors.New("an issuer is empty")
	case slices.Contains(c.Audiences, ""):
		return c, errors.New("an audience is empty")
	case c.MaxLength < 0 || c.MaxLength > maxMaxLength:
		return c, fmt.Errorf("maximum length %d: want at most %d bytes", c.MaxLength, maxMaxLength)
	}
	if err := c.checkSources(); err != nil {
		return c, err
	}
	algorithms, err := allowedAlgorithms(c.Keys, len(c.Sources) > 0, c.Algorithms)
	if err != nil {
		return c, err
	}
	c.Algorithms = algorithms

	if len(c.Types) == 0 {
		c.Types = []string{"JWT", "at+jwt"}
	}
	if c.AccessTypes, err = mediaTypes(c.AccessTypes); err != nil {
		return c, err
	}
	if c.Types, err = mediaTypes(c.Types); err != nil {
		return c, err
	}
	c.Types = append(c.Types, c.AccessTypes...)

	c.Issuers, c.Audiences = slices.Clone(c.Issuers), slices.Clone(c.Audiences)
	if c.ClientClaim == "" {
		c.ClientClaim = "sub"
	}
	if c.SessionClaim == "" {
		c.SessionClaim = "sid"
	}
	if c.MaxLength == 0 {
		c.MaxLength = DefaultMaxLength
	}
	if c.CacheSize == 0 {
		c.CacheSize = DefaultCacheSize
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	return c, nil
}

func (c Config) checkSources() error {
	for _, source := range c.Sources {
		switch {
		case source.Keys == nil:
			return errors.New("a source of keys is nil")
		case source.Issuer != "" && !slices.Contains(c.Issuers, source.Issuer):
			return fmt.Errorf("keys for the issuer %q, which is not accepted", source.Issuer)
		}
	}
	return nil
}

// allowedAlgorithms returns the names in wanted, or all that keys can do. Keys of
// sources may be of any kind, but they are never shared secrets.
func allowedAlgorithms(keys []VerificationKey, sources bool, wanted []string) ([]string, error) {
	var possible []string
	if sources {
		possible = slices.DeleteFunc(slices.Clone(supported), func(alg string) bool { return strings.HasPrefix(alg, "HS") })
	}
	for _, key := range keys {
		if len(key.algorithms) == 0 {
			return nil, errors.New("a verification key is the zero value")
		}
		for _, alg := range key.algorithms {
			if !slices.Contains(possible, alg) {
				possible = append(possible, alg)
			}
		}
	}
	if len(wanted) == 0 {
		return possible, nil
	}
	for _, alg := range wanted {
		switch {
		case strings.EqualFold(strings.TrimSpace(alg), "none"):
			return nil, errors.New(`algorithm "none" means no signature at all and is never accepted`)
		case !slices.Contains(supported, alg):
			return nil, fmt.Errorf("unknown algorithm %q: want one of %s", alg, strings.Join(supported, ", "))
		case !slices.Contains(possible, alg):
			return nil, fmt.Errorf("no key can do algorithm %s: they can do %s", alg, strings.Join(possible, ", "))
		}
	}
	return slices.Clone(wanted), nil
}
