package caddymodule_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"
)

func TestLogoutEndsEveryTokenOfTheClient(t *testing.T) {
	s := startOctopus(t, "public /health")
	first, second, other := s.login(42), s.login(42), s.login(43)
	for _, p := range []pair{first, second, other} {
		if a := s.do("GET", "/v1/cards", "", bearer(p.Access)); a.status != 200 {
			t.Fatalf("before: %d %s", a.status, a.body)
		}
	}
	a := s.do("POST", "/auth/logout", "", bearer(first.Access))
	a.want(t, "logout", 200, bodyLoggedOut)
	if got := a.header.Get("Content-Type"); got != "application/json" {
		t.Errorf("content type %q", got)
	}
	for _, p := range []pair{first, second} {
		s.do("GET", "/v1/cards", "", bearer(p.Access)).want(t, "access after logout", 401, bodyInvalid)
		s.refresh(p.Refresh).want(t, "refresh after logout", 401, bodyInvalid)
		s.do("POST", "/auth/logout", "", bearer(p.Access)).want(t, "logout after logout", 401, bodyInvalid)
	}
	if a := s.do("GET", "/v1/cards", "", bearer(other.Access)); a.status != 200 {
		t.Errorf("another client: %d %s", a.status, a.body)
	}
	if a := s.do("GET", "/v1/cards", "", bearer(s.login(42).Access)); a.status != 200 {
		t.Errorf("after the next login, in the same second: %d %s", a.status, a.body)
	}
	s.do("GET", "/v1/cards", "", bearer(first.Access)).want(t, "the old token after the next login", 401, bodyInvalid)
}

func TestErrorsAreTheDocumentedOnes(t *testing.T) {
	s := startOctopus(t, "")
	now := time.Now()
	expired := sign(t, claimsAt(now.Add(-2*time.Hour)))
	good := sign(t, claimsAt(now.Add(-time.Minute)))
	for _, call := range []struct{ method, path string }{{"GET", "/v1/cards"}, {"POST", "/auth/logout"}} {
		t.Run(call.path, func(t *testing.T) {
			a := s.do(call.method, call.path, "")
			a.want(t, "no header", 401, bodyMissing)
			if got := a.header.Get("WWW-Authenticate"); got != "Bearer" {
				t.Errorf("no header: WWW-Authenticate %q", got)
			}
			for what, header := range map[string]string{
				"not a token":    "Authorization: Bearer nonsense",
				"no token":       "Authorization: Bearer",
				"another scheme": "Authorization: Basic a2V5OnNlY3JldA==",
				"bad signature":  bearer(good[:len(good)-4] + "AAAA"),
			} {
				a := s.do(call.method, call.path, "", header)
				a.want(t, what, 401, bodyInvalid)
				if got := a.header.Get("WWW-Authenticate"); !strings.HasPrefix(got, `Bearer error="invalid_token"`) {
					t.Errorf("%s: WWW-Authenticate %q", what, got)
				}
			}
			a = s.do(call.method, call.path, "", bearer(expired))
			a.want(t, "expired", 401, bodyExpired)
			if got := a.header.Get("Cache-Control"); got != "no-store" {
				t.Errorf("Cache-Control %q", got)
			}
			s.do(call.method, call.path, "", bearer(good), bearer(expired)).want(t, "two tokens", 401, bodyInvalid)
			s.do(call.method, call.path, "", bearer(expired), bearer(good)).want(t, "two tokens, the other way round", 401, bodyInvalid)
		})
	}
}

