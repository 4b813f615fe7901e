package caddymodule_test

import (
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math/big"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// issuer publishes keys as OpenID Connect providers do, and signs with them.
type issuer struct {
	*httptest.Server
	fetches atomic.Int64

	mu   sync.Mutex
	keys map[string]*rsa.PrivateKey
	down bool
}

func newIssuer(t *testing.T, kids ...string) *issuer {
	t.Helper()
	i := &issuer{keys: make(map[string]*rsa.PrivateKey)}
	for _, kid := range kids {
		i.add(t, kid)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("/.well-known/openid-configuration", func(w http.ResponseWriter, _ *http.Request) {
		_ = json.NewEncoder(w).Encode(map[string]string{"issuer": i.URL, "jwks_uri": i.URL + "/keys"})
	})
	mux.HandleFunc("/keys", i.serveKeys)
	i.Server = httptest.NewServer(mux)
	t.Cleanup(i.Close)
	return i
}

func (i *issuer) serveKeys(w http.ResponseWriter, _ *http.Request) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.fetches.Add(1)
	if i.down {
		http.Error(w, "down", http.StatusInternalServerError)
		return
	}
	var set struct {
		Keys []map[string]string `json:"keys"`
	}
	for kid, key := range i.keys {
		set.Keys = append(set.Keys, map[string]string{
			"kty": "RSA", "use": "sig", "alg": "RS256", "kid": kid,
			"n": base64.RawURLEncoding.EncodeToString(key.N.Bytes()),
			"e": base64.RawURLEncoding.EncodeToString(big.NewInt(int64(key.E)).Bytes()),
		})
	}
	_ = json.NewEncoder(w).Encode(set)
}

func (i *issuer) add(t *testing.T, kid string) {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	i.keys[kid] = key
}

func (i *issuer) set(change func()) {
	i.mu.Lock()
	defer i.mu.Unlock()
	change()
}

// sign returns a token of the key kid; jti makes it one of its own.
func (i *issuer) sign(t *testing.T, kid, iss, jti string) string {
	t.Helper()
	claims := claimsAt(time.Now())
	claims["jti"], claims["iss"] = jti, iss
	i.mu.Lock()
	key := i.keys[kid]
	i.mu.Unlock()
	unsigned := jwt.NewWithClaims(jwt.SigningMethodRS256, claims)
	unsigned.Header["kid"] = kid
	raw, err := unsigned.SignedString(key)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

func TestKeySetsRotateWithoutAFailedRequest(t *testing.T) {
	i := newIssuer(t, "one")
	s := start(t, new(echo), "api octopus_cards\njwks "+i.URL+"/keys {\ncooldown 1ms\n}")
	old := i.sign(t, "one", "", "old")
	s.do("GET", "/x", "", bearer(old)).want(t, "the first token", 200, "GET /x ")

	i.add(t, "two")
	s.do("GET", "/x", "", bearer(i.sign(t, "two", "", "new"))).want(t, "a key that has just been made", 200, "GET /x ")
	s.do("GET", "/x", "", bearer(old)).want(t, "the key before", 200, "GET /x ")

	// A reload keeps the keys: the issuer being down does not matter.
	i.set(func() { i.down = true })
	s.options += "\nleeway 1s"
	s.mustLoad()
	s.do("GET", "/x", "", bearer(old)).want(t, "after a reload", 200, "GET /x ")
	i.set(func() { i.down = false })

	// A key that is gone takes its tokens with it, cached ones too, once it is known.
	forgotten := i.sign(t, "two", "", "forgotten")
	i.set(func() { delete(i.keys, "one") })
	i.add(t, "three")
	s.do("GET", "/x", "", bearer(i.sign(t, "three", "", "newer"))).want(t, "another new key", 200, "GET /x ")
	s.do("GET", "/x", "", bearer(old)).want(t, "a removed key", 401, bodyInvalid)
	s.do("GET", "/x", "", bearer(forgotten)).want(t, "a key that stays", 200, "GET /x ")
	s.do("POST", "/auth/logout", "", bearer(forgotten)).want(t, "logout", 200, bodyLoggedOut)
	s.do("GET", "/x", "", bearer(forgotten)).want(t, "after logout", 401, bodyInvalid)
}

func TestWithoutItsKeySetEverythingIsRefusedWith503(t *testing.T) {
	i := newIssuer(t, "one")
	i.set(func() { i.down = true })
	s := start(t, new(echo), "api octopus_cards\njwks "+i.URL+"/keys {\ncooldown 1ms\n}")
	raw := i.sign(t, "one", "", "t")
	a := s.do("GET", "/x", "", bearer(raw))
	a.want(t, "no keys yet", 503, bodyUnavailable)
	if a.header.Get("Retry-After") == "" {
		t.Error("no Retry-After")
	}
	s.do("POST", "/auth/logout", "", bearer(raw)).want(t, "logout", 503, bodyUnavailable)
	s.do("GET", "/x", "").want(t, "no token", 401, bodyMissing)
	i.set(func() { i.down = false })
	deadline := time.Now().Add(20 * time.Second)
	for {
		a := s.do("GET", "/x", "", bearer(raw))
		if a.status == 200 {
			break
		}
		if a.status != 503 || time.Now().After(deadline) {
			t.Fatalf("after the issuer is back: %d %s", a.status, a.body)
		}
	}
}

func TestIssuersPublishTheirKeys(t *testing.T) {
	one, two := newIssuer(t, "k"), newIssuer(t, "k")
	s := start(t, new(echo), fmt.Sprintf("api octopus_cards\nissuer %s %s", one.URL, two.URL))
	for name, tt := range map[string]struct {
		signer *issuer
		iss    string
		status int
	}{
		"the first":                   {one, one.URL, 200},
		"the second":                  {two, two.URL, 200},
		"the first in another's name": {one, two.URL, 401},
		"an unknown one":              {one, "https://other.example", 401},
		"none":                        {one, "", 401},
	} {
		if a := s.do("GET", "/x", "", bearer(tt.signer.sign(t, "k", tt.iss, name))); a.status != tt.status {
			t.Errorf("%s: %d %s", name, a.status, a.body)
		}
	}
}

func TestUnknownKeysDoNotDriveFetches(t *testing.T) {
	i := newIssuer(t, "one")
	s := start(t, new(echo), "api octopus_cards\njwks "+i.URL+"/keys {\ncooldown 1h\n}")
	s.do("GET", "/x", "", bearer(i.sign(t, "one", "", "t"))).want(t, "a good token", 200, "GET /x ")
	before := i.fetches.Load()
	for n := range 200 {
		kid := fmt.Sprintf("unknown-%d", n)
		i.set(func() { i.keys[kid] = i.keys["one"] })
		raw := i.sign(t, kid, "", kid)
		i.set(func() { delete(i.keys, kid) })
		// Looked for once; until the next look nobody knows of the others.
		if a := s.do("GET", "/x", "", bearer(raw)); a.status != 503 && (n > 0 || a.status != 401) {
			t.Fatalf("%s: %d %s", kid, a.status, a.body)
		}
	}
	if n := i.fetches.Load() - before; n > 1 {
		t.Errorf("%d fetches", n)
	}
}
