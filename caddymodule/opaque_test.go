package caddymodule_test

import (
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

func startOpaque(t *testing.T, api http.Handler, mode, scope, options string) *site {
	t.Helper()
	return start(t, api, "opaque "+mode+"\n"+fmt.Sprintf(opaqueEndpoints, scope)+options)
}

func TestKnownTokensAreThoseThatWereIssued(t *testing.T) {
	s := startOpaque(t, newOpaqueAPI(t), "known", "session", "")
	s.wantRefused("never issued", "at-nobody-knows")
	first, second := s.loginOpaque("alice"), s.loginOpaque("alice")
	s.wantLive("issued", first.Access)
	s.mustLoad()
	s.wantLive("issued before a reload", first.Access)

	s.do("POST", "/logout", "", bearer(first.Access)).want(t, "logout", 200, bodyLoggedOut)
	s.wantRefused("after the logout", first.Access)
	s.refreshOpaque(first.Refresh).want(t, "its refresh token", 401, bodyInvalid)
	s.do("POST", "/logout", "", bearer(first.Access)).want(t, "logout again", 401, bodyInvalid)
	s.wantLive("another session", second.Access)
	s.wantLive("the next login", s.loginOpaque("alice").Access)
}

func TestScopeClientReachesEverySessionOfAnOpaqueToken(t *testing.T) {
	s := startOpaque(t, newOpaqueAPI(t), "known", "client", "")
	first, second, other := s.loginOpaque("alice"), s.loginOpaque("alice"), s.loginOpaque("bob")
	s.do("POST", "/logout", "", bearer(first.Access)).want(t, "logout", 200, bodyLoggedOut)
	for what, raw := range map[string]string{"its own": first.Access, "another session": second.Access, "a refresh token": second.Refresh} {
		s.wantRefused(what, raw)
	}
	s.wantLive("another client", other.Access)
	s.wantLive("the next login", s.loginOpaque("alice").Access)
	s.wantRefused("its own, after the next login", first.Access)
}

func TestRefreshKeepsTheSessionAndRotates(t *testing.T) {
	s := startOpaque(t, newOpaqueAPI(t), "known", "session", "")
	first := s.loginOpaque("alice")
	second := parseGrant(t, s.refreshOpaque(first.Refresh))
	s.refreshOpaque(first.Refresh).want(t, "an exchanged refresh token", 401, bodyInvalid)
	s.wantLive("an access token from before", first.Access)
	s.do("POST", "/logout", "", bearer(second.Access)).want(t, "logout", 200, bodyLoggedOut)
	for what, raw := range map[string]string{
		"first access": first.Access, "second access": second.Access, "second refresh": second.Refresh,
	} {
		s.wantRefused(what, raw)
	}
}

func TestExchangedTokenWorksOnForItsGrace(t *testing.T) {
	s := start(t, newOpaqueAPI(t), "opaque known\n"+
		strings.Replace(fmt.Sprintf(opaqueEndpoints, "session"), "token Refresh", "token Refresh\ngrace 5m", 1))
	first := s.loginOpaque("alice")
	second := parseGrant(t, s.refreshOpaque(first.Refresh))
	third := parseGrant(t, s.refreshOpaque(first.Refresh))
	s.wantLive("of the race's loser", third.Access)
	s.do("POST", "/logout", "", bearer(second.Access)).want(t, "logout", 200, bodyLoggedOut)
	s.refreshOpaque(first.Refresh).want(t, "within its grace, after a logout", 401, bodyInvalid)
	s.wantRefused("of the race's loser, after a logout", third.Access)
}

func TestRefreshTokenThatIsHandedOutAgainStays(t *testing.T) {
	api := newOpaqueAPI(t)
	api.keepRefresh = true
	s := startOpaque(t, api, "known", "session", "")
	first := s.loginOpaque("alice")
	for range 3 {
		s.wantLive("new access token", parseGrant(t, s.refreshOpaque(first.Refresh)).Access)
	}
}

func TestCompressedAnswersAreReadAndNotChanged(t *testing.T) {
	for _, encoding := range []string{"gzip", "deflate"} {
		t.Run(encoding, func(t *testing.T) {
			api := newOpaqueAPI(t)
			api.encoding = encoding
			s := startOpaque(t, api, "known", "session", "")
			a := s.do("POST", "/login", `{"User":"alice"}`, "Accept-Encoding: identity")
			if a.header.Get("Content-Encoding") != encoding || a.status != 200 {
				t.Fatalf("%d, encoded as %q", a.status, a.header.Get("Content-Encoding"))
			}
			api.mu.Lock()
			issued := slices.Collect(maps.Keys(api.tokens))
			api.mu.Unlock()
			if len(issued) != 2 {
				t.Fatalf("%d tokens", len(issued))
			}
			for _, raw := range issued {
				if strings.HasPrefix(raw, "at-") {
					s.wantLive("from a compressed answer", raw)
				} else if a := s.refreshOpaque(raw); a.status != 200 {
					t.Errorf("the refresh token from a compressed answer: %d %s", a.status, a.body)
				}
			}
		})
	}
}

func TestPassLeavesGenuinenessToTheAPI(t *testing.T) {
	api := newOpaqueAPI(t)
	s := startOpaque(t, api, "pass", "client", "")
	s.wantLive("never seen", "at-from-before")
	s.do("POST", "/logout", "", bearer("at-from-before")).want(t, "logout of one never seen", 200, bodyLoggedOut)
	s.wantRefused("after its logout", "at-from-before")
	s.wantLive("another one", "at-other")
	seen := s.loginOpaque("alice")
	s.do("POST", "/logout", "", bearer(seen.Access)).want(t, "logout", 200, bodyLoggedOut)
	s.wantRefused("the refresh token of one that was seen", seen.Refresh)
	for _, raw := range []string{"at-from-before=", "at-from-before=="} {
		s.wantRefused("another spelling", raw)
	}
}

// TestFloodOfMadeUpLogoutsKeepsNobodyLoggedIn has many addresses log out with texts that they
// have made up. Others are logged out all the same, and stay so.
func TestFloodOfMadeUpLogoutsKeepsNobodyLoggedIn(t *testing.T) {
	for _, addresses := range []int{65, 1000} {
		t.Run(fmt.Sprint(addresses), func(t *testing.T) {
			api := newOpaqueAPI(t)
			s := startOpaque(t, api, "pass", "client", "")
			seen := s.loginOpaque("alice")
			var flooding sync.WaitGroup
			for worker := range 16 {
				flooding.Go(func() {
					for i := worker; i < 2*1300; i += 16 {
						from := i % addresses
						raw := fmt.Sprintf("made-up-%d-%d", addresses, i)
						_, _ = s.try("POST", "/logout", "", bearer(raw), fmt.Sprintf("X-Forwarded-For: 10.%d.%d.1", from>>8, from&255))
					}
				})
			}
			flooding.Wait()
			const elsewhere, beside = "X-Forwarded-For: 198.51.100.1", "X-Forwarded-For: 10.0.5.9"
			s.do("POST", "/logout", "", bearer("at-from-before"), elsewhere).want(t, "of a token that was not seen", 200, bodyLoggedOut)
			s.do("POST", "/logout", "", bearer("at-of-a-neighbour"), beside).want(t, "from the network of an attacker", 200, bodyLoggedOut)
			// What was seen being issued is not limited, wherever it comes from.
			s.do("POST", "/logout", "", bearer(seen.Access), "X-Forwarded-For: 10.0.0.1").want(t, "of a token that was seen", 200, bodyLoggedOut)
			s.mustLoad()
			for _, raw := range []string{"at-from-before", "at-of-a-neighbour", seen.Access, seen.Refresh} {
				s.wantRefused("after its logout", raw)
			}
			s.wantLive("another", "at-other")
		})
	}
}

func TestPassedTokenIsKnownInEverySpelling(t *testing.T) {
	s := startOpaque(t, newOpaqueAPI(t), "pass", "token", "")
	const uuid = "550e8400-e29b-41d4-a716-446655440000"
	s.do("POST", "/logout", "", bearer(uuid)).want(t, "logout", 200, bodyLoggedOut)
	for _, raw := range []string{uuid, strings.ToUpper(uuid), strings.ReplaceAll(uuid, "-", "")} {
		s.wantRefused("another spelling", raw)
	}
	signed := sign(t, claimsAt(time.Now()))
	s.wantLive("a JWT without a key to verify it", signed)
	s.do("POST", "/logout", "", bearer(signed)).want(t, "logout", 200, bodyLoggedOut)
	cut := strings.LastIndexByte(signed, '.')
	for what, raw := range map[string]string{
		"the same": signed, "another signature": signed[:cut+1] + strings.Repeat("A", 43), "no signature": signed[:cut+1], "padding": signed + "=",
	} {
		s.wantRefused(what, raw)
	}
}

func TestForgedJWTDoesNotPassForAnOpaqueToken(t *testing.T) {
	api := newOpaqueAPI(t)
	s := start(t, api, "opaque pass\nsecret "+testSecret+"\n"+fmt.Sprintf(opaqueEndpoints, "token"))
	good := sign(t, claimsAt(time.Now()))
	s.wantLive("a genuine JWT", good)
	s.wantLive("an opaque token", "at-opaque")
	before := api.served()
	for what, raw := range map[string]string{
		"bad signature": good[:len(good)-4] + "AAAA", "no signature": good[:strings.LastIndexByte(good, '.')+1],
		"padding": good + "=", "a tilde in front": "~" + good, "two parts": good[:strings.LastIndexByte(good, '.')],
		"standard alphabet":      strings.Replace(good, ".", "+.", 1),
		"an empty part in front": "." + good, "behind a letter": "x" + good, "behind a part": "x." + good, "behind a tilde": "x~" + good,
	} {
		s.wantRefused(what, raw)
	}
	if api.served() != before {
		t.Error("a forged token reached the API")
	}
}

// Each begins like the base64 of a JSON object, and is none.
func TestOpaqueTokensBesideJWTsMayBeginLikeOne(t *testing.T) {
	for _, access := range []string{
		"e3b0c44298fc1c149afbf4c8996fb924", "e02b44fa-1e1c-4b0e-9d5e-7b1d7b2d7b3d", "eyKwxEKY_BwUmvv0yJlvuSQnrkHkZJuTTKSVmRt4UrhV", "e_Kw.xEKYBwU.mvv0yJlvuSQn",
	} {
		api := &fixedAnswer{body: `{"access":"` + access + `","user":{"id":"alice"}}`}
		s := start(t, api, "opaque known\nsecret "+testSecret+"\n"+fmt.Sprintf(opaqueEndpoints, "client"))
		s.do("GET", "/v1/x", "", bearer(access)).want(t, "not seen being issued", 401, bodyInvalid)
		if a := s.do("POST", "/login", `{}`); a.status != 200 {
			t.Fatalf("login: %d %s", a.status, a.body)
		}
		if a := s.do("GET", "/v1/x", "", bearer(access)); a.status != 200 {
			t.Errorf("%s: %d %s", access, a.status, a.body)
		}
		s.do("POST", "/logout", "", bearer(access)).want(t, "logout", 200, bodyLoggedOut)
		s.do("GET", "/v1/x", "", bearer(access)).want(t, "after the logout", 401, bodyInvalid)
	}
}

func TestOpaqueRefreshTokenBesideJWTs(t *testing.T) {
	api := newOpaqueAPI(t)
	s := start(t, api, "opaque known\nsecret "+testSecret+"\n"+fmt.Sprintf(opaqueEndpoints, "client"))
	g := s.loginOpaque("alice")
	jwtOfAlice := sign(t, jwt.MapClaims{"sub": "alice", "jti": "j1", "iat": time.Now().Unix(), "exp": time.Now().Add(time.Hour).Unix()})
	s.wantLive("a JWT", jwtOfAlice)
	s.do("POST", "/logout", "", bearer(jwtOfAlice)).want(t, "logout with a JWT", 200, bodyLoggedOut)
	s.refreshOpaque(g.Refresh).want(t, "the opaque refresh token", 401, bodyInvalid)
}

func TestJWTWithoutTheClaimIsKnownByItsIssue(t *testing.T) {
	raw := sign(t, jwt.MapClaims{"jti": "j1", "iat": time.Now().Unix(), "exp": time.Now().Add(time.Hour).Unix()})
	api := &fixedAnswer{body: `{"access":"` + raw + `","user":{"id":"alice"}}`}
	for _, scope := range []string{"client", "session"} {
		t.Run(scope, func(t *testing.T) {
			s := start(t, api, "secret "+testSecret+"\n"+fmt.Sprintf(opaqueEndpoints, scope))
			s.do("GET", "/v1/x", "", bearer(raw)).want(t, "not seen being issued", 401, bodyInvalid)
			if a := s.do("POST", "/login", `{}`); a.status != 200 {
				t.Fatalf("login: %d %s", a.status, a.body)
			}
			if a := s.do("GET", "/v1/x", "", bearer(raw)); a.status != 200 {
				t.Errorf("seen being issued: %d %s", a.status, a.body)
			}
			s.do("POST", "/logout", "", bearer(raw)).want(t, "logout", 200, bodyLoggedOut)
			s.do("GET", "/v1/x", "", bearer(raw)).want(t, "after the logout", 401, bodyInvalid)
		})
	}
}

func TestLogoutDuringAnOpaqueLoginWins(t *testing.T) {
	api := newOpaqueAPI(t)
	s := startOpaque(t, api, "known", "client", "")
	first := s.loginOpaque("alice")
	api.onIssue = func() {
		api.onIssue = nil
		s.do("POST", "/logout", "", bearer(first.Access)).want(t, "logout during the login", 200, bodyLoggedOut)
	}
	second := s.loginOpaque("alice")
	s.wantRefused("issued while the logout was recorded", second.Access)
}

func TestExpiredOpaqueTokenIsToldSo(t *testing.T) {
	api := &fixedAnswer{body: `{"access":"at-short","refresh":"rt-short","user":{"id":"alice"},"expires_in":1}`}
	s := start(t, api, "leeway 0s\nopaque known\n"+fmt.Sprintf(opaqueEndpoints, "client"))
	if a := s.do("POST", "/login", `{}`); a.status != 200 {
		t.Fatalf("login: %d %s", a.status, a.body)
	}
	s.eventually(func() bool { return s.do("GET", "/v1/x", "", bearer("at-short")).body == bodyExpired })
}

func TestMadeUpTokensCannotFillTheList(t *testing.T) {
	s := startOpaque(t, newOpaqueAPI(t), "pass", "token", "")
	limited := 0
	for i := range 40 {
		a := s.do("POST", "/logout", "", bearer(fmt.Sprintf("made-up-%d", i)), "X-Forwarded-For: 203.0.113.77")
		switch a.status {
		case 200:
		case 429:
			limited++
			if a.header.Get("Retry-After") == "" {
				t.Error("no Retry-After")
			}
		default:
			t.Fatalf("%d %s", a.status, a.body)
		}
	}
	if limited == 0 {
		t.Error("any number of logouts with made-up tokens is recorded")
	}
}