// The client program of the API's documentation: refresh and retry on "Token expired".
func TestClientRefreshesAndRetriesLogout(t *testing.T) {
	var mu sync.Mutex
	now := time.Now().Add(-2 * time.Hour)
	s := start(t, newAPI(t, func() time.Time { mu.Lock(); defer mu.Unlock(); return now }),
		"api octopus_cards\nsecret "+testSecret)
	old := s.login(42)
	mu.Lock()
	now = time.Now()
	mu.Unlock()
	logout := func(access string) (int, string) {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+s.addr+"/auth/logout", http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Authorization", "Bearer "+access)
		resp, err := s.client.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		body, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		return resp.StatusCode, string(body)
	}
	if status, body := logout(old.Access); status != 401 || body != bodyExpired {
		t.Fatalf("logout with an expired token: %d %s", status, body)
	}
	a := s.refresh(old.Refresh)
	if a.status != 200 {
		t.Fatalf("refresh: %d %s", a.status, a.body)
	}
	fresh := parsePair(t, a.body)
	if status, body := logout(fresh.Access); status != 200 || body != bodyLoggedOut {
		t.Errorf("logout: %d %s", status, body)
	}
	s.refresh(fresh.Refresh).want(t, "refresh after logout", 401, bodyInvalid)
}

// The documented curl call, run by curl.
func TestDocumentedCurlCall(t *testing.T) {
	curl, err := exec.LookPath("curl")
	if err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal("curl is missing")
		}
		t.Skip("curl is not installed")
	}
	s := startOctopus(t, "")
	access := s.login(42).Access
	run := func(args ...string) string {
		out, err := exec.CommandContext(t.Context(), curl, append([]string{"-sS", "-w", "\n%{http_code} %{content_type}"}, args...)...).CombinedOutput()
		if err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		return string(out)
	}
	url := "http://" + s.addr + "/auth/logout"
	header := "Authorization: Bearer " + access
	if got, want := run("-X", "POST", url), bodyMissing+"\n401 application/json"; got != want {
		t.Errorf("without a header:\n got %s\nwant %s", got, want)
	}
	if got, want := run("-X", "POST", url, "-H", header, "-H", "Content-Type: application/json", "-d", `{"ignored":true}`), bodyLoggedOut+"\n200 application/json"; got != want {
		t.Errorf("logout:\n got %s\nwant %s", got, want)
	}
	if got, want := run("-X", "POST", url, "-H", header), bodyInvalid+"\n401 application/json"; got != want {
		t.Errorf("again:\n got %s\nwant %s", got, want)
	}
}

func TestLogoutIgnoresAnyBody(t *testing.T) {
	s := startOctopus(t, "")
	for what, body := range map[string]string{
		"JSON":       `{"success":true}`,
		"no JSON":    "{{{",
		"a large":    strings.Repeat("x", 200<<10),
		"a huge one": strings.Repeat("x", 8<<20),
	} {
		access := s.login(42).Access
		s.do("POST", "/auth/logout", body, bearer(access)).want(t, what, 200, bodyLoggedOut)
		s.do("GET", "/v1/cards", "", bearer(access)).want(t, "after "+what, 401, bodyInvalid)
	}
}

func TestLogoutTakesPOSTAlone(t *testing.T) {
	s := startOctopus(t, "")
	access := s.login(42).Access
	for _, method := range []string{"GET", "PUT", "DELETE", "PATCH", "HEAD", "OPTIONS", "post"} {
		a := s.do(method, "/auth/logout", "", bearer(access))
		if a.status != 405 || a.header.Get("Allow") != "POST" {
			t.Errorf("%s: %d, Allow %q", method, a.status, a.header.Get("Allow"))
		}
	}
	if a := s.do("GET", "/v1/cards", "", bearer(access)); a.status != 200 {
		t.Errorf("the token is gone: %d", a.status)
	}
}

func TestOddSpellingsOfTheLogoutPathLogOutToo(t *testing.T) {
	s := startOctopus(t, "")
	for _, path := range []string{"/auth/logout/", "//auth/logout", "/AUTH/LOGOUT", "/auth/x/../logout", "/auth/logout;v=1", "/auth/%6cogout"} {
		access := s.login(42).Access
		s.do("POST", path, "", bearer(access)).want(t, path, 200, bodyLoggedOut)
		s.do("GET", "/v1/cards", "", bearer(access)).want(t, "after "+path, 401, bodyInvalid)
	}
}

