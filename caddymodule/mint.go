package caddymodule

import (
	"bytes"
	"crypto"
	"crypto/rand"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"example.com/caddy-token-auth/token"
)

// signingKey signs tokens. It shows its algorithms only.
type signingKey struct {
	algorithms []string
	material   func() any
}

// Format implements fmt.Formatter.
func (signingKey) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, "signing key") }

// secretKey returns the key for a shared secret, which is held to what the verifier asks
// of one.
func secretKey(secret []byte) (signingKey, error) {
	key, err := token.NewHMACKey(secret)
	if err != nil {
		return signingKey{}, err
	}
	return signingKey{key.Algorithms(), func() any { return secret }}, nil
}

// privateKey reads a private key: one PEM block of PKCS #8, PKCS #1 or SEC 1, without a
// password. Its public half is held to what the verifier asks of one.
func privateKey(text []byte) (signingKey, error) {
	block, rest := pem.Decode(text)
	if block == nil || len(bytes.TrimSpace(rest)) > 0 {
		return signingKey{}, errors.New("want one private key in PEM form")
	}
	signer, err := parseSigner(block)
	if err != nil {
		return signingKey{}, err
	}
	public, err := token.NewPublicKey(signer.Public())
	if err != nil {
		return signingKey{}, err
	}
	return signingKey{public.Algorithms(), func() any { return signer }}, nil
}

// parseSigner leaves the errors of crypto/x509 out: they may quote the input.
func parseSigner(block *pem.Block) (crypto.Signer, error) {
	var key any
	var err error
	switch block.Type {
	case "PRIVATE KEY":
		key, err = x509.ParsePKCS8PrivateKey(block.Bytes)
	case "RSA PRIVATE KEY":
		key, err = x509.ParsePKCS1PrivateKey(block.Bytes)
	case "EC PRIVATE KEY":
		key, err = x509.ParseECPrivateKey(block.Bytes)
	default:
		return nil, errors.New("want PRIVATE KEY, RSA PRIVATE KEY or EC PRIVATE KEY, not encrypted")
	}
	signer, ok := key.(crypto.Signer)
	if err != nil || !ok {
		return nil, fmt.Errorf("not a private key that can sign: %s", block.Type)
	}
	return signer, nil
}

// mintRequest is what a token is to say.
type mintRequest struct {
	client, session           string
	clientClaim, sessionClaim string
	id                        string // made up if empty
	issuer                    string
	audiences                 []string
	lifetime                  time.Duration
	claims                    []string // <name>=<value>
	algorithm, keyID          string
}

// mint returns a signed token.
func (m *mintRequest) mint(key signingKey, now time.Time) (string, error) {
	algorithm := m.algorithm
	if algorithm == "" {
		algorithm = key.algorithms[0]
	}
	if !slices.Contains(key.algorithms, algorithm) {
		return "", fmt.Errorf("the key can do %s, not the algorithm that is asked for", strings.Join(key.algorithms, ", "))
	}
	if m.lifetime < time.Second {
		return "", errors.New("the token would have expired already: want at least 1s")
	}
	claims := jwt.MapClaims{"iat": now.Unix(), "exp": now.Add(m.lifetime).Unix(), "jti": orDefault(m.id, rand.Text())}
	for name, value := range map[string]string{"iss": m.issuer, m.clientClaim: m.client, m.sessionClaim: m.session} {
		if value != "" {
			claims[name] = value
		}
	}
	switch len(m.audiences) {
	case 0:
	case 1:
		claims["aud"] = m.audiences[0]
	default:
		claims["aud"] = m.audiences
	}
	for _, text := range m.claims {
		name, value, ok := strings.Cut(text, "=")
		if _, twice := claims[name]; !ok || name == "" || twice {
			return "", fmt.Errorf("claim %q: want <name>=<value>, each name once and none that has a flag of its own", name)
		}
		claims[name] = claimValue(value)
	}
	t := jwt.NewWithClaims(jwt.GetSigningMethod(algorithm), claims)
	if m.keyID != "" {
		t.Header["kid"] = m.keyID
	}
	return t.SignedString(key.material())
}

// claimValue is JSON, or the text itself where that is none.
func claimValue(text string) any {
	decoder := json.NewDecoder(strings.NewReader(text))
	decoder.UseNumber()
	var value any
	if err := decoder.Decode(&value); err != nil {
		return text
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return text
	}
	return value
}
