package caddymodule_test

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/golang-jwt/jwt/v5"

	"example.com/caddy-token-auth/caddymodule"
)

func signWith(t *testing.T, secret string, claims jwt.MapClaims) string {
	t.Helper()
	raw, err := jwt.NewWithClaims(jwt.SigningMethodHS256, claims).SignedString([]byte(secret))
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

var twoSites = [][2]string{
	{"a.localhost", "secret " + testSecret + "\nrealm a"},
	{"b.localhost", "secret " + otherSecret + "\nrealm b"},
}

func TestAdminRevokesWhatATokenNames(t *testing.T) {
	o := operate(t, twoSites...)
	claims := func(id string) jwt.MapClaims {
		c := claimsAt(time.Now().Add(-2 * time.Second))
		c["jti"], c["sid"] = id, "s1"
		return c
	}
	first, second := sign(t, claims("t1")), sign(t, claims("t2"))
	for _, raw := range []string{first, second} {
		if got := o.get("a.localhost", raw); got != 200 {
			t.Fatalf("before: %d", got)
		}
	}
	var got revoked
	o.asked("revoke", map[string]any{"token": first}, &got)
	if len(got.Revoked) != 1 || got.Revoked[0].String() != "token a/t1" || got.Expired {
		t.Errorf("revoked %+v", got)
	}
	if len(got.Unverified) != 1 || got.Unverified[0].Check != "signature" || got.Unverified[0].Hosts[0] != "b.localhost" {
		t.Errorf("not taken by %+v", got.Unverified)
	}
	if a, b := o.get("a.localhost", first), o.get("a.localhost", second); a != 401 || b != 200 {
		t.Errorf("after its revocation %d, another token of the session %d", a, b)
	}
	got = revoked{}
	o.asked("revoke", map[string]any{"token": first, "scope": "session", "site": "A.localhost"}, &got)
	if len(got.Revoked) != 1 || got.Revoked[0].String() != "session a/s1" || len(got.Unverified) != 0 {
		t.Errorf("revoked %+v", got)
	}
	if got := o.get("a.localhost", second); got != 401 {
		t.Errorf("after the session was cut off: %d", got)
	}
	o.mustLoad()
	if got := o.get("a.localhost", second); got != 401 {
		t.Errorf("after a reload: %d", got)
	}
}

func TestAdminRevokesByIdentifier(t *testing.T) {
	o := operate(t, twoSites...)
	raw := sign(t, claimsAt(time.Now().Add(-2*time.Second)))
	other := signWith(t, otherSecret, claimsAt(time.Now().Add(-2*time.Second)))
	for what, c := range map[string]struct {
		body   map[string]any
		status int
		says   string
	}{
		"no realm where there are two":  {map[string]any{"scope": "client", "id": "42"}, 400, "several realms"},
		"a realm that nobody has":       {map[string]any{"scope": "client", "id": "42", "realm": "c"}, 422, "no site has this realm"},
		"the realm of another site":     {map[string]any{"scope": "client", "id": "42", "realm": "b", "site": "1"}, 422, "no site has this realm"},
		"a site that is not there":      {map[string]any{"scope": "client", "id": "42", "site": "3"}, 404, "no such site"},
		"neither a token nor an id":     {map[string]any{"scope": "client"}, 400, "want a token"},
		"a token and an id":             {map[string]any{"scope": "client", "id": "42", "token": raw}, 400, "want a token"},
		"a token and a realm":           {map[string]any{"token": raw, "realm": "a"}, 400, "realm"},
		"no scope":                      {map[string]any{"id": "42", "realm": "a"}, 400, "scope"},
		"a scope that is no revocation": {map[string]any{"scope": "known", "id": "42", "realm": "a"}, 400, "scope"},
		"an expiry":                     {map[string]any{"scope": "client", "id": "42", "realm": "a", "expires": "1h"}, 400, "JSON object"},
	} {
		if a := o.post("revoke", c.body); a.status != c.status || !strings.Contains(a.body, c.says) {
			t.Errorf("%s: %d %s", what, a.status, a.body)
		}
	}
	if got := o.get("a.localhost", raw); got != 200 {
		t.Fatalf("after refused revocations: %d", got)
	}
	var got revoked
	o.asked("revoke", map[string]any{"scope": "client", "id": "42", "site": "a.localhost"}, &got)
	if len(got.Revoked) != 1 || got.Revoked[0].String() != "client a/42" {
		t.Errorf("revoked %+v", got)
	}
	if a, b := o.get("a.localhost", raw), o.get("b.localhost", other); a != 401 || b != 200 {
		t.Errorf("%d, and in another realm %d", a, b)
	}
	o.asked("revoke", map[string]any{"scope": "token", "id": "test-token", "realm": "b"}, &got)
	if got := o.get("b.localhost", other); got != 401 {
		t.Errorf("after the token was revoked by its identifier: %d", got)
	}
}

func TestAdminRevokesOnlyWhatIsGenuine(t *testing.T) {
	o := operate(t, twoSites...)
	raw := sign(t, claimsAt(time.Now()))
	expired := sign(t, claimsAt(time.Now().Add(-2*time.Hour)))
	forged := raw[:strings.LastIndexByte(raw, '.')+1] + strings.Repeat("Zm9yZ2Vk", 5) + "Zm8"
	for what, raw := range map[string]string{"forged": forged, "no token at all": "nonsense", "expired and of another site": expired + "x"} {
		a := o.post("revoke", map[string]any{"token": raw, "scope": "client"})
		if a.status != 422 || strings.Contains(a.body, raw) || !strings.Contains(a.body, "site 2 (b.localhost)") {
			t.Errorf("%s: %d %s", what, a.status, a.body)
		}
	}
	if a := o.post("revoke", map[string]any{"token": raw, "scope": "session"}); a.status != 422 || !strings.Contains(a.body, "names none: session") {
		t.Errorf("a token without a session: %d %s", a.status, a.body)
	}
	var got revoked
	o.asked("revoke", map[string]any{"token": expired}, &got)
	if !got.Expired || len(got.Revoked) != 0 {
		t.Errorf("an expired token: %+v", got)
	}
	if entries, _ := o.list(map[string]any{}); len(entries) != 0 {
		t.Errorf("recorded so far: %v", entries)
	}
	// Its client may have tokens that have not expired.
	o.asked("revoke", map[string]any{"token": expired, "scope": "client"}, &got)
	if got := o.get("a.localhost", raw); got != 401 {
		t.Errorf("another token of its client: %d", got)
	}
}

func TestAdminTakesNothingButItsOwnRequests(t *testing.T) {
	o := operate(t, twoSites...)
	raw := sign(t, claimsAt(time.Now()))
	good := `{"token":"` + raw + `"}`
	for what, c := range map[string]struct {
		method, mediaType, body string
		status                  int
	}{
		"another method":       {"GET", "application/json", "", 405},
		"a method of REST":     {"DELETE", "application/json", good, 405},
		"no type":              {"POST", "", good, 415},
		"a form":               {"POST", "application/x-www-form-urlencoded", good, 415},
		"a type for browsers":  {"POST", "text/plain", good, 415},
		"a list":               {"POST", "application/json", "[" + good + "]", 400},
		"nothing":              {"POST", "application/json", "", 400},
		"a name twice":         {"POST", "application/json", `{"token":"x",` + good[1:], 400},
		"an unknown name":      {"POST", "application/json", `{"` + raw + `":1}`, 400},
		"another spelling":     {"POST", "application/json", strings.Replace(good, "token", "Token", 1), 400},
		"another type":         {"POST", "application/json", `{"token":["` + raw + `"]}`, 400},
		"two documents":        {"POST", "application/json", good + good, 400},
		"too much":             {"POST", "application/json", `{"token":"` + strings.Repeat(raw, 1+(64<<10)/len(raw)) + `"}`, 413},
		"too much white space": {"POST", "application/json", strings.Repeat(" ", 64<<10) + good, 413},
	} {
		for _, path := range []string{"revoke", "explain", "list"} {
			a := o.raw(c.method, path, c.mediaType, c.body)
			if a.status != c.status || !strings.HasPrefix(a.body, `{"error":"`) || strings.Contains(a.body, raw[:40]) {
				t.Errorf("%s with %s: %d %s", path, what, a.status, a.body)
			}
		}
	}
	if got := o.get("a.localhost", raw); got != 200 {
		t.Errorf("after all that: %d", got)
	}
	a := o.raw("POST", "explain", "application/json; charset=utf-8", good)
	if a.status != 200 || a.header.Get("Cache-Control") != "no-store" {
		t.Errorf("with a charset: %d %v", a.status, a.header)
	}
}

func TestAdminEndsOpenConnections(t *testing.T) {
	s := prepare(t, newLiveAPI(t), "api octopus_cards\nsecret "+testSecret)
	s.admin = freeAddr(t)
	s.mustLoad()
	o := &operated{t: t, admin: s.admin, client: s.client}
	for scope, id := range map[string]string{"token": "t1", "session": "s1", "client": "42"} {
		claims := claimsAt(time.Now().Add(-2 * time.Second))
		claims["sub"], claims["sid"], claims["jti"] = "other", "other", "other"
		claims[map[string]string{"token": "jti", "session": "sid", "client": "sub"}[scope]] = id
		k := s.mustDial(sign(t, claims))
		o.asked("revoke", map[string]any{"scope": scope, "id": id}, new(revoked))
		k.wantCut("revoked")
	}
	s.wantNothingLeft()
}

// TestAdminIsNotForOtherOrigins sends what a page of another site could have a browser send.
func TestAdminIsNotForOtherOrigins(t *testing.T) {
	o := operate(t, twoSites...)
	for what, change := range map[string]func(*http.Request){
		"another origin":    func(r *http.Request) { r.Header.Set("Origin", "http://evil.example") },
		"no origin at all":  func(r *http.Request) { r.Header.Set("Origin", "null") },
		"a host of its own": func(r *http.Request) { r.Host = "evil.example:2019" },
	} {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+o.admin+"/token_auth/revoke",
			strings.NewReader(`{"scope":"client","id":"42","realm":"a"}`))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Content-Type", "application/json")
		change(r)
		if a := o.send(r); a.status != 403 && a.status != 400 {
			t.Errorf("%s: %d %s", what, a.status, a.body)
		}
	}
	if entries, _ := o.list(map[string]any{}); len(entries) != 0 {
		t.Errorf("revoked: %v", entries)
	}
}