func TestHEADIsRefusedWithTheSameHeaderAndNoBody(t *testing.T) {
	s := startOctopus(t, "")
	a := s.do("HEAD", "/v1/cards", "")
	if a.status != 401 || a.body != "" || a.header.Get("Content-Length") != fmt.Sprint(len(bodyMissing)) ||
		a.header.Get("Content-Type") != "application/json" || a.header.Get("WWW-Authenticate") != "Bearer" {
		t.Errorf("%d %q %v", a.status, a.body, a.header)
	}
}

func TestRefreshRotates(t *testing.T) {
	s := startOctopus(t, "")
	old := s.login(42)
	a := s.refresh(old.Refresh)
	if a.status != 200 {
		t.Fatalf("%d %s", a.status, a.body)
	}
	fresh := parsePair(t, a.body)
	s.refresh(old.Refresh).want(t, "the old refresh token", 401, bodyInvalid)
	for what, access := range map[string]string{"the old access token": old.Access, "the new one": fresh.Access} {
		if a := s.do("GET", "/v1/cards", "", bearer(access)); a.status != 200 {
			t.Errorf("%s: %d %s", what, a.status, a.body)
		}
	}
	if a := s.refresh(fresh.Refresh); a.status != 200 {
		t.Errorf("the new refresh token: %d %s", a.status, a.body)
	}
}

func TestRefreshTokenIsGoodForOneOfManyConcurrentRequests(t *testing.T) {
	s := startOctopus(t, "")
	old := s.login(42)
	const n = 16
	statuses := make(chan int, n)
	var wg sync.WaitGroup
	for range n {
		wg.Go(func() {
			a, err := s.try("POST", "/auth/refresh", `{"refresh_token":"`+old.Refresh+`"}`)
			if err != nil {
				t.Error(err)
			}
			statuses <- a.status
		})
	}
	wg.Wait()
	close(statuses)
	count := make(map[int]int)
	for status := range statuses {
		count[status]++
	}
	if count[200] != 1 || count[401] != n-1 {
		t.Errorf("%v", count)
	}
}

func TestRefreshIsNotRotatedIfTheAPIDidNot(t *testing.T) {
	now := time.Now()
	refresh := sign(t, map[string]any{"sub": "42", "jti": "r", "iat": now.Unix(), "exp": now.Add(time.Hour).Unix()})
	answers := map[string]struct {
		status int
		body   string
	}{
		"failed":        {500, `{"error":{}}`},
		"same token":    {200, `{"success":true,"data":{"access_token":"a","refresh_token":"` + refresh + `"}}`},
		"no new token":  {200, `{"success":true,"data":{"access_token":"a"}}`},
		"none at first": {204, ``},
	}
	for name, answer := range answers {
		t.Run(name, func(t *testing.T) {
			upstream := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("X-Upstream", "kept")
				w.WriteHeader(answer.status)
				_, _ = io.WriteString(w, answer.body)
			})
			s := start(t, upstream, "api octopus_cards\nsecret "+testSecret)
			for range 2 {
				a := s.refresh(refresh)
				a.want(t, "refresh", answer.status, answer.body)
				if a.header.Get("X-Upstream") != "kept" {
					t.Errorf("header: %v", a.header)
				}
			}
		})
	}
}

func TestRotationCanBeTurnedOff(t *testing.T) {
	s := startOctopus(t, "refresh {\nrotate off\n}")
	p := s.login(42)
	for range 2 {
		if a := s.refresh(p.Refresh); a.status != 200 {
			t.Errorf("%d %s", a.status, a.body)
		}
	}
}

