package caddymodule_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/quic-go/quic-go/http3"
)

// liveAndRevoked returns an access token of client 43 that is good, and one of client 42 that has
// been logged out.
func (s *site) liveAndRevoked() (live, revoked string) {
	s.t.Helper()
	now := time.Now()
	revoked = sign(s.t, claimsAt(now))
	s.do("POST", "/auth/logout", "", bearer(revoked)).want(s.t, "logout", 200, bodyLoggedOut)
	claims := claimsAt(now)
	claims["sub"], claims["jti"] = "43", "live"
	return sign(s.t, claims), revoked
}

// A target that is no path is sent on as it came, and upstreams find one in it.
func TestTargetThatIsNoPathIsRefused(t *testing.T) {
	for _, options := range []string{"", "dry_run"} {
		s, upstream := startEcho(t, options)
		live, revoked := sign(t, claimsAt(time.Now())), sign(t, claimsAt(time.Now().Add(-30*24*time.Hour)))
		before := len(upstream.requests())
		body := `{"refresh_token":"` + revoked + `"}`
		for _, target := range []string{"a:http://x/auth/refresh", "a:/../auth/refresh?x", "a:b", "http:auth/refresh", "*"} {
			status := s.exchange(fmt.Sprintf("POST %s HTTP/1.1\r\nHost: %s\r\nAuthorization: Bearer %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s",
				target, s.addr, live, len(body), body))
			// Of a scheme with a path, the server has made a plain path.
			if want := http.StatusBadRequest; status != want && target != "a:/../auth/refresh?x" {
				t.Errorf("%s %s: %d", options, target, status)
			}
		}
		if n := len(upstream.requests()); n != before && options == "" {
			t.Errorf("%d requests came through", n-before)
		}
		for target, want := range map[string]int{"http://" + s.addr + "/v1/cards": 200, "/v1/cards": 200} {
			if status := s.exchange("GET " + target + " HTTP/1.1\r\nHost: " + s.addr + "\r\nAuthorization: Bearer " + live + "\r\n\r\n"); status != want {
				t.Errorf("%s %s: %d", options, target, status)
			}
		}
		if status := s.exchange("OPTIONS * HTTP/1.1\r\nHost: " + s.addr + "\r\nAuthorization: Bearer " + live + "\r\n\r\n"); status != http.StatusOK {
			t.Errorf("%s OPTIONS *: %d", options, status)
		}
	}
}

// Whatever path some upstream reads, it is not that of the refresh with a revoked token.
func TestNoReadingOfThePathOfTheRefreshIsUnjudged(t *testing.T) {
	s, upstream := startEcho(t, "")
	live, revoked := s.liveAndRevoked()
	before := len(upstream.requests())
	body := `{"refresh_token":"` + revoked + `"}`
	for _, target := range []string{
		"/auth/refre%C5%BFh", "//x/auth/refresh", "//x:80//auth/refresh", "/%5Cx/auth/refresh", `\\x/auth/refresh`, "/auth%EF%BC%8Frefresh", "/auth/ref-resh", "/auth/refresh.json",
		"/auth/refresh;x", "/auth;x/refresh", "/AUTH/REFRESH/", "/auth/%2572efresh", "http://" + s.addr + "//y/auth/refresh",
	} {
		status := s.exchange(fmt.Sprintf("POST %s HTTP/1.1\r\nHost: %s\r\nAuthorization: Bearer %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s",
			target, s.addr, live, len(body), body))
		if status != http.StatusUnauthorized && status != http.StatusBadRequest {
			t.Errorf("%s: %d", target, status)
		}
	}
	if n := len(upstream.requests()); n != before {
		t.Errorf("%d requests came through", n-before)
	}
}