func TestAdminTellsThatItCannotBeRecorded(t *testing.T) {
	o := prepareOperated(t, twoSites...)
	o.store = "store redis redis://" + freeAddr(t) + "\ndigest_key " + testSecret
	o.mustLoad()
	raw := sign(t, claimsAt(time.Now()))
	for path, body := range map[string]map[string]any{"revoke": {"token": raw}, "list": {}} {
		if a := o.post(path, body); a.status != 503 || a.header.Get("Retry-After") == "" {
			t.Errorf("%s: %d %s", path, a.status, a.body)
		}
	}
	var got explained
	o.asked("explain", map[string]any{"token": raw, "site": "1"}, &got)
	if e := got.Sites[0]; e.Allowed || e.Reason != "unavailable" || !e.Verified || e.Verdict != "unknown" {
		t.Errorf("explained %+v", e)
	}
	lines := o.auditLines()
	if len(lines) != 1 || lines[0]["msg"] != "not revoked" || lines[0]["level"] != "error" || lines[0]["error"] == "" || lines[0]["id"] != "test-token" {
		t.Errorf("audit log: %v", lines)
	}
}

func TestAdminOfAnInstanceWithoutTheApp(t *testing.T) {
	o := prepareOperated(t)
	o.mustLoad() // the global option alone
	if a := o.post("revoke", map[string]any{"scope": "client", "id": "42"}); a.status != 400 {
		t.Errorf("without a site: %d %s", a.status, a.body)
	}
	if err := caddy.Load(fmt.Appendf(nil, `{"admin":{"listen":%q,"config":{"persist":false}}}`, o.admin), true); err != nil {
		t.Fatal(err)
	}
	o.client.CloseIdleConnections()
	for _, path := range []string{"revoke", "list", "explain"} {
		a := o.post(path, map[string]map[string]any{
			"revoke": {"scope": "client", "id": "42"}, "list": {}, "explain": {"token": "x"},
		}[path])
		if a.status != 404 || !strings.Contains(a.body, "has no token_auth") {
			t.Errorf("%s: %d %s", path, a.status, a.body)
		}
	}
}

