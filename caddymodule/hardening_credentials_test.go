package caddymodule_test

import (
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// TestRefreshThatRacesALogoutDoesNotSurviveIt has both begin at the same time, again and
// again. Once both have been answered, no token of the client works.
func TestRefreshThatRacesALogoutDoesNotSurviveIt(t *testing.T) {
	for _, scope := range []string{"client", "session"} {
		t.Run(scope, func(t *testing.T) {
			s := startOpaque(t, newOpaqueAPI(t), "known", scope, "")
			for range 150 {
				g := s.loginOpaque("alice")
				var wg sync.WaitGroup
				var next answer
				wg.Go(func() { s.do("POST", "/logout", "", bearer(g.Access)).want(t, "logout", 200, bodyLoggedOut) })
				wg.Go(func() { next = s.refreshOpaque(g.Refresh) })
				wg.Wait()
				if next.status != 200 {
					continue
				}
				fresh := parseGrant(t, next)
				s.wantRefused("an access token that was issued during the logout", fresh.Access)
				s.refreshOpaque(fresh.Refresh).want(t, "a refresh token that was", 401, bodyInvalid)
			}
		})
	}
}

func TestJWTsOfARefreshThatRacesALogoutDoNotSurviveIt(t *testing.T) {
	s := startOctopus(t, "")
	for range 150 {
		p := s.login(42)
		var wg sync.WaitGroup
		var next answer
		wg.Go(func() { s.do("POST", "/auth/logout", "", bearer(p.Access)).want(t, "logout", 200, bodyLoggedOut) })
		wg.Go(func() { next = s.refresh(p.Refresh) })
		wg.Wait()
		if next.status != 200 {
			continue
		}
		fresh := parsePair(t, next.body)
		s.do("GET", "/v1/cards", "", bearer(fresh.Access)).want(t, "a token that was issued during the logout", 401, bodyInvalid)
	}
}

func TestLogoutNarrowsToWhatATokenNames(t *testing.T) {
	const body = `{"access":"at-1","refresh":"rt-1"}`
	s := start(t, &fixedAnswer{body: body}, "opaque known\nlogin /login {\nrefresh refresh\naccess access\n}\nlogout /logout") //nolint:dupword // names and values
	s.do("POST", "/login", `{}`)
	s.do("POST", "/logout", "", bearer("at-1")).want(t, "logout of a session without a client", 200, bodyLoggedOut)
	for _, raw := range []string{"at-1", "rt-1"} {
		s.do("GET", "/x", "", bearer(raw)).want(t, raw+" after it", 401, bodyInvalid)
	}

	s = start(t, new(echo), "secret "+testSecret+"\nlogout /logout {\nscope client\nscope_when query session=1 session\n}")
	raw := sign(t, claimsAt(time.Now()))
	s.do("POST", "/logout?session=1", "", bearer(raw)).want(t, "logout of a session that the token does not name", 200, bodyLoggedOut)
	s.do("GET", "/x", "", bearer(raw)).want(t, "after it", 401, bodyInvalid)
}

func TestNoSpellingOfACallForTokensGoesByUnseen(t *testing.T) {
	s, api := startDeribit(t, "")
	query := "?grant_type=refresh_token&id=7&refresh_token=" + url.QueryEscape(deribitRefresh)
	before := len(api.requests())
	for what, c := range map[string]struct{ method, path, body string }{
		"a slash at the end":       {"GET", "/api/v2/public/auth/" + query, ""},
		"another case":             {"GET", "/api/v2/public/Auth" + query, ""},
		"an extension":             {"GET", "/api/v2/public/auth.json" + query, ""},
		"two slashes":              {"GET", "/api/v2/public//auth" + query, ""},
		"in the query":             {"GET", "/api/v2/" + query + "&method=public/auth/", ""},
		"a look-alike parameter":   {"GET", "/api/v2/public/auth?grant_type=refresh_token&id=7&refreshToken=x", ""},
		"in the body":              {"POST", "/api/v2", `{"id":7,"method":"public/auth/","params":{"refresh_token":"x"}}`},
		"parameters without names": {"POST", "/api/v2/public/auth", `{"id":7,"method":"public/auth","params":["refresh_token","x"]}`},
		"private, without names":   {"POST", "/api/v2/private/buy", `{"id":7,"method":"private/buy","params":["x"]}`},
	} {
		if a := s.do(c.method, c.path, c.body); a.status != 400 || !strings.Contains(a.body, `"error"`) {
			t.Errorf("%s: %d %s", what, a.status, a.body)
		}
	}
	if got := len(api.requests()); got != before {
		t.Errorf("%d of them reached the API", got-before)
	}
	if a := s.do("POST", "/api/v2/public/get_time", `{"id":7,"method":"public/get_time","params":[]}`); a.status != 200 {
		t.Errorf("a public call without names: %d %s", a.status, a.body)
	}
	large := `{"id":7,"method":"public/get_time","params":{"x":"` + strings.Repeat("x", 70<<10) + `"}}`
	if a := s.do("POST", "/api/v2/public/get_time", large); a.status != 200 {
		t.Errorf("a large call: %d %s", a.status, a.body)
	}
	s.do("POST", "/api/v2/private/buy", strings.Replace(large, "public/get_time", "private/buy", 1)).
		want(t, "a large call without a token", 400, fmt.Sprintf(rpcUnauthorized, `"id":7,`))
}

func TestNoSpellingOfTheLoginGoesByUnseen(t *testing.T) {
	s := startOpaque(t, newOpaqueAPI(t), "pass", "client", "")
	for _, path := range []string{"/Login", "/login/", "//login", "/x/../login", "/login.json", "/login;a=b"} {
		s.do("POST", path, `{"User":"alice"}`, bearer("made-up")).want(t, path, 400, bodyBadRequest)
	}
	if a := s.do("PUT", "/login", `{"User":"alice"}`, bearer("made-up")); a.status != 405 {
		t.Errorf("another method: %d %s", a.status, a.body)
	}
}

func TestIntrospectedTokenWithoutIssueTimeIsItsClients(t *testing.T) {
	s, as := startIntrospection(t, "")
	as.set(func(w http.ResponseWriter, _ string) {
		_, _ = io.WriteString(w, `{"active":true,"sub":"alice","sid":"s1"}`)
	})
	s.options = strings.Replace(s.options, "scope session", "scope token", 1) + "\nallow_ips alice 203.0.113.0/24"
	s.mustLoad()
	s.do("GET", "/x", "", bearer("a")).want(t, "from elsewhere", 403, bodyForbidden)
	if a := s.do("GET", "/x", "", bearer("a"), "X-Forwarded-For: 203.0.113.5"); a.status != 200 || a.header.Get("X-User") != "alice" {
		t.Errorf("from an allowed address: %d %s, user %q", a.status, a.body, a.header.Get("X-User"))
	}
	s.options += "\nreset /reset/"
	s.mustLoad()
	s.do("GET", "/x", "", bearer("b"), "X-Forwarded-For: 203.0.113.5").want(t, "where its client may be cut off", 401, bodyInvalid)
}

func TestIntrospectedLoginInTheSecondOfALogoutIsGood(t *testing.T) {
	s, as := startIntrospection(t, "")
	issued := time.Now().Unix()
	as.set(func(w http.ResponseWriter, _ string) {
		_, _ = fmt.Fprintf(w, `{"active":true,"sub":"alice","sid":"s1","iat":%d}`, issued)
	})
	s.options += "\nlogin /login {\naccess refresh_token\n}" // what the echo sends back
	s.mustLoad()
	s.do("POST", "/logout", "", bearer("old")).want(t, "logout", 200, bodyLoggedOut)
	s.do("GET", "/x", "", bearer("unseen")).want(t, "not seen being issued", 401, bodyInvalid)
	api := &fixedAnswer{body: `{"refresh_token":"new"}`}
	s.upstream.Config.Handler = api
	if a := s.do("POST", "/login", `{}`); a.body != api.body {
		t.Fatalf("login: %d %s", a.status, a.body)
	}
	if a := s.do("GET", "/x", "", bearer("new")); a.status != 200 {
		t.Errorf("the login after it: %d %s", a.status, a.body)
	}
}

func TestResetReachesWhatTheAPIMayRead(t *testing.T) {
	s, _ := startECGrid(t, "")
	admin := s.loginECGrid(4821)
	for _, c := range []struct {
		path   string
		status int
	}{{"/v2/users/reset/4822.json", 200}, {"/v2/users/reset/04822", 200}} {
		user := s.loginECGrid(4822)
		if a := s.do("POST", c.path, "", bearer(admin)); a.status != c.status {
			t.Errorf("%s: %d %s", c.path, a.status, a.body)
		}
		s.do("GET", "/v2/mailboxes", "", bearer(user)).want(t, c.path, 401, bodyInvalidSession)
	}
	user := s.loginECGrid(4822)
	s.do("GET", "/v2/users/reset/4822", "", bearer(admin), "X-HTTP-Method-Override: POST")
	if a := s.do("GET", "/v2/mailboxes", "", bearer(user)); a.status != 200 {
		t.Errorf("after a GET: %d %s", a.status, a.body)
	}
}

func TestResetIsAboutTheRealmOfTheIssuer(t *testing.T) {
	const issuer = "https://id.example.com"
	s := start(t, new(echo), "issuer "+issuer+"\nsecret "+testSecret+"\npass_schemes Basic\nreset /reset/")
	claims := claimsAt(time.Now())
	claims["iss"] = issuer
	raw := sign(t, claims)
	if a := s.do("POST", "/reset/42", "", "Authorization: Basic YTpi"); a.status != 200 {
		t.Fatalf("reset: %d %s", a.status, a.body)
	}
	s.do("GET", "/x", "", bearer(raw)).want(t, "a token of the client", 401, bodyInvalid)
}

func TestTokenExchangeTakesNoRevokedToken(t *testing.T) {
	s := startOpaque(t, newOpaqueAPI(t), "known", "session", "")
	s.options = strings.Replace(s.options, "refresh /refresh {\n\t\ttoken Refresh", "refresh /token {\ntoken form refresh", 1)
	s.options = strings.Replace(s.options, "login /login", "login /token", 1)
	s.mustLoad()
	const form = "Content-Type: application/x-www-form-urlencoded"
	g := parseGrant(t, s.form("/token", "user=alice", form))
	for _, name := range []string{"subject_token", "actor_token", "assertion"} {
		parseGrant(t, s.form("/token", "user=alice&"+name+"="+g.Access, form))
	}
	parseGrant(t, s.form("/token", "user=alice&subject_token=of-somebody-else", form))
	s.do("POST", "/logout", "", bearer(g.Access)).want(t, "logout", 200, bodyLoggedOut)
	for _, name := range []string{"subject_token", "actor_token", "assertion", "SUBJECT_TOKEN"} {
		s.form("/token", "user=alice&"+name+"="+g.Access, form).want(t, name, 401, bodyInvalid)
	}
}

func TestExpiredOpaqueTokenLogsOutWhereThatIsAccepted(t *testing.T) {
	api := &fixedAnswer{body: `{"access":"at-1","refresh":"rt-1","user":{"id":"alice"},"expires_in":1}`}
	s := start(t, api, "leeway 0s\nopaque known\n"+strings.Replace(fmt.Sprintf(opaqueEndpoints, "client"), "scope client", "scope client\naccept_expired", 1))
	s.do("POST", "/login", `{}`)
	s.eventually(func() bool { return s.do("GET", "/x", "", bearer("at-1")).body == bodyExpired })
	s.do("POST", "/logout", "", bearer("at-1")).want(t, "logout", 200, bodyLoggedOut)
	s.do("POST", "/refresh", `{"Refresh":"rt-1"}`).want(t, "its refresh token", 401, bodyInvalid)
}

func TestSessionOfAnAPIKeyIsTheSidecarsAlone(t *testing.T) {
	s, api := startECGrid(t, "")
	a := s.do("GET", "/v2/mailboxes", "", keyHeader, "Connection: X-Session-ID")
	session := a.header.Get("X-Session-ID")
	if got := api.lastHeader(t).Get("X-Session-ID"); got != session || got == "" {
		t.Errorf("the API was told %q and the client %q", got, session)
	}
	s.upstream.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("X-Session-ID", "the API's own") })
	if got := s.do("GET", "/v2/mailboxes", "", keyHeader, "X-Session-ID: "+session).header.Get("X-Session-ID"); got != "" {
		t.Errorf("the client was told %q", got)
	}
	s.options += "\ndry_run"
	s.mustLoad()
	seen := new(echo)
	s.upstream.Config.Handler = seen
	s.do("GET", "/v2/mailboxes", "", "X-Session-ID: forged", "Cookie: X-Session-ID=forged")
	if h := seen.lastHeader(t); h.Get("X-Session-ID")+h.Get("Cookie") != "" {
		t.Errorf("in a dry run, the API was told %v", h)
	}
}

