package caddymodule_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// TestExplanationNamesTheCheckThatFails asks about tokens with one mistake each, and wants
// the answer that a request gets to agree.
func TestExplanationNamesTheCheckThatFails(t *testing.T) {
	o := operate(t, [2]string{"a.localhost", "secret " + testSecret + "\nissuer https://id.example\naudience api\nalgorithms HS256\n" +
		"logout /logout {\nscope session\n}"})
	now := time.Now()
	good := jwt.MapClaims{
		"iss": "https://id.example", "aud": "api", "sub": "42", "sid": "s1", "jti": "t1",
		"iat": now.Unix(), "exp": now.Add(time.Hour).Unix(),
	}
	with := func(name string, value any) string {
		claims := maps.Clone(good)
		if claims[name] = value; value == nil {
			delete(claims, name)
		}
		return sign(t, claims)
	}
	hs512, err := jwt.NewWithClaims(jwt.SigningMethodHS512, good).SignedString([]byte(testSecret))
	if err != nil {
		t.Fatal(err)
	}
	for raw, want := range map[string]string{
		with("aud", "api"):                            "",
		signWith(t, otherSecret, good):                "signature",
		with("iss", "https://evil.example"):           "issuer",
		with("aud", "another"):                        "audience",
		with("exp", now.Add(-time.Hour).Unix()):       "exp",
		with("iat", now.Add(time.Hour).Unix()):        "iat",
		with("nbf", now.Add(time.Hour).Unix()):        "nbf",
		with("iat", now.Add(-30*24*time.Hour).Unix()): "age",
		with("iat", nil):                              "age",
		with("sid", nil):                              "claim",
		hs512:                                         "algorithm",
		"nonsense":                                    "form",
		strings.Repeat("a.", 10_000):                  "form",
	} {
		a := o.post("explain", map[string]any{"token": raw})
		if strings.Contains(a.body, raw) || strings.Contains(a.body, raw[strings.LastIndexByte(raw, '.')+1:]) && len(raw) > 20 && want != "form" {
			t.Errorf("%s: the token comes back: %s", want, a.body)
		}
		var got explained
		o.asked("explain", map[string]any{"token": raw}, &got)
		e := got.Sites[0]
		if len(got.Sites) != 1 || e.Check != want || e.Allowed != (want == "") {
			t.Errorf("%s: %+v", want, e)
		}
		if wantIdentity := want == "" || want == "exp" || e.Verdict == "too_old"; (e.Identity != nil) != wantIdentity {
			t.Errorf("%s: identity %+v", want, e.Identity)
		}
		if status := o.get("a.localhost", raw); (status == 200) != e.Allowed {
			t.Errorf("%s: explained as %t, and a request gets %d", want, e.Allowed, status)
		}
	}
}

func TestExplanationNamesTheEntryAndWhoHasIt(t *testing.T) {
	o := operate(t, twoSites...)
	raw := sign(t, claimsAt(time.Now().Add(-2*time.Second)))
	explain := func() explained {
		var got explained
		o.asked("explain", map[string]any{"token": raw, "site": "a.localhost"}, &got)
		return got
	}
	o.get("a.localhost", raw)
	e := explain().Sites[0]
	if !e.Allowed || e.Verdict != "live" || e.From != "cache" || e.Identity == nil || e.Identity.Client != "42" || e.Identity.Realm != "a" || e.Entry != nil {
		t.Errorf("before: %+v", e)
	}
	if e.Server == "" || len(e.Listen) == 0 || !slices.Equal(e.Hosts, []string{"a.localhost"}) {
		t.Errorf("site: %+v", e)
	}
	var done revoked
	o.asked("revoke", map[string]any{"scope": "client", "id": "42", "realm": "a"}, &done)
	e = explain().Sites[0]
	if e.Allowed || e.Reason != "revoked_credential" || e.Check != "revocation" || e.Verdict != "revoked_client" || e.Stored != "revoked_client" {
		t.Errorf("after: %+v", e)
	}
	if e.Entry == nil || *e.Entry != done.Revoked[0] {
		t.Errorf("decided by %+v, stored is %+v", e.Entry, done.Revoked[0])
	}
}

// TestSitesAreNumberedByServerAndRoute reloads, which visits the servers in another order.
func TestSitesAreNumberedByServerAndRoute(t *testing.T) {
	sites := make([][2]string, 6)
	for i := range sites {
		sites[i] = [2]string{"s" + freeAddr(t), fmt.Sprintf("secret %s\nrealm %d", otherSecret, i)}
	}
	o := operate(t, sites...)
	raw := signWith(t, otherSecret, claimsAt(time.Now()))
	numbered := func() (names []string) {
		var got explained
		o.asked("explain", map[string]any{"token": raw}, &got)
		for i, e := range got.Sites {
			if e.Site != i+1 || !e.Allowed {
				t.Errorf("%+v", e)
			}
			names = append(names, e.Server+" "+e.Identity.Realm)
		}
		return names
	}
	first := numbered()
	if len(first) != len(sites) || !slices.IsSorted(first) {
		t.Errorf("sites %q", first)
	}
	for range 5 {
		o.mustLoad()
		if again := numbered(); !slices.Equal(again, first) {
			t.Errorf("sites %q, and before a reload %q", again, first)
		}
	}
}