func TestListHasPagesAndFilters(t *testing.T) {
	o := operate(t, twoSites...)
	for i := range 25 {
		realm := []string{"a", "b"}[i%2]
		scope := []string{"token", "session", "client"}[i%3]
		o.asked("revoke", map[string]any{"scope": scope, "id": fmt.Sprintf("id-%02d", i), "realm": realm}, new(revoked))
	}
	all, next := o.list(map[string]any{})
	if len(all) != 25 || next != "" {
		t.Errorf("%d entries, next %q", len(all), next)
	}
	var paged []entryLine
	pages := 0
	for after := ""; pages == 0 || after != ""; pages++ {
		page, next := o.list(map[string]any{"limit": 10, "after": after})
		paged, after = append(paged, page...), next
	}
	names := func(entries []entryLine) []string {
		var names []string
		for _, e := range entries {
			names = append(names, e.String())
		}
		slices.Sort(names)
		return names
	}
	if pages != 3 || !slices.Equal(names(paged), names(all)) {
		t.Errorf("%d pages: %v", pages, names(paged))
	}
	for what, c := range map[string]struct {
		body map[string]any
		want int
	}{
		"a realm":           {map[string]any{"realm": "a"}, 13},
		"the empty realm":   {map[string]any{"realm": ""}, 0},
		"scopes":            {map[string]any{"scopes": []string{"token", "client"}}, 17},
		"a client":          {map[string]any{"client": "id-02"}, 1},
		"another's client":  {map[string]any{"client": "id-02", "realm": "b"}, 0},
		"a session":         {map[string]any{"session": "id-01"}, 1},
		"a token":           {map[string]any{"token": "id-00"}, 1},
		"no such client":    {map[string]any{"client": "id-00"}, 0},
		"what is exchanged": {map[string]any{"scopes": []string{"rotated", "issued", "known"}}, 0},
	} {
		if got, _ := o.list(c.body); len(got) != c.want {
			t.Errorf("%s: %v, want %d", what, names(got), c.want)
		}
	}
	for what, body := range map[string]map[string]any{
		"a scope that is not listed": {"scopes": []string{"retention"}},
		"a negative limit":           {"limit": -1},
		"a huge limit":               {"limit": 10001},
		"a wrong after":              {"limit": 1, "after": "x"},
		"after without a limit":      {"after": strings.Repeat("00", 16)},
	} {
		if a := o.post("list", body); a.status != 400 {
			t.Errorf("%s: %d %s", what, a.status, a.body)
		}
	}
}

