package caddymodule_test

import (
	"bufio"
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

	"github.com/caddyserver/caddy/v2"
)

func startEcho(t *testing.T, options string) (*site, *echo) {
	t.Helper()
	upstream := new(echo)
	return start(t, upstream, "api octopus_cards\nsecret "+testSecret+"\n"+options), upstream
}

func TestNothingPassesWithoutACredentialButWhatIsPublic(t *testing.T) {
	s, upstream := startEcho(t, "public /health /static/*")
	for _, target := range []string{"/health", "/static/a.css"} {
		s.do("GET", target, "").want(t, target, 200, "GET "+target+" ")
	}
	passed := len(upstream.requests())
	for _, target := range []string{"/", "/v1/cards", "/static/..%2fv1/cards", "/static/%2e%2e/v1/cards", "/health/", "/HEALTH", "//health"} {
		s.do("GET", target, "").want(t, target, 401, bodyMissing)
	}
	for _, method := range []string{"GET", "PUT", "OPTIONS"} {
		s.do(method, "/auth/login", "").want(t, method+" login", 401, bodyMissing)
		if a := s.do(method, "/auth/refresh", ""); a.status != 405 || a.header.Get("Allow") != "POST" {
			t.Errorf("%s refresh: %d %v", method, a.status, a.header)
		}
	}
	if n := len(upstream.requests()); n != passed {
		t.Errorf("%d requests came through", n-passed)
	}
}

func TestPreflightPassesWithoutACredential(t *testing.T) {
	preflight := []string{"Origin: https://app.example", "Access-Control-Request-Method: POST"}
	s, _ := startEcho(t, "")
	for _, path := range []string{"/v1/cards", "/auth/logout"} {
		s.do("OPTIONS", path, "", preflight...).want(t, path, 200, "OPTIONS "+path+" ")
	}
	s.do("OPTIONS", "/v1/cards", "", preflight[0]).want(t, "no method asked for", 401, bodyMissing)
	s.do("GET", "/v1/cards", "", preflight...).want(t, "GET", 401, bodyMissing)

	s.options += "\ncors_preflight check"
	s.mustLoad()
	s.do("OPTIONS", "/v1/cards", "", preflight...).want(t, "checked", 401, bodyMissing)
}

func TestIdentityReachesTheUpstreamAndOtherDirectives(t *testing.T) {
	s, upstream := startEcho(t, "forward_identity X-Client-ID sub\nforward_identity X-Plan absent plan\npublic /open")
	claims := claimsAt(time.Now())
	claims["plan"] = "gold"
	raw := sign(t, claims)
	forged := []string{"X-Client-ID: 1", "X_Client_ID: 2", "x-plan: free"}

	a := s.do("GET", "/v1/cards", "", append(forged, bearer(raw))...)
	if a.status != 200 {
		t.Fatalf("%d %s", a.status, a.body)
	}
	got := upstream.lastHeader(t)
	if len(got["X-Client-Id"]) != 1 || got.Get("X-Client-ID") != "42" || got.Get("X-Plan") != "gold" || len(got["X_client_id"]) > 0 {
		t.Errorf("upstream saw %v", got)
	}
	if got.Get("Authorization") != "Bearer "+raw {
		t.Error("the API's own credential was not passed on")
	}
	if a.header.Get("X-User") != "42" || a.header.Get("X-Claim-Jti") != "test-token" {
		t.Errorf("placeholders: %v", a.header)
	}

	a = s.do("GET", "/open", "", forged...)
	got = upstream.lastHeader(t)
	if a.status != 200 || len(got["X-Client-Id"])+len(got["X_client_id"])+len(got["X-Plan"]) > 0 {
		t.Errorf("on a public path: %d, upstream saw %v", a.status, got)
	}
}

func TestConnectionHeaderCannotRemoveTheIdentity(t *testing.T) {
	s, upstream := startEcho(t, "forward_identity X-Client-ID sub")
	s.do("GET", "/v1/cards", "", bearer(sign(t, claimsAt(time.Now()))), "Connection: keep-alive, X-Client-ID")
	if got := upstream.lastHeader(t).Get("X-Client-ID"); got != "42" {
		t.Errorf("upstream saw %q", got)
	}
}

