package workload

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"runtime"
	"sync"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"example.com/caddy-token-auth/revocation"
)

// Lifetime is how long the tokens are valid: longer than any benchmark runs.
const Lifetime = 12 * time.Hour

// Signer makes tokens of one algorithm, with a key of its own.
type Signer struct {
	method jwt.SigningMethod
	key    any
	now    time.Time
}

// NewSigner returns a Signer for HS256, RS256 (2048 bits) or ES256.
func NewSigner(alg string) (*Signer, error) {
	s := &Signer{method: jwt.GetSigningMethod(alg), now: time.Now().Add(-time.Minute)}
	var err error
	switch alg {
	case "HS256":
		s.key = []byte(rand.Text() + rand.Text())
	case "RS256":
		s.key, err = rsa.GenerateKey(rand.Reader, 2048)
	case "ES256":
		s.key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	default:
		return nil, fmt.Errorf("no key for algorithm %q", alg)
	}
	return s, err
}

// VerificationKey returns the shared secret of HS256, and the public key as PEM text
// for the others.
func (s *Signer) VerificationKey() (string, error) {
	if secret, ok := s.key.([]byte); ok {
		return string(secret), nil
	}
	der, err := x509.MarshalPKIXPublicKey(s.key.(crypto.Signer).Public())
	if err != nil {
		return "", err
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})), nil
}

// Tokens returns n tokens of as many clients, numbered from first.
func (s *Signer) Tokens(first, n int) ([]string, error) {
	tokens := make([]string, n)
	errs := make([]error, runtime.GOMAXPROCS(0)) // one for each worker
	var workers sync.WaitGroup
	for w := range errs {
		workers.Go(func() {
			for i := w; i < n && errs[w] == nil; i += len(errs) {
				tokens[i], errs[w] = s.token(first + i)
			}
		})
	}
	workers.Wait()
	for _, err := range errs {
		if err != nil {
			return nil, err
		}
	}
	return tokens, nil
}

func (s *Signer) token(i int) (string, error) {
	return jwt.NewWithClaims(s.method, jwt.MapClaims{
		"iss":   "https://id.example.com/realms/main",
		"aud":   "https://api.example.com",
		"sub":   client(i),
		"jti":   tokenID(i),
		"sid":   session(i),
		"iat":   s.now.Unix(),
		"exp":   s.now.Add(Lifetime).Unix(),
		"scope": "openid profile email",
		"azp":   "web",
	}).SignedString(s.key)
}

// Identities returns the identities of n tokens, numbered from 0.
func Identities(n int) []*revocation.Identity {
	issued := time.Now().Add(-time.Minute).Truncate(time.Second)
	ids := make([]*revocation.Identity, n)
	for i := range ids {
		ids[i] = revocation.NewIdentity("", tokenID(i), session(i), client(i), issued, issued.Add(Lifetime))
	}
	return ids
}

func client(i int) string  { return fmt.Sprintf("b7b1a1c0-55aa-4c0e-9d5e-%012d", i) }
func tokenID(i int) string { return fmt.Sprintf("f2f6b7e0-1111-4222-8333-%012d", i) }
func session(i int) string { return fmt.Sprintf("0f2c6a7e-aaaa-4bbb-8ccc-%012d", i) }
