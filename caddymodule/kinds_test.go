package caddymodule_test

import (
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/golang-jwt/jwt/v5"

	"example.com/caddy-token-auth/revocation"
	"example.com/caddy-token-auth/revocation/localstore"
	"example.com/caddy-token-auth/token/apikey"
)

const partnerKey = "partner-key-0123456789abcdef0123456789"

// call sends a request to the first site.
func (o *operated) call(method, path string, header ...string) answer {
	o.t.Helper()
	r, err := http.NewRequestWithContext(o.t.Context(), method, "http://"+o.addr+path, http.NoBody)
	if err != nil {
		o.t.Fatal(err)
	}
	for _, field := range header {
		name, value, _ := strings.Cut(field, ": ")
		r.Header.Set(name, value)
	}
	return o.send(r)
}

// keySession begins a session of the API key and returns the header fields that present it.
func (o *operated) keySession() []string {
	o.t.Helper()
	a := o.call("GET", "/v1/cards", "X-API-Key: "+partnerKey)
	if a.status != http.StatusOK || a.header.Get("X-Session-Id") == "" {
		o.t.Fatalf("no session: %d %s", a.status, a.body)
	}
	return []string{"X-API-Key: " + partnerKey, "X-Session-ID: " + a.header.Get("X-Session-Id")}
}

func (o *operated) wantGood(what string, good bool, header ...string) {
	o.t.Helper()
	if a := o.call("GET", "/v1/cards", header...); (a.status == http.StatusOK) != good {
		o.t.Errorf("%s: %d %s", what, a.status, a.body)
	}
}

// subjectToken returns a token of this subject that was issued some seconds ago.
func subjectToken(t *testing.T, sub, jti string) string {
	t.Helper()
	iat := time.Now().Add(-10 * time.Second)
	return sign(t, jwt.MapClaims{"sub": sub, "jti": jti, "iat": iat.Unix(), "exp": iat.Add(time.Hour).Unix()})
}

// Whatever a token's subject is, its logout leaves the sessions of API keys alone.
func TestLogoutOfASubjectEndsNoSessionOfAnAPIKey(t *testing.T) {
	for what, key := range map[string]string{"configured": "\nkey partner " + apikey.Hash(partnerKey), "judged by the API": ""} {
		t.Run(what, func(t *testing.T) {
			o := operate(t, [2]string{"", "secret " + testSecret + "\nlogout /logout {\nscope client\n}\napi_key {" + key + "\n}"})
			session := o.keySession()
			name := strings.TrimPrefix(o.call("GET", "/", session...).body, "for ")
			for _, sub := range []string{name, "api-key:" + name, "\x00api-key\x00" + name, "\x00\x00api-key\x00" + name} {
				raw := subjectToken(t, sub, "logs-out")
				o.wantGood("the subject's token", true, bearer(raw))
				if a := o.call("POST", "/logout", bearer(raw)); a.status != http.StatusOK {
					t.Fatalf("logout of %q: %d %s", sub, a.status, a.body)
				}
				o.wantGood("the subject's token after its logout", false, bearer(raw))
				o.wantGood("the API key's session after the logout of "+sub, true, session...)
			}
		})
	}
}

func TestLogoutOfAnAPIKeyEndsNoTokenOfASubject(t *testing.T) {
	o := operate(t, [2]string{"", "secret " + testSecret + "\nlogout /logout {\nscope client\n}\napi_key {\nkey partner " + apikey.Hash(partnerKey) + "\n}"})
	raw, session, other := subjectToken(t, "partner", "t1"), o.keySession(), o.keySession()
	if a := o.call("POST", "/logout", session...); a.status != http.StatusOK {
		t.Fatalf("logout: %d %s", a.status, a.body)
	}
	o.wantGood("the session", false, session...)
	o.wantGood("the key's other session", false, other...)
	o.wantGood("the subject's token", true, bearer(raw))
	o.wantGood("a session that begins later", true, o.keySession()...)
	entries, _ := o.list(map[string]any{"client": "partner"})
	if len(entries) != 1 || entries[0].Kind != "api_key" || entries[0].ID != "partner" {
		t.Errorf("listed: %+v", entries)
	}
	for _, line := range o.auditLines() {
		if line["id"] != "partner" || line["kind"] != "api_key" {
			t.Errorf("audit: %v", line)
		}
	}
}