// TestListIsWholeWhileOthersRevoke reads lists during revocations: what was there before
// is in each of them.
func TestListIsWholeWhileOthersRevoke(t *testing.T) {
	o := operate(t, twoSites...)
	const there = 50
	for i := range there {
		o.asked("revoke", map[string]any{"scope": "client", "id": fmt.Sprint(i), "realm": "a"}, new(revoked))
	}
	var others sync.WaitGroup
	for n := range 2 {
		others.Go(func() {
			for i := range 100 {
				if a := o.post("revoke", map[string]any{"scope": "session", "id": fmt.Sprintf("%d-%d", n, i), "realm": "b"}); a.status != 200 {
					t.Errorf("%d %s", a.status, a.body)
				}
			}
		})
	}
	for range 10 {
		if got, _ := o.list(map[string]any{"scopes": []string{"client"}}); len(got) != there {
			t.Errorf("%d entries, want %d", len(got), there)
		}
	}
	others.Wait()
	if got, _ := o.list(map[string]any{}); len(got) != there+200 {
		t.Errorf("%d entries in the end", len(got))
	}
}

// TestListsThatAreReadAtOnceAreBounded has as many readers as are served.
func TestListsThatAreReadAtOnceAreBounded(t *testing.T) {
	o := operate(t, twoSites...)
	release := caddymodule.OccupyLists()
	if a := o.post("list", map[string]any{}); a.status != 503 || a.header.Get("Retry-After") == "" {
		t.Errorf("one too many: %d %s", a.status, a.body)
	}
	release()
	for range 10 {
		o.list(map[string]any{"limit": 1})
	}
}
