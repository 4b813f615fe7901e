package caddymodule_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"
)

// authorizationServer answers about tokens (RFC 7662).
type authorizationServer struct {
	mu     sync.Mutex
	answer func(w http.ResponseWriter, raw string)
	asked  int
	seen   http.Header
}

func (as *authorizationServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	as.mu.Lock()
	as.asked++
	as.seen = r.Header.Clone()
	answer := as.answer
	as.mu.Unlock()
	w.Header().Set("Content-Type", "application/json")
	answer(w, r.FormValue("token"))
}

func (as *authorizationServer) set(answer func(w http.ResponseWriter, raw string)) {
	as.mu.Lock()
	defer as.mu.Unlock()
	as.answer = answer
}

func (as *authorizationServer) questions() int {
	as.mu.Lock()
	defer as.mu.Unlock()
	return as.asked
}

// active answers that every token but those that begin with "bad" is alice's, of a session
// that the token names.
func active(w http.ResponseWriter, raw string) {
	if strings.HasPrefix(raw, "bad") {
		_, _ = w.Write([]byte(`{"active":false}`))
		return
	}
	session, _, _ := strings.Cut(raw, ".")
	now := time.Now().Unix()
	_, _ = fmt.Fprintf(w, `{"active":true,"sub":"alice","sid":%q,"iat":%d,"exp":%d,"scope":"read"}`, session, now-60, now+3600)
}

func startIntrospection(t *testing.T, options string) (*site, *authorizationServer) {
	t.Helper()
	as := &authorizationServer{answer: active}
	server := httptest.NewServer(as)
	t.Cleanup(server.Close)
	s := start(t, new(echo), "opaque introspect "+server.URL+"/introspect {\nclient_id sidecar\nclient_secret \"s3 cret\"\n"+options+"\n}\n"+
		"logout /logout {\nscope session\n}\nforward_identity X-User sub")
	return s, as
}

func TestIntrospectedTokensAreLoggedOut(t *testing.T) {
	s, as := startIntrospection(t, "")
	if a := s.do("GET", "/x", "", bearer("s1.a")); a.status != 200 || a.header.Get("X-User") != "alice" {
		t.Fatalf("active: %d %s, user %q", a.status, a.body, a.header.Get("X-User"))
	}
	if got := as.seen.Get("Authorization"); got != "Basic c2lkZWNhcjpzMytjcmV0" {
		t.Errorf("the sidecar authenticates with %q", got)
	}
	before := as.questions()
	for range 5 {
		s.do("GET", "/x", "", bearer("s1.a"))
	}
	if got := as.questions(); got != before {
		t.Errorf("asked %d times more about one token", got-before)
	}
	s.do("GET", "/x", "", bearer("bad")).want(t, "inactive", 401, bodyInvalid)
	s.do("GET", "/x", "", bearer("s2.a"))
	s.do("POST", "/logout", "", bearer("s1.a")).want(t, "logout", 200, bodyLoggedOut)
	for _, raw := range []string{"s1.a", "s1.b"} {
		s.do("GET", "/x", "", bearer(raw)).want(t, "after the logout", 401, bodyInvalid)
	}
	if a := s.do("GET", "/x", "", bearer("s2.a")); a.status != 200 {
		t.Errorf("another session: %d %s", a.status, a.body)
	}
}

func TestIntrospectionThatFailsIs503AndNever401(t *testing.T) {
	var released chan struct{}
	for what, answer := range map[string]func(w http.ResponseWriter, raw string){
		"down":      func(http.ResponseWriter, string) { panic(http.ErrAbortHandler) },
		"slow":      func(http.ResponseWriter, string) { <-released },
		"an error":  func(w http.ResponseWriter, _ string) { w.WriteHeader(http.StatusInternalServerError) },
		"forbidden": func(w http.ResponseWriter, _ string) { w.WriteHeader(http.StatusUnauthorized) },
		"oversized": func(w http.ResponseWriter, _ string) {
			_, _ = w.Write([]byte(`{"active":true,"x":"` + strings.Repeat("x", 1<<20) + `"}`))
		},
		"no JSON":    func(w http.ResponseWriter, _ string) { _, _ = w.Write([]byte(`active`)) },
		"not a bool": func(w http.ResponseWriter, _ string) { _, _ = w.Write([]byte(`{"active":"false"}`)) },
		"said twice": func(w http.ResponseWriter, _ string) { _, _ = w.Write([]byte(`{"active":false,"active":true}`)) },
		"HTML": func(w http.ResponseWriter, _ string) {
			w.Header().Set("Content-Type", "text/html")
			_, _ = w.Write([]byte(`{"active":true}`))
		},
	} {
		t.Run(what, func(t *testing.T) {
			s, as := startIntrospection(t, "timeout 200ms")
			released = make(chan struct{})
			t.Cleanup(func() { close(released) }) // before the server is closed
			as.set(answer)
			for _, call := range []string{"GET /x", "POST /logout"} {
				method, path, _ := strings.Cut(call, " ")
				a := s.do(method, path, "", bearer("s1.a"))
				a.want(t, call, 503, bodyUnavailable)
				if a.header.Get("Retry-After") == "" {
					t.Error("no Retry-After")
				}
			}
			as.set(active)
			s.eventually(func() bool { return s.do("GET", "/x", "", bearer("s1.a")).status == 200 })
		})
	}
}