func TestRefreshRefusesWhatTheUpstreamCouldReadDifferently(t *testing.T) {
	upstream := new(echo)
	s := start(t, upstream, "api octopus_cards\nsecret "+testSecret)
	now := time.Now()
	revoked := sign(t, claimsAt(now))
	good := sign(t, map[string]any{"sub": "43", "jti": "g", "iat": now.Unix(), "exp": now.Add(time.Hour).Unix()})
	s.do("POST", "/auth/logout", "", bearer(revoked)).want(t, "logout", 200, bodyLoggedOut)

	body := func(format string) string { return fmt.Sprintf(format, good, revoked) }
	for _, b := range []string{
		`{"refresh_token":"%s","refresh_token":"%s"}`, `{"refresh_token":"%s","Refresh_Token":"%s"}`,
		`{"refresh_token":"%s"}{"refresh_token":"%s"}`, `{"refresh_token":"%s"}&refresh_token=%s`,
	} {
		s.do("POST", "/auth/refresh", body(b)).want(t, b, 400, bodyBadRequest)
	}
	one := fmt.Sprintf(`{"refresh_token":"%s"}`, good)
	s.do("POST", "/auth/refresh?refresh_token="+revoked, one).want(t, "in the query too", 400, bodyBadRequest)
	s.do("POST", "/auth/refresh?Refresh_Token="+revoked, one).want(t, "in the query too, in capitals", 400, bodyBadRequest)
	s.do("POST", "/auth/refresh", one, "Content-Type: application/x-www-form-urlencoded").want(t, "as a form", 400, bodyBadRequest)
	s.do("POST", "/auth/refresh", "").want(t, "no body", 400, bodyBadRequest)
	s.do("POST", "/auth/refresh", `{}`).want(t, "no token", 400, bodyBadRequest)
	s.do("POST", "/auth/refresh", `{"refresh_token":"nonsense"}`).want(t, "not a token", 401, bodyInvalid)
	if a := s.do("POST", "/auth/refresh", strings.Repeat(" ", 65<<10)); a.status != 413 {
		t.Errorf("too large: %d %s", a.status, a.body)
	}
	for _, path := range []string{"/auth/refresh/", "/auth//refresh", "/Auth/Refresh", "/auth/refresh;x", "/auth/%2e/refresh"} {
		s.do("POST", path, fmt.Sprintf(`{"refresh_token":"%s"}`, revoked), bearer(good)).want(t, path, 401, bodyInvalid)
	}
	if n := len(upstream.requests()); n != 0 {
		t.Fatalf("%d requests came through", n)
	}
	s.do("POST", "/auth/refresh", one).want(t, "a good one", 200, "POST /auth/refresh "+one)
}

// The logout lands while the upstream works on the refresh. What it issues then may
// be later than the cut-off, so it must not reach the client.
func TestLogoutDuringARefreshWins(t *testing.T) {
	api := newAPI(t, func() time.Time { return time.Now().Add(2 * time.Second) })
	arrived, goOn := make(chan struct{}), make(chan struct{})
	upstream := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/auth/refresh" {
			close(arrived)
			<-goOn
		}
		api.ServeHTTP(w, r)
	})
	s := start(t, upstream, "api octopus_cards\nsecret "+testSecret)
	now := time.Now()
	claims := claimsAt(now)
	claims["type"] = "refresh"
	used := sign(t, claims)
	claims["type"], claims["jti"] = "access", "another"
	access := sign(t, claims)
	refreshed := make(chan answer)
	go func() {
		a, err := s.try("POST", "/auth/refresh", `{"refresh_token":"`+used+`"}`)
		if err != nil {
			t.Error(err)
		}
		refreshed <- a
	}()
	<-arrived
	s.do("POST", "/auth/logout", "", bearer(access)).want(t, "logout", 200, bodyLoggedOut)
	close(goOn)
	(<-refreshed).want(t, "refresh", 401, bodyInvalid)
}