// At a token endpoint, what may be a refresh token to some upstream is no login.
func TestNoReadingOfARefreshTokenIsALogin(t *testing.T) {
	upstream := new(echo)
	s := start(t, upstream, "api oauth\nsecret "+testSecret)
	raw := sign(t, claimsAt(time.Now()))
	s.do("POST", "/oauth/logout", "", bearer(raw))
	before := len(upstream.requests())
	const form = "Content-Type: application/x-www-form-urlencoded"
	for _, name := range []string{
		"refresh_token", "[refresh_token]", "refresh_token%00", "refresh_token%00x", "refresh[token", "refresh_token[]", "refresh_token[0]", "refresh.token",
		"refresh+token", "refreshToken", "REFRESH_TOKEN", "refre%C5%BFh_token", "refresh_to%E2%84%AAen", "+refresh_token", "%2572efresh_token",
	} {
		for what, a := range map[string]answer{
			"form":  s.form("/oauth/token", "grant_type=refresh_token&"+name+"="+raw, form),
			"query": s.form("/oauth/token?"+name+"="+raw, "grant_type=refresh_token", form),
			"both":  s.form("/oauth/token?x=1;"+name+"="+raw, "grant_type=password", form),
		} {
			if a.status != 400 && a.status != 401 {
				t.Errorf("%s in the %s: %d %s", name, what, a.status, a.body)
			}
		}
	}
	// What is JSON to some upstream is no form, and what only looks like the path is no login.
	for _, c := range [][2]string{
		{"/oauth/token", `{"refresh_token":"` + raw + `"}`}, {"/oauth/token", " [{\"refresh_token\":\"" + raw + `"}]`}, {"/oauth/token", "\ufeff" + `{"refresh_token":"` + raw + `"}`},
		{"/oauth/token.json", "grant_type=password"}, {"/oauth/to-ken", "grant_type=password"}, {"/oauth/token%23", "grant_type=password"}, {"/oauth/token/", ""},
	} {
		if a := s.form(c[0], c[1], form); a.status != 400 {
			t.Errorf("%s %s: %d %s", c[0], c[1], a.status, a.body)
		}
	}
	if n := len(upstream.requests()); n != before {
		t.Errorf("%d requests came through", n-before)
	}
	for _, body := range []string{
		"", " ", "grant_type=password&username=a&password=b", "grant_type=client_credentials&scope=refresh_token",
		"grant_type=authorization_code&code=refresh_token&redirect_uri=https%3A%2F%2Fa.example%2F", "grant_type=password&refresh_token=&username=a",
	} {
		if a := s.form("/oauth/token", body, form); a.status != 200 {
			t.Errorf("a login with %s: %d %s", body, a.status, a.body)
		}
	}
}

// A refresh token in a JSON body is a string of an object, to every upstream.
func TestRefreshTokenInJSONIsOneString(t *testing.T) {
	upstream := new(echo)
	s := start(t, upstream, "api octopus_cards\nsecret "+testSecret+"\nrefresh /auth/login {\ntoken refresh_token\n}")
	_, raw := s.liveAndRevoked()
	for _, body := range []string{
		`{"refresh_token":["%s"]}`, `{"refresh_token":{"a":"%s"}}`, `[{"refresh_token":"%s"}]`, `{"refreshToken":"%s"}`, `{"refresh_token\u0000":"%s"}`,
		`{"refresh_token":null,"Refresh_Token":"%s"}`,
	} {
		if a := s.do("POST", "/auth/login", fmt.Sprintf(body, raw)); a.status != 400 {
			t.Errorf("%s: %d %s", body, a.status, a.body)
		}
	}
	for _, body := range []string{`{"username":"a","password":"b"}`, `{"username":"a","refresh_token":null}`} {
		if a := s.do("POST", "/auth/login", body); a.status != 200 {
			t.Errorf("%s: %d %s", body, a.status, a.body)
		}
	}
}

// Header fields under names that some upstream takes for that of the token. Caddy itself drops
// those with an underscore or a dot.
func TestHeaderThatLooksLikeThatOfTheTokenIsRefused(t *testing.T) {
	upstream := new(echo)
	s := start(t, upstream, "api octopus_cards\nsecret "+testSecret+"\nfrom header X-Token\nfrom header Authorization Bearer")
	live, revoked := s.liveAndRevoked()
	for _, name := range []string{"X^Token", "X~Token", "x!token", "X--Token"} {
		s.do("GET", "/v1/x", "", "X-Token: "+live, name+": "+revoked).want(t, name, 401, bodyInvalid)
		s.do("GET", "/v1/x", "", name+": "+live).want(t, name+" alone", 401, bodyInvalid)
		s.do("GET", "/v1/x", "", bearer(live), name+": "+revoked).want(t, name+" beside a bearer token", 401, bodyInvalid)
	}
	if a := s.do("GET", "/v1/x", "", "x-token: "+live, "X-Token-Type: Bearer", "X-Csrf-Token: a"); a.status != 200 {
		t.Errorf("the token alone: %d %s", a.status, a.body)
	}
}

