package jwks_test

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"net/http"
	"net/http/httptest"

	"github.com/golang-jwt/jwt/v5"

	"example.com/caddy-token-auth/token"
	"example.com/caddy-token-auth/token/jwks"
)

func ExampleFromIssuer() {
	// The issuer: it publishes its key, and where to find it.
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		panic(err)
	}
	mux := http.NewServeMux()
	idp := httptest.NewServer(mux)
	defer idp.Close()
	mux.HandleFunc("/.well-known/openid-configuration", func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintf(w, `{"issuer":%q,"jwks_uri":%q}`, idp.URL, idp.URL+"/keys")
	})
	mux.HandleFunc("/keys", func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintf(w, `{"keys":[{"kty":"OKP","crv":"Ed25519","kid":"2026","x":%q}]}`, base64.RawURLEncoding.EncodeToString(public))
	})

	// The verifier: a token waits for the first fetch.
	source, err := jwks.FromIssuer(idp.URL, jwks.Options{})
	if err != nil {
		panic(err)
	}
	defer source.Close()
	verifier, err := token.NewVerifier(token.Config{
		Issuers: []string{idp.URL},
		Sources: []token.Source{{Issuer: idp.URL, Keys: source}},
	})
	if err != nil {
		panic(err)
	}

	issued := jwt.NewWithClaims(jwt.SigningMethodEdDSA, jwt.MapClaims{"iss": idp.URL, "sub": "alice"})
	issued.Header["kid"] = "2026"
	raw, err := issued.SignedString(private)
	if err != nil {
		panic(err)
	}
	verified, err := verifier.Verify(context.Background(), raw)
	if err != nil {
		panic(err)
	}
	fmt.Println(verified.Identity().Client(), source.Status().Keys)
	// Output: alice 1
}
