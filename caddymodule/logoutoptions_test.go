package caddymodule_test

import (
	"fmt"
	"net/url"
	"strings"
	"testing"
	"time"
)

func TestLogoutByRefreshTokenInTheBody(t *testing.T) {
	s := startOpaque(t, newOpaqueAPI(t), "known", "session", "")
	s.options = strings.Replace(s.options, "scope session", "scope session\ntoken refresh_token\ntoken cookie rt", 1)
	s.mustLoad()
	first, second, third, other := s.loginOpaque("alice"), s.loginOpaque("alice"), s.loginOpaque("alice"), s.loginOpaque("bob")

	s.do("POST", "/logout", `{"refresh_token":"`+first.Refresh+`"}`).want(t, "by refresh token alone", 200, bodyLoggedOut)
	s.wantRefused("the access token of that session", first.Access)
	s.wantLive("another session", second.Access)

	s.do("POST", "/logout", `{"refresh_token":"`+third.Refresh+`"}`, bearer(second.Access)).want(t, "by both, of two sessions", 200, bodyLoggedOut)
	s.wantRefused("session of the access token", second.Refresh)
	s.wantRefused("session of the refresh token", third.Access)

	fourth := s.loginOpaque("alice")
	s.do("POST", "/logout", `{"refresh_token":"`+other.Refresh+`"}`, bearer(fourth.Access)).want(t, "of two clients", 401, bodyInvalid)
	s.wantLive("after a refused logout", fourth.Access)
	s.do("POST", "/logout", `{"refresh_token":"`+other.Refresh+`"}`, "Cookie: rt="+fourth.Refresh).want(t, "two refresh tokens", 401, bodyInvalid)
	s.do("POST", "/logout", `{"refresh_token":"made-up"}`).want(t, "made up", 401, bodyInvalid)
	s.do("POST", "/logout", `{"refresh_token":"`+other.Refresh+`"}`, bearer("made-up")).want(t, "beside a bad token", 401, bodyInvalid)
	s.do("POST", "/logout", `{}`).want(t, "neither", 401, bodyMissing)
	s.do("POST", "/logout", `{"refresh_token":"made-up"}`, bearer(fourth.Access)).want(t, "beside a bad refresh token", 200, bodyLoggedOut)
	s.wantRefused("after it", fourth.Refresh)
	s.do("POST", "/logout", "", "Cookie: rt="+other.Refresh).want(t, "by cookie", 200, bodyLoggedOut)
	s.wantRefused("after it", other.Access)
}

func TestRequestMayAskForItsScope(t *testing.T) {
	s := startOpaque(t, newOpaqueAPI(t), "known", "session", "")
	s.options = strings.Replace(s.options, "scope session",
		"scope session\nscope_when query all=true client\nscope_when json everywhere=true client\nscope_when header X-Scope=token token", 1)
	s.mustLoad()
	for what, c := range map[string]struct {
		path, body string
		header     []string
		ends       [3]bool // the refresh token of the session, another session, another client
	}{
		"nothing asked":    {"/logout", "", nil, [3]bool{true, false, false}},
		"in the query":     {"/logout?all=true", "", nil, [3]bool{true, true, false}},
		"something else":   {"/logout?all=false", "", nil, [3]bool{true, false, false}},
		"in the body":      {"/logout", `{"everywhere":true}`, nil, [3]bool{true, true, false}},
		"a text":           {"/logout", `{"everywhere":"true"}`, nil, [3]bool{true, true, false}},
		"a broken body":    {"/logout", `{"everywhere":true`, nil, [3]bool{true, false, false}},
		"in a header":      {"/logout", "", []string{"X-Scope: token"}, [3]bool{false, false, false}},
		"the first counts": {"/logout?all=true", "", []string{"X-Scope: token"}, [3]bool{true, true, false}},
	} {
		own, another, other := s.loginOpaque("alice"), s.loginOpaque("alice"), s.loginOpaque("bob")
		s.do("POST", c.path, c.body, append(c.header, bearer(own.Access))...).want(t, what, 200, bodyLoggedOut)
		s.wantRefused(what+": itself", own.Access)
		for i, a := range []answer{
			s.refreshOpaque(own.Refresh), s.do("GET", "/v1/x", "", bearer(another.Access)), s.do("GET", "/v1/x", "", bearer(other.Access)),
		} {
			if ended := a.status != 200; ended != c.ends[i] {
				t.Errorf("%s: token %d ended %t", what, i, ended)
			}
		}
	}
}

func TestForwardedLogoutIsRecordedFirst(t *testing.T) {
	api := newOpaqueAPI(t)
	s := startOpaque(t, api, "known", "session", "")
	s.options = strings.Replace(s.options, "scope session", "scope session\nforward\nmethods POST DELETE", 1)
	s.mustLoad()
	g := s.loginOpaque("alice")
	if a := s.do("DELETE", "/logout", "", bearer(g.Access)); a.status != 200 || a.body != "DELETE /logout" {
		t.Errorf("the API's own answer: %d %s", a.status, a.body)
	}
	s.wantRefused("after the logout", g.Access)
	before := api.served()
	s.do("DELETE", "/logout", "", bearer(g.Access)).want(t, "again", 401, bodyInvalid)
	if api.served() != before {
		t.Error("a refused logout reached the API")
	}
	a := s.do("GET", "/logout", "", bearer(g.Refresh))
	if a.status != 405 || a.header.Get("Allow") != "POST, DELETE" {
		t.Errorf("another method: %d, Allow %q", a.status, a.header.Get("Allow"))
	}
}

