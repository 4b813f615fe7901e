package caddymodule_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"testing"
)

// leastVariants is how many spellings of revoked tokens are tried at least.
const leastVariants = 2200

// get sends a protected call with these lines of a header.
func (s *site) get(query, lines string) answer {
	s.t.Helper()
	return s.send("GET /v1/cards" + query + " HTTP/1.1\r\nHost: " + s.addr + "\r\nConnection: close\r\n" + lines + "\r\n")
}

// refusesEverywhere tries a token in each place that a request may carry one.
func (s *site) refusesEverywhere(t *testing.T, what, raw string) {
	t.Helper()
	for place, lines := range map[string]string{"header": bearer(raw), "cookie": "Cookie: session=" + raw} {
		a := s.get("", lines+"\r\n")
		if strings.ContainsAny(raw, "\r\n\x00") && a.status == http.StatusBadRequest {
			a.want(t, what+" in the "+place+", by the server", 400, "400 Bad Request")
			continue
		}
		a.want(t, what+" in the "+place, 401, bodyInvalid)
	}
	s.get("?access_token="+url.QueryEscape(raw), "").want(t, what+" in the query", 401, bodyInvalid)
	text, err := json.Marshal(raw)
	if err != nil {
		t.Fatal(err)
	}
	s.refresh(string(text[1:len(text)-1])).want(t, what+" as a refresh token", 401, bodyInvalid)
}

func TestNoSpellingOfARevokedTokenGetsThrough(t *testing.T) {
	f := newForge(t)
	upstream := new(echo)
	s := start(t, upstream, f.options()+"\nlogout {\nscope token\n}\nfrom header Authorization Bearer\nfrom cookie session\nfrom query access_token")
	tried := 0
	for _, alg := range []string{"HS256", "RS256", "PS256", "ES256", "EdDSA"} {
		for _, hasID := range []bool{true, false} {
			// Header and payload have four unused bits and two, and the other way round.
			for _, rest := range []int{1, 2} {
				name, jti := fmt.Sprintf("%s, jti %t, %d", alg, hasID, rest), ""
				if hasID {
					jti = `"` + name + `"`
				}
				mint := func(payload string) string {
					return assemble(leaving(rest, `{"alg":"`+alg+`"}`), leaving(3-rest, payload), f.signerOf(alg))
				}
				raw, other := mint(f.payload("jti", jti, "n", strconv.Itoa(rest))), mint(f.payload("jti", `"other"`))
				variants := f.variants(alg, raw)
				s.accepts(t, raw, other)
				s.triesBefore(t, variants, carriages(raw))
				s.do("POST", "/auth/logout", "", bearer(raw)).want(t, name+": logout", 200, bodyLoggedOut)

				s.refusesAll(t, upstream, false, lookAlikes(other))
				before := len(upstream.requests())
				for _, v := range append(variants, attack{name: "as it was", token: raw}) {
					s.refusesEverywhere(t, name+": "+v.name, v.token)
				}
				if len(upstream.requests()) > before {
					t.Errorf("%s: the upstream was reached", name)
				}
				s.refusesAll(t, upstream, false, carriages(raw))
				s.accepts(t, other)
				tried += len(variants)
			}
		}
	}
	t.Logf("%d spellings", tried)
	if tried < leastVariants {
		t.Errorf("%d spellings, want at least %d", tried, leastVariants)
	}
}

// triesBefore tries what is tried again after the logout, so that whatever is kept of it
// is there. Of the variants, only the second form of an ECDSA signature is a good token.
func (s *site) triesBefore(t *testing.T, variants, carriages []attack) {
	t.Helper()
	for _, v := range variants {
		a := s.do("GET", "/v1/cards?access_token="+url.QueryEscape(v.token), "")
		if v.name == "(r, n-s)" {
			a.want(t, v.name, 200, "GET /v1/cards ")
		} else {
			a.want(t, v.name+", not revoked", 401, bodyInvalid)
		}
	}
	for _, c := range carriages {
		s.get(c.query, c.lines).want(t, c.name+", not revoked", 200, "GET /v1/cards ")
	}
}

// Which of its two forms is logged out does not matter.
func TestLogoutWithTheSecondFormOfASignatureIsALogout(t *testing.T) {
	f := newForge(t)
	upstream := new(echo)
	s := start(t, upstream, f.options()+"\nlogout {\nscope token\n}")
	for _, jti := range []string{`"second"`, ""} {
		raw := assemble(`{"alg":"ES256"}`, f.payload("jti", jti), f.signerOf("ES256"))
		s.accepts(t, raw)
		s.do("POST", "/auth/logout", "", bearer(f.secondSpelling(raw))).want(t, "logout", 200, bodyLoggedOut)
		s.refusesAll(t, upstream, false, tokens("first form", raw, "second form", f.secondSpelling(raw)))
	}
}