func TestExplanationReadsHeadersAsASiteDoes(t *testing.T) {
	o := operate(t, [2]string{"a.localhost", "secret " + testSecret + "\nopaque pass\nfrom header Authorization Bearer\nfrom cookie token\n" +
		"pass_schemes Basic\napi_key X-API-Key"})
	raw := sign(t, claimsAt(time.Now()))
	for _, c := range []struct {
		headers                    map[string]string
		credential, check, verdict string
	}{
		{map[string]string{"Authorization": "Bearer " + raw}, "jwt", "", "live"},
		{map[string]string{"cookie": "a=b; token=" + raw}, "jwt", "", "live"},
		{map[string]string{"Authorization": "Bearer opaque-token"}, "opaque", "", "live"},
		{map[string]string{"X-Api-Key": "key"}, "api_key", "", "live"},
		{map[string]string{"Authorization": "Basic YTpi"}, "scheme", "", ""},
		{map[string]string{"Authorization": "Bearer " + raw, "Cookie": "token=another"}, "", "conflict", ""},
		{map[string]string{"Accept": "*/*"}, "", "missing", ""},
	} {
		var got explained
		o.asked("explain", map[string]any{"headers": c.headers}, &got)
		e := got.Sites[0]
		if e.Credential != c.credential || e.Check != c.check || e.Verdict != c.verdict || e.Allowed != (c.check == "") {
			t.Errorf("%v: %+v", slices.Collect(maps.Keys(c.headers)), e)
		}
		if wantUnproven := c.credential == "opaque" || c.credential == "api_key" || c.credential == "scheme"; e.Unproven != wantUnproven {
			t.Errorf("%s: unproven %t", c.credential, e.Unproven)
		}
	}
	for what, body := range map[string]map[string]any{
		"nothing":                     {},
		"both":                        {"token": "x", "headers": map[string]string{"Cookie": "x"}},
		"what is no header":           {"headers": map[string]string{"a b": "x"}},
		"what splits a header":        {"headers": map[string]string{"Cookie": "x\r\ny: z"}},
		"a list of values":            {"headers": map[string][]string{"Cookie": {"x"}}},
		"a site that there is not":    {"token": "x", "site": "nowhere.example"},
		"a site by a negative number": {"token": "x", "site": "-1"},
	} {
		if a := o.post("explain", body); a.status != 400 && a.status != 404 {
			t.Errorf("%s: %d %s", what, a.status, a.body)
		}
	}
}

func TestOpaqueTokenIsRevokedByItself(t *testing.T) {
	o := operate(t, [2]string{"a.localhost", "opaque pass\nrealm a"})
	if got := o.get("a.localhost", "opaque-token"); got != 200 {
		t.Fatalf("before: %d", got)
	}
	if a := o.post("revoke", map[string]any{"token": "opaque-token", "scope": "client"}); a.status != 422 || !strings.Contains(a.body, "only the token itself") {
		t.Errorf("its client: %d %s", a.status, a.body)
	}
	a := o.post("revoke", map[string]any{"token": "opaque-token"})
	if a.status != 200 || strings.Contains(a.body, "opaque-token") {
		t.Errorf("%d %s", a.status, a.body)
	}
	// Any text would have been taken, and whoever revokes has to know that.
	if !strings.Contains(a.body, `"unproven":[{"site":1`) {
		t.Errorf("not said to be unproven: %s", a.body)
	}
	if got := o.get("a.localhost", "opaque-token"); got != 401 {
		t.Errorf("after: %d", got)
	}
}

func TestExplanationOfWhatIsKnownFromItsIssue(t *testing.T) {
	api := newOpaqueAPI(t)
	s := prepare(t, api, "opaque known\nrealm a\n"+fmt.Sprintf(opaqueEndpoints, "client"))
	s.admin = freeAddr(t)
	s.mustLoad()
	o := &operated{t: t, addr: s.addr, admin: s.admin, client: s.client}
	old := s.loginOpaque("alice")
	s.do("POST", "/logout", "", bearer(old.Access)).want(t, "logout", 200, bodyLoggedOut)
	fresh := s.loginOpaque("alice")
	var got explained
	o.asked("explain", map[string]any{"token": old.Access}, &got)
	if e := got.Sites[0]; e.Verdict != "revoked_client" || e.Identity.Client != "alice" || e.Entry == nil {
		t.Errorf("of before: %+v", e)
	}
	o.asked("explain", map[string]any{"token": fresh.Access}, &got)
	if e := got.Sites[0]; !e.Allowed || e.Verdict != "live" || e.Identity.Client != "alice" {
		t.Errorf("of after: %+v", e)
	}
	o.asked("explain", map[string]any{"token": "never-issued"}, &got)
	if e := got.Sites[0]; e.Check != "issue" {
		t.Errorf("never issued: %+v", e)
	}
	second := parseGrant(t, s.refreshOpaque(fresh.Refresh))
	o.asked("explain", map[string]any{"token": fresh.Refresh}, &got)
	if e := got.Sites[0]; e.Verdict != "rotated_token" || e.Entry.Scope != "rotated" || e.Allowed {
		t.Errorf("exchanged: %+v", e)
	}
	known, _ := o.list(map[string]any{"scopes": []string{"known"}, "client": "alice"})
	exchanged, _ := o.list(map[string]any{"scopes": []string{"rotated"}})
	if len(known) != 6 || len(exchanged) != 1 || known[0].Client != "alice" || known[0].Session == "" {
		t.Errorf("known: %v, exchanged: %v", known, exchanged)
	}
	s.wantLive("after all that", second.Access)
}
