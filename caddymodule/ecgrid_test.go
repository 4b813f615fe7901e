package caddymodule_test

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"example.com/caddy-token-auth/token/apikey"
)

func TestECGridLogoutEndsTheSession(t *testing.T) {
	s, _ := startECGrid(t, "")
	first, second := s.loginECGrid(4821), s.loginECGrid(4821)
	s.do("POST", "/v2/auth/logout", "", bearer(first)).want(t, "logout", 200, bodyTerminated)
	s.do("GET", "/v2/mailboxes", "", bearer(first)).want(t, "after the logout", 401, bodyInvalidSession)
	s.do("POST", "/v2/auth/logout", "", bearer(first)).want(t, "logout again", 401, bodyInvalidSession)
	s.do("POST", "/v2/auth/refresh", `{"token":"`+first+`"}`).want(t, "refresh after the logout", 401, bodyInvalidSession)
	if a := s.do("GET", "/v2/mailboxes", "", bearer(second)); a.status != 200 {
		t.Errorf("another session: %d %s", a.status, a.body)
	}
	s.do("GET", "/v2/mailboxes", "").want(t, "no credential", 401, bodyInvalidSession)
}

func TestECGridRefreshEndsTheOldToken(t *testing.T) {
	s, api := startECGrid(t, "")
	for _, field := range []string{"token", "refreshToken"} {
		old := s.loginECGrid(4821)
		fresh := ecgridToken(t, s.do("POST", "/v2/auth/refresh", `{"`+field+`":"`+old+`"}`, bearer(old)).body)
		s.do("GET", "/v2/mailboxes", "", bearer(old)).want(t, "the old token", 401, bodyInvalidSession)
		s.do("POST", "/v2/auth/refresh", `{"`+field+`":"`+old+`"}`).want(t, "the old token again", 401, bodyInvalidSession)
		if a := s.do("GET", "/v2/mailboxes", "", bearer(fresh)); a.status != 200 {
			t.Errorf("the new token: %d %s", a.status, a.body)
		}
	}
	before := len(api.requests())
	one, other := s.loginECGrid(4821), s.loginECGrid(4821)
	a := s.do("POST", "/v2/auth/refresh", `{"token":"`+one+`","refreshToken":"`+other+`"}`)
	a.want(t, "two different tokens", 401, bodyInvalidSession)
	if got := len(api.requests()); got != before+2 {
		t.Error("two different tokens reached the API")
	}
}

func TestECGridResetEndsAllSessionsOfAUser(t *testing.T) {
	s, api := startECGrid(t, "")
	first, second, admin := s.loginECGrid(4822), s.loginECGrid(4822), s.loginECGrid(4821)
	s.do("POST", "/v2/users/reset/4822", "").want(t, "reset without a credential", 401, bodyInvalidSession)
	for _, odd := range []string{"/v2/users/reset/4822%2f", "/v2/users/reset/48%32%32;x", "/v2/users/reset//4822"} {
		if a := s.do("POST", odd, "", bearer(admin)); a.status == 200 {
			t.Errorf("%s: %d %s", odd, a.status, a.body)
		}
	}
	if got := api.resetUsers(); len(got) > 0 {
		t.Fatalf("reset: %q", got)
	}
	if a := s.do("GET", "/v2/mailboxes", "", bearer(first)); a.status != 200 {
		t.Fatalf("before the reset: %d %s", a.status, a.body)
	}
	s.do("POST", "/v2/users/reset/4822", "", bearer(admin)).want(t, "reset", 200, bodyReset)
	for what, raw := range map[string]string{"first": first, "second": second} {
		s.do("GET", "/v2/mailboxes", "", bearer(raw)).want(t, what+" session of the user", 401, bodyInvalidSession)
	}
	if a := s.do("GET", "/v2/mailboxes", "", bearer(admin)); a.status != 200 {
		t.Errorf("who has reset the user: %d %s", a.status, a.body)
	}
	if a := s.do("GET", "/v2/mailboxes", "", bearer(s.loginECGrid(4822))); a.status != 200 {
		t.Errorf("the next login: %d %s", a.status, a.body)
	}
}

const keyHeader = "X-API-Key: " + ecgridKey

