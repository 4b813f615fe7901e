package introspect

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"time"

	"example.com/caddy-token-auth/revocation"
)

// How the client authenticates at the server with ClientID and ClientSecret.
const (
	// ClientSecretBasic sends both in the field Authorization (RFC 6749 §2.3.1).
	ClientSecretBasic = "client_secret_basic"
	// ClientSecretPost sends both in the form, for servers that know nothing else.
	ClientSecretPost = "client_secret_post"
)

const (
	// DefaultTimeout of one request.
	DefaultTimeout = 5 * time.Second
	// MaxCacheTTL is how long any answer is used at most, and by default an active one.
	// Until then nobody notices that the server has revoked the token.
	MaxCacheTTL = time.Minute
	// DefaultRejectTTL is how long an inactive answer is used.
	DefaultRejectTTL = 10 * time.Second
	// DefaultCacheSize is how many answers of each kind are kept.
	DefaultCacheSize = 10_000
	// DefaultMaxConcurrent is how many requests are under way at the same time.
	DefaultMaxConcurrent = 64
	// DefaultFailureBackoff is how long a server that did not answer is left alone.
	DefaultFailureBackoff = time.Second

	// maxBackoff bounds how long callers are refused after the server has come back.
	maxBackoff = time.Minute
	// maxLeeway is what the revocation list allows for.
	maxLeeway = revocation.MaxLeeway
)

// Options of a Client. The zero value has the defaults, and no credentials.
type Options struct {
	// ClientID and ClientSecret authenticate us at the server.
	ClientID, ClientSecret string
	// Method is ClientSecretBasic or ClientSecretPost. Default: ClientSecretBasic.
	Method string
	// BearerToken authenticates us instead of ClientID (RFC 7662 §2.1).
	BearerToken string

	// Timeout of one request. A caller waits as long again for its turn. Default:
	// DefaultTimeout.
	Timeout time.Duration
	// CacheTTL is how long an active answer is used, at most and by default
	// MaxCacheTTL. It is never used past its exp.
	CacheTTL time.Duration
	// RejectTTL is how long an inactive answer is used, at most MaxCacheTTL. Default:
	// DefaultRejectTTL.
	RejectTTL time.Duration
	// CacheSize is how many active and how many inactive answers are kept. Default:
	// DefaultCacheSize. A negative value turns the cache off. An active answer takes
	// little more than its JSON, usually some hundred bytes and at most 64 KiB.
	CacheSize int
	// MaxConcurrent is how many requests are under way at the same time. Default:
	// DefaultMaxConcurrent.
	MaxConcurrent int
	// FailureBackoff is how long callers fail at once after the server could not be
	// reached, did not answer in time or answered with status 429, 502, 503 or 504; at
	// most 1 minute. Default: DefaultFailureBackoff.
	FailureBackoff time.Duration

	// Issuers: iss of an active answer must be one of them, exactly. Default: any, or none.
	Issuers []string
	// Audiences: aud of an active answer must contain one of them, exactly. Default:
	// any, or none.
	Audiences []string
	// Leeway for exp and nbf, 0 to 10 minutes.
	Leeway time.Duration
	// IssuedAtLeeway is how far iat may lie in the future, 0 to 10 minutes.
	IssuedAtLeeway time.Duration
	// MaxAge is how long ago a token may have been issued, if the server says when.
	// Default: any time.
	MaxAge time.Duration
	// ClientClaim and SessionClaim name the members that hold the identifiers of the
	// client and the session: strings or integers. Default: "sub" and "sid".
	ClientClaim, SessionClaim string

	// AllowHTTP permits http URLs of hosts that are not loopback.
	AllowHTTP bool
	// Transport sends the requests; Close ends its idle connections. Default: one with
	// the proxies of the environment.
	Transport http.RoundTripper
	// Now is the clock. Default: time.Now.
	Now func() time.Time
}

// Format implements fmt.Formatter. Options hold secrets and show nothing.
func (Options) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, "introspection options") }

