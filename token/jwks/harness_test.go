package jwks

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/golang-jwt/jwt/v5"

	"example.com/caddy-token-auth/token"
)

const (
	issuerA = "https://a.example/realm"
	issuerB = "https://b.example/realm"
	setURL  = "https://a.example/keys"
)

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// signer is a private key and how it is published.
type signer struct {
	kid     string
	private crypto.Signer
	method  jwt.SigningMethod
}

func newSigner(kid string) *signer {
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		panic(err)
	}
	return &signer{kid, private, jwt.SigningMethodEdDSA}
}

var (
	rsaKey  = sync.OnceValue(func() *rsa.PrivateKey { return must(rsa.GenerateKey(rand.Reader, 2048)) })
	p256Key = sync.OnceValue(func() *ecdsa.PrivateKey { return must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader)) })
)

// token returns one that s signed for an issuer, unlike any other.
func (s *signer) token(issuer string) string {
	claims := jwt.MapClaims{"iss": issuer, "sub": "alice", "jti": rand.Text(), "exp": time.Now().Add(48 * time.Hour).Unix()}
	t := jwt.NewWithClaims(s.method, claims)
	if s.kid != "" {
		t.Header["kid"] = s.kid
	}
	return must(t.SignedString(s.private))
}

// members returns the public JWK of a key, with further or other members on top.
func members(public any, more map[string]any) map[string]any {
	var m map[string]any
	if err := json.Unmarshal(must(json.Marshal(jose.JSONWebKey{Key: public})), &m); err != nil {
		panic(err)
	}
	maps.Copy(m, more)
	return m
}

func (s *signer) jwk() map[string]any {
	m := members(s.private.Public(), nil)
	if s.kid != "" {
		m["kid"] = s.kid
	}
	return m
}

// document is a JWK set of the given keys.
func document(keys ...map[string]any) string {
	if keys == nil {
		keys = []map[string]any{}
	}
	return string(must(json.Marshal(map[string]any{"keys": keys})))
}

func published(signers ...*signer) string {
	keys := make([]map[string]any, len(signers))
	for i, s := range signers {
		keys[i] = s.jwk()
	}
	return document(keys...)
}

// site is an issuer on a network of its own: a RoundTripper.
type site struct {
	mu      sync.Mutex
	pages   map[string]string // by URL
	status  int
	header  http.Header
	err     error
	fetches map[string]int

	// before, if set, is called before each answer and may wait.
	before func(*http.Request) error
}

func newSite(pages map[string]string) *site {
	return &site{pages: pages, fetches: make(map[string]int), header: http.Header{}}
}

func (s *site) RoundTrip(req *http.Request) (*http.Response, error) {
	s.mu.Lock()
	s.fetches[req.URL.String()]++
	before := s.before
	s.mu.Unlock()
	if before != nil {
		if err := before(req); err != nil {
			return nil, err
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err != nil {
		return nil, s.err
	}
	page, ok := s.pages[req.URL.String()]
	status := s.status
	switch {
	case !ok:
		status = http.StatusNotFound
	case status == 0:
		status = http.StatusOK
	}
	return &http.Response{
		StatusCode: status, Header: s.header.Clone(), Request: req, ProtoMajor: 1, ProtoMinor: 1,
		Body: io.NopCloser(strings.NewReader(page)), ContentLength: -1,
	}, nil
}

// set puts a page in place.
func (s *site) set(url, page string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.pages[url] = page
}

// down makes every request fail, or none if err is nil.
func (s *site) down(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.err = err
}

func (s *site) hold(before func(*http.Request) error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.before = before
}

// count returns how many requests there were since the last call.
func (s *site) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := 0
	for _, fetches := range s.fetches {
		n += fetches
	}
	clear(s.fetches)
	return n
}

var errDown = errors.New("connection refused")

// options are those of tests: the site's network, and no jitter.
func options(s *site) Options {
	return Options{Client: &http.Client{Transport: s}, Random: func() float64 { return 0 }}
}

// open returns a Source that is closed when the test ends.
func open(t *testing.T, address string, o Options) *Source {
	t.Helper()
	s, err := FromURL(address, o)
	if err != nil {
		t.Fatal(err)
	}
	closeAtEnd(t, s)
	return s
}

func closeAtEnd(t *testing.T, s *Source) {
	t.Helper()
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
}

// verifier accepts tokens of issuerA and issuerB signed with keys of the sources.
func verifier(t testing.TB, sources ...token.Source) *token.Verifier {
	t.Helper()
	v, err := token.NewVerifier(token.Config{Sources: sources, Issuers: []string{issuerA, issuerB}})
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// expect fails the test unless v says want about raw.
func expect(t *testing.T, v *token.Verifier, what, raw string, want error) {
	t.Helper()
	if _, err := v.Verify(t.Context(), raw); !errors.Is(err, want) {
		t.Errorf("%s: %v; want %v", what, err, want)
	}
}

// recorder keeps events.
type recorder struct {
	mu     sync.Mutex
	events []Event
}

func (r *recorder) record(e Event) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.events = append(r.events, e)
}

// take returns the events since the last call, in short.
func (r *recorder) take() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	var short []string
	for _, e := range r.events {
		switch {
		case e.Expired:
			short = append(short, "expired")
		case e.Err != nil:
			short = append(short, fmt.Sprintf("failed, %d keys, next %s", e.Keys, e.Next))
		default:
			short = append(short, fmt.Sprintf("%d keys +%d -%d, next %s", e.Keys, e.Added, e.Removed, e.Next))
		}
	}
	r.events = nil
	return short
}

// hang waits until the request is given up.
func hang(req *http.Request) error {
	<-req.Context().Done()
	return context.Cause(req.Context())
}
