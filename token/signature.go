package token

import (
	"crypto/rsa"
	"errors"
	"slices"

	"github.com/golang-jwt/jwt/v5"
)

// supported are the names of all algorithms that a key can have.
var supported = []string{
	"HS256", "HS384", "HS512",
	"RS256", "RS384", "RS512",
	"PS256", "PS384", "PS512",
	"ES256", "ES384", "ES512",
	"EdDSA",
}

// strictPSS verifies with the one salt length that RFC 7518 §3.5 allows, that of the
// hash. The methods that golang-jwt registers take a salt of any length.
var strictPSS = map[string]*jwt.SigningMethodRSAPSS{
	"PS256": withHashSalt(jwt.SigningMethodPS256),
	"PS384": withHashSalt(jwt.SigningMethodPS384),
	"PS512": withHashSalt(jwt.SigningMethodPS512),
}

func withHashSalt(m *jwt.SigningMethodRSAPSS) *jwt.SigningMethodRSAPSS {
	options := &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash}
	return &jwt.SigningMethodRSAPSS{SigningMethodRSA: m.SigningMethodRSA, Options: options, VerifyOptions: options}
}

// signatureChecker decides whether a configured key signed a token.
type signatureChecker struct {
	parser *jwt.Parser
	// keys has, for each allowed algorithm, the keys that can do it, and only these: an
	// RSA key is never offered to HS256, whatever the header says.
	keys map[string][]VerificationKey
	sets map[string]jwt.VerificationKeySet
}

func newSignatureChecker(keys []VerificationKey, algorithms []string) *signatureChecker {
	s := &signatureChecker{
		// Claims are validated afterwards, in an order of our own (see parseClaims).
		parser: jwt.NewParser(jwt.WithValidMethods(algorithms), jwt.WithStrictDecoding(),
			jwt.WithJSONNumber(), jwt.WithoutClaimsValidation()),
		keys: make(map[string][]VerificationKey),
		sets: make(map[string]jwt.VerificationKeySet),
	}
	for _, alg := range algorithms {
		for _, key := range keys {
			if slices.Contains(key.algorithms, alg) {
				s.keys[alg] = append(s.keys[alg], key)
			}
		}
		s.sets[alg] = keySet(s.keys[alg])
	}
	return s
}

func keySet(keys []VerificationKey) jwt.VerificationKeySet {
	set := jwt.VerificationKeySet{Keys: make([]jwt.VerificationKey, len(keys))}
	for i, key := range keys {
		set.Keys[i] = key.material()
	}
	return set
}

// candidates returns the keys that may have signed a token with header h. A kid can
// only take keys out.
func (s *signatureChecker) candidates(h header) (jwt.VerificationKeySet, error) {
	keys, ok := s.keys[h.alg]
	if !ok {
		return jwt.VerificationKeySet{}, ErrAlgorithm
	}
	others := 0
	for _, key := range keys {
		if h.kid != "" && key.id != "" && key.id != h.kid {
			others++
		}
	}
	switch others {
	case 0:
		return s.sets[h.alg], nil
	case len(keys):
		return jwt.VerificationKeySet{}, ErrUnknownKey
	}
	var left []VerificationKey
	for _, key := range keys {
		if key.id == "" || key.id == h.kid {
			left = append(left, key)
		}
	}
	return keySet(left), nil
}

// check verifies raw, whose header and parts are h and c, with keys. The errors of
// golang-jwt quote the token and are replaced.
func (s *signatureChecker) check(raw string, h header, c compact, keys jwt.VerificationKeySet) error {
	parsed, err := s.parser.ParseWithClaims(raw, &unread{}, func(*jwt.Token) (any, error) { return keys, nil })
	switch {
	case errors.Is(err, jwt.ErrTokenMalformed):
		return refusal(ErrMalformed, "payload is not a strict JSON object")
	case err != nil || !parsed.Valid || parsed.Method.Alg() != h.alg:
		return ErrSignature
	}
	method, isPSS := strictPSS[h.alg]
	if !isPSS {
		return nil
	}
	for _, key := range keys.Keys {
		if method.Verify(c.signed, parsed.Signature, key) == nil {
			return nil
		}
	}
	return refusal(ErrSignature, "salt length")
}

// unread is what golang-jwt decodes the payload into: nothing.
type unread struct{ jwt.RegisteredClaims }

// UnmarshalJSON implements json.Unmarshaler. The text was checked for its syntax.
func (*unread) UnmarshalJSON([]byte) error { return nil }
