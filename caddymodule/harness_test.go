package caddymodule_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig"
	_ "github.com/caddyserver/caddy/v2/modules/standard"
	"github.com/golang-jwt/jwt/v5"

	_ "example.com/caddy-token-auth/caddymodule"
	"example.com/caddy-token-auth/internal/exampleapi"
)

const testSecret = "0123456789abcdef0123456789abcdef"

// site is the configuration of one test: a Caddy in this process in front of an
// upstream. There is one Caddy per process, so tests that use it do not run in parallel.
type site struct {
	t        *testing.T
	dir      string // of the store
	addr     string
	upstream *httptest.Server
	options  string // within the directive
	global   string // within the global option token_auth
	store    string // the option store; the local one if empty
	admin    string // the address of the admin API; none if empty
	proxy    string // within reverse_proxy
	tls      string // the certificate and key of a site with HTTPS; none if empty
	client   *http.Client
}

// newAPI returns the example API with its clock at now.
func newAPI(t *testing.T, now func() time.Time) http.Handler {
	t.Helper()
	api, err := exampleapi.New(exampleapi.Options{
		Secret: []byte(testSecret),
		Clients: map[string]exampleapi.Client{
			"key-42": {ID: 42, Secret: "secret-42"},
			"key-43": {ID: 43, Secret: "secret-43"},
		},
		Now: now,
	})
	if err != nil {
		t.Fatal(err)
	}
	return api
}

// start runs Caddy with the given options in front of upstream.
func start(t *testing.T, upstream http.Handler, options string) *site {
	t.Helper()
	s := prepare(t, upstream, options)
	s.mustLoad()
	return s
}

