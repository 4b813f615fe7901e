package jwks

import (
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"errors"
	"slices"
	"strings"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-json-experiment/json/jsontext"

	"example.com/caddy-token-auth/token"
	"example.com/caddy-token-auth/token/internal/strictjson"
)

// jwk is what matters of a JSON Web Key (RFC 7517 §4, RFC 7518 §6, RFC 8037 §2).
type jwk struct {
	kty, use, alg, kid string
	hasUse, hasAlg     bool
	operations         []string // key_ops; nil if absent

	crv, n, e, x, y string
	private         bool
}

var errMember = errors.New("a member of the wrong type")

// parseKey returns the verification key that value is, or why it is none.
func parseKey(value jsontext.Value) (token.VerificationKey, Reason) {
	var k jwk
	if value.Kind() != '{' || strictjson.Members(value, k.member) != nil {
		return token.VerificationKey{}, SkippedInvalid
	}
	if reason := k.refusal(); reason != "" {
		return token.VerificationKey{}, reason
	}
	public, ok := k.public()
	if !ok {
		return token.VerificationKey{}, SkippedInvalid
	}
	if r, ok := public.(*rsa.PublicKey); ok && r.N.BitLen() < minRSABits {
		return token.VerificationKey{}, SkippedWeak
	}
	key, err := token.NewPublicKey(public)
	if err != nil {
		return token.VerificationKey{}, SkippedInvalid
	}
	if k.hasAlg {
		if key, err = key.ForAlgorithm(k.alg); err != nil {
			return token.VerificationKey{}, SkippedAlgorithm
		}
	}
	return key.WithID(k.kid), ""
}

// minRSABits only tells a weak key from an invalid one; token.NewPublicKey takes
// neither.
const minRSABits = 2048

// member takes in one member of the key's object.
func (k *jwk) member(name string, value jsontext.Value) error {
	var to *string
	switch name {
	case "kty":
		to = &k.kty
	case "use":
		to, k.hasUse = &k.use, true
	case "alg":
		to, k.hasAlg = &k.alg, true
	case "kid":
		to = &k.kid
	case "crv":
		to = &k.crv
	case "n":
		to = &k.n
	case "e":
		to = &k.e
	case "x":
		to = &k.x
	case "y":
		to = &k.y
	case "key_ops":
		var ok bool
		if k.operations, ok = operations(value); !ok {
			return errMember
		}
	case "d", "p", "q", "dp", "dq", "qi", "oth", "k", "priv":
		k.private = true
	}
	if to == nil {
		return nil
	}
	s, ok := strictjson.String(value)
	if !ok {
		return errMember
	}
	*to = s
	return nil
}

// operations returns the strings of key_ops, none of which may be there twice
// (RFC 7517 §4.3).
func operations(value jsontext.Value) ([]string, bool) {
	list, ok := strictjson.Strings(value)
	if !ok {
		return nil, false
	}
	for i, operation := range list {
		if slices.Contains(list[:i], operation) {
			return nil, false
		}
	}
	return list, true
}

// refusal says why k is not used, whatever its material, or "".
func (k *jwk) refusal() Reason {
	known := k.kty == "RSA" ||
		k.kty == "EC" && slices.Contains([]string{"P-256", "P-384", "P-521"}, k.crv) ||
		k.kty == "OKP" && k.crv == "Ed25519"
	switch {
	case k.kty == "":
		return SkippedInvalid
	case k.kty == "oct":
		return SkippedSymmetric
	case k.private:
		return SkippedPrivate
	case k.hasUse && k.use != "sig", k.operations != nil && !slices.Contains(k.operations, "verify"):
		return SkippedUse
	case !known:
		return SkippedType
	}
	return ""
}

// public returns the key's material. go-jose gets only the members that make the key,
// so that a certificate beside it, which nobody uses, cannot make it fail.
func (k *jwk) public() (any, bool) {
	minimal := map[string]string{"kty": k.kty}
	switch k.kty {
	case "RSA":
		minimal["n"], minimal["e"] = k.n, k.e
	case "EC":
		minimal["crv"], minimal["x"], minimal["y"] = k.crv, k.x, k.y
	case "OKP":
		minimal["crv"], minimal["x"] = k.crv, k.x
	}
	for name, s := range minimal {
		if name != "kty" && name != "crv" && !isBase64URL(s) {
			return nil, false
		}
	}
	// go-jose cuts a larger exponent down to 64 bits.
	if len(k.e) > maxExponent {
		return nil, false
	}
	doc, err := json.Marshal(minimal)
	if err != nil {
		return nil, false
	}
	var key jose.JSONWebKey
	if err := key.UnmarshalJSON(doc); err != nil || !key.Valid() || !key.IsPublic() {
		return nil, false
	}
	return key.Key, true
}

// maxExponent is the length of 4 bytes in base64url: larger exponents than 2³¹ are
// refused by crypto/rsa.
const maxExponent = 6

// isBase64URL reports whether s is base64url without padding, line breaks, and unused
// bits that are not zero (RFC 7515 §2), and not empty. The decoder skips line breaks.
func isBase64URL(s string) bool {
	_, err := base64.RawURLEncoding.Strict().DecodeString(s)
	return err == nil && s != "" && !strings.ContainsAny(s, "\r\n")
}
