package e2e

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"example.com/caddy-token-auth/internal/exampleapi"
)

const (
	jwtSecret = "e2e-secret-0123456789abcdefghijklmnop"

	protectedPath = "/v1/cards"
	loginPath     = "/auth/login"
	refreshPath   = "/auth/refresh"
	logoutPath    = "/auth/logout"
	healthPath    = "/health"

	bodyLoggedOut   = `{"success":true,"data":{"message":"Successfully logged out"}}`
	bodyMissing     = `{"error":{"name":"UnauthorizedError","code":"UNAUTHORIZED","message":"Authorization header required"}}`
	bodyInvalid     = `{"error":{"name":"UnauthorizedError","code":"UNAUTHORIZED","message":"Invalid token"}}`
	bodyForbidden   = `{"error":{"name":"ForbiddenError","code":"FORBIDDEN","message":"IP address not authorized"}}`
	bodyUnavailable = `{"error":{"name":"ServiceUnavailableError","code":"SERVICE_UNAVAILABLE","message":"Service temporarily unavailable"}}`
)

// maxClients is how many clients the API has, with the IDs from 1.
const maxClients = 100_000

// api is the example API as the upstream of a test.
type api struct {
	server *httptest.Server
	last   atomic.Int64 // the last client that newClient has returned
}

func newAPI(t *testing.T) *api {
	t.Helper()
	handler, err := apiHandler()
	if err != nil {
		t.Fatal(err)
	}
	a := &api{server: httptest.NewServer(handler)}
	t.Cleanup(a.server.Close)
	return a
}

// apiHandler returns the API, which has no state of its own.
var apiHandler = sync.OnceValues(func() (http.Handler, error) {
	clients := make(map[string]exampleapi.Client, maxClients)
	for id := range int64(maxClients) {
		clients[apiKey(id+1)] = exampleapi.Client{ID: id + 1, Secret: apiPassword(id + 1)}
	}
	return exampleapi.New(exampleapi.Options{Secret: []byte(jwtSecret), Clients: clients})
})

func (a *api) addr() string { return a.server.Listener.Addr().String() }

func apiKey(client int64) string      { return "key-" + strconv.FormatInt(client, 10) }
func apiPassword(client int64) string { return fmt.Sprintf("password-of-%d", client) }

// newClient returns a client that no test has used.
func (a *api) newClient() int64 {
	id := a.last.Add(1)
	if id > maxClients {
		panic("the API has too few clients for this test")
	}
	return id
}

// pair is what a login hands out.
type pair struct {
	client  int64
	access  string
	refresh string
}

// mint returns a pair as the API would issue it now, without asking it.
func mint(client int64) pair {
	now := time.Now()
	return pair{
		client:  client,
		access:  sign(client, "access", now, time.Hour),
		refresh: sign(client, "refresh", now, 7*24*time.Hour),
	}
}

// serial makes the identifiers of tokens differ.
var serial atomic.Int64

func sign(client int64, kind string, issued time.Time, lifetime time.Duration) string {
	raw, err := jwt.NewWithClaims(jwt.SigningMethodHS256, jwt.MapClaims{
		"sub": strconv.FormatInt(client, 10), "type": kind, "jti": fmt.Sprintf("e2e-%d", serial.Add(1)),
		"iat": issued.Unix(), "exp": issued.Add(lifetime).Unix(),
	}).SignedString([]byte(jwtSecret))
	if err != nil {
		panic(err) // cannot be: the key is right for the method
	}
	return raw
}

// loginBody is the request of a login, refreshBody that of a refresh.
func loginBody(client int64) string {
	return fmt.Sprintf(`{"username":%q,"password":%q}`, apiKey(client), apiPassword(client))
}

func refreshBody(token string) string { return fmt.Sprintf(`{"refresh_token":%q}`, token) }

// issued returns the pair in the answer to a login or refresh.
func issued(a answer) (pair, error) {
	var envelope struct {
		Success bool `json:"success"`
		Data    struct {
			Access  string `json:"access_token"`
			Refresh string `json:"refresh_token"`
			Client  int64  `json:"client_id"`
		} `json:"data"`
	}
	if err := json.Unmarshal([]byte(a.body), &envelope); err != nil {
		return pair{}, fmt.Errorf("no tokens in %s: %w", a, err)
	}
	if a.status != http.StatusOK || !envelope.Success {
		return pair{}, fmt.Errorf("no tokens in %s", a)
	}
	return pair{client: envelope.Data.Client, access: envelope.Data.Access, refresh: envelope.Data.Refresh}, nil
}

// login returns the pair of a login through the sidecar.
func (c *client) login(client int64) (pair, error) {
	a, err := c.repeat(http.MethodPost, loginPath, "", loginBody(client))
	if err != nil {
		return pair{}, err
	}
	return issued(a)
}

// wantRevoked checks that both tokens of a pair are refused as revoked ones are.
func (c *client) wantRevoked(t *testing.T, p pair) {
	t.Helper()
	if a, err := c.repeat(http.MethodGet, protectedPath, p.access, ""); err != nil || !a.is(http.StatusUnauthorized, bodyInvalid) {
		t.Errorf("access token of client %d, which was logged out: %s, %v", p.client, a, err)
	}
	if a, err := c.repeat(http.MethodPost, refreshPath, "", refreshBody(p.refresh)); err != nil || !a.is(http.StatusUnauthorized, bodyInvalid) {
		t.Errorf("refresh token of client %d, which was logged out: %s, %v", p.client, a, err)
	}
}

// wantLive checks that the access token of a pair is let through.
func (c *client) wantLive(t *testing.T, p pair) {
	t.Helper()
	if a, err := c.repeat(http.MethodGet, protectedPath, p.access, ""); err != nil || a.status != http.StatusOK {
		t.Errorf("access token of client %d, which is good: %s, %v", p.client, a, err)
	}
}

// logout logs out, and wants it to succeed.
func (c *client) logout(t *testing.T, p pair) {
	t.Helper()
	if a, err := c.repeat(http.MethodPost, logoutPath, p.access, ""); err != nil || !a.is(http.StatusOK, bodyLoggedOut) {
		t.Errorf("logout of client %d: %s, %v", p.client, a, err)
	}
}
