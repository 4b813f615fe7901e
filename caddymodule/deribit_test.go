package caddymodule_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
)

// deribitAPI is the side of the API that is reached over HTTP, as far as tests need it.
type deribitAPI struct {
	echo
	refuse bool
}

const (
	deribitAccess  = "1554817622000.1GkAOfQz.jxsZ-access_x9"
	deribitRefresh = "1554817622000.1GkAOfQz.Zz-refresh_y8"
)

func (api *deribitAPI) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	switch {
	case r.URL.Path == "/api/v2/public/auth" && api.refuse:
		w.WriteHeader(http.StatusBadRequest)
		_, _ = w.Write([]byte(`{"jsonrpc":"2.0","id":1,"error":{"code":13004,"message":"invalid_credentials"}}`))
	case r.URL.Path == "/api/v2/public/auth", r.URL.Path == "/api/v2/public/fork_token":
		_, _ = fmt.Fprintf(w, `{"jsonrpc":"2.0","id":1,"result":{"access_token":%q,"expires_in":31536000,"refresh_token":%q,"scope":"session:main mainaccount","sid":"s1","token_type":"bearer"}}`,
			deribitAccess, deribitRefresh)
	default:
		api.echo.ServeHTTP(w, r)
	}
}

const (
	rpcUnauthorized = `{"jsonrpc":"2.0",%s"error":{"code":13009,"message":"unauthorized","data":{"reason":"invalid_token"}}}`
	rpcWebSocket    = `{"jsonrpc":"2.0",%s"error":{"code":10030,"message":"must_be_websocket_request"}}`
	rpcParse        = `{"jsonrpc":"2.0","id":null,"error":{"code":-32700,"message":"Parse error"}}`
	rpcParams       = `{"jsonrpc":"2.0",%s"error":{"code":-32602,"message":"Invalid params"}}`
)

func startDeribit(t *testing.T, options string) (*site, *deribitAPI) {
	t.Helper()
	api := new(deribitAPI)
	return start(t, api, "api deribit\n"+options), api
}