func TestAllowedAddresses(t *testing.T) {
	s := startOctopus(t, "allow_ips 42 203.0.113.0/24 2001:db8::/32")
	const inside, inside6, outside = "X-Forwarded-For: 203.0.113.9", "X-Forwarded-For: 2001:db8::9", "X-Forwarded-For: 198.51.100.1"
	const credentials = `{"username":"key-42","password":"secret-42"}`

	s.do("POST", "/auth/login", credentials, outside).want(t, "login from outside", 403, bodyForbidden)
	s.do("POST", "/auth/login", credentials).want(t, "login from the proxy itself", 403, bodyForbidden)
	if a := s.do("POST", "/auth/login", `{"username":"key-42","password":"wrong"}`, outside); a.status != 401 {
		t.Errorf("wrong credentials: %d %s", a.status, a.body)
	}
	p := s.login(42, inside)
	for _, from := range []string{inside, inside6} {
		if a := s.do("GET", "/v1/cards", "", bearer(p.Access), from); a.status != 200 {
			t.Errorf("call, %s: %d %s", from, a.status, a.body)
		}
	}
	s.do("GET", "/v1/cards", "", bearer(p.Access), outside).want(t, "call from outside", 403, bodyForbidden)
	s.do("POST", "/auth/refresh", `{"refresh_token":"`+p.Refresh+`"}`, outside).want(t, "refresh from outside", 403, bodyForbidden)
	s.do("POST", "/auth/logout", "", bearer(p.Access), outside).want(t, "logout from outside", 403, bodyForbidden)
	if a := s.do("GET", "/v1/cards", "", bearer(p.Access), inside); a.status != 200 {
		t.Errorf("the refused logout logged out: %d", a.status)
	}
	s.do("GET", "/v1/cards", "", outside).want(t, "no token from outside", 401, bodyMissing)
	if a := s.do("GET", "/v1/cards", "", bearer(s.login(43, outside).Access), outside); a.status != 200 {
		t.Errorf("a client without a list: %d %s", a.status, a.body)
	}
	s.do("POST", "/auth/logout", "", bearer(p.Access), inside).want(t, "logout", 200, bodyLoggedOut)
	s.do("GET", "/v1/cards", "", bearer(p.Access), outside).want(t, "revoked and from outside", 401, bodyInvalid)
}

// An answer that issues tokens reaches the client as the upstream wrote it.
func TestLoginAnswerIsNotChanged(t *testing.T) {
	for name, upstream := range map[string]http.HandlerFunc{
		"odd JSON": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json; charset=utf-8")
			w.Header().Add("Set-Cookie", "a=1")
			w.Header().Add("Set-Cookie", "b=2")
			_, _ = io.WriteString(w, "{ \"data\" : {\"access_token\":\"opaque\"}\n}\n")
		},
		"an error":   func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "wrong", http.StatusUnauthorized) },
		"no content": func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) },
		"a redirect": func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/elsewhere", http.StatusFound) },
		"duplicate":  func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, `{"data":1,"data":2}`) },
	} {
		t.Run(name, func(t *testing.T) {
			s := start(t, upstream, "api octopus_cards\nsecret "+testSecret)
			s.client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
			direct := httptest.NewRecorder()
			upstream(direct, httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/auth/login", http.NoBody))
			a := s.do("POST", "/auth/login", `{}`)
			a.want(t, "answer", direct.Code, direct.Body.String())
			for field, values := range direct.Header() {
				if fmt.Sprint(a.header[field]) != fmt.Sprint(values) {
					t.Errorf("%s: %q, want %q", field, a.header[field], values)
				}
			}
		})
	}
}

func TestLoginAnswerThatIsTooLargeIsNotHandedOut(t *testing.T) {
	s := start(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, strings.Repeat("x", 2<<20))
	}), "api octopus_cards\nsecret "+testSecret)
	s.do("POST", "/auth/login", `{}`).want(t, "login", 503, bodyUnavailable)
}

func TestAPIsOwnLoginAnswerHasTheDocumentedFields(t *testing.T) {
	s := startOctopus(t, "")
	a := s.do("POST", "/auth/login", `{"username":"key-42","password":"secret-42"}`)
	var order []string
	d := json.NewDecoder(strings.NewReader(compactJSON(t, a.body)))
	for {
		token, err := d.Token()
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if name, ok := token.(string); ok && (strings.HasSuffix(name, "_token") || strings.HasSuffix(name, "_at") || name == "client_id") {
			order = append(order, name)
		}
	}
	if got := strings.Join(order, " "); got != "access_token refresh_token access_expires_at refresh_expires_at client_id" {
		t.Errorf("fields: %s", got)
	}
}
