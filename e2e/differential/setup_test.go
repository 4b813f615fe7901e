package differential

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// setup is a configuration of the sidecar and what it says about requests.
type setup struct {
	name      string
	directive string
	// credentials are the places that it names as those of credentials.
	credentials []string
	// cookieRefresh says that it names the cookie refresh_token.
	cookieRefresh bool
	// learns says that tokens are known from their issue, and are not JWTs to the sidecar.
	learns bool
	// The calls that it takes part in, by the upstreams' routes and their paths.
	login, refresh, logout             string
	loginPath, refreshPath, logoutPath string
	// protected is a route that needs a credential.
	protected, protectedPath string
}

const (
	authorization = "header Authorization"
	secret        = "differential-secret-of-more-than-32-bytes"
)

var setups = []*setup{
	{
		name:        "octopus",
		directive:   "api octopus_cards\nrealm api\nsecret " + secret,
		credentials: []string{authorization},
		login:       "login", loginPath: "/auth/login",
		refresh: "refresh", refreshPath: "/auth/refresh",
		logout: "logout", logoutPath: "/auth/logout",
		protected: "protected", protectedPath: "/v1/cards",
	},
	{
		name:        "places",
		directive:   "api octopus_cards\nrealm api\nsecret " + secret + "\nfrom header X-Token\nfrom cookie token\nfrom query tok",
		credentials: []string{"header X-Token", "cookie token", "query tok"},
		login:       "login", loginPath: "/auth/login",
		refresh: "refresh", refreshPath: "/auth/refresh",
		logout: "logout", logoutPath: "/auth/logout",
		protected: "protected", protectedPath: "/v1/cards",
	},
	{
		name:        "oauth",
		directive:   "api oauth\nrealm api\nsecret " + secret,
		credentials: []string{authorization},
		login:       "oauth token", loginPath: "/oauth/token",
		refresh: "oauth token", refreshPath: "/oauth/token",
		logout: "oauth logout", logoutPath: "/oauth/logout",
		protected: "protected", protectedPath: "/v1/cards",
	},
	{
		name: "browser",
		directive: "realm api\nsecret " + secret + "\nfrom cookie token\nfrom header Authorization Bearer\n" +
			"login /auth/login {\naccess data.access_token\nrefresh data.refresh_token\n}\n" +
			"refresh /auth/refresh {\ntoken cookie refresh_token\ntoken query refresh_token\n}\nlogout /auth/logout",
		credentials:   []string{authorization, "cookie token"},
		cookieRefresh: true,
		login:         "login", loginPath: "/auth/login",
		refresh: "refresh", refreshPath: "/auth/refresh",
		logout: "logout", logoutPath: "/auth/logout",
		protected: "protected", protectedPath: "/v1/cards",
	},
	{
		name:        "known",
		directive:   "api octopus_cards\nopaque known\nrealm opaque",
		credentials: []string{authorization},
		learns:      true,
		login:       "login", loginPath: "/auth/login",
		refresh: "refresh", refreshPath: "/auth/refresh",
		logout: "logout", logoutPath: "/auth/logout",
		protected: "protected", protectedPath: "/v1/cards",
	},
	{
		name:        "deribit",
		directive:   "api deribit\nrealm opaque",
		credentials: []string{authorization, "query access_token", "json access_token", "json params.access_token"},
		learns:      true,
		protected:   "private", protectedPath: "/api/v2/private/get_positions",
	},
}

// setupNamed returns nil if there is none.
func setupNamed(name string) *setup {
	for _, s := range setups {
		if s.name == name {
			return s
		}
	}
	return nil
}

// pair is an access token and its refresh token.
type pair struct{ access, refresh string }

// answer is the body of the answer that hands them out, in all formats at once.
func (p pair) answer(client string) string {
	tokens := map[string]any{"access_token": p.access, "refresh_token": p.refresh, "client_id": client}
	text, err := json.Marshal(map[string]any{
		"success": true, "data": tokens, "access_token": p.access, "refresh_token": p.refresh, "token_type": "Bearer",
	})
	if err != nil {
		panic(err) // a map of strings
	}
	return string(text)
}

// mint returns a token of this client.
func mint(client string, id uint64) string {
	now := time.Now()
	raw, err := jwt.NewWithClaims(jwt.SigningMethodHS256, jwt.MapClaims{
		"sub": client, "jti": fmt.Sprintf("%s-%d", client, id),
		"iat": now.Add(-time.Minute).Unix(), "exp": now.Add(time.Hour).Unix(),
	}).SignedString([]byte(secret))
	if err != nil {
		panic(err) // the key is good
	}
	return raw
}

// laboratory is a sidecar that runs in front of all upstreams, with every configuration.
type laboratory struct {
	// relays and sites are by configuration and upstream.
	relays map[string]*relay
	sites  map[string]string
	// issuer is a site of the setup known before an upstream that answers with the body
	// of the request, so that tokens can be made known.
	issuer string

	live, revoked pair
}