// What says that another path or method is meant reaches no upstream, whoever sends it.
func TestNoRequestIsReroutedAfterItWasJudged(t *testing.T) {
	s, upstream := startEcho(t, "public /status")
	live, _ := s.liveAndRevoked()
	for _, c := range [][2]string{{"/v1/x", bearer(live)}, {"/status", "X-Kept: 1"}, {"/auth/login", "X-Kept: 1"}} {
		if a := s.do("POST", c[0], `{}`, c[1], "X-Original-URL: /auth/refresh", "X-Rewrite-URL: /auth/refresh", "X-HTTP-Method-Override: GET", "X-HTTP-Method: PUT",
			"X-Method-Override: PUT", "X_Original_URL: /auth/refresh", "x-rewrite_url: /auth/refresh", "X-Forwarded-For: 10.0.0.1"); a.status != 200 {
			t.Fatalf("%s: %d %s", c[0], a.status, a.body)
		}
		for name := range upstream.lastHeader(t) {
			if lower := strings.ToLower(name); strings.Contains(lower, "original") || strings.Contains(lower, "rewrite") || strings.Contains(lower, "method") {
				t.Errorf("%s: the upstream saw %s", c[0], name)
			}
		}
	}
}

// What the field Connection names is gone when the request is judged, not afterwards.
func TestFieldsThatEndHereAreNotJudged(t *testing.T) {
	s, upstream := startEcho(t, "")
	live, _ := s.liveAndRevoked()
	form := "refresh_token=" + live
	post := func(head string) int {
		return s.exchange(fmt.Sprintf("POST /auth/refresh HTTP/1.1\r\nHost: %s\r\n%sContent-Length: %d\r\n\r\n%s", s.addr, head, len(form), form))
	}
	if status := post("Content-Type: application/x-www-form-urlencoded\r\n"); status != 400 {
		t.Errorf("a form: %d", status)
	}
	before := len(upstream.requests())
	get := func(head string) int {
		return s.exchange("GET /v1/x HTTP/1.1\r\nHost: " + s.addr + "\r\n" + head + "\r\n")
	}
	if status := get("Connection: authorization\r\n" + bearer(live) + "\r\n"); status != 401 {
		t.Errorf("a credential that ends here: %d", status)
	}
	if n := len(upstream.requests()); n != before {
		t.Errorf("%d requests came through", n-before)
	}
	if status := get("Connection: keep-alive, X-Hop\r\nX-Hop: 1\r\n" + bearer(live) + "\r\n"); status != 200 {
		t.Errorf("a field of the client's own: %d", status)
	}
	if got := upstream.lastHeader(t).Get("X-Hop"); got != "" {
		t.Errorf("the upstream saw X-Hop: %s", got)
	}
	if status := s.exchange(fmt.Sprintf("POST /auth/refresh HTTP/1.1\r\nHost: %s\r\nConnection: Content-Type\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s",
		s.addr, len(form), form)); status != 400 {
		t.Errorf("a media type that ends here: %d", status)
	}
}

func TestPreflightCarriesNoTokenOnward(t *testing.T) {
	upstream := new(echo)
	s := start(t, upstream, "api octopus_cards\nsecret "+testSecret+"\nfrom query tok")
	raw := sign(t, claimsAt(time.Now()))
	for _, query := range []string{"tok=" + raw, "a=b&[tok]=" + raw, "TOK=" + raw + "&c", "tok%00=" + raw, "a;tok=" + raw, "a=b;%5Btok%5D=" + raw + "&c", "x=%zz;tok=" + raw} {
		if a := s.do("OPTIONS", "/v1/x?"+query, "", "Origin: https://a.example", "Access-Control-Request-Method: GET"); a.status != 200 {
			t.Errorf("%s: %d %s", query, a.status, a.body)
		}
		seen := upstream.requests()
		if got := seen[len(seen)-1]; strings.Contains(got.RequestURI, raw) {
			t.Errorf("the upstream saw %s", got.RequestURI)
		}
	}
}

// Over HTTP/3 nobody knows beforehand that a preflight has no body.
func TestPreflightOverHTTP3IsAnswered(t *testing.T) {
	s, _, config := startSecure(t, "")
	client := &http.Client{Transport: &http3.Transport{TLSClientConfig: http3.ConfigureTLSConfig(config)}}
	t.Cleanup(func() { _ = client.Transport.(io.Closer).Close() })
	for body, want := range map[string]string{"": "", "a body": ""} {
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		var from io.Reader
		if body != "" {
			from = io.MultiReader(strings.NewReader(body)) // of no known length
		}
		r, err := http.NewRequestWithContext(ctx, http.MethodOptions, s.url("/v1/echo"), from)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Origin", "https://a.example")
		r.Header.Set("Access-Control-Request-Method", "GET")
		resp, err := client.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(resp.Body)
		_ = resp.Body.Close()
		if err != nil || resp.StatusCode == http.StatusUnauthorized || strings.Contains(string(got), "a body") {
			t.Errorf("%q: %d %q, want %q, %v", body, resp.StatusCode, got, want, err)
		}
	}
}

