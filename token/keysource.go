package token

import (
	"context"
	"errors"
	"slices"

	"github.com/go-json-experiment/json/jsontext"

	"example.com/caddy-token-auth/token/internal/strictjson"
)

// KeySource gives keys that change while a Verifier uses them, such as a key set that
// an issuer publishes. The package jwks has implementations.
type KeySource interface {
	// Keys returns the ring with the present keys: the same ring on every call.
	Keys() *KeyRing
	// Refetch is called when no key of the ring is called kid, or for a token without
	// kid that no key of the ring signed; kid is then "". It returns after the ring has
	// been brought up to date, or at once where there is nothing new to be expected. How
	// often it really looks is for the source to limit: kid comes from a token that
	// nobody has verified.
	//
	// An error means that it could not be found out whether there is such a key. It
	// wraps ErrKeysUnavailable, and what ctx says if that is why.
	Refetch(ctx context.Context, kid string) error
}

// Source is a KeySource and whose tokens its keys may sign.
type Source struct {
	// Issuer whose tokens the keys verify, and no others: one of Config.Issuers. ""
	// means the tokens of all accepted issuers.
	Issuer string
	Keys   KeySource
}

// sources chooses the sources for a token.
type sources struct {
	all      []KeySource            // those for every issuer
	byIssuer map[string][]KeySource // for a bound issuer: its own, and all
	any      bool
}

func newSources(configured []Source) sources {
	s := sources{any: len(configured) > 0}
	for _, source := range configured {
		if source.Issuer == "" {
			s.all = append(s.all, source.Keys)
		}
	}
	for _, source := range configured {
		if source.Issuer == "" {
			continue
		}
		if s.byIssuer == nil {
			s.byIssuer = make(map[string][]KeySource)
		}
		if _, ok := s.byIssuer[source.Issuer]; !ok {
			s.byIssuer[source.Issuer] = slices.Clone(s.all)
		}
		s.byIssuer[source.Issuer] = append(s.byIssuer[source.Issuer], source.Keys)
	}
	return s
}

// of returns the sources whose keys may have signed a token with this payload. The
// payload is not verified yet, and its iss chooses the source, nothing else.
func (s *sources) of(payload []byte) ([]KeySource, error) {
	if len(s.byIssuer) == 0 {
		return s.all, nil
	}
	issuer, err := unverifiedIssuer(payload)
	if err != nil {
		return nil, err
	}
	if bound, ok := s.byIssuer[issuer]; ok {
		return bound, nil
	}
	return s.all, nil
}

// unverifiedIssuer returns the claim iss, or "" if it is not there or not a string.
func unverifiedIssuer(payload []byte) (string, error) {
	issuer := ""
	err := strictjson.Members(payload, func(name string, value jsontext.Value) error {
		if name == "iss" {
			issuer, _ = strictjson.String(value)
		}
		return nil
	})
	if errors.Is(err, strictjson.ErrNotStrict) {
		return "", refusal(ErrMalformed, "payload is not a strict JSON object")
	}
	return issuer, err
}