// beginSession makes a call with the key alone and returns the session that it begins.
func (s *site) beginSession(key string) string {
	s.t.Helper()
	a := s.do("GET", "/v2/mailboxes", "", "X-API-Key: "+key)
	session := a.header.Get("X-Session-ID")
	if a.status != 200 || session == "" {
		s.t.Fatalf("no session in %d %s", a.status, a.body)
	}
	if !strings.Contains(a.body, `"sessionId":"`+session+`"`) {
		s.t.Errorf("the API was told of another session: %s", a.body)
	}
	cookie := a.header.Get("Set-Cookie")
	if !strings.HasPrefix(cookie, "X-Session-ID="+session+"; ") || !strings.Contains(cookie, "HttpOnly") || !strings.Contains(cookie, "SameSite=Lax") {
		s.t.Errorf("Set-Cookie: %s", cookie)
	}
	return session
}

func TestAPIKeyLogoutEndsTheSessionAndNotTheKey(t *testing.T) {
	for name, options := range map[string]string{
		"judged by the API": "",
		"known by hash":     "api_key {\nkey partner " + apikey.Hash(ecgridKey) + "\n}",
	} {
		t.Run(name, func(t *testing.T) {
			s, api := startECGrid(t, options+"\nforward_identity X-Client sub")
			session, other := s.beginSession(ecgridKey), s.beginSession(ecgridKey)
			if got := api.lastHeader(t).Get("X-Client"); got == "" || got == ecgridKey || name == "known by hash" && got != "partner" {
				t.Errorf("the API was told that the client is %q", got)
			}
			a := s.do("GET", "/v2/mailboxes", "", keyHeader, "X-Session-ID: "+session)
			if a.status != 200 || a.header.Get("X-Session-ID") != "" || a.header.Get("Set-Cookie") != "" {
				t.Errorf("in the session: %d %s, %v", a.status, a.body, a.header)
			}
			s.do("POST", "/v2/auth/logout", "", keyHeader, "X-Session-ID: "+session).want(t, "logout", 200, bodyTerminated)
			for _, method := range []string{"GET /v2/mailboxes", "POST /v2/auth/logout"} {
				verb, path, _ := strings.Cut(method, " ")
				s.do(verb, path, "", keyHeader, "X-Session-ID: "+session).want(t, method+" in the ended session", 401, bodyInvalidSession)
			}
			a = s.do("GET", "/v2/mailboxes", "", keyHeader, "Cookie: a=b; X-Session-ID="+session)
			a.want(t, "by cookie", 401, bodyInvalidSession)
			if got := a.header.Get("Set-Cookie"); !strings.Contains(got, "Max-Age=0") {
				t.Errorf("the cookie of an ended session stays: %q", got)
			}
			if a := s.do("GET", "/v2/mailboxes", "", keyHeader, "X-Session-ID: "+other); a.status != 200 {
				t.Errorf("another session of the key: %d %s", a.status, a.body)
			}
			s.do("POST", "/v2/auth/logout", "", keyHeader).want(t, "logout without a session", 200, bodyTerminated)
			s.mustLoad()
			s.do("GET", "/v2/mailboxes", "", keyHeader, "X-Session-ID: "+session).want(t, "after a reload", 401, bodyInvalidSession)
			if s.beginSession(ecgridKey) == session {
				t.Error("the ended session begins anew")
			}
		})
	}
}

