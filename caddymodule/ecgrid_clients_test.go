package caddymodule_test

import (
	"net/http"
	"strings"
	"testing"

	"example.com/caddy-token-auth/token/apikey"
)

// ecgridCredential is what a client authenticates with: a token or an API key. With
// cookies, a cookie jar keeps the session of the key and not the client itself.
type ecgridCredential struct {
	token, key string
	cookies    bool
}

// ecgridClients log out in the ways that the API's documentation has examples of, and
// return the answers. With a token they make two calls: logout and the next one. With a
// key seven: one that begins a session, one in it, logout, the next one with the
// session, one without, logout without a session, and one more.
var ecgridClients = []struct {
	name    string
	run     func(t *testing.T, base string, with ecgridCredential) []answer
	cookies bool // it has a cookie jar too
	h2c     bool // it offers HTTP/2 with its first request (RFC 7540 §3.2)
}{
	{name: "cURL", run: runCurl, cookies: true},
	{name: "Java HttpClient", run: runJava, h2c: true},
	{name: "Node fetch", run: runNode},
	{name: "Python requests", run: runPython, cookies: true},
}

func TestDocumentedECGridClientsLogOutByToken(t *testing.T) {
	s, _ := startECGrid(t, "")
	for _, client := range ecgridClients {
		t.Run(client.name, func(t *testing.T) {
			raw, other := s.loginECGrid(4821), s.loginECGrid(4821)
			works := func(what, raw string) {
				t.Helper()
				if a := s.do("GET", "/v2/mailboxes", "", bearer(raw)); a.status != http.StatusOK {
					t.Errorf("%s: %d %s", what, a.status, a.body)
				}
			}
			works("before", raw)
			r := s.record(t)
			got := client.run(t, "http://"+r.addr, ecgridCredential{token: raw})
			if len(got) != 2 {
				t.Fatalf("%d answers, want 2", len(got))
			}
			got[0].want(t, "logout", 200, bodyTerminated)
			got[1].want(t, "the next call", 401, bodyInvalidSession)
			works("another token of the user", other)

			sent := r.requests()
			if len(sent) != 2 {
				t.Fatalf("%d requests, want 2", len(sent))
			}
			sent[0].wantDocumentedLogout(t)
			if client.h2c != sent[0].offersH2C() {
				t.Errorf("the logout offers h2c: %v, want %v", !client.h2c, client.h2c)
			}
			for _, request := range sent {
				if request.header.Get("Authorization") != "Bearer "+raw {
					t.Errorf("%s %s: not with the token", request.method, request.path)
				}
			}
		})
	}
}

func TestDocumentedECGridClientsLogOutByAPIKey(t *testing.T) {
	for name, options := range map[string]string{
		"keys known by their hashes": "api_key {\nkey edi " + apikey.Hash(ecgridKey) + "\n}",
		"keys judged by the API":     "",
	} {
		t.Run(name, func(t *testing.T) {
			s, api := startECGrid(t, options)
			for _, client := range ecgridClients {
				t.Run(client.name, func(t *testing.T) {
					s.ecgridByKey(t, api, client.run, false)
				})
				if client.cookies {
					t.Run(client.name+" with a cookie jar", func(t *testing.T) {
						s.ecgridByKey(t, api, client.run, true)
					})
				}
			}
		})
	}
}

// ecgridByKey has a client log out of the session of an API key.
func (s *site) ecgridByKey(
	t *testing.T, api *ecgridAPI, run func(*testing.T, string, ecgridCredential) []answer, cookies bool,
) {
	t.Helper()
	other := s.do("GET", "/v2/mailboxes", "", "X-API-Key: "+ecgridKey).header.Get("X-Session-ID")
	before := len(api.requests())
	r := s.record(t)
	got := run(t, "http://"+r.addr, ecgridCredential{key: ecgridKey, cookies: cookies})
	if len(got) != 7 {
		t.Fatalf("%d answers, want 7", len(got))
	}
	session := func(i int) string { return got[i].header.Get("X-Session-ID") }
	mailboxes := func(session string) string {
		return `{"success":true,"data":{"apiKey":"` + ecgridKey + `","authorization":"","sessionId":"` + session + `"},"errorCode":"","message":""}`
	}
	first, second, third := session(0), session(4), session(6)
	if first == "" || second == "" || third == "" || first == second || second == third || first == third {
		t.Errorf("sessions begun: %q, %q and %q", first, second, third)
	}
	for _, i := range []int{1, 2, 3, 5} {
		if session(i) != "" {
			t.Errorf("call %d: a session begun that nobody asked for", i+1)
		}
	}
	got[0].want(t, "with the key", 200, mailboxes(first))
	got[1].want(t, "with its session", 200, mailboxes(first))
	got[2].want(t, "logout", 200, bodyTerminated)
	got[3].want(t, "the next call of the session", 401, bodyInvalidSession)
	got[4].want(t, "without the session", 200, mailboxes(second))
	got[5].want(t, "logout with the key alone", 200, bodyTerminated)
	got[6].want(t, "the key after that", 200, mailboxes(third))
	if n := len(api.requests()) - before; n != 4 {
		t.Errorf("%d requests reached the API, want 4", n)
	}
	s.do("GET", "/v2/mailboxes", "", "X-API-Key: "+ecgridKey, "X-Session-ID: "+other).
		want(t, "another session of the key", 200, mailboxes(other))

	sent := r.requests()
	if len(sent) != len(got) {
		t.Fatalf("%d requests, want %d", len(sent), len(got))
	}
	for i, request := range sent {
		named := request.header.Get("X-Session-ID")
		if cookies {
			named = strings.TrimPrefix(request.header.Get("Cookie"), "X-Session-ID=")
		}
		want := ""
		if i >= 1 && i <= 3 {
			want = first
		}
		if named != want || len(request.header["X-Session-Id"])+len(request.header["Cookie"]) > 1 {
			t.Errorf("request %d: of session %q, want %q", i+1, named, want)
		}
		if request.header.Get("X-API-Key") != ecgridKey {
			t.Errorf("request %d: not with the key", i+1)
		}
	}
	sent[2].wantDocumentedLogout(t)
	sent[5].wantDocumentedLogout(t)
}

// wantDocumentedLogout checks that a client has sent what the documentation's does: for a
// body, the answer.
func (r recorded) wantDocumentedLogout(t *testing.T) {
	t.Helper()
	if r.method != http.MethodPost || r.path != "/v2/auth/logout" || r.header.Get("Content-Type") != "application/json" {
		t.Fatalf("not the documented logout: %s %s, %q", r.method, r.path, r.header.Get("Content-Type"))
	}
	if compactJSON(t, r.body) != bodyTerminated {
		t.Errorf("logout with the body %s", r.body)
	}
}

// offersH2C reports whether a request offers to go on with HTTP/2.
func (r recorded) offersH2C() bool {
	return r.header.Get("Upgrade") == "h2c" && r.header.Get("HTTP2-Settings") != "" &&
		strings.Contains(r.header.Get("Connection"), "Upgrade") && strings.Contains(r.header.Get("Connection"), "HTTP2-Settings")
}