func TestDryRunPassesWhatIsTooLargeToBeRead(t *testing.T) {
	large := strings.Repeat("x", 2<<20)
	s := start(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/auth/login" {
			_, _ = io.WriteString(w, large)
			return
		}
		n, _ := io.Copy(io.Discard, r.Body)
		_, _ = fmt.Fprint(w, n)
	}), "dry_run\napi octopus_cards\nsecret "+testSecret)
	if a := s.do("POST", "/auth/login", `{}`); a.status != 200 || a.body != large {
		t.Errorf("login: %d, %d bytes", a.status, len(a.body))
	}
	if a := s.do("POST", "/auth/refresh", `{"refresh_token":"`+large+`"}`); a.status != 200 || a.body != fmt.Sprint(len(large)+20) {
		t.Errorf("refresh: %d %s", a.status, a.body)
	}
}

func TestOptionsWithoutEffectAreRefused(t *testing.T) {
	const known = "opaque known\nlogin /login {\naccess a\n}\n"
	for options, want := range map[string]string{
		known + "leeway 11m":                "leeway",
		known + "iat_leeway 11m":            "iat_leeway",
		known + "audience a":                "audience",
		known + "algorithms RS256":          "algorithms",
		known + "types at+jwt":              "types",
		known + "sender_constrained refuse": "sender_constrained",
		"opaque known\nlogin /login":        "known",
		"api ecgrid\nsecret " + testSecret + "\nfrom cookie X-Session-ID":                      "cookie X-Session-ID",
		"opaque pass\nissuer https://a.example https://b.example\nsecret " + testSecret:        "realm",
		"secret " + testSecret + "\nissuer https://a.example https://b.example\nreset /reset/": "realm",
	} {
		s := prepare(t, new(echo), options)
		if err := s.load(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", options, err)
		}
	}
}

func TestSchemeHidesNoBearerToken(t *testing.T) {
	s := start(t, new(echo), "secret "+testSecret+"\npass_schemes Digest\nlogout /logout")
	raw := sign(t, jwt.MapClaims{"sub": "42", "jti": "x", "iat": time.Now().Unix(), "exp": time.Now().Add(time.Hour).Unix()})
	s.do("GET", "/x", "", "Authorization: Digest a=b, Bearer "+raw).want(t, "a token behind another scheme", 401, bodyInvalid)
}