// A refresh token that was seen being issued authorises no call.
func TestRefreshTokensAreNoCredentialsOfRequests(t *testing.T) {
	for _, mode := range []string{"known", "pass"} {
		s := startOpaque(t, newOpaqueAPI(t), mode, "session", "")
		g := s.loginOpaque("alice")
		s.wantRefused(mode+": a refresh token", g.Refresh)
		s.do("POST", "/logout", "", bearer(g.Refresh)).want(t, mode+": a logout by refresh token", 401, bodyInvalid)
		s.wantLive(mode+": an access token", g.Access)
		s.wantLive(mode+": a new one", parseGrant(t, s.refreshOpaque(g.Refresh)).Access)
	}
}

// A logout that looks for a refresh token ends it, however a browser sends it, or says that
// it could not read it.
func TestLogoutReadsWhatBrowsersSend(t *testing.T) {
	s := startOpaque(t, newOpaqueAPI(t), "known", "token", "")
	s.options = strings.Replace(s.options, "scope token", "scope token\ntoken json refresh_token\ntoken form rt", 1)
	s.mustLoad()
	const text, form = "Content-Type: text/plain;charset=UTF-8", "Content-Type: application/x-www-form-urlencoded;charset=UTF-8"
	for what, c := range map[string][]string{
		"JSON":                           {`{"refresh_token":"%s"}`, "Content-Type: application/json"},
		"fetch or a beacon":              {`{"refresh_token":"%s"}`, text},
		"a byte order mark":              {"\ufeff" + `{"refresh_token":"%s"}`, "Content-Type: application/json"},
		"a form":                         {"rt=%s&x=1", form},
		"JSON with other members":        {`{"a":{"refresh_token":"x"},"refresh_token":"%s"}`, "Content-Type: application/json"},
		"the same name in another style": {`{"refresh_token":"%[1]s","refreshToken":"%[1]s"}`, "Content-Type: application/json"},
	} {
		g := s.loginOpaque("alice")
		s.form("/logout", fmt.Sprintf(c[0], g.Refresh), c[1], bearer(g.Access)).want(t, what, 200, bodyLoggedOut)
		s.wantRefused(what+": the access token", g.Access)
		s.refreshOpaque(g.Refresh).want(t, what+": the refresh token", 401, bodyInvalid)
	}
	for what, c := range map[string][]string{
		"another media type": {`{"refresh_token":"%s"}`, "/logout", "Content-Type: text/html"},
		"a duplicate member": {`{"refresh_token":"a","refresh_token":"%s"}`, "/logout", "Content-Type: application/json"},
		"a look-alike":       {`{"refreshToken":"%s"}`, "/logout", "Content-Type: application/json"},
		"a broken form":      {"a=%%zz&rt=%s", "/logout", form},
		"broken JSON":        {`{"refresh_token":"%s"`, "/logout", "Content-Type: application/json"},
		"compressed":         {`{"refresh_token":"%s"}`, "/logout", "Content-Type: application/json\nContent-Encoding: gzip"},
		"the query":          {"%s", "/logout?a;b", "Content-Type: application/json"},
	} {
		g := s.loginOpaque("alice")
		header := append(strings.Split(c[2], "\n"), bearer(g.Access))
		if a := s.form(c[1], fmt.Sprintf(c[0], g.Refresh), header...); a.status != 400 {
			t.Errorf("%s: %d %s", what, a.status, a.body)
		}
		s.wantLive(what+": not logged out", g.Access)
	}
	g := s.loginOpaque("alice")
	s.form("/logout", "", "Content-Type: text/html", bearer(g.Access)).want(t, "no body", 200, bodyLoggedOut)
}

// unreadable is an API whose answers to logins nobody can read here.
type unreadable struct {
	body, mediaType, encoding string
}

func (api *unreadable) ServeHTTP(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", api.mediaType)
	if api.encoding != "" {
		w.Header().Set("Content-Encoding", api.encoding)
	}
	_, _ = io.WriteString(w, api.body)
}

