package caddymodule

import (
	"errors"
	"net/http"
	"strings"
	"testing"
)

const someList = `{"scope":"client","realm":"a","id":"42","at":"2026-01-15T12:00:00Z","kept_until":"2026-01-22T12:00:00Z"}` + "\n"

func TestListThatIsCutOffIsAnError(t *testing.T) {
	for what, text := range map[string]string{
		"nothing":                 "",
		"no last line":            someList,
		"half a line":             someList + `{"entr`,
		"a line that is too long": someList + `{"id":"` + strings.Repeat("x", maxListLine) + `"}`,
		"an error":                someList + `{"entries":1,"error":"store is closed"}` + "\n",
	} {
		for _, asJSON := range []bool{true, false} {
			var out strings.Builder
			if err := printList(strings.NewReader(text), &out, asJSON); err == nil {
				t.Errorf("%s, as JSON %t: no error", what, asJSON)
			}
		}
	}
	var out strings.Builder
	if err := printList(strings.NewReader(someList+`{"entries":1,"next":"ab"}`+"\n"), &out, false); err != nil {
		t.Error(err)
	}
	if text := out.String(); !strings.Contains(text, `client   2026-01-15T12:00:00Z  2026-01-22T12:00:00Z  "a"         "42"`) || !strings.Contains(text, "--after ab") {
		t.Errorf("printed:\n%s", text)
	}
}

func TestRevocationOfAnUnprovenTokenIsSaidToBeOne(t *testing.T) {
	var out strings.Builder
	if err := (&revokeAnswer{Unproven: []siteName{{Site: 2}}}).print(&out); err != nil || !strings.Contains(out.String(), "unproven at site 2") {
		t.Errorf("%v, printed:\n%s", err, &out)
	}
}

// TestIdentifiersCannotCommandTheTerminal prints identifiers that are made for that.
func TestIdentifiersCannotCommandTheTerminal(t *testing.T) {
	const evil = "\x1b]0;owned\a\u009b31m\u202e\nclient 43"
	e := entryAnswer{Scope: "client", Realm: evil, ID: evil, IDBytes: []byte("\xff\x1b")}
	var out strings.Builder
	for _, err := range []error{
		(&revokeAnswer{Revoked: []entryAnswer{e}, Unverified: []unverified{{Detail: evil}}}).print(&out),
		(&explanation{Check: "x", Detail: evil, Identity: &identityAnswer{Realm: evil, Token: evil, Session: evil, Client: evil}, Entry: &e, Survives: &e}).print(&out),
		printList(strings.NewReader(`{"scope":"known","realm":"\u001b","id":"\u009b\u202e","session":"\u001b","client":"\n"}`+"\n"+`{"entries":1}`+"\n"), &out, false),
	} {
		if err != nil {
			t.Error(err)
		}
	}
	if text := out.String(); strings.ContainsAny(text, "\x1b\a\u009b\u202e") || strings.Contains(text, "\nclient 43") {
		t.Errorf("printed:\n%q", text)
	}
}

func TestErrorsOfTheAdminAPIHaveTheirExitCodes(t *testing.T) {
	for text, want := range map[string]int{
		"performing request: Post \"http://localhost:1/\": connection refused":        exitNoInstance,
		"caddy responded with error: HTTP 503: {\"error\":\"not open\"}\n":            exitNotNow,
		"caddy responded with error: HTTP 422: {\"error\":\"not revoked\"}\n":         exitRefused,
		"caddy responded with error: HTTP 404: 404 page not found\n":                  exitRefused,
		"caddy responded with error: HTTP 502: <html>\n<body>another server</body>\n": exitRefused,
	} {
		var failed commandError
		if err := answeredError("localhost:1", errors.New(text)); !errors.As(err, &failed) || failed.code != want {
			t.Errorf("%q: %v, want the exit code %d", text, err, want)
		}
	}
}

func TestExplanationHasTheExitCodeOfTheBestSite(t *testing.T) {
	refused, unsure, allowed := explanation{Check: "signature"}, explanation{Check: checkUnavailable}, explanation{Allowed: true}
	for want, sites := range map[int][]explanation{
		0: {refused, unsure, allowed}, exitNotNow: {refused, unsure}, exitNotAllowed: {refused, refused},
	} {
		var failed commandError
		if err := (&explainAnswer{sites}).outcome(); errors.As(err, &failed) != (want != 0) || failed.code != want {
			t.Errorf("%v, want the exit code %d", err, want)
		}
	}
}

func TestHeaderFieldsAreReadOnce(t *testing.T) {
	got, err := parseHeaders([]byte("Authorization: Bearer a.b.c\r\n\nCookie: a=b; c=d\n"))
	if err != nil || got["Authorization"] != "Bearer a.b.c" || got["Cookie"] != "a=b; c=d" || len(got) != 2 {
		t.Errorf("%v, %v", got, err)
	}
	for _, text := range []string{"secret-token", "Cookie: secret-token\nCookie: b"} {
		if _, err := parseHeaders([]byte(text)); err == nil || strings.Contains(err.Error(), "secret-token") {
			t.Errorf("%q: %v", text, err)
		}
	}
}

// TestAuditAddressIsThatOfTheConnection covers the admin API, which has no client address of
// Caddy's.
func TestAuditAddressIsThatOfTheConnection(t *testing.T) {
	for remote, want := range map[string]string{"192.0.2.1:80": "192.0.2.1", "[2001:db8::1]:80": "2001:db8::1", "@": "@"} {
		r := &http.Request{RemoteAddr: remote, Header: http.Header{"X-Forwarded-For": {"203.0.113.7"}}}
		if got := auditAddr(r); got != want {
			t.Errorf("%s: %s, want %s", remote, got, want)
		}
	}
}
