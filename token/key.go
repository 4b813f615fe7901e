package token

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
)

const (
	// minSecret is the least length of an HMAC secret in bytes: that of the hash of
	// HS256 (RFC 7518 §3.2). HS384 and HS512 need minSecret384 and minSecret512.
	minSecret    = 32
	minSecret384 = 48
	minSecret512 = 64

	// minRSABits follows RFC 7518 §3.3. maxRSABits bounds what one forged token costs.
	minRSABits = 2048
	maxRSABits = 8192
)

// VerificationKey is a key that signatures are verified with, together with the
// algorithms that it may be used for (RFC 8725 §3.1). The zero value can do nothing.
// Printing or encoding it shows its algorithms and fingerprint only.
type VerificationKey struct {
	algorithms  []string
	fingerprint string
	id          string
	// material gives the key as golang-jwt wants it. It is a function because packages
	// that print by reflection follow pointers, but not closures.
	material func() any
}

// NewHMACKey returns the key for a shared secret (RFC 7518 §3.2). It can do HS256
// from 32 bytes, HS384 from 48 and HS512 from 64; a shorter secret is an error, and so
// is PEM text: whoever has a public key could sign with it. The secret is copied.
func NewHMACKey(secret []byte) (VerificationKey, error) {
	if len(secret) < minSecret {
		return VerificationKey{}, fmt.Errorf(
			"the secret has %d bytes, HS256 needs at least %d: make one with `openssl rand -base64 32`", len(secret), minSecret)
	}
	if bytes.Contains(secret, []byte("-----BEGIN ")) {
		return VerificationKey{}, errors.New("the secret is PEM text: a key pair's public half is not a secret")
	}
	algorithms := []string{"HS256"}
	if len(secret) >= minSecret384 {
		algorithms = append(algorithms, "HS384")
	}
	if len(secret) >= minSecret512 {
		algorithms = append(algorithms, "HS512")
	}
	secret = bytes.Clone(secret)
	return VerificationKey{
		algorithms:  algorithms,
		fingerprint: fingerprint("hmac", secret),
		material:    func() any { return secret },
	}, nil
}

// NewPublicKey returns the key for an *rsa.PublicKey of 2048 to 8192 bits, an
// *ecdsa.PublicKey on P-256, P-384 or P-521, or an ed25519.PublicKey. Anything else is
// an error. The key must not be changed afterwards.
func NewPublicKey(key any) (VerificationKey, error) {
	var algorithms []string
	switch k := key.(type) {
	case *rsa.PublicKey:
		if err := checkRSA(k); err != nil {
			return VerificationKey{}, err
		}
		algorithms = []string{"RS256", "RS384", "RS512", "PS256", "PS384", "PS512"}
	case *ecdsa.PublicKey:
		if k == nil || k.Curve == nil {
			return VerificationKey{}, errors.New("ECDSA key without a curve")
		}
		switch name := k.Curve.Params().Name; name {
		case "P-256":
			algorithms = []string{"ES256"}
		case "P-384":
			algorithms = []string{"ES384"}
		case "P-521":
			algorithms = []string{"ES512"}
		default:
			return VerificationKey{}, fmt.Errorf("no algorithm for ECDSA keys on curve %s: want P-256, P-384 or P-521", name)
		}
	case ed25519.PublicKey:
		algorithms = edwards
	default:
		return VerificationKey{}, fmt.Errorf("no algorithm for keys of type %T: want RSA, ECDSA or Ed25519", key)
	}
	der, err := x509.MarshalPKIXPublicKey(key)
	if err != nil {
		return VerificationKey{}, errors.New("the public key is not valid")
	}
	return VerificationKey{
		algorithms:  algorithms,
		fingerprint: fingerprint("public", der),
		material:    func() any { return key },
	}, nil
}

// checkRSA refuses keys that are weak or that cannot be RSA keys.
func checkRSA(k *rsa.PublicKey) error {
	switch {
	case k == nil || k.N == nil:
		return errors.New("RSA key without a modulus")
	case k.N.BitLen() < minRSABits:
		return fmt.Errorf("the RSA key has %d bits: at least %d are needed", k.N.BitLen(), minRSABits)
	case k.N.BitLen() > maxRSABits:
		return fmt.Errorf("the RSA key has %d bits: at most %d are accepted", k.N.BitLen(), maxRSABits)
	case k.N.Bit(0) == 0:
		return errors.New("the RSA key has an even modulus")
	case k.E <= 2 || k.E%2 == 0:
		return fmt.Errorf("the RSA key has the exponent %d: it must be odd and greater than 2", k.E)
	}
	return nil
}

// fingerprint is one-way. It tells no more about a secret than any token signed with
// it does: both only allow to check a guess.
func fingerprint(kind string, material []byte) string {
	sum := sha256.Sum256(append([]byte("token verification key\x00"+kind+"\x00"), material...))
	return base64.RawURLEncoding.EncodeToString(sum[:12])
}

// Algorithms returns the names of the algorithms that k can do (RFC 7518 §3.1).
func (k VerificationKey) Algorithms() []string { return slices.Clone(k.algorithms) }

// Fingerprint returns a stable identifier of the key that is no secret: two keys have
// the same fingerprint if they are the same key.
func (k VerificationKey) Fingerprint() string { return k.fingerprint }

// WithID returns k with the key identifier of its key set (RFC 7517 §4.5). A token
// that names another kid is then not tried with k. The identifier only ever takes
// keys out of consideration; "" takes none out.
func (k VerificationKey) WithID(kid string) VerificationKey {
	k.id = kid
	return k
}

// ForAlgorithm returns k limited to alg (RFC 7517 §4.4), or an error if k cannot do it. The
// algorithm of an Ed25519 key has two names, and goes on having both.
func (k VerificationKey) ForAlgorithm(alg string) (VerificationKey, error) {
	if !slices.Contains(k.algorithms, alg) {
		return VerificationKey{}, fmt.Errorf("the key can do %s, not the algorithm that it is for", strings.Join(k.algorithms, ", "))
	}
	if !slices.Contains(edwards, alg) {
		k.algorithms = []string{alg}
	}
	return k, nil
}

// ID returns what WithID set.
func (k VerificationKey) ID() string { return k.id }

// String names the key without showing it.
func (k VerificationKey) String() string {
	return strings.Join(k.algorithms, "/") + " key " + k.fingerprint
}

// Format implements fmt.Formatter for every verb.
func (k VerificationKey) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, k.String()) }

// MarshalText implements encoding.TextMarshaler, which encoding/json uses too.
func (k VerificationKey) MarshalText() ([]byte, error) { return []byte(k.String()), nil }
