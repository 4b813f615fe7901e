package caddymodule_test

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/golang-jwt/jwt/v5"
)

// validate provisions a configuration as caddy validate does.
func validate(t *testing.T, options string) error {
	t.Helper()
	text, err := adapt("{\nadmin off\n}\nhttp://127.0.0.1:1 {\ntoken_auth {\n" + options + "\n}\n}\n")
	if err != nil {
		return err
	}
	var config caddy.Config
	if err := caddy.StrictUnmarshalJSON(text, &config); err != nil {
		t.Fatal(err)
	}
	return caddy.Validate(&config)
}

func writeFile(t *testing.T, content string) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(name, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

func TestSecretsComeFromWhereTheyAreKept(t *testing.T) {
	t.Setenv("TEST_JWT_SECRET", testSecret)
	raw := sign(t, claimsAt(time.Now()))
	for name, secret := range map[string]string{
		"as it is":           testSecret,
		"the environment":    "{env.TEST_JWT_SECRET}",
		"a file":             "{file." + writeFile(t, testSecret+"\n") + "}",
		"base64":             "base64:" + base64.StdEncoding.EncodeToString([]byte(testSecret)),
		"base64url":          "base64:" + base64.RawURLEncoding.EncodeToString([]byte(testSecret)),
		"base64 in a file":   "{file." + writeFile(t, "base64:"+base64.StdEncoding.EncodeToString([]byte(testSecret))+"\n") + "}",
		"the second of two":  "another-secret-of-32-bytes-abcdef " + testSecret,
		"with another right": testSecret + "\nalgorithms HS256",
	} {
		t.Run(name, func(t *testing.T) {
			s := start(t, new(echo), "secret "+secret)
			s.do("GET", "/x", "", bearer(raw)).want(t, "call", 200, "GET /x ")
		})
	}
}

// Mistakes are refused with an error that says which option is wrong, and never with
// the secret itself.
func TestKeysAreCheckedInTheConfiguration(t *testing.T) {
	t.Setenv("TEST_EMPTY", "")
	weakRSA, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Fatal(err)
	}
	weak := writeFile(t, publicPEM(t, &weakRSA.PublicKey))
	for name, tt := range map[string]struct{ options, want string }{
		"no key":              {"api octopus_cards", "secret or public_key"},
		"short secret":        {"secret short-secret", "secret: "},
		"unknown environment": {"secret {env.TEST_UNSET}", "TEST_UNSET"},
		"empty environment":   {"secret {env.TEST_EMPTY}", "TEST_EMPTY"},
		"empty file":          {"secret {file." + writeFile(t, "") + "}", "file"},
		"missing file":        {"secret {file./nonexistent/secret}", "/nonexistent/secret"},
		"no base64":           {"secret base64:!!!!", "base64"},
		"short base64":        {"secret base64:c2hvcnQtc2VjcmV0", "secret: "},
		"missing PEM":         {"public_key /nonexistent/key.pem", "/nonexistent/key.pem"},
		"no PEM":              {"public_key " + writeFile(t, "hello"), "not a PEM file"},
		"large PEM":           {"public_key " + writeFile(t, strings.Repeat("x", 2<<20)), "larger"},
		"weak RSA key":        {"public_key " + weak, "public_key: "},
		"impossible alg":      {"secret " + testSecret + "\nalgorithms RS256", "RS256"},
		"no type":             {"secret " + testSecret + "\ntypes \"at jwt\"", `types: "at jwt"`},
		"none":                {"secret " + testSecret + "\nalgorithms none", "none"},
		"large leeway":        {"secret " + testSecret + "\nleeway 11m", "leeway"},
		"two paths alike":     {"secret " + testSecret + "\nlogin /a\nlogout /A", `path "/A" is also that of login`},
		"no refresh token":    {"secret " + testSecret + "\nrefresh /a", "token <json path>"},
	} {
		t.Run(name, func(t *testing.T) {
			err := validate(t, tt.options)
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Fatalf("got %v, want it to say %q", err, tt.want)
			}
			for _, secret := range []string{"short-secret", "c2hvcnQtc2VjcmV0", testSecret} {
				if strings.Contains(err.Error(), secret) {
					t.Errorf("the error has the secret: %v", err)
				}
			}
		})
	}
}

func publicPEM(t *testing.T, key any) string {
	t.Helper()
	der, err := x509.MarshalPKIXPublicKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))
}

func TestPublicKeysOfEveryKind(t *testing.T) {
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	ecKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	edPublic, edKey, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	inline := "`" + publicPEM(t, &ecKey.PublicKey) + "`"
	s := start(t, new(echo), "api octopus_cards\npublic_key "+writeFile(t, publicPEM(t, &rsaKey.PublicKey))+" "+inline+"\npublic_key "+writeFile(t, publicPEM(t, edPublic)))
	for method, key := range map[jwt.SigningMethod]any{
		jwt.SigningMethodRS256: rsaKey, jwt.SigningMethodPS256: rsaKey, jwt.SigningMethodES256: ecKey, jwt.SigningMethodEdDSA: edKey,
	} {
		claims := claimsAt(time.Now())
		claims["sub"] = method.Alg()
		raw, err := jwt.NewWithClaims(method, claims).SignedString(key)
		if err != nil {
			t.Fatal(err)
		}
		s.do("GET", "/x", "", bearer(raw)).want(t, method.Alg(), 200, "GET /x ")
		s.do("POST", "/auth/logout", "", bearer(raw)).want(t, method.Alg()+" logout", 200, bodyLoggedOut)
		s.do("GET", "/x", "", bearer(raw)).want(t, method.Alg()+" after logout", 401, bodyInvalid)
	}
	// The public key is no secret: a token signed with it as one is forged.
	forged, err := jwt.NewWithClaims(jwt.SigningMethodHS256, claimsAt(time.Now())).SignedString([]byte(publicPEM(t, &rsaKey.PublicKey)))
	if err != nil {
		t.Fatal(err)
	}
	s.do("GET", "/x", "", bearer(forged)).want(t, "RS to HS confusion", 401, bodyInvalid)
}

func TestIssuerAndAudienceAreRequired(t *testing.T) {
	s := start(t, new(echo), "secret "+testSecret+"\nissuer https://a.example\naudience api")
	for name, tt := range map[string]struct {
		iss, aud any
		status   int
	}{
		"both":              {"https://a.example", []string{"other", "api"}, 200},
		"another issuer":    {"https://a.example/", "api", 401},
		"no issuer":         {nil, "api", 401},
		"another audience":  {"https://a.example", "API", 401},
		"no audience":       {"https://a.example", nil, 401},
		"an empty audience": {"https://a.example", []string{}, 401},
	} {
		claims := claimsAt(time.Now())
		if tt.iss != nil {
			claims["iss"] = tt.iss
		}
		if tt.aud != nil {
			claims["aud"] = tt.aud
		}
		if a := s.do("GET", "/x", "", bearer(sign(t, claims))); a.status != tt.status {
			t.Errorf("%s: %d %s", name, a.status, a.body)
		}
	}
}
