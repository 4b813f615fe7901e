package token

import (
	"crypto/rsa"
	"errors"

	"github.com/golang-jwt/jwt/v5"
)

// supported are the names of all algorithms that a key can have.
var supported = []string{
	"HS256", "HS384", "HS512",
	"RS256", "RS384", "RS512",
	"PS256", "PS384", "PS512",
	"ES256", "ES384", "ES512",
	"EdDSA", "Ed25519",
}

// edwards are the names of the one algorithm of an Ed25519 key: of RFC 8037 §3.1, where the
// curve is the key's, and of RFC 9864 §2.2.
var edwards = []string{"EdDSA", "Ed25519"}

// ed25519Method is EdDSA under its new name, by which golang-jwt finds it in its registry.
type ed25519Method struct{ *jwt.SigningMethodEd25519 }

// Alg implements jwt.SigningMethod.
func (ed25519Method) Alg() string { return "Ed25519" }

func init() {
	if jwt.GetSigningMethod("Ed25519") == nil {
		jwt.RegisterSigningMethod("Ed25519", func() jwt.SigningMethod { return ed25519Method{jwt.SigningMethodEdDSA} })
	}
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

// signatureChecker decides whether a key signed a token.
type signatureChecker struct{ parser *jwt.Parser }

func newSignatureChecker(algorithms []string) signatureChecker {
	// Claims are validated afterwards, in an order of our own (see parseClaims).
	return signatureChecker{jwt.NewParser(jwt.WithValidMethods(algorithms), jwt.WithStrictDecoding(),
		jwt.WithJSONNumber(), jwt.WithoutClaimsValidation())}
}

// check verifies raw, whose header and parts are h and c, with keys, of which there is
// at least one. It returns the life of the key that signed it. The errors of golang-jwt
// quote the token and are replaced.
func (s signatureChecker) check(raw string, h header, c compact, keys candidates) (*life, error) {
	parsed, err := s.parser.ParseWithClaims(raw, &unread{}, func(*jwt.Token) (any, error) { return keys.material, nil })
	switch {
	case errors.Is(err, jwt.ErrTokenMalformed):
		return nil, refusal(ErrMalformed, "payload is not a strict JSON object")
	case err != nil || !parsed.Valid || parsed.Method.Alg() != h.alg:
		return nil, ErrSignature
	}
	method := parsed.Method
	if strict, isPSS := strictPSS[h.alg]; isPSS {
		method = strict
	} else if shared := keys.sharedLife(); shared != nil {
		return shared, nil
	}
	// golang-jwt does not say which of the keys it was.
	for i, key := range keys.material.Keys {
		if method.Verify(c.signed, parsed.Signature, key) == nil {
			return keys.keys[i].life, nil
		}
	}
	return nil, refusal(ErrSignature, "salt length")
}

// unread is what golang-jwt decodes the payload into: nothing.
type unread struct{ jwt.RegisteredClaims }

// UnmarshalJSON implements json.Unmarshaler. The text was checked for its syntax.
func (*unread) UnmarshalJSON([]byte) error { return nil }
