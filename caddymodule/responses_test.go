package caddymodule_test

import (
	"strings"
	"testing"
	"time"
)

const bodyUnauthorized = `"error":{"code":13009,"message":"unauthorized","data":{"reason":"invalid_token"}}}`

// Only 401 asks for a credential: Deribit's clients get 400 and the header would
// contradict it (RFC 9110 §11.6.1).
func TestEachFormatOverHTTP(t *testing.T) {
	for _, tt := range []struct {
		format           string
		status           int
		contentType      string
		missing, invalid string
		loggedOut        int
		loggedOutBody    string
		refreshStatus    int
		refreshRefused   string
		notAllowed       int
		notAllowedBody   string
	}{
		{
			"ecgrid", 401, "application/json",
			`{"success":false,"errorCode":"InvalidSession","message":"The session token is invalid or has expired.","data":null}`,
			`{"success":false,"errorCode":"InvalidSession","message":"The session token is invalid or has expired.","data":null}`,
			200, `{"success":true,"data":null,"errorCode":"","message":"Session terminated."}`,
			401, `{"success":false,"errorCode":"InvalidSession","message":"The session token is invalid or has expired.","data":null}`,
			405, `{"success":false,"errorCode":"MethodNotAllowed","message":"The request method is not allowed.","data":null}`,
		},
		{
			"oauth", 401, "application/json",
			`{}`,
			`{"error":"invalid_token","error_description":"The access token is invalid or was revoked"}`,
			200, `{}`,
			400, `{"error":"invalid_grant","error_description":"The refresh token is invalid, expired or was revoked"}`,
			405, `{"error":"invalid_request","error_description":"The request method is not allowed"}`,
		},
		{
			"problem", 401, "application/problem+json",
			`{"type":"about:blank","title":"Unauthorized","status":401,"detail":"The request has no credential."}`,
			`{"type":"about:blank","title":"Unauthorized","status":401,"detail":"The credential is invalid or was revoked."}`,
			204, ``,
			401, `{"type":"about:blank","title":"Unauthorized","status":401,"detail":"The credential is invalid or was revoked."}`,
			405, `{"type":"about:blank","title":"Method Not Allowed","status":405,"detail":"The request method is not allowed."}`,
		},
		{
			"deribit", 400, "application/json",
			`{"jsonrpc":"2.0",` + bodyUnauthorized,
			`{"jsonrpc":"2.0",` + bodyUnauthorized,
			200, `{"jsonrpc":"2.0","result":"ok"}`,
			400, `{"jsonrpc":"2.0",` + bodyUnauthorized,
			400, `{"jsonrpc":"2.0","error":{"code":-32601,"message":"Method not found"}}`,
		},
	} {
		t.Run(tt.format, func(t *testing.T) {
			s := startOctopus(t, "responses "+tt.format)
			check := func(what string, got answer, status int, body, contentType string) {
				t.Helper()
				got.want(t, what, status, body)
				if got.header.Get("Content-Type") != contentType || got.header.Get("Cache-Control") != "no-store" {
					t.Errorf("%s: header %v", what, got.header)
				}
				if asks := got.header.Get("WWW-Authenticate") != ""; asks != (status == 401) {
					t.Errorf("%s: %d with WWW-Authenticate %q", what, status, got.header["Www-Authenticate"])
				}
			}
			check("no credential", s.do("GET", "/x", ""), tt.status, tt.missing, tt.contentType)
			check("no token", s.do("GET", "/x", "", bearer("a.b.c")), tt.status, tt.invalid, tt.contentType)
			p := s.login(42)
			notAllowed := s.do("GET", "/auth/logout", "", bearer(p.Access))
			check("GET logout", notAllowed, tt.notAllowed, tt.notAllowedBody, tt.contentType)
			if notAllowed.header.Get("Allow") != "POST" {
				t.Errorf("Allow %q", notAllowed.header.Get("Allow"))
			}
			loggedOutType := tt.contentType
			if tt.loggedOut == 204 {
				loggedOutType = ""
			}
			loggedOut := s.do("POST", "/auth/logout", "", bearer(p.Access))
			check("logout", loggedOut, tt.loggedOut, tt.loggedOutBody, loggedOutType)
			if _, has := loggedOut.header["Content-Length"]; has == (tt.loggedOut == 204) {
				t.Errorf("logout: header %v", loggedOut.header)
			}
			check("revoked", s.do("GET", "/x", "", bearer(p.Access)), tt.status, tt.invalid, tt.contentType)
			check("refresh", s.refresh(p.Refresh), tt.refreshStatus, tt.refreshRefused, tt.contentType)
		})
	}
}