func TestAPIKeysAreJudged(t *testing.T) {
	s, api := startECGrid(t, "api_key {\nkey partner "+apikey.Hash(ecgridKey)+"\nkey other "+apikey.Hash(ecgridOtherKey)+"\n}")
	session := s.beginSession(ecgridKey)
	jwtOf := s.loginECGrid(4821)
	before := len(api.requests())
	for what, c := range map[string]struct {
		header []string
		body   string
	}{
		"unknown key":               {[]string{"X-API-Key: nonsense"}, bodyInvalidAPIKey},
		"empty key":                 {[]string{"X-API-Key: "}, bodyInvalidSession},
		"oversized key":             {[]string{"X-API-Key: " + strings.Repeat("k", 5000)}, bodyInvalidAPIKey},
		"two keys":                  {[]string{keyHeader, "X-API-Key: " + ecgridOtherKey}, bodyInvalidSession},
		"a key and a token":         {[]string{keyHeader, bearer(jwtOf)}, bodyInvalidSession},
		"a key and a bad token":     {[]string{keyHeader, bearer("nonsense")}, bodyInvalidSession},
		"another key's session":     {[]string{"X-API-Key: " + ecgridOtherKey, "X-Session-ID: " + session}, bodyInvalidSession},
		"a made-up session":         {[]string{keyHeader, "X-Session-ID: " + strings.Repeat("A", 55)}, bodyInvalidSession},
		"a cut session":             {[]string{keyHeader, "X-Session-ID: " + session[:54]}, bodyInvalidSession},
		"two sessions":              {[]string{keyHeader, "X-Session-ID: " + session, "Cookie: x-session-id=x"}, bodyInvalidSession},
		"a session without its key": {[]string{"X-Session-ID: " + session}, bodyInvalidSession},
	} {
		s.do("GET", "/v2/mailboxes", "", c.header...).want(t, what, 401, c.body)
	}
	if got := len(api.requests()); got != before {
		t.Errorf("%d refused requests reached the API", got-before)
	}
	// A session of which nobody is told that it is genuine does not reach the API.
	if a := s.do("GET", "/v2/mailboxes", "", bearer(jwtOf), "X-Session-ID: admin", "X_Session_ID: admin", "Cookie: a=b; X-Session-ID=admin; c=d"); a.status != 200 {
		t.Fatalf("with a token: %d %s", a.status, a.body)
	}
	got := api.lastHeader(t)
	for name, values := range got {
		if strings.Contains(strings.Join(values, " "), "admin") {
			t.Errorf("the API has seen %s: %q", name, values)
		}
	}
	if got.Get("Cookie") != "a=b; c=d" {
		t.Errorf("other cookies: %q", got.Get("Cookie"))
	}
}

func TestAPIThatRefusesAKeyBeginsNoSession(t *testing.T) {
	s, _ := startECGrid(t, "")
	a := s.do("GET", "/v2/mailboxes", "", "X-API-Key: unknown-to-the-api")
	a.want(t, "an unknown key", 401, bodyInvalidAPIKey)
	if a.header.Get("X-Session-ID") != "" || a.header.Get("Set-Cookie") != "" {
		t.Errorf("a session was begun: %v", a.header)
	}
}

func TestAPIKeysAreReadAgainFromTheirFile(t *testing.T) {
	name := filepath.Join(t.TempDir(), "keys")
	write := func(text string) {
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("other " + apikey.Hash(ecgridOtherKey) + "\n")
	s, _ := startECGrid(t, "api_key {\nfile "+name+"\n}")
	s.do("GET", "/v2/mailboxes", "", keyHeader).want(t, "not in the file", 401, bodyInvalidAPIKey)
	write("partner " + apikey.Hash(ecgridKey) + "\nother " + apikey.Hash(ecgridOtherKey) + "\n")
	s.eventually(func() bool { return s.do("GET", "/v2/mailboxes", "", keyHeader).status == http.StatusOK })
	write("a mistake\n")
	s.options += "\nresponses ecgrid"
	if err := s.load(); err == nil {
		t.Error("a file with a mistake is taken")
	}
	if a := s.do("GET", "/v2/mailboxes", "", keyHeader); a.status != 200 {
		t.Errorf("the last good keys: %d %s", a.status, a.body)
	}
}

func TestECGridAcceptsAnExpiredTokenAtLogoutOnlyIfTold(t *testing.T) {
	expired := sign(t, jwt.MapClaims{
		"sub": "4821", "jti": "old", "iat": time.Now().Add(-2 * time.Hour).Unix(), "exp": time.Now().Add(-time.Hour).Unix(),
	})
	s, _ := startECGrid(t, "")
	s.do("POST", "/v2/auth/logout", "", bearer(expired)).want(t, "expired", 401, bodyInvalidSession)
	live := s.loginECGrid(4821)
	s.options += "\nlogout {\naccept_expired\nscope client\n}"
	s.mustLoad()
	s.do("POST", "/v2/auth/logout", "", bearer(expired)).want(t, "expired, accepted", 200, bodyTerminated)
	s.do("POST", "/v2/auth/logout", "", bearer(expired)).want(t, "expired and revoked", 401, bodyInvalidSession)
	s.do("POST", "/v2/auth/logout", "", bearer(expired[:len(expired)-4]+"AAAA")).want(t, "forged", 401, bodyInvalidSession)
	s.do("GET", "/v2/mailboxes", "", bearer(expired)).want(t, "another call", 401, bodyInvalidSession)
	s.do("GET", "/v2/mailboxes", "", bearer(live)).want(t, "another token of the user", 401, bodyInvalidSession)
}
