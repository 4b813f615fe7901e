package caddymodule_test

import (
	"bytes"
	"compress/gzip"
	"compress/zlib"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"sync"
	"testing"
	"time"
)

// opaqueAPI is an API whose tokens are random texts. It knows no logout.
type opaqueAPI struct {
	t *testing.T
	// encoding is the content encoding of the answers that issue tokens, asked for or not.
	encoding string
	// keepRefresh has a refresh hand out the same refresh token again.
	keepRefresh bool
	// onIssue is called before an answer that issues tokens is sent.
	onIssue func()

	mu     sync.Mutex
	tokens map[string]string // to its user
	issued int
	calls  int
}

func newOpaqueAPI(t *testing.T) *opaqueAPI {
	t.Helper()
	return &opaqueAPI{t: t, tokens: make(map[string]string)}
}

func (api *opaqueAPI) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch r.URL.Path {
	case "/login":
		body, _ := io.ReadAll(r.Body)
		var login struct{ User string }
		if err := json.Unmarshal(body, &login); err != nil || login.User == "" {
			http.Error(w, "who?", http.StatusBadRequest)
			return
		}
		api.issue(w, login.User, "")
	case "/refresh", "/token":
		var used struct{ Refresh string }
		if r.Header.Get("Content-Type") == "application/x-www-form-urlencoded" {
			used.Refresh = r.FormValue("refresh")
			if user := r.FormValue("user"); used.Refresh == "" && user != "" {
				api.issue(w, user, "")
				return
			}
		} else if err := json.NewDecoder(r.Body).Decode(&used); err != nil {
			http.Error(w, "what?", http.StatusBadRequest)
			return
		}
		if cookie, err := r.Cookie("refresh"); err == nil && used.Refresh == "" {
			used.Refresh = cookie.Value
		}
		user := api.user(used.Refresh)
		if user == "" {
			http.Error(w, "no such token", http.StatusUnauthorized)
			return
		}
		api.issue(w, user, used.Refresh)
	default:
		api.mu.Lock()
		api.calls++
		api.mu.Unlock()
		_, _ = fmt.Fprintf(w, "%s %s", r.Method, r.URL.Path)
	}
}

func (api *opaqueAPI) user(raw string) string {
	api.mu.Lock()
	defer api.mu.Unlock()
	return api.tokens[raw]
}

// served is how many calls other than those for tokens came through.
func (api *opaqueAPI) served() int {
	api.mu.Lock()
	defer api.mu.Unlock()
	return api.calls
}

func (api *opaqueAPI) issue(w http.ResponseWriter, user, used string) {
	api.mu.Lock()
	access, refresh := "at-"+rand.Text(), "rt-"+rand.Text()
	if api.keepRefresh && used != "" {
		refresh = used
	}
	api.tokens[access], api.tokens[refresh] = user, user
	api.issued++
	api.mu.Unlock()
	if api.onIssue != nil {
		api.onIssue()
	}
	body := fmt.Sprintf(`{"access":%q,"refresh":%q,"user":{"id":%q},"expires_in":3600}`, access, refresh, user)
	w.Header().Set("Content-Type", "application/json")
	if api.encoding == "" {
		_, _ = io.WriteString(w, body)
		return
	}
	w.Header().Set("Content-Encoding", api.encoding)
	_, _ = w.Write(compressed(api.t, api.encoding, body))
}

func compressed(t *testing.T, encoding, text string) []byte {
	t.Helper()
	var b bytes.Buffer
	var to io.WriteCloser
	switch encoding {
	case "gzip":
		to = gzip.NewWriter(&b)
	case "deflate":
		to = zlib.NewWriter(&b)
	default:
		return []byte("\x00\x01\x02")
	}
	_, err := io.WriteString(to, text)
	if err == nil {
		err = to.Close()
	}
	if err != nil {
		t.Error(err)
	}
	return b.Bytes()
}

//nolint:dupword // names and values
const opaqueEndpoints = `
	login /login {
		client user.id
		access access
		refresh refresh
		access_expires expires_in
	}
	refresh /refresh {
		token Refresh
	}
	logout /logout {
		scope %s
	}
`

// grant is what the API hands out.
type grant struct {
	Access  string `json:"access"`
	Refresh string `json:"refresh"`
}

func parseGrant(t *testing.T, a answer) grant {
	t.Helper()
	var g grant
	if err := json.Unmarshal([]byte(a.body), &g); err != nil || a.status != 200 || g.Access == "" {
		t.Fatalf("no tokens in %d %s (%v)", a.status, a.body, err)
	}
	return g
}

func (s *site) loginOpaque(user string) grant {
	s.t.Helper()
	return parseGrant(s.t, s.do("POST", "/login", `{"User":"`+user+`"}`))
}

func (s *site) refreshOpaque(raw string) answer {
	s.t.Helper()
	return s.do("POST", "/refresh", `{"Refresh":"`+raw+`"}`)
}

// wantLive asserts that a call with raw comes through.
func (s *site) wantLive(what, raw string) {
	s.t.Helper()
	if a := s.do("GET", "/v1/x", "", bearer(raw)); a.status != 200 || a.body != "GET /v1/x" {
		s.t.Errorf("%s: %d %s", what, a.status, a.body)
	}
}

func (s *site) wantRefused(what, raw string) {
	s.t.Helper()
	s.do("GET", "/v1/x", "", bearer(raw)).want(s.t, what, 401, bodyInvalid)
}

// fixedAnswer is an API that answers every call alike.
type fixedAnswer struct{ body string }

func (a *fixedAnswer) ServeHTTP(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	_, _ = io.WriteString(w, a.body)
}

// eventually waits until what is asked for by time alone has come.
func (s *site) eventually(is func() bool) {
	s.t.Helper()
	deadline := time.Now().Add(10 * time.Second)
	for !is() {
		if time.Now().After(deadline) {
			s.t.Fatal("still not, after ten seconds")
		}
		time.Sleep(20 * time.Millisecond)
	}
}
