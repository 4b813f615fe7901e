package token

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// now is the time of the injected clock; noon is the same in Unix seconds.
var now = time.Date(2026, time.January, 15, 12, 0, 0, 0, time.UTC)

const noon = 1768478400

var secret = []byte("0123456789abcdef0123456789abcdef")

var (
	rsaPrivate  = sync.OnceValue(func() *rsa.PrivateKey { return must(rsa.GenerateKey(rand.Reader, 2048)) })
	p256Private = sync.OnceValue(func() *ecdsa.PrivateKey { return must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader)) })
	p384Private = sync.OnceValue(func() *ecdsa.PrivateKey { return must(ecdsa.GenerateKey(elliptic.P384(), rand.Reader)) })
	p521Private = sync.OnceValue(func() *ecdsa.PrivateKey { return must(ecdsa.GenerateKey(elliptic.P521(), rand.Reader)) })
	edPrivate   = sync.OnceValue(func() ed25519.PrivateKey { return must2(ed25519.GenerateKey(rand.Reader)) })
)

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func must2[T, U any](_ T, v U, err error) U { return must(v, err) }

func encode[T string | []byte](b T) string { return base64.RawURLEncoding.EncodeToString([]byte(b)) }

// raw builds a token from the very bytes of header and payload and signs it with the
// given function of its signing input.
func raw(header, payload string, sign func(string) []byte) string {
	signed := encode(header) + "." + encode(payload)
	return signed + "." + encode(sign(signed))
}

func withHMAC(secret []byte) func(string) []byte {
	return func(signed string) []byte {
		h := hmac.New(sha256.New, secret)
		h.Write([]byte(signed))
		return h.Sum(nil)
	}
}

func with(method jwt.SigningMethod, key any) func(string) []byte {
	return func(signed string) []byte { return must(method.Sign(signed, key)) }
}

// hs256 is a genuine token with the given payload.
func hs256(payload string) string {
	return raw(`{"alg":"HS256","typ":"JWT"}`, payload, withHMAC(secret))
}

// good is a payload that nothing is wrong with; fields are put in front of it.
func good(fields string) string {
	return fmt.Sprintf(`{%s"iat":%d,"exp":%d}`, fields, noon-60, noon+3600)
}

func hmacKey(t testing.TB, secret []byte) VerificationKey {
	t.Helper()
	key, err := NewHMACKey(secret)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func publicKey(t testing.TB, private crypto.Signer) VerificationKey {
	t.Helper()
	key, err := NewPublicKey(private.Public())
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func pkixPEM(public any) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: must(x509.MarshalPKIXPublicKey(public))})
}

// verifier returns one for c, with the HS256 secret and the clock at now if c has none.
func verifier(t testing.TB, c Config) *Verifier {
	t.Helper()
	if c.Keys == nil {
		c.Keys = []VerificationKey{hmacKey(t, secret)}
	}
	if c.Now == nil {
		c.Now = func() time.Time { return now }
	}
	v, err := NewVerifier(c)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// fresh returns a copy of s at another address.
func fresh(s string) string { return strings.Clone(s) }