// prepare is start, but for running Caddy.
func prepare(t *testing.T, upstream http.Handler, options string) *site {
	t.Helper()
	s := &site{
		t:        t,
		dir:      t.TempDir(),
		addr:     freeAddr(t),
		upstream: httptest.NewServer(upstream),
		options:  options,
	}
	transport := &http.Transport{MaxIdleConnsPerHost: 100}
	s.client = &http.Client{Transport: transport, Timeout: 20 * time.Second}
	t.Cleanup(s.upstream.Close)
	t.Cleanup(func() {
		transport.CloseIdleConnections()
		if err := caddy.Stop(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func startOctopus(t *testing.T, options string) *site {
	t.Helper()
	return start(t, newAPI(t, time.Now), "api octopus_cards\nsecret "+testSecret+"\n"+options)
}

func freeAddr(t *testing.T) string {
	t.Helper()
	ln, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	return ln.Addr().String()
}

func (s *site) caddyfile() string {
	store, admin := s.store, s.admin
	if store == "" {
		store = "store local " + s.dir
	}
	if admin == "" {
		admin = "off"
	}
	scheme, tls := "http", ""
	if s.tls != "" {
		scheme, tls = "https", "tls "+s.tls
	}
	return fmt.Sprintf(`{
		admin %s
		persist_config off
		auto_https off
		grace_period 5s
		log {
			level ERROR
		}
		servers {
			trusted_proxies static 127.0.0.0/8
		}
		token_auth {
			%s
			%s
		}
	}
	%s://%s {
		%s
		token_auth {
			%s
		}
		header >X-Claim-Jti {http.auth.user.jti}
		header >X-User {http.auth.user.id}
		reverse_proxy %s {
			%s
		}
	}`, admin, store, s.global, scheme, s.addr, tls, s.options, s.upstream.Listener.Addr(), s.proxy)
}

// load puts the present configuration in force, as a reload if one is running.
func (s *site) load() error {
	config, err := adapt(s.caddyfile())
	if err != nil {
		return err
	}
	err = caddy.Load(config, true)
	// A server of the configuration before may be closing them.
	s.client.CloseIdleConnections()
	return err
}

func (s *site) mustLoad() {
	s.t.Helper()
	if err := s.load(); err != nil {
		s.t.Fatal(err)
	}
}

func adapt(text string) ([]byte, error) {
	config, _, err := caddyconfig.GetAdapter("caddyfile").Adapt([]byte(text), map[string]any{"filename": "Caddyfile"})
	return config, err
}

// answer is a response as far as tests look at it.
type answer struct {
	status int
	header http.Header
	body   string
}

// do sends a request; header fields are given as "Name: value", or "-Name" to leave out one
// that it would have.
func (s *site) do(method, path, body string, header ...string) answer {
	s.t.Helper()
	a, err := s.try(method, path, body, header...)
	if errors.Is(err, io.EOF) || errors.Is(err, syscall.ECONNRESET) {
		// After a reload, a server of the configuration before may have taken the
		// connection, and closes it unread.
		a, err = s.try(method, path, body, header...)
	}
	if err != nil {
		s.t.Fatal(err)
	}
	return a
}

func (s *site) try(method, path, body string, header ...string) (answer, error) {
	var reader io.Reader
	if body != "" {
		reader = strings.NewReader(body)
	}
	r, err := http.NewRequestWithContext(context.Background(), method, s.url(path), reader)
	if err != nil {
		return answer{}, err
	}
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	for _, field := range header {
		name, value, _ := strings.Cut(field, ": ")
		if omitted, ok := strings.CutPrefix(name, "-"); ok {
			r.Header.Del(omitted)
			continue
		}
		r.Header[http.CanonicalHeaderKey(name)] = append(r.Header[http.CanonicalHeaderKey(name)], value)
	}
	resp, err := s.client.Do(r)
	if err != nil {
		return answer{}, err
	}
	defer resp.Body.Close()
	content, err := io.ReadAll(resp.Body)
	return answer{resp.StatusCode, resp.Header, string(content)}, err
}

func (s *site) url(path string) string {
	if s.tls != "" {
		return "https://" + s.addr + path
	}
	return "http://" + s.addr + path
}

func bearer(raw string) string { return "Authorization: Bearer " + raw }

// pair is what a login hands out.
type pair struct {
	Access  string `json:"access_token"`
	Refresh string `json:"refresh_token"`
	Client  int    `json:"client_id"`
}

func (s *site) login(client int, header ...string) pair {
	s.t.Helper()
	a := s.do("POST", "/auth/login", fmt.Sprintf(`{"username":"key-%d","password":"secret-%d"}`, client, client), header...)
	if a.status != 200 {
		s.t.Fatalf("login: %d %s", a.status, a.body)
	}
	return parsePair(s.t, a.body)
}

func parsePair(t *testing.T, body string) pair {
	t.Helper()
	var envelope struct {
		Success bool `json:"success"`
		Data    pair `json:"data"`
	}
	if err := json.Unmarshal([]byte(body), &envelope); err != nil || !envelope.Success || envelope.Data.Access == "" {
		t.Fatalf("no tokens in %s (%v)", body, err)
	}
	return envelope.Data
}

func (s *site) refresh(raw string) answer {
	s.t.Helper()
	return s.do("POST", "/auth/refresh", `{"refresh_token":"`+raw+`"}`)
}

// want compares status and body, to the byte.
func (a answer) want(t *testing.T, what string, status int, body string) {
	t.Helper()
	if a.status != status || a.body != body {
		t.Errorf("%s:\n got %d %s\nwant %d %s", what, a.status, a.body, status, body)
	}
}

const (
	bodyLoggedOut   = `{"success":true,"data":{"message":"Successfully logged out"}}`
	bodyMissing     = `{"error":{"name":"UnauthorizedError","code":"UNAUTHORIZED","message":"Authorization header required"}}`
	bodyInvalid     = `{"error":{"name":"UnauthorizedError","code":"UNAUTHORIZED","message":"Invalid token"}}`
	bodyExpired     = `{"error":{"name":"UnauthorizedError","code":"UNAUTHORIZED","message":"Token expired"}}`
	bodyForbidden   = `{"error":{"name":"ForbiddenError","code":"FORBIDDEN","message":"IP address not authorized"}}`
	bodyUnavailable = `{"error":{"name":"ServiceUnavailableError","code":"SERVICE_UNAVAILABLE","message":"Service temporarily unavailable"}}`
	bodyBadRequest  = `{"error":{"name":"ValidationException","code":"VALIDATION_FAILURE","message":"Invalid request body"}}`
)

// sign returns an HS256 token with these claims.
func sign(t *testing.T, claims jwt.MapClaims) string {
	t.Helper()
	raw, err := jwt.NewWithClaims(jwt.SigningMethodHS256, claims).SignedString([]byte(testSecret))
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

// claimsAt returns the claims of an access token of client 42 issued at iat.
func claimsAt(iat time.Time) jwt.MapClaims {
	return jwt.MapClaims{"sub": "42", "jti": "test-token", "iat": iat.Unix(), "exp": iat.Add(time.Hour).Unix()}
}

// echo is an upstream that answers with the request it has received.
type echo struct {
	mu   sync.Mutex
	seen []*http.Request
}

func (e *echo) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	e.mu.Lock()
	e.seen = append(e.seen, r)
	e.mu.Unlock()
	_, _ = io.Copy(w, io.MultiReader(strings.NewReader(r.Method+" "+r.URL.Path+" "), r.Body))
}

func (e *echo) requests() []*http.Request {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.seen
}

// lastHeader returns the header of the last request that came through.
func (e *echo) lastHeader(t *testing.T) http.Header {
	t.Helper()
	seen := e.requests()
	if len(seen) == 0 {
		t.Fatal("no request came through")
	}
	return seen[len(seen)-1].Header
}

// compactJSON is the JSON text without white space that does not matter.
func compactJSON(t *testing.T, text string) string {
	t.Helper()
	var b bytes.Buffer
	if err := json.Compact(&b, []byte(text)); err != nil {
		t.Fatalf("%v in %s", err, text)
	}
	return b.String()
}

// gathered returns the value of a counter or gauge of the running configuration, by its
// labels in their order.
func gathered(t *testing.T, name, labels string) float64 {
	t.Helper()
	ctx := caddy.ActiveContext()
	families, err := ctx.GetMetricsRegistry().Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, family := range families {
		if family.GetName() != name {
			continue
		}
		for _, m := range family.GetMetric() {
			var pairs []string
			for _, l := range m.GetLabel() {
				pairs = append(pairs, l.GetName()+"="+l.GetValue())
			}
			if strings.Join(pairs, " ") == labels {
				return m.GetCounter().GetValue() + m.GetGauge().GetValue()
			}
		}
	}
	t.Fatalf("no metric %s with %s", name, labels)
	return 0
}
