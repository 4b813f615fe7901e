package jwks

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"example.com/caddy-token-auth/token/internal/serverurl"
	"example.com/caddy-token-auth/token/internal/strictjson"
)

// wellKnown is where an issuer describes itself (OpenID Connect Discovery 1.0 §4).
const wellKnown = "/.well-known/openid-configuration"

// ErrDiscovery says that an issuer's description is not one, is that of another issuer,
// or names no key set that may be used.
var ErrDiscovery = errors.New("OpenID Connect discovery")

// FromIssuer returns a Source for the keys of an OpenID Connect issuer: those at the
// jwks_uri of its description, whose issuer must be exactly the given one (OpenID
// Connect Discovery 1.0 §4.3). The URL of the issuer has neither query nor fragment.
// Plain http needs Options.AllowHTTP, unless the host is loopback, and the key set of an
// https issuer must be at an https URL.
//
// The description is read again with every refresh. Close must be called.
func FromIssuer(issuer string, o Options) (*Source, error) {
	u, err := serverurl.Parse(issuer, o.AllowHTTP, danger)
	if err != nil {
		return nil, fmt.Errorf("issuer: %w", err)
	}
	if u.RawQuery != "" || u.ForceQuery || strings.Contains(issuer, "#") {
		return nil, errors.New("issuer: a URL with a query or fragment")
	}
	// §4.1: a slash at the end is removed before the path is appended.
	address := *u
	address.Path = strings.TrimSuffix(u.Path, "/") + wellKnown
	if u.RawPath != "" {
		address.RawPath = strings.TrimSuffix(u.RawPath, "/") + wellKnown
	}
	return start(&provider{issuer: issuer, address: &address, allowHTTP: o.AllowHTTP, web: newWeb(o)}, o)
}

// provider is the origin of the keys of an OpenID Connect issuer.
type provider struct {
	issuer    string
	address   *url.URL // of its description
	allowHTTP bool
	web       web

	mu   sync.Mutex // guards keys
	keys *url.URL   // the jwks_uri that was found last
}

func (p *provider) String() string { return p.issuer }

// fetch implements origin. With a request waiting, it goes straight to the key set; if
// that has moved, the next retry finds out.
func (p *provider) fetch(ctx context.Context, demanded bool) ([]byte, time.Duration, error) {
	p.mu.Lock()
	keys := p.keys
	p.mu.Unlock()
	if keys == nil || !demanded {
		var err error
		if keys, err = p.discover(ctx); err != nil {
			return nil, 0, err
		}
		p.mu.Lock()
		p.keys = keys
		p.mu.Unlock()
	}
	return p.web.get(ctx, keys)
}

// discover returns the jwks_uri of the issuer's description.
func (p *provider) discover(ctx context.Context) (*url.URL, error) {
	doc, _, err := p.web.get(ctx, p.address)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrDiscovery, err)
	}
	var issuer, keys string
	err = strictjson.Members(doc, func(name string, value jsontext.Value) error {
		switch name {
		case "issuer":
			issuer, _ = strictjson.String(value)
		case "jwks_uri":
			keys, _ = strictjson.String(value)
		}
		return nil
	})
	switch {
	case err != nil:
		return nil, fmt.Errorf("%w: the answer is not a strict JSON object", ErrDiscovery)
	case issuer != p.issuer:
		return nil, fmt.Errorf("%w: the answer is that of another issuer", ErrDiscovery)
	case keys == "":
		return nil, fmt.Errorf("%w: the answer has no jwks_uri", ErrDiscovery)
	}
	u, err := serverurl.Parse(keys, p.allowHTTP, danger)
	switch {
	case err != nil:
		return nil, fmt.Errorf("%w: jwks_uri: %w", ErrDiscovery, err)
	case p.address.Scheme == "https" && u.Scheme != "https":
		return nil, fmt.Errorf("%w: jwks_uri leaves https", ErrDiscovery)
	}
	return u, nil
}