func TestIntrospectedTokenThatNoLogoutCouldReachIsRefused(t *testing.T) {
	s, as := startIntrospection(t, "")
	for what, body := range map[string]string{
		"no session": `{"active":true,"sub":"alice","iat":%d}`,
		"no iat":     `{"active":true,"sub":"alice","sid":"s1","x":%d}`,
	} {
		as.set(func(w http.ResponseWriter, _ string) { _, _ = fmt.Fprintf(w, body, time.Now().Unix()) })
		s.do("GET", "/x", "", bearer(strings.ReplaceAll(what, " ", "-"))).want(t, what, 401, bodyInvalid)
	}
}

func TestIntrospectionAndJWTsSideBySide(t *testing.T) {
	s, as := startIntrospection(t, "")
	s.options += "\nsecret " + testSecret + "\nsession_claim sid"
	s.mustLoad()
	claims := claimsAt(time.Now())
	claims["sid"] = "s1"
	raw := sign(t, claims)
	before := as.questions()
	if a := s.do("GET", "/x", "", bearer(raw)); a.status != 200 {
		t.Fatalf("a JWT: %d %s", a.status, a.body)
	}
	s.do("GET", "/x", "", bearer(raw[:len(raw)-4]+"AAAA")).want(t, "a forged JWT", 401, bodyInvalid)
	if as.questions() != before {
		t.Error("the authorization server was asked about a JWT")
	}
	if a := s.do("GET", "/x", "", bearer("s1.a")); a.status != 200 {
		t.Fatalf("an opaque token: %d %s", a.status, a.body)
	}
	s.do("POST", "/logout", "", bearer(raw)).want(t, "logout with the JWT", 200, bodyLoggedOut)
	s.do("GET", "/x", "", bearer("s1.a")).want(t, "the opaque token of that session", 401, bodyInvalid)
}

// TestAFloodOfOneNetworkLeavesTheAuthorizationServerToOthers has tokens from one address, and
// from one /64, on which the server is stuck. Whoever comes from elsewhere is served.
func TestAFloodOfOneNetworkLeavesTheAuthorizationServerToOthers(t *testing.T) {
	for what, addr := range map[string]func(i int) string{
		"address": func(int) string { return "192.0.2.1" },
		"/64":     func(i int) string { return fmt.Sprintf("2001:db8:1:2::%x", 1+i) },
	} {
		t.Run(what, func(t *testing.T) {
			s, as := startIntrospection(t, "timeout 1m")
			release := make(chan struct{})
			as.set(func(w http.ResponseWriter, raw string) {
				if strings.HasPrefix(raw, "stuck") {
					<-release
				}
				active(w, raw)
			})
			var flooding sync.WaitGroup
			t.Cleanup(flooding.Wait)
			t.Cleanup(sync.OnceFunc(func() { close(release) }))
			for i := range 100 {
				flooding.Go(func() {
					a, err := s.try("GET", "/x", "", bearer(fmt.Sprint("stuck.", i)), "X-Forwarded-For: "+addr(i))
					if err != nil || a.status != 200 {
						t.Errorf("one of the flood: %d, %v", a.status, err)
					}
				})
			}
			s.eventually(func() bool { return as.questions() >= 48 })
			for i := range 5 {
				if a := s.do("GET", "/x", "", bearer(fmt.Sprint("s1.", i)), fmt.Sprint("X-Forwarded-For: 198.51.100.", i)); a.status != 200 {
					t.Errorf("another client: %d %s", a.status, a.body)
				}
			}
		})
	}
}

// TestTokenThatTheServerDoesNotIntrospectIsInvalid: some answer 400 about a JWT.
func TestTokenThatTheServerDoesNotIntrospectIsInvalid(t *testing.T) {
	s, as := startIntrospection(t, "")
	as.set(func(w http.ResponseWriter, raw string) {
		if strings.HasPrefix(raw, "eyJ") {
			w.WriteHeader(http.StatusBadRequest)
			_, _ = w.Write([]byte(`{"error":"unsupported_token_type"}`))
			return
		}
		active(w, raw)
	})
	forged := sign(t, claimsAt(time.Now()))
	s.do("GET", "/x", "", bearer(forged)).want(t, "a JWT", 401, bodyInvalid)
	s.do("POST", "/logout", "", bearer(forged)).want(t, "logout with a JWT", 401, bodyInvalid)
	if a := s.do("GET", "/x", "", bearer("s1.a")); a.status != 200 {
		t.Errorf("an opaque token: %d %s", a.status, a.body)
	}
}