// withDefaults checks o and returns it with the defaults filled in.
func (o Options) withDefaults() (Options, error) {
	if err := o.checkCredentials(); err != nil {
		return o, err
	}
	switch {
	case o.Timeout < 0:
		return o, errors.New("the timeout is negative")
	case o.CacheTTL < 0 || o.CacheTTL > MaxCacheTTL:
		return o, fmt.Errorf("active answers are used for %s: want at most %s", o.CacheTTL, MaxCacheTTL)
	case o.RejectTTL < 0 || o.RejectTTL > MaxCacheTTL:
		return o, fmt.Errorf("inactive answers are used for %s: want at most %s", o.RejectTTL, MaxCacheTTL)
	case o.MaxConcurrent < 0:
		return o, fmt.Errorf("%d requests at the same time: want at least 1", o.MaxConcurrent)
	case o.FailureBackoff < 0 || o.FailureBackoff > maxBackoff:
		return o, fmt.Errorf("the server is left alone for %s: want at most %s", o.FailureBackoff, maxBackoff)
	case slices.Contains(o.Issuers, ""):
		return o, errors.New("an issuer is empty")
	case slices.Contains(o.Audiences, ""):
		return o, errors.New("an audience is empty")
	case o.Leeway < 0 || o.Leeway > maxLeeway:
		return o, fmt.Errorf("leeway %s: want 0 to %s", o.Leeway, maxLeeway)
	case o.IssuedAtLeeway < 0 || o.IssuedAtLeeway > maxLeeway:
		return o, fmt.Errorf("leeway of the issue time %s: want 0 to %s", o.IssuedAtLeeway, maxLeeway)
	case o.MaxAge < 0:
		return o, fmt.Errorf("maximum age %s is negative", o.MaxAge)
	}
	orDefault(&o.Timeout, DefaultTimeout)
	orDefault(&o.CacheTTL, MaxCacheTTL)
	orDefault(&o.RejectTTL, DefaultRejectTTL)
	orDefault(&o.CacheSize, DefaultCacheSize)
	orDefault(&o.MaxConcurrent, DefaultMaxConcurrent)
	orDefault(&o.FailureBackoff, DefaultFailureBackoff)
	orDefault(&o.ClientClaim, "sub")
	orDefault(&o.SessionClaim, "sid")
	if o.Now == nil {
		o.Now = time.Now
	}
	o.Issuers, o.Audiences = slices.Clone(o.Issuers), slices.Clone(o.Audiences)
	return o, nil
}

func orDefault[T comparable](value *T, otherwise T) {
	if *value == *new(T) {
		*value = otherwise
	}
}

// checkCredentials quotes nothing but Method.
func (o *Options) checkCredentials() error {
	switch {
	case o.Method != "" && o.Method != ClientSecretBasic && o.Method != ClientSecretPost:
		return fmt.Errorf("unknown method %q: want %s or %s", o.Method, ClientSecretBasic, ClientSecretPost)
	case o.BearerToken != "" && (o.ClientID != "" || o.ClientSecret != "" || o.Method != ""):
		return errors.New("a bearer token and client credentials: want one of them")
	case o.BearerToken != "" && (!isVisible(o.BearerToken) || slices.Contains([]byte(o.BearerToken), ' ')):
		return errors.New("the bearer token has characters that a header field cannot have")
	case o.ClientID == "" && (o.ClientSecret != "" || o.Method != ""):
		return errors.New("client credentials without a client identifier")
	case o.ClientID != "" && o.ClientSecret == "":
		return errors.New("client credentials without a secret")
	}
	return nil
}

// isVisible reports whether s consists of the characters of which tokens are made
// (VSCHAR, RFC 6749 appendix A): printable ASCII with the space.
func isVisible(s string) bool {
	for i := range len(s) {
		if s[i] < ' ' || s[i] > '~' {
			return false
		}
	}
	return true
}