func TestRefreshTokensInFormsCookiesAndQueries(t *testing.T) {
	s := startOpaque(t, newOpaqueAPI(t), "known", "session", "")
	s.options = strings.Replace(s.options, "refresh /refresh {\n\t\ttoken Refresh", "refresh /token {\ntoken form refresh\ntoken cookie refresh", 1)
	s.options = strings.Replace(s.options, "login /login", "login /token", 1)
	s.mustLoad()
	const form = "Content-Type: application/x-www-form-urlencoded"
	g := parseGrant(t, s.form("/token", "user=alice", form))
	next := parseGrant(t, s.form("/token", "refresh="+url.QueryEscape(g.Refresh), form))
	s.form("/token", "refresh="+g.Refresh, form).want(t, "exchanged already", 401, bodyInvalid)
	s.form("/token", "refresh="+next.Refresh+"&refresh="+next.Access, form).want(t, "two", 401, bodyInvalid)
	s.form("/token", "refresh="+next.Refresh+"&REFRESH[]="+next.Access, form).want(t, "two, one spelled oddly", 401, bodyInvalid)
	s.form("/token?refresh="+next.Access, "refresh="+next.Refresh, form).want(t, "in the query too", 400, bodyBadRequest)
	s.form("/token", "refresh=%zz", form).want(t, "no form", 400, bodyBadRequest)
	s.form("/token", `{"refresh":"`+next.Refresh+`"}`, "Content-Type: application/json").want(t, "JSON", 400, bodyBadRequest)
	last := parseGrant(t, s.form("/token", "", form, "Cookie: refresh="+next.Refresh))
	s.form("/token", "", form, "Cookie: refresh="+next.Refresh).want(t, "exchanged already, by cookie", 401, bodyInvalid)
	s.wantLive("the last one", last.Access)
}

// form sends a POST with the given header fields and no others.
func (s *site) form(path, body string, header ...string) answer {
	s.t.Helper()
	return s.do("POST", path, body, append([]string{"-Content-Type"}, header...)...)
}

func TestDryRunLetsEverythingThroughAndSaysWhatItWouldDo(t *testing.T) {
	api := newOpaqueAPI(t)
	s := startOpaque(t, api, "known", "session", "dry_run")
	refused := s.counter("would_refuse", "invalid_credential")
	g := s.loginOpaque("alice")
	for what, raw := range map[string]string{"live": g.Access, "never issued": "made-up"} {
		s.wantLive(what, raw)
	}
	if a := s.do("GET", "/v1/x", ""); a.status != 200 {
		t.Errorf("without a credential: %d %s", a.status, a.body)
	}
	if a := s.do("POST", "/logout", "", bearer(g.Access)); a.body != "POST /logout" {
		t.Errorf("a logout: %d %s", a.status, a.body)
	}
	s.wantLive("after the logout", g.Access)
	parseGrant(t, s.refreshOpaque(g.Refresh))
	if got := s.counter("would_refuse", "invalid_credential") - refused; got != 1 {
		t.Errorf("%v invalid credentials were counted, want 1", got)
	}
	if got := s.counter("would_refuse", "revoked_credential"); got < 2 {
		t.Errorf("%v revoked credentials were counted, want 2", got)
	}
	s.options = strings.Replace(s.options, "dry_run", "", 1)
	s.mustLoad()
	s.wantRefused("logged out in the dry run", g.Access)
}

func TestSchemesPassForTheAPIToJudge(t *testing.T) {
	s := start(t, new(echo), "secret "+testSecret+"\npass_schemes Basic\nlogout /logout")
	if a := s.do("GET", "/x", "", "Authorization: basic YTpi"); a.status != 200 {
		t.Errorf("Basic: %d %s", a.status, a.body)
	}
	good := sign(t, claimsAt(time.Now()))
	if a := s.do("GET", "/x", "", bearer(good)); a.status != 200 {
		t.Errorf("a token: %d %s", a.status, a.body)
	}
	for what, header := range map[string][]string{
		"another scheme": {"Authorization: Digest x"}, "Basic and a token": {"Authorization: Basic YTpi", bearer(good)},
		"a token and Basic": {bearer(good), "Authorization: Basic YTpi"}, "two of them": {"Authorization: Basic YTpi", "Authorization: Basic YTpj"},
		"its name alone, glued": {"Authorization: Basic,Bearer " + good},
	} {
		s.do("GET", "/x", "", header...).want(t, what, 401, bodyInvalid)
	}
	s.do("POST", "/logout", "", "Authorization: Basic YTpi").want(t, "a logout of nothing that can be revoked", 401, bodyInvalid)
}

// counter reads one value of the metric of decisions.
func (s *site) counter(outcome, reason string) float64 {
	s.t.Helper()
	return gathered(s.t, "caddy_token_auth_decisions_total", fmt.Sprintf("outcome=%s reason=%s", outcome, reason))
}