// The id of a JSON-RPC request is in its body, or in the query of a GET.
func TestJSONRPCIDIsSentBack(t *testing.T) {
	s := startOctopus(t, "responses deribit")
	const path = "/api/v2/private/get_account_summary"
	for _, tt := range []struct{ method, query, body, id string }{
		{"GET", "", "", ``},
		{"GET", "?currency=BTC&id=42", "", `"id":42,`},
		{"GET", "?id=a%22,%22result%22:%22b", "", `"id":"a\",\"result\":\"b",`},
		{"POST", "", `{"jsonrpc":"2.0","id":9929,"method":"private/get_account_summary","params":{}}`, `"id":9929,`},
		{"POST", "?id=1", `{"jsonrpc":"2.0","id":"two","method":"m"}`, `"id":"two",`},
		{"POST", "?id=1", `{"jsonrpc":"2.0","method":"m"}`, `"id":1,`},
		{"POST", "", `{"jsonrpc":"2.0","method":"m"}`, ``},
		{"POST", "", ``, ``},
		{"POST", "", `{"jsonrpc":"2.0","id":{"x":1}}`, `"id":null,`},
		{"POST", "", `{"jsonrpc":`, `"id":null,`},
		{"POST", "", `{"id":1,"x":"` + strings.Repeat("x", 64<<10) + `"}`, `"id":null,`},
	} {
		got := s.do(tt.method, path+tt.query, tt.body)
		got.want(t, tt.method+" "+tt.query+" "+tt.body[:min(len(tt.body), 80)], 400, `{"jsonrpc":"2.0",`+tt.id+bodyUnauthorized)
	}
}

// What an OAuth client must do about a refused refresh token is not what it must do
// about a refused access token, though both requests are refused alike.
func TestRefreshIsRefusedByWhatIsWrongWithIt(t *testing.T) {
	s := startOctopus(t, "responses oauth")
	s.do("POST", "/auth/refresh", `{}`).want(t, "no token", 400,
		`{"error":"invalid_request","error_description":"The request is malformed or lacks a parameter"}`)
	s.do("GET", "/auth/refresh", "", bearer("a.b.c")).want(t, "another method", 405,
		`{"error":"invalid_request","error_description":"The request method is not allowed"}`)
}

func TestAnswersOfOnesOwn(t *testing.T) {
	s := start(t, new(echo), "secret "+testSecret+"\nlogout /auth/logout\nresponses problem {\n"+
		"revoked_credential 418 `{\"fault\":\"{reason}\",\"path\":\"{http.request.uri.path}\"}`\n"+
		"logged_out 202 bye text/plain\n}")
	raw := sign(t, claimsAt(time.Now()))
	a := s.do("POST", "/auth/logout", "", bearer(raw))
	a.want(t, "logout", 202, "bye")
	if got := a.header.Get("Content-Type"); got != "text/plain" {
		t.Errorf("content type %q", got)
	}
	// What the client chooses cannot end the string that it stands in.
	s.do("GET", `/a"b`, "", bearer(raw)).want(t, "after logout", 418, `{"fault":"revoked_credential","path":"/a\"b"}`)
	if a := s.do("GET", "/x", ""); a.status != 401 || a.header.Get("Content-Type") != "application/problem+json" {
		t.Errorf("what no rule is about: %d %v %s", a.status, a.header, a.body)
	}
}