// An operator who names a client means whoever has this name, unless told otherwise.
func TestOperatorRevokesClientsOfEitherKind(t *testing.T) {
	for kind, want := range map[string]struct {
		subject, key bool
		entries      int
	}{"": {false, false, 2}, "subject": {false, true, 1}, "api_key": {true, false, 1}} {
		t.Run("kind "+kind, func(t *testing.T) {
			o := operate(t, [2]string{"", "secret " + testSecret + "\nlogout /logout\napi_key {\nkey partner " + apikey.Hash(partnerKey) + "\n}"})
			raw, session := subjectToken(t, "partner", "t1"), o.keySession()
			var done revoked
			asked := map[string]any{"scope": "client", "id": "partner"}
			if kind != "" {
				asked["kind"] = kind
			}
			o.asked("revoke", asked, &done)
			if len(done.Revoked) != want.entries {
				t.Errorf("%d entries: %v", len(done.Revoked), done.Revoked)
			}
			o.wantGood("the subject's token", want.subject, bearer(raw))
			o.wantGood("the API key's session", want.key, session...)
		})
	}
}

func TestKindIsThatOfAClientThatIsNamed(t *testing.T) {
	o := operate(t, [2]string{"", "secret " + testSecret + "\nlogout /logout"})
	for what, tc := range map[string]struct {
		body map[string]any
		want int
	}{
		"unknown":           {map[string]any{"scope": "client", "id": "x", "kind": "robot"}, 400},
		"of a session":      {map[string]any{"scope": "session", "id": "x", "kind": "subject"}, 400},
		"beside a token":    {map[string]any{"scope": "client", "token": "x", "kind": "subject"}, 400},
		"no API keys there": {map[string]any{"scope": "client", "id": "x", "kind": "api_key"}, 422},
		"subject":           {map[string]any{"scope": "client", "id": "x", "kind": "subject"}, 200},
	} {
		if a := o.post("revoke", tc.body); a.status != tc.want {
			t.Errorf("%s: %d %s", what, a.status, a.body)
		}
	}
	var done revoked
	o.asked("revoke", map[string]any{"scope": "client", "id": "42"}, &done)
	if len(done.Revoked) != 1 || done.Revoked[0].Kind != "" {
		t.Errorf("where there are no API keys: %+v", done.Revoked)
	}
}

// A refresh token and the session of an API key are not of one client for having one name.
func TestRefreshTokenBesideAnAPIKeyIsAnothersInALogout(t *testing.T) {
	o := operate(t, [2]string{"", "secret " + testSecret + "\nlogout /logout {\ntoken query refresh_token\n}\napi_key {\nkey partner " + apikey.Hash(partnerKey) + "\n}"})
	raw, session := subjectToken(t, "partner", "t1"), o.keySession()
	if a := o.call("POST", "/logout?refresh_token="+raw, session...); a.status != http.StatusUnauthorized {
		t.Errorf("logout: %d %s", a.status, a.body)
	}
	o.wantGood("the session", true, session...)
	o.wantGood("the token", true, bearer(raw))
}

// A list that was written before there were kinds goes on counting for both.
func TestEntriesFromBeforeThereWereKindsCount(t *testing.T) {
	o := prepareOperated(t, [2]string{"", "secret " + testSecret + "\nlogout /logout {\nscope client\n}\napi_key {\nkey partner " + apikey.Hash(partnerKey) + "\n}"})
	dir := strings.TrimPrefix(o.store, "store local ")
	o.mustLoad()
	session := o.keySession()
	if err := caddy.Stop(); err != nil {
		t.Fatal(err)
	}
	store, err := localstore.Open(t.Context(), dir, localstore.Options{})
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	err = store.Revoke(t.Context(), revocation.Entry{Scope: revocation.ScopeClient, ID: "partner", At: now, Expires: now.Add(8 * day)})
	if err := errors.Join(err, store.Close()); err != nil {
		t.Fatal(err)
	}
	o.mustLoad()
	o.wantGood("the session", false, session...)
	later := o.keySession()
	if a := o.call("POST", "/logout", bearer(subjectToken(t, "partner", "t1"))); a.status != http.StatusUnauthorized {
		t.Errorf("the subject's token: %d %s", a.status, a.body)
	}
	iat := now.Add(2 * time.Second) // after the cut-off, within iat_leeway
	fresh := sign(t, jwt.MapClaims{"sub": "partner", "jti": "t2", "iat": iat.Unix(), "exp": iat.Add(time.Hour).Unix()})
	if a := o.call("POST", "/logout", bearer(fresh)); a.status != http.StatusOK {
		t.Errorf("the subject's next token: %d %s", a.status, a.body)
	}
	o.wantGood("the session after the subject's logout", false, session...)
	o.wantGood("the session that has begun since", true, later...)
}
