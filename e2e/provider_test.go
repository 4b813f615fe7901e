package e2e

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
)

const (
	sidecarID     = "sidecar"
	sidecarSecret = "secret-of-the-sidecar-at-the-provider"
	// shapedAsJWT is no token of anybody, and looks like one.
	shapedAsJWT = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJub2JvZHkifQ.c2lnbmF0dXJl"
)

// provider is an OpenID provider that is not ours.
type provider struct {
	t      *testing.T
	issuer string
}

func startProvider(t *testing.T) *provider {
	t.Helper()
	var said struct{ Issuer string }
	startClient(t, "op.mjs", "SIDECAR_ID="+sidecarID, "SIDECAR_SECRET="+sidecarSecret).next(&said)
	return &provider{t, said.Issuer}
}

// token has the provider issue a token.
func (p *provider) token() string {
	p.t.Helper()
	form := url.Values{"grant_type": {"client_credentials"}, "client_id": {traderID}, "client_secret": {traderSecret}}
	r, err := http.NewRequestWithContext(p.t.Context(), http.MethodPost, p.issuer+"/token", strings.NewReader(form.Encode()))
	if err != nil {
		p.t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Close = true
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		p.t.Fatal(err)
	}
	defer resp.Body.Close()
	var answer struct {
		Token string `json:"access_token"`
	}
	if err := json.NewDecoder(resp.Body).Decode(&answer); err != nil || answer.Token == "" {
		p.t.Fatalf("status %d, no token: %v", resp.StatusCode, err)
	}
	return answer.Token
}

// asks starts a sidecar that asks the provider with this secret.
func (p *provider) asks(secret string) *gateway {
	p.t.Helper()
	upstream := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "served") }))
	p.t.Cleanup(upstream.Close)
	g := newGateway(p.t, upstream.Listener.Addr().String(), fmt.Sprintf(`token_auth {
		ready /ready
		logout /logout {
			scope token
		}
		client_claim client_id
		opaque introspect %s/token/introspection {
			client_id %s
			client_secret %s
		}
	}`, p.issuer, sidecarID, secret))
	g.start()
	return g
}

// call calls the sidecar with a token, and wants a status.
func (g *gateway) call(method, path, token string, want int) {
	g.t.Helper()
	r, err := http.NewRequestWithContext(g.t.Context(), method, "http://"+g.addr+path, http.NoBody)
	if err != nil {
		g.t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+token)
	r.Close = true
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		g.t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != want {
		g.t.Errorf("%s %s with a token of %d bytes: status %d, want %d", method, path, len(token), resp.StatusCode, want)
	}
}

// TestOpenIDProviderIsAskedAboutTokens asks the npm package oidc-provider. Of a text that
// looks like a JWT it says 400: that is no failure, and no line in the log that anybody
// could have written.
func TestOpenIDProviderIsAskedAboutTokens(t *testing.T) {
	p := startProvider(t)
	g := p.asks(sidecarSecret)
	raw := p.token()
	g.call(http.MethodGet, "/x", raw, http.StatusOK)
	for _, made := range []string{shapedAsJWT, shapedAsJWT + "~", "made.up", "made-up", `{"a":"b"}`, strings.Repeat("a", 8000)} {
		g.call(http.MethodGet, "/x", made, http.StatusUnauthorized)
		g.call(http.MethodPost, "/logout", made, http.StatusUnauthorized)
	}
	g.call(http.MethodGet, "/x", raw, http.StatusOK)
	g.call(http.MethodPost, "/logout", raw, http.StatusOK)
	g.call(http.MethodGet, "/x", raw, http.StatusUnauthorized)
	g.call(http.MethodGet, "/x", p.token(), http.StatusOK)
	if printed := g.process.log.String(); strings.Contains(printed, `"level":"error"`) {
		t.Errorf("errors in the log:\n%s", printed)
	}
}

// TestSidecarThatTheProviderDoesNotKnowRefusesNoToken has the wrong secret: nothing that it
// is told then is about a token.
func TestSidecarThatTheProviderDoesNotKnowRefusesNoToken(t *testing.T) {
	p := startProvider(t)
	g := p.asks("a-secret-that-is-wrong")
	for _, raw := range []string{p.token(), shapedAsJWT, "made-up"} {
		g.call(http.MethodGet, "/x", raw, http.StatusServiceUnavailable)
		g.call(http.MethodPost, "/logout", raw, http.StatusServiceUnavailable)
	}
	if !strings.Contains(g.process.log.String(), "refuses the credentials that are configured for it") {
		t.Error("the log does not say what is wrong")
	}
}
