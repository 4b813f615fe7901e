package caddymodule_test

import (
	"fmt"
	"strconv"
	"strings"
	"testing"
)

// Whoever has a good refresh token must not get a revoked access token past with it:
// neither to the refresh, nor to what the upstream may read the path as.
func TestNoSpellingOfARevokedTokenPassesBesideARefresh(t *testing.T) {
	f := newForge(t)
	upstream := new(echo)
	s := start(t, upstream, f.options()+"\nlogout {\nscope token\n}")
	raw := f.genuine("ES256")
	s.do("POST", "/auth/logout", "", bearer(raw)).want(t, "logout", 200, bodyLoggedOut)
	input, signature := raw[:strings.LastIndexByte(raw, '.')+1], raw[strings.LastIndexByte(raw, '.')+1:]
	for _, path := range []string{"/auth/refresh", "/v1/cards/..%2f..%2fauth%2frefresh"} {
		alone := `{"refresh_token":"` + f.claims("jti", strconv.Quote(path), "sub", `"43"`) + `"}`
		if a := s.do("POST", path, alone); a.status != 200 {
			t.Errorf("%s, alone: %d %s", path, a.status, a.body)
		}
		for name, field := range map[string]string{
			"as it was":      "Bearer " + raw,
			"second form":    "Bearer " + f.secondSpelling(raw),
			"unused bits":    "Bearer " + input + respellings(signature)[0],
			"padding":        "Bearer " + raw + "==",
			"tab":            "Bearer\t" + raw,
			"comma":          "Bearer " + raw + ",",
			"quotes":         `Bearer "` + raw + `"`,
			"scheme Token":   "Token " + raw,
			"list":           "Bearer x, Bearer " + raw,
			"folded line":    "Bearer " + raw[:5] + "\r\n " + raw[5:],
			"without scheme": raw,
		} {
			// Each refresh spends its token.
			body := `{"refresh_token":"` + f.claims("jti", strconv.Quote(path+name), "sub", `"43"`) + `"}`
			before := len(upstream.requests())
			a := s.send(fmt.Sprintf("POST %s HTTP/1.1\r\nHost: %s\r\nConnection: close\r\nContent-Type: application/json\r\nContent-Length: %d\r\n"+
				"Authorization: %s\r\n\r\n%s", path, s.addr, len(body), field, body))
			for _, r := range upstream.requests()[before:] {
				if r.Header.Get("Authorization") != "" {
					t.Errorf("%s, %s: answered with %d, and the upstream saw the field", path, name, a.status)
				}
			}
		}
	}
}

// A trailer is a place too: what has been let through for one token must not bring
// another along (RFC 9110 §6.5.1).
func TestNoOtherTokenPassesAsATrailer(t *testing.T) {
	f := newForge(t)
	upstream := new(echo)
	s := start(t, upstream, f.options()+"\nlogout {\nscope token\n}\nfrom header Authorization Bearer\nfrom cookie session\nfrom header X-Token")
	revoked, own := f.genuine("HS256"), f.claims("jti", `"own"`, "sub", `"43"`)
	s.do("POST", "/auth/logout", "", bearer(revoked)).want(t, "logout", 200, bodyLoggedOut)
	s.accepts(t, own)
	for name, line := range map[string]string{
		"Authorization": "Authorization: Bearer " + revoked, "Cookie": "Cookie: session=" + revoked, "X-Token": "X-Token: " + revoked,
	} {
		before := len(upstream.requests())
		a := s.send(fmt.Sprintf("POST /v1/cards HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n%s\r\nTransfer-Encoding: chunked\r\nTrailer: %s\r\n\r\n"+
			"1\r\na\r\n0\r\n%s\r\n\r\n", s.addr, bearer(own), name, line))
		for _, r := range upstream.requests()[before:] {
			if len(r.Trailer[name]) > 0 {
				t.Errorf("%s: answered with %d, and the upstream saw the trailer", name, a.status)
			}
		}
	}
}