func TestDeribitCallsOverHTTP(t *testing.T) {
	s, api := startDeribit(t, "")
	call := func(method, params string) string {
		return `{"jsonrpc":"2.0","id":42,"method":"` + method + `","params":` + params + `}`
	}
	const id = `"id":42,`
	for what, c := range map[string]struct {
		method, path, body string
		header             []string
		want               string // "": it comes through
	}{
		"public":                           {"GET", "/api/v2/public/get_time", "", nil, ""},
		"public by POST":                   {"POST", "/api/v2/public/get_time", call("public/get_time", "null"), nil, ""},
		"public, named in the body":        {"POST", "/api/v2", call("public/get_time", "{}"), nil, ""},
		"private with a token":             {"GET", "/api/v2/private/get_positions?currency=BTC", "", []string{bearer(deribitAccess)}, ""},
		"private, token as a parameter":    {"POST", "/api/v2/private/get_positions", call("private/get_positions", `{"access_token":"`+deribitAccess+`"}`), nil, ""},
		"private, token in the query":      {"GET", "/api/v2/private/get_positions?access_token=" + deribitAccess, "", nil, ""},
		"private, signed":                  {"GET", "/api/v2/private/get_positions", "", []string{"Authorization: deri-hmac-sha256 id=ABC,ts=1,sig=x,nonce=n"}, ""},
		"private, no token":                {"GET", "/api/v2/private/get_positions?id=42", "", nil, fmt.Sprintf(rpcUnauthorized, id)},
		"private, no token, no id":         {"GET", "/api/v2/private/get_positions", "", nil, fmt.Sprintf(rpcUnauthorized, "")},
		"private, no token, by POST":       {"POST", "/api/v2/private/buy", call("private/buy", "{}"), nil, fmt.Sprintf(rpcUnauthorized, id)},
		"private, named in the body":       {"POST", "/api/v2", call("private/buy", "{}"), nil, fmt.Sprintf(rpcUnauthorized, id)},
		"neither public nor private":       {"GET", "/api/v2/admin/x?id=42", "", nil, fmt.Sprintf(rpcUnauthorized, id)},
		"in another case":                  {"GET", "/API/v2/PRIVATE/buy?id=42", "", nil, fmt.Sprintf(rpcParams, id)},
		"public by path, private by body":  {"POST", "/api/v2/public/get_time", call("private/buy", "{}"), nil, fmt.Sprintf(rpcParams, id)},
		"public by path, private by query": {"GET", "/api/v2/public/get_time?method=private/buy&id=42", "", nil, fmt.Sprintf(rpcParams, id)},
		"public by dots":                   {"GET", "/api/v2/public/../private/buy?id=42", "", nil, fmt.Sprintf(rpcParams, id)},
		"public by encoded dots":           {"GET", "/api/v2/public/%2e%2e/private/buy?id=42", "", nil, fmt.Sprintf(rpcParams, id)},
		"two tokens":                       {"POST", "/api/v2/private/buy", call("private/buy", `{"access_token":"a.b.c"}`), []string{bearer(deribitAccess)}, fmt.Sprintf(rpcUnauthorized, id)},
		"two tokens, query and body":       {"POST", "/api/v2/private/buy?access_token=" + deribitAccess, call("private/buy", `{"access_token":"a.b.c"}`), nil, fmt.Sprintf(rpcUnauthorized, id)},
		"a token and a signature":          {"GET", "/api/v2/private/buy?id=42&access_token=" + deribitAccess, "", []string{"Authorization: deri-hmac-sha256 id=ABC"}, fmt.Sprintf(rpcUnauthorized, id)},
		"a signature and a token":          {"GET", "/api/v2/private/buy?id=42", "", []string{"Authorization: deri-hmac-sha256 id=ABC", bearer(deribitAccess)}, fmt.Sprintf(rpcUnauthorized, id)},
		"a token of another kind":          {"POST", "/api/v2/private/buy", call("private/buy", `{"access_token":["`+deribitAccess+`"]}`), nil, fmt.Sprintf(rpcParams, id)},
		"a look-alike parameter":           {"POST", "/api/v2/private/buy", call("private/buy", `{"Access_Token":"a.b.c"}`), []string{bearer(deribitAccess)}, fmt.Sprintf(rpcParams, id)},
		"a batch":                          {"POST", "/api/v2", "[" + call("public/get_time", "{}") + "," + call("private/buy", "{}") + "]", nil, fmt.Sprintf(rpcParams, `"id":null,`)},
		"not JSON":                         {"POST", "/api/v2/public/get_time", "{", nil, rpcParse},
		"twice the method":                 {"POST", "/api/v2", `{"id":42,"method":"public/get_time","method":"private/buy"}`, nil, rpcParse},
		"no method":                        {"GET", "/api/v2?id=42", "", nil, fmt.Sprintf(rpcParams, id)},
		"logout":                           {"POST", "/api/v2/private/logout", call("private/logout", `{"invalidate_token":true}`), []string{bearer(deribitAccess)}, fmt.Sprintf(rpcWebSocket, id)},
		"logout by GET":                    {"GET", "/api/v2/private/logout?id=42", "", []string{bearer(deribitAccess)}, fmt.Sprintf(rpcWebSocket, id)},
		"logout without a token or id":     {"GET", "/api/v2/private/logout", "", nil, fmt.Sprintf(rpcWebSocket, "")},
		"another path":                     {"GET", "/elsewhere?id=42", "", nil, fmt.Sprintf(rpcUnauthorized, id)},
	} {
		before := len(api.requests())
		a := s.do(c.method, c.path, c.body, c.header...)
		came := len(api.requests()) > before
		switch {
		case c.want == "" && (a.status != 200 || !came):
			t.Errorf("%s: %d %s", what, a.status, a.body)
		case c.want != "":
			a.want(t, what, 400, c.want)
			if came {
				t.Errorf("%s: reached the API", what)
			}
		}
	}
}

