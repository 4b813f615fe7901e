package token_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"example.com/caddy-token-auth/token"
)

func ExampleVerifier() {
	secret := []byte("a secret of at least 32 bytes ...")
	key, err := token.NewHMACKey(secret)
	if err != nil {
		panic(err)
	}
	verifier, err := token.NewVerifier(token.Config{
		Keys:    []token.VerificationKey{key},
		Issuers: []string{"https://id.example.com"},
		Leeway:  30 * time.Second,
	})
	if err != nil {
		panic(err)
	}

	// What the issuer did:
	issued, err := jwt.NewWithClaims(jwt.SigningMethodHS256, jwt.MapClaims{
		"iss": "https://id.example.com", "sub": "alice", "jti": "4711", "role": "admin",
		"exp": time.Now().Add(time.Hour).Unix(),
	}).SignedString(secret)
	if err != nil {
		panic(err)
	}

	// What comes with a request:
	header := http.Header{"Authorization": {"Bearer " + issued}}
	credential, err := token.BearerFromHeader(header)
	if err != nil {
		panic(err)
	}
	verified, err := verifier.Verify(context.Background(), credential)
	if err != nil {
		panic(err)
	}
	role, _ := verified.Claim("role")
	fmt.Println(verified.Identity().Client(), verified.Identity().Token(), role)

	_, err = verifier.Verify(context.Background(), credential+"x")
	fmt.Println(errors.Is(err, token.ErrSignature), err)
	// Output:
	// alice 4711 admin
	// true signature is invalid
}