func TestTokenThatLogoutCouldNotReachIsRefused(t *testing.T) {
	claims := claimsAt(time.Now())
	delete(claims, "sub")
	raw := sign(t, claims)
	s, _ := startEcho(t, "")
	s.do("GET", "/v1/cards", "", bearer(raw)).want(t, "no client, scope client", 401, bodyInvalid)
	s.options += "\nlogout {\nscope token\n}"
	s.mustLoad()
	s.do("GET", "/v1/cards", "", bearer(raw)).want(t, "no client, scope token", 200, "GET /v1/cards ")
	s.do("POST", "/auth/logout", "", bearer(raw)).want(t, "logout", 200, bodyLoggedOut)
	s.do("GET", "/v1/cards", "", bearer(raw)).want(t, "after logout", 401, bodyInvalid)
}

func TestSessionScopeEndsTheSessionAlone(t *testing.T) {
	s, _ := startEcho(t, "session_claim session\nlogout {\nscope session\n}")
	token := func(session, jti string) string {
		claims := claimsAt(time.Now())
		claims["session"], claims["jti"] = session, jti
		return sign(t, claims)
	}
	one, two, other := token("a", "1"), token("a", "2"), token("b", "3")
	s.do("POST", "/auth/logout", "", bearer(one)).want(t, "logout", 200, bodyLoggedOut)
	s.do("GET", "/x", "", bearer(two)).want(t, "the same session", 401, bodyInvalid)
	s.do("GET", "/x", "", bearer(other)).want(t, "another session", 200, "GET /x ")
}

func TestTokenOlderThanTheListRemembersIsRefused(t *testing.T) {
	s, _ := startEcho(t, "")
	claims := claimsAt(time.Now().Add(-8 * 24 * time.Hour))
	claims["exp"] = time.Now().Add(time.Hour).Unix()
	raw := sign(t, claims)
	s.do("GET", "/x", "", bearer(raw)).want(t, "eight days old", 401, bodyInvalid)
	delete(claims, "iat")
	s.do("GET", "/x", "", bearer(sign(t, claims))).want(t, "without iat", 401, bodyInvalid)
	// Raising the limit later brings no old token back: its logout may be forgotten.
	other := claimsAt(time.Now())
	other["sub"] = "43"
	s.do("POST", "/auth/logout", "", bearer(sign(t, other))).want(t, "somebody's logout", 200, bodyLoggedOut)
	s.global = "max_token_lifetime 30d"
	s.mustLoad()
	s.do("GET", "/x", "", bearer(raw)).want(t, "after the limit was raised", 401, bodyInvalid)
}

func TestUpgradeToAnotherProtocolIsRefused(t *testing.T) {
	s, upstream := startEcho(t, "")
	raw := sign(t, claimsAt(time.Now()))
	a := s.do("GET", "/x", "", bearer(raw), "Connection: Upgrade", "Upgrade: foo/1")
	if a.status != 501 {
		t.Errorf("%d %s", a.status, a.body)
	}
	a = s.do("POST", "/auth/logout", `{"success":true}`, bearer(raw), "Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAEAAEAAAAIAAAABAAMAAABkAAQBAAAAAAUAAEAA")
	a.want(t, "logout with an offer of h2c", 200, bodyLoggedOut)
	if n := len(upstream.requests()); n != 0 {
		t.Errorf("%d requests came through", n)
	}
}

// The matched path is the one that the client has sent, whatever is rewritten later.
func TestPathsAreThoseOfTheOriginalRequest(t *testing.T) {
	upstream := httptest.NewServer(new(echo))
	t.Cleanup(upstream.Close)
	addr := freeAddr(t)
	config, err := adapt(fmt.Sprintf(`{
		admin off
		persist_config off
		token_auth {
			store local %s
		}
	}
	http://%s {
		rewrite /old/logout /auth/logout
		uri strip_prefix /api
		token_auth {
			secret %s
			logout /api/auth/logout
		}
		reverse_proxy %s
	}`, t.TempDir(), addr, testSecret, upstream.Listener.Addr()))
	if err != nil {
		t.Fatal(err)
	}
	if err := caddy.Load(config, true); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := caddy.Stop(); err != nil {
			t.Error(err)
		}
	})
	s := &site{t: t, addr: addr, client: http.DefaultClient}
	raw := sign(t, claimsAt(time.Now()))
	s.do("POST", "/auth/logout", "", bearer(raw)).want(t, "the path behind the rewrite", 200, "POST /auth/logout ")
	s.do("POST", "/old/logout", "", bearer(raw)).want(t, "a path that is rewritten", 200, "POST /auth/logout ")
	s.do("POST", "/api/auth/logout", "", bearer(raw)).want(t, "the original path", 200, bodyLoggedOut)
	http.DefaultClient.CloseIdleConnections()
}