// Tokens that nobody has seen being issued would be out of a logout's reach.
func TestAnswersThatCannotBeReadHandOutNoOpaqueTokens(t *testing.T) {
	var cut bytes.Buffer
	zipped := gzip.NewWriter(&cut)
	_, _ = io.WriteString(zipped, `{"access":"at","refresh":"rt"}`)
	_ = zipped.Flush() // and never the end
	for what, api := range map[string]*unreadable{
		"XML":                {body: "<access>at</access>", mediaType: "application/xml"},
		"a lone surrogate":   {body: `{"id":"\ud800","access":"at","refresh":"rt"}`, mediaType: "application/json"},
		"duplicate members":  {body: `{"access":"at","access":"other"}`, mediaType: "application/json"},
		"an unknown coding":  {body: `{"access":"at"}`, mediaType: "application/json", encoding: "br"},
		"a coding cut short": {body: cut.String(), mediaType: "application/json", encoding: "gzip"},
	} {
		for _, mode := range []string{"pass", "known"} {
			s := startOpaque(t, api, mode, "session", "")
			for _, a := range []answer{s.do("POST", "/login", `{"User":"alice"}`), s.refreshOpaque("from-before")} {
				if refused := a.status == 503 || mode == "known" && a.status == 401; !refused || strings.Contains(a.body, "at") && strings.Contains(a.body, "access") {
					t.Errorf("%s, %s: %d %s", what, mode, a.status, a.body)
				}
			}
		}
	}
	for what, api := range map[string]*unreadable{
		"nothing":         {},
		"no tokens":       {body: `{"mfa_required":true}`, mediaType: "application/json"},
		"other numbers":   {body: `{"access":"at","refresh":"rt","expires_in":"soon"}`, mediaType: "application/json"},
		"both spellings":  {body: `{"access":"at","Access":"at"}`, mediaType: "application/json"},
		"a text of UTF-8": {body: `{"access":"at","name":"Zo\u00eb"}`, mediaType: "application/json"},
	} {
		s := startOpaque(t, api, "pass", "session", "")
		if a := s.do("POST", "/login", `{"User":"alice"}`); a.status != 200 || a.body != api.body {
			t.Errorf("%s: %d %s", what, a.status, a.body)
		}
	}
	// A JWT says itself whose it is.
	s := start(t, &unreadable{body: "<token>" + url.QueryEscape("x") + "</token>", mediaType: "application/xml"}, "api octopus_cards\nsecret "+testSecret)
	if a := s.do("POST", "/auth/login", `{}`); a.status != 200 {
		t.Errorf("an answer with JWTs: %d %s", a.status, a.body)
	}
}

// An upstream may look for a refresh token in the body before it looks where the
// configuration says, and join Cookie fields in its own way.
func TestRefreshByCookieHasNoOtherTokenInItsBody(t *testing.T) {
	upstream := new(echo)
	s := start(t, upstream, "api octopus_cards\nsecret "+testSecret+"\nrefresh /auth/refresh {\ntoken cookie refresh_token\ntoken query rt\n}")
	live, revoked := s.liveAndRevoked()
	const form = "Content-Type: application/x-www-form-urlencoded"
	cookie := "Cookie: refresh_token=" + live
	for body, mediaType := range map[string]string{
		"refresh_token=" + revoked:            form,
		"refresh_token[]=+" + revoked:         form,
		"RT=" + revoked:                       form,
		`{"refresh_token":"` + revoked + `"}`: "Content-Type: application/json",
		`{"refreshToken":"` + revoked + `"}`:  "Content-Type: application/json",
		"--x":                                 "Content-Type: multipart/form-data; boundary=x",
	} {
		if a := s.form("/auth/refresh", body, mediaType, cookie); a.status != 400 && a.status != 401 {
			t.Errorf("%s: %d %s", body, a.status, a.body)
		}
	}
	if n := len(upstream.requests()); n != 0 {
		t.Errorf("%d requests came through", n)
	}
	if a := s.form("/auth/refresh", `{"device":"a"}`, "Content-Type: application/json", "Cookie: a=b", cookie); a.status != 200 {
		t.Errorf("another member: %d %s", a.status, a.body)
	}
	if got := upstream.lastHeader(t)["Cookie"]; len(got) != 1 || got[0] != "a=b; refresh_token="+live {
		t.Errorf("the upstream saw the cookies %q", got)
	}
}
