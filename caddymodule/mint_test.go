package caddymodule

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"strings"
	"testing"
	"time"

	"example.com/caddy-token-auth/token"
)

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func pemOf(kind string, der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
}

// TestMintedTokenIsVerified takes each kind of key in each form.
func TestMintedTokenIsVerified(t *testing.T) {
	rsaKey := must(rsa.GenerateKey(rand.Reader, 2048))
	p256 := must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))
	p521 := must(ecdsa.GenerateKey(elliptic.P521(), rand.Reader))
	_, ed, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	secret := []byte(strings.Repeat("s", 64))
	public := func(key any) token.VerificationKey { return must(token.NewPublicKey(key)) }
	for _, c := range []struct {
		what      string
		key       signingKey
		verify    token.VerificationKey
		algorithm string
	}{
		{"a secret", must(secretKey(secret)), must(token.NewHMACKey(secret)), ""},
		{"a secret, HS512", must(secretKey(secret)), must(token.NewHMACKey(secret)), "HS512"},
		{"RSA", must(privateKey(pemOf("RSA PRIVATE KEY", x509.MarshalPKCS1PrivateKey(rsaKey)))), public(rsaKey.Public()), ""},
		{"RSA-PSS", must(privateKey(pemOf("PRIVATE KEY", must(x509.MarshalPKCS8PrivateKey(rsaKey))))), public(rsaKey.Public()), "PS256"},
		{"P-256", must(privateKey(pemOf("EC PRIVATE KEY", must(x509.MarshalECPrivateKey(p256))))), public(p256.Public()), ""},
		{"P-521", must(privateKey(pemOf("PRIVATE KEY", must(x509.MarshalPKCS8PrivateKey(p521))))), public(p521.Public()), ""},
		{"Ed25519", must(privateKey(pemOf("PRIVATE KEY", must(x509.MarshalPKCS8PrivateKey(ed))))), public(ed.Public()), ""},
	} {
		m := mintRequest{
			client: "42", session: "s1", clientClaim: "sub", sessionClaim: "sid", issuer: "https://id.example",
			audiences: []string{"api", "other"}, lifetime: time.Hour, claims: []string{"role=admin", `level={"n":9007199254740993}`, "empty="},
			algorithm: c.algorithm, keyID: "k1",
		}
		raw, err := m.mint(c.key, time.Now())
		if err != nil {
			t.Errorf("%s: %v", c.what, err)
			continue
		}
		v := must(token.NewVerifier(token.Config{
			Keys: []token.VerificationKey{c.verify.WithID("k1")}, Issuers: []string{"https://id.example"}, Audiences: []string{"api"},
		}))
		verified, err := v.Verify(t.Context(), raw)
		if err != nil {
			t.Errorf("%s: %v", c.what, err)
			continue
		}
		if id := verified.Identity(); id.Client() != "42" || id.Session() != "s1" || id.Token() == "" || !id.IssuedAt().Add(time.Hour).Equal(verified.Expires()) {
			t.Errorf("%s: client %q, session %q, token %q", c.what, id.Client(), id.Session(), id.Token())
		}
		for name, want := range map[string]string{"role": "admin", "level": `{"n":9007199254740993}`, "empty": ""} {
			if got, ok := verified.Claim(name); got != want || !ok {
				t.Errorf("%s: claim %s is %q, want %q", c.what, name, got, want)
			}
		}
		if printed := fmt.Sprintf("%v %+v %#v %s", c.key, c.key, c.key, c.key); strings.Contains(printed, "115") || strings.Contains(printed, "sss") {
			t.Errorf("%s: the key shows itself: %s", c.what, printed)
		}
	}
}

func TestMintRefusesWhatNobodyShouldSignWith(t *testing.T) {
	weak := must(rsa.GenerateKey(rand.Reader, 1024))
	good := pemOf("PRIVATE KEY", must(x509.MarshalPKCS8PrivateKey(must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader)))))
	for what, text := range map[string][]byte{
		"a weak key":         pemOf("RSA PRIVATE KEY", x509.MarshalPKCS1PrivateKey(weak)),
		"a public key":       pemOf("PUBLIC KEY", must(x509.MarshalPKIXPublicKey(weak.Public()))),
		"an encrypted key":   pemOf("ENCRYPTED PRIVATE KEY", []byte("x")),
		"a damaged key":      pemOf("PRIVATE KEY", []byte("not DER")),
		"two keys":           append(append([]byte(nil), good...), good...),
		"a text":             []byte("secret-secret"),
		"a key on no curve":  pemOf("PRIVATE KEY", must(x509.MarshalPKCS8PrivateKey(must(ecdsa.GenerateKey(elliptic.P224(), rand.Reader))))),
		"text after the key": append(append([]byte(nil), good...), "secret-secret"...),
	} {
		if _, err := privateKey(text); err == nil || strings.Contains(err.Error(), "secret-secret") {
			t.Errorf("%s: %v", what, err)
		}
	}
	if _, err := secretKey([]byte("short")); err == nil {
		t.Error("a short secret")
	}
	key := must(secretKey([]byte(strings.Repeat("s", 32))))
	for what, m := range map[string]mintRequest{
		"another algorithm":   {algorithm: "HS512", lifetime: time.Hour},
		"no algorithm at all": {algorithm: "none", lifetime: time.Hour},
		"no lifetime":         {},
		"a claim of its own":  {lifetime: time.Hour, claims: []string{"exp=99999999999"}},
		"a claim twice":       {lifetime: time.Hour, claims: []string{"a=1", "a=2"}},
		"the client twice":    {lifetime: time.Hour, client: "42", clientClaim: "sub", claims: []string{"sub=43"}},
		"no claim":            {lifetime: time.Hour, claims: []string{"a"}},
		"a claim of no name":  {lifetime: time.Hour, claims: []string{"=a"}},
	} {
		if raw, err := m.mint(key, time.Now()); err == nil {
			t.Errorf("%s: %s", what, raw)
		}
	}
}

func TestSecretOfAConfigurationIsFoundWhereverTheDirectiveIs(t *testing.T) {
	const handler = `{"handler":"token_auth","secrets":["{env.X}"],"client_claim":"uid"}`
	inRoutes := `{"apps":{"http":{"servers":{"srv0":{"routes":[{"handle":[{"handler":"subroute","routes":[{"handle":[%s]}]}]}]}}}}}`
	h, err := secretHandler(fmt.Appendf(nil, inRoutes, handler))
	if err != nil || h.ClientClaim != "uid" || h.Secrets[0] != "{env.X}" {
		t.Errorf("%v, %v", h, err)
	}
	h, err = secretHandler(fmt.Appendf(nil, inRoutes, `{"handler":"token_auth","public_keys":["x"]},`+handler))
	if err != nil || len(h.Secrets) != 1 {
		t.Errorf("beside one with a public key: %v", err)
	}
	for what, handlers := range map[string]string{
		"two that have one": handler + "," + handler, "none": `{"handler":"encode"}`, "only a public key": `{"handler":"token_auth","public_keys":["x"]}`,
	} {
		if _, err := secretHandler(fmt.Appendf(nil, inRoutes, handlers)); err == nil {
			t.Errorf("%s: no error", what)
		}
	}
}
