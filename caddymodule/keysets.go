package caddymodule

import (
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"
	"go.uber.org/zap"

	"example.com/caddy-token-auth/token"
	"example.com/caddy-token-auth/token/jwks"
)

// KeySet is a JWK set (RFC 7517 §5) that is kept up to date while it is in use.
type KeySet struct {
	// Source is the set's https URL or the name of a file. Plain http is for loopback
	// hosts, unless AllowHTTP is set.
	Source string `json:"source"`
	// Issuer whose tokens the keys verify, one of Issuers. Default: all accepted ones.
	Issuer string `json:"issuer,omitempty"`
	KeySetOptions
}

// KeySetOptions say how a key set is fetched.
type KeySetOptions struct {
	// Refresh is how often it is fetched. Default: what the server says with max-age,
	// between 5m and 24h, or 1h.
	Refresh caddy.Duration `json:"refresh,omitempty"`
	// MaxStale is how long keys stay in use when they cannot be fetched again. Default: 24h.
	MaxStale caddy.Duration `json:"max_stale,omitempty"`
	// Cooldown is the least time between two fetches that tokens with an unknown key
	// ask for. Default: 10s.
	Cooldown caddy.Duration `json:"cooldown,omitempty"`
	// Timeout of one fetch. Default: 10s.
	Timeout caddy.Duration `json:"timeout,omitempty"`
	// AllowHTTP permits http URLs of hosts that are not loopback.
	AllowHTTP bool `json:"allow_http,omitempty"`
}

// keySetIdentity is what configurations share a key set by.
type keySetIdentity struct {
	discover bool // source is an issuer
	source   string
	options  KeySetOptions
}

// keySets holds the key sets that configurations use. They outlive reloads, so that no
// request has to wait for keys that were there before.
var keySets = caddy.NewUsagePool()

// sharedKeySet is a key set in the pool.
type sharedKeySet struct{ *jwks.Source }

// Destruct implements caddy.Destructor.
func (s sharedKeySet) Destruct() error { return s.Close() }

// heldKeySets are the key sets of one handler.
type heldKeySets []heldKeySet

type heldKeySet struct {
	identity keySetIdentity
	source   sharedKeySet
}

// acquire returns the sources of the handler's keys: the configured key sets, or, with
// neither them nor other keys, those that the issuers publish.
func (held *heldKeySets) acquire(sets []KeySet, issuers []string, discover bool) ([]token.Source, error) {
	var sources []token.Source
	for _, set := range sets {
		where, err := replace(set.Source)
		if err != nil {
			return nil, fieldError("jwks", err)
		}
		if set.Issuer != "" && !slices.Contains(issuers, set.Issuer) {
			return nil, fieldError("jwks", fmt.Errorf("issuer %q is none of the accepted ones", set.Issuer))
		}
		source, err := held.add(keySetIdentity{source: where, options: set.KeySetOptions})
		if err != nil {
			return nil, fieldError("jwks", err)
		}
		sources = append(sources, token.Source{Issuer: set.Issuer, Keys: source})
	}
	if !discover {
		return sources, nil
	}
	for _, issuer := range issuers {
		source, err := held.add(keySetIdentity{discover: true, source: issuer})
		if err != nil {
			return nil, fieldError("issuer", fmt.Errorf("%w; a key set can be named with jwks", err))
		}
		sources = append(sources, token.Source{Issuer: issuer, Keys: source})
	}
	return sources, nil
}

// add takes one key set out of the pool, or starts it.
func (held *heldKeySets) add(identity keySetIdentity) (token.KeySource, error) {
	value, _, err := keySets.LoadOrNew(identity, func() (caddy.Destructor, error) {
		source, err := identity.start()
		if err != nil {
			return nil, err
		}
		return sharedKeySet{source}, nil
	})
	if err != nil {
		return nil, err
	}
	source := value.(sharedKeySet)
	*held = append(*held, heldKeySet{identity, source})
	return source, nil
}

// available returns nil if every key set has keys, and otherwise which one has none.
func (held heldKeySets) available() error {
	for _, set := range held {
		if set.source.Status().Keys == 0 {
			return fmt.Errorf("no keys from %s yet", set.source)
		}
	}
	return nil
}

// release gives all of them back.
func (held *heldKeySets) release() error {
	errs := make([]error, 0, len(*held))
	for _, set := range *held {
		_, err := keySets.Delete(set.identity)
		errs = append(errs, err)
	}
	*held = nil
	return errors.Join(errs...)
}

// start begins to fetch the key set.
func (identity keySetIdentity) start() (*jwks.Source, error) {
	// Not the logger of a configuration, which this outlives.
	log := caddy.Log().Named("token_auth.keys").With(zap.String("source", identity.name()))
	options := jwks.Options{
		Refresh:   time.Duration(identity.options.Refresh),
		MaxStale:  time.Duration(identity.options.MaxStale),
		Cooldown:  time.Duration(identity.options.Cooldown),
		Timeout:   time.Duration(identity.options.Timeout),
		AllowHTTP: identity.options.AllowHTTP,
		OnEvent: func(e jwks.Event) {
			countFetch(e)
			logKeyEvent(log, e)
		},
	}
	switch {
	case identity.discover:
		return jwks.FromIssuer(identity.source, options)
	case identity.isFile():
		return jwks.FromFile(identity.source, options)
	default:
		return jwks.FromURL(identity.source, options)
	}
}

// name is the source as logs have it: without what a URL could hide a key in.
func (identity keySetIdentity) name() string {
	if identity.isFile() {
		return identity.source
	}
	u, err := url.Parse(identity.source)
	if err != nil {
		return ""
	}
	return (&url.URL{Scheme: u.Scheme, Host: u.Host, Path: u.Path}).String()
}

// isFile reports whether the key set is read from a file.
func (identity keySetIdentity) isFile() bool {
	return !identity.discover && !strings.Contains(identity.source, "://")
}

func logKeyEvent(log *zap.Logger, e jwks.Event) {
	switch {
	case e.Expired:
		log.Error("verification keys given up: they could not be fetched for too long", zap.Error(e.Err))
	case e.Err != nil:
		log.Warn("verification keys not fetched", zap.Error(e.Err), zap.Int("keys_in_use", e.Keys), zap.Duration("next", e.Next))
	case e.Added+e.Removed > 0:
		log.Info("verification keys changed", zap.Int("keys", e.Keys), zap.Int("added", e.Added),
			zap.Int("removed", e.Removed), zap.Any("skipped", e.Skipped))
	}
}