func key(s *setup, u *upstream) string { return s.name + " " + u.name }

// newLaboratory starts the sidecar, with one client that is logged in and one that has
// logged out.
func newLaboratory(t *testing.T, upstreams []*upstream) *laboratory {
	t.Helper()
	echo := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.Copy(w, r.Body) // an error shows in the answer
	}))
	t.Cleanup(echo.Close)
	lab := &laboratory{
		relays: map[string]*relay{}, sites: map[string]string{}, issuer: freeAddr(t),
		live:    pair{mint("alive", 1), mint("alive", 2)},
		revoked: pair{mint("gone", 1), mint("gone", 2)},
	}
	home := t.TempDir()
	var config strings.Builder
	fmt.Fprintf(&config, `{
	admin off
	persist_config off
	auto_https off
	log {
		level ERROR
	}
	token_auth {
		store local %q
	}
}
`, filepath.Join(home, "store"))
	site := func(addr, directive, upstream string) {
		_, port, _ := net.SplitHostPort(addr)
		fmt.Fprintf(&config, `
http://:%s {
	bind 127.0.0.1
	token_auth {
		%s
		public /status /static/*
	}
	reverse_proxy %s {
		transport http {
			keepalive off
		}
	}
}
`, port, directive, upstream)
	}
	jwtIssuer := freeAddr(t)
	site(lab.issuer, setupNamed("known").directive, echo.Listener.Addr().String())
	site(jwtIssuer, setupNamed("octopus").directive, echo.Listener.Addr().String())
	for _, u := range upstreams {
		for _, s := range setups {
			r := newRelay(t, u.addr)
			lab.relays[key(s, u)], lab.sites[key(s, u)] = r, freeAddr(t)
			site(lab.sites[key(s, u)], s.directive, r.addr)
		}
	}
	file := filepath.Join(home, "Caddyfile")
	if err := os.WriteFile(file, []byte(config.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	binary, err := buildBinary()
	if err != nil {
		t.Fatal(err)
	}
	p, err := launch(t, "the sidecar", home, []string{"HOME=" + home, "XDG_DATA_HOME=" + home, "XDG_CONFIG_HOME=" + home},
		binary, "run", "--config", file)
	if err != nil {
		t.Fatal(err)
	}
	if err := p.awaitReady(func() bool { return call(t, jwtIssuer, "GET", "/v1/cards", lab.live.access, "") == http.StatusOK }); err != nil {
		t.Fatal(err)
	}
	lab.makeKnown(t, "alive", lab.live)
	lab.makeKnown(t, "gone", lab.revoked)
	for _, addr := range []string{jwtIssuer, lab.issuer} {
		if status := call(t, addr, "POST", "/auth/logout", lab.revoked.access, ""); status != http.StatusOK {
			t.Fatalf("logout: %d", status)
		}
	}
	for _, u := range upstreams {
		for _, s := range setups {
			lab.probe(t, s, u)
		}
	}
	return lab
}

// probe checks that the live token is let through and the revoked one is not.
func (lab *laboratory) probe(t *testing.T, s *setup, u *upstream) {
	t.Helper()
	place := "header Authorization"
	if s.credentials[0] != authorization {
		place = s.credentials[0]
	}
	for raw, want := range map[string]bool{lab.live.access: true, lab.revoked.access: false} {
		header := strings.TrimPrefix(place, "header ") + ": "
		if place == authorization {
			header += "Bearer "
		}
		answer, err := exchange(t.Context(), lab.sites[key(s, u)], "GET "+s.protectedPath+" HTTP/1.1\r\nHost: h\r\nConnection: close\r\n"+header+raw+"\r\n\r\n")
		if err != nil || strings.HasPrefix(answer, "HTTP/1.1 200") != want {
			t.Fatalf("%s before %s: %v %s", s.name, u.name, err, answer)
		}
	}
	lab.relays[key(s, u)].take()
}

// makeKnown has the sidecar see tokens being issued to a client.
func (lab *laboratory) makeKnown(t *testing.T, client string, tokens pair) {
	t.Helper()
	if status := call(t, lab.issuer, "POST", "/auth/login", "", tokens.answer(client)); status != http.StatusOK {
		t.Fatalf("login: %d", status)
	}
}

// call makes a plain request with a bearer token and returns the status of the answer, 0
// without one.
func call(t *testing.T, addr, method, path, raw, body string) int {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, method, "http://"+addr+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Close = true
	if raw != "" {
		r.Header.Set("Authorization", "Bearer "+raw)
	}
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		return 0
	}
	defer resp.Body.Close()
	_, _ = io.Copy(io.Discard, resp.Body) // the status is what is asked for
	return resp.StatusCode
}