func TestDeribitTokensOfASessionEndTogether(t *testing.T) {
	// Over HTTP the API has no logout; one of one's own shows what it would end.
	s, api := startDeribit(t, "logout /logout")
	for what, path := range map[string]string{
		"by GET":           "/api/v2/public/auth?grant_type=client_credentials&client_id=a&client_secret=b",
		"by refresh token": "/api/v2/public/auth?grant_type=refresh_token&refresh_token=" + url.QueryEscape(deribitRefresh),
		"a fork":           "/api/v2/public/fork_token?session_name=x&refresh_token=" + url.QueryEscape(deribitRefresh),
	} {
		a := s.do("GET", path, "")
		var message struct {
			Result struct {
				Access string `json:"access_token"`
			}
		}
		if err := json.Unmarshal([]byte(a.body), &message); err != nil || message.Result.Access != deribitAccess {
			t.Errorf("%s: %d %s", what, a.status, a.body)
		}
	}
	body := `{"jsonrpc":"2.0","id":7,"method":"public/auth","params":{"grant_type":"client_credentials"}}`
	if a := s.do("POST", "/api/v2/public/auth", body); a.status != 200 || !strings.Contains(a.body, deribitAccess) {
		t.Errorf("by POST: %d %s", a.status, a.body)
	}
	api.refuse = true
	if a := s.do("POST", "/api/v2/public/auth", body); a.status != 400 || !strings.Contains(a.body, "13004") {
		t.Errorf("an error of the API: %d %s", a.status, a.body)
	}
	api.refuse = false

	s.do("POST", "/logout", "", bearer(deribitAccess)).want(t, "logout", 200, `{"jsonrpc":"2.0","result":"ok"}`)
	unauthorized := fmt.Sprintf(rpcUnauthorized, `"id":7,`)
	s.do("GET", "/api/v2/private/buy?id=7", "", bearer(deribitAccess)).want(t, "the access token", 400, unauthorized)
	s.do("GET", "/api/v2/private/buy?id=7&access_token="+deribitAccess, "").want(t, "as a parameter", 400, unauthorized)
	s.do("GET", "/api/v2/public/auth?id=7&grant_type=refresh_token&refresh_token="+url.QueryEscape(deribitRefresh), "").
		want(t, "the refresh token", 400, unauthorized)
	refresh := `{"jsonrpc":"2.0","id":7,"method":"public/auth","params":{"grant_type":"refresh_token","refresh_token":"` + deribitRefresh + `"}}`
	s.do("POST", "/api/v2/public/auth", refresh).want(t, "the refresh token by POST", 400, unauthorized)
	s.do("POST", "/api/v2", refresh).want(t, "the refresh token by a method in the body", 400, unauthorized)
	if a := s.do("GET", "/api/v2/private/buy", "", bearer("1554817622000.1GkAOfQz.another")); a.status != 200 {
		t.Errorf("another token: %d %s", a.status, a.body)
	}
}

func TestDeribitLoginFromAForbiddenAddressKeepsItsID(t *testing.T) {
	s, _ := startDeribit(t, "login {\nclient result.sid\n}\nallow_ips s1 203.0.113.0/24")
	body := `{"jsonrpc":"2.0","id":"login-1","method":"public/auth","params":{}}`
	s.do("POST", "/api/v2/public/auth", body).
		want(t, "login", 400, `{"jsonrpc":"2.0","id":"login-1","error":{"code":13021,"message":"forbidden"}}`)
	if a := s.do("POST", "/api/v2/public/auth", body, "X-Forwarded-For: 203.0.113.5"); a.status != 200 {
		t.Errorf("from an allowed address: %d %s", a.status, a.body)
	}
}
