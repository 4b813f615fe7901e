package caddymodule_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// signer makes the signature of a signing input (RFC 7515 §5.1).
type signer func(input string) []byte

// keyring is one key pair of each kind.
type keyring struct {
	rsa *rsa.PrivateKey
	ec  *ecdsa.PrivateKey
	ed  ed25519.PrivateKey
}

func newKeyring(t *testing.T) keyring {
	t.Helper()
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	ecKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	_, edKey, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return keyring{rsaKey, ecKey, edKey}
}

// public returns the public half of each pair.
func (k keyring) public() map[string]crypto.PublicKey {
	return map[string]crypto.PublicKey{"RSA": k.rsa.Public(), "ECDSA": k.ec.Public(), "Ed25519": k.ed.Public()}
}

// forge makes tokens: with the keys that the site knows, and with an attacker's.
type forge struct {
	t        *testing.T
	own      keyring // of the site
	attacker keyring
	now      time.Time
	upstream string // its URL
}

func newForge(t *testing.T) *forge {
	t.Helper()
	return &forge{t: t, own: newKeyring(t), attacker: newKeyring(t), now: time.Now()}
}

// options configure a site with the forge's keys, of every kind together.
func (f *forge) options() string {
	options := "api octopus_cards\nsecret " + testSecret
	for _, key := range []any{f.own.rsa.Public(), f.own.ec.Public(), f.own.ed.Public()} {
		options += "\npublic_key `" + publicPEM(f.t, key) + "`"
	}
	return options
}

func encode[T string | []byte](b T) string { return base64.RawURLEncoding.EncodeToString([]byte(b)) }

// assemble makes a token of the very bytes of header and payload.
func assemble(header, payload string, sign signer) string {
	input := encode(header) + "." + encode(payload)
	return input + "." + encode(sign(input))
}

// by signs with a method of golang-jwt.
func (f *forge) by(method jwt.SigningMethod, key any) signer {
	return func(input string) []byte {
		f.t.Helper()
		signature, err := method.Sign(input, key)
		if err != nil {
			f.t.Fatal(err)
		}
		return signature
	}
}

// hmac signs with the site's secret.
func (f *forge) hmac() signer { return f.by(jwt.SigningMethodHS256, []byte(testSecret)) }

// signerOf signs with the site's key for alg.
func (f *forge) signerOf(alg string) signer {
	switch method := jwt.GetSigningMethod(alg); alg {
	case "RS256", "PS256":
		return f.by(method, f.own.rsa)
	case "ES256":
		return f.by(method, f.own.ec)
	case "EdDSA":
		return f.by(method, f.own.ed)
	default:
		return f.by(method, []byte(testSecret))
	}
}

// genuine returns a token that nothing is wrong with.
func (f *forge) genuine(alg string) string {
	return assemble(`{"alg":"`+alg+`","typ":"JWT"}`, f.payload(), f.signerOf(alg))
}

// payload returns the claims of a genuine token, with some replaced: a name and its
// JSON text each. An empty text takes the claim out.
func (f *forge) payload(namesAndValues ...string) string {
	names := []string{"sub", "jti", "iat", "exp"}
	values := map[string]string{
		"sub": `"42"`, "jti": `"victim"`,
		"iat": fmt.Sprint(f.now.Add(-time.Minute).Unix()), "exp": fmt.Sprint(f.now.Add(time.Hour).Unix()),
	}
	for i := 0; i < len(namesAndValues); i += 2 {
		name := namesAndValues[i]
		if _, known := values[name]; !known {
			names = append(names, name)
		}
		values[name] = namesAndValues[i+1]
	}
	var members []string
	for _, name := range names {
		if values[name] != "" {
			members = append(members, `"`+name+`":`+values[name])
		}
	}
	return "{" + strings.Join(members, ",") + "}"
}

// claims returns a token with the site's signature and some claims replaced.
func (f *forge) claims(namesAndValues ...string) string {
	return f.signed(f.payload(namesAndValues...))
}

// signed returns a token with the site's signature for any payload.
func (f *forge) signed(payload string) string {
	return assemble(`{"alg":"HS256","typ":"JWT"}`, payload, f.hmac())
}

// after returns the time d from now as a NumericDate.
func (f *forge) after(d time.Duration) string { return fmt.Sprint(f.now.Add(d).Unix()) }

// leaving adds white space to a JSON object, until its length leaves rest when divided
// by three: base64 then has 4 unused bits for one, 2 for two.
func leaving(rest int, object string) string {
	for len(object)%3 != rest {
		object = strings.TrimSuffix(object, "}") + " }"
	}
	return object
}