// A request smuggled behind another one on the same connection is judged by itself.
func TestPipelinedRequestsAreJudgedOneByOne(t *testing.T) {
	s, upstream := startEcho(t, "public /open")
	conn, err := new(net.Dialer).DialContext(t.Context(), "tcp", s.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_, err = fmt.Fprintf(conn, "GET /open HTTP/1.1\r\nHost: %[1]s\r\n\r\nGET /v1/cards HTTP/1.1\r\nHost: %[1]s\r\nConnection: close\r\n\r\n", s.addr)
	if err != nil {
		t.Fatal(err)
	}
	reader := bufio.NewReader(conn)
	for _, want := range []int{200, 401} {
		resp, err := http.ReadResponse(reader, nil)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.Copy(io.Discard, resp.Body); err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != want {
			t.Errorf("%d, want %d", resp.StatusCode, want)
		}
	}
	if n := len(upstream.requests()); n != 1 {
		t.Errorf("%d requests came through", n)
	}
}

func TestRevocationsOutliveAReloadAndARestart(t *testing.T) {
	s := startOctopus(t, "")
	p := s.login(42)
	s.do("POST", "/auth/logout", "", bearer(p.Access)).want(t, "logout", 200, bodyLoggedOut)
	s.options += "\nleeway 1s"
	s.mustLoad()
	s.do("GET", "/v1/cards", "", bearer(p.Access)).want(t, "after a reload", 401, bodyInvalid)
	if err := caddy.Stop(); err != nil {
		t.Fatal(err)
	}
	s.mustLoad()
	s.do("GET", "/v1/cards", "", bearer(p.Access)).want(t, "after a restart", 401, bodyInvalid)
	s.refresh(p.Refresh).want(t, "refresh after a restart", 401, bodyInvalid)
}

func TestFailedReloadLeavesTheRunningConfigurationWorking(t *testing.T) {
	s := startOctopus(t, "")
	p := s.login(42)
	good := s.options
	damaged := t.TempDir()
	if err := os.WriteFile(filepath.Join(damaged, "revocations.db"), []byte(strings.Repeat("no database ", 1000)), 0o600); err != nil {
		t.Fatal(err)
	}
	goodDir := s.dir
	for name, bad := range map[string]func(){
		"weak secret":        func() { s.options = "api octopus_cards\nsecret tooshort" },
		"missing key file":   func() { s.options = good + "\npublic_key /nonexistent.pem" },
		"missing allow-list": func() { s.options = good + "\nallow_ips file /nonexistent" },
		"damaged store":      func() { s.dir = damaged },
	} {
		bad()
		err := s.load()
		if err == nil {
			t.Errorf("%s: the configuration was accepted", name)
		} else if strings.Contains(err.Error(), testSecret) {
			t.Errorf("%s: the error has the secret: %v", name, err)
		}
		s.options, s.dir = good, goodDir
		if a := s.do("GET", "/v1/cards", "", bearer(p.Access)); a.status != 200 {
			t.Errorf("after %s: %d %s", name, a.status, a.body)
		}
	}
	s.do("POST", "/auth/logout", "", bearer(p.Access)).want(t, "logout", 200, bodyLoggedOut)
	s.do("GET", "/v1/cards", "", bearer(p.Access)).want(t, "after logout", 401, bodyInvalid)
}

// Validation provisions a configuration beside a running instance that has the store open.
func TestConfigurationIsValidatedBesideARunningInstance(t *testing.T) {
	s := startOctopus(t, "")
	config, err := adapt(s.caddyfile())
	if err != nil {
		t.Fatal(err)
	}
	var parsed caddy.Config
	if err := caddy.StrictUnmarshalJSON(config, &parsed); err != nil {
		t.Fatal(err)
	}
	if err := caddy.Validate(&parsed); err != nil {
		t.Fatal(err)
	}
	if a := s.do("GET", "/v1/cards", "", bearer(s.login(42).Access)); a.status != 200 {
		t.Errorf("after validation: %d %s", a.status, a.body)
	}
}

func TestHandlersOfDifferentAPIsNeedARealm(t *testing.T) {
	config := func(options ...string) string {
		text := "{\nadmin off\n}\n"
		for i, o := range options {
			text += fmt.Sprintf("http://127.0.0.1:%d {\ntoken_auth {\n%s\n}\n}\n", 10000+i, o)
		}
		return text
	}
	const one, two = "secret " + testSecret, "secret another-secret-of-32-bytes-abcdef"
	for name, tt := range map[string]struct {
		text string
		ok   bool
	}{
		"the same key":      {config(one, one), true},
		"a common key":      {config(one, one+"\n"+two), true},
		"different keys":    {config(one, two), false},
		"a realm":           {config(one, two+"\nrealm other"), true},
		"an issuer":         {config(one, two+"\nissuer https://issuer.example"), true},
		"two of three meet": {config(one, two+"\nrealm other", two), false},
	} {
		text, err := adapt(tt.text)
		if err != nil {
			t.Fatal(err)
		}
		var parsed caddy.Config
		if err := caddy.StrictUnmarshalJSON(text, &parsed); err != nil {
			t.Fatal(err)
		}
		err = caddy.Validate(&parsed)
		if (err == nil) != tt.ok {
			t.Errorf("%s: %v", name, err)
		}
		if err != nil && !strings.Contains(err.Error(), "realm") {
			t.Errorf("%s: the error does not say what to do: %v", name, err)
		}
	}
}

func TestDirectiveIsOrderedWithoutTheUserSayingSo(t *testing.T) {
	text, err := adapt("http://127.0.0.1:1 {\nrespond ok\nreverse_proxy 127.0.0.1:2\nforward_auth 127.0.0.1:3 {\nuri /\n}\nbasic_auth {\nu $2a$14$Zkx19XLiW6VYouLHR5NmfOFU0z2GTNmpkT/5qqR7hx4IjWJPDhjvG\n}\ntoken_auth {\nsecret " + testSecret + "\n}\nrewrite /a /b\n}")
	if err != nil {
		t.Fatal(err)
	}
	order := []string{`"handler":"rewrite"`, `"handler":"token_auth"`, `"handler":"authentication"`, `"handler":"reverse_proxy"`}
	last := -1
	for _, handler := range order {
		at := strings.Index(string(text), handler)
		if at <= last {
			t.Fatalf("%s is out of order in %s", handler, text)
		}
		last = at
	}
}

func TestTokenFromOtherPlaces(t *testing.T) {
	s, upstream := startEcho(t, "from header Authorization Bearer\nfrom cookie session\nfrom query access_token")
	raw := sign(t, claimsAt(time.Now()))
	claims := claimsAt(time.Now())
	claims["jti"] = "another"
	other := sign(t, claims)
	s.do("GET", "/x", "", "Cookie: session="+raw).want(t, "cookie", 200, "GET /x ")
	s.do("GET", "/x?q=1&access_token="+raw, "").want(t, "query", 200, "GET /x ")
	seen := upstream.requests()
	last := seen[len(seen)-1]
	if last.URL.RawQuery != "q=1" || last.Header.Get("Authorization") != "Bearer "+raw {
		t.Errorf("upstream saw %s, %v", last.URL, last.Header)
	}
	for what, header := range map[string][]string{
		"cookie and header":   {"Cookie: session=" + raw, bearer(other)},
		"two cookies":         {"Cookie: session=" + raw + "; session=" + other},
		"the other way round": {"Cookie: session=" + other, bearer(raw)},
	} {
		s.do("GET", "/x", "", header...).want(t, what, 401, bodyInvalid)
	}
	s.do("GET", "/x?access_token="+other, "", bearer(raw)).want(t, "query and header", 401, bodyInvalid)
	s.do("POST", "/auth/logout", "", "Cookie: session="+raw).want(t, "logout", 200, bodyLoggedOut)
	s.do("GET", "/x?access_token="+raw, "").want(t, "after logout", 401, bodyInvalid)
}
