package caddymodule_test

import (
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// boundEndpoints are those of an API whose tokens are JWTs.
const boundEndpoints = "login /login {\naccess access\nrefresh refresh\n}\nrefresh /refresh {\ntoken refresh\n}\n" +
	"logout /logout {\nscope client\naccept_expired\ntoken refresh\n}\nsecret " + testSecret + "\n"

// bound returns the claims of a token of client 42 that is bound to a key.
func bound(jti string, iat time.Time) jwt.MapClaims {
	claims := claimsAt(iat)
	maps.Copy(claims, jwt.MapClaims{"jti": jti, "cnf": map[string]any{"jkt": "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I"}})
	return claims
}

// sayCall is an API that answers with the call.
var sayCall = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
	_, _ = io.WriteString(w, r.Method+" "+r.URL.Path)
})

func typedJWT(t *testing.T, typ string, claims jwt.MapClaims) string {
	t.Helper()
	unsigned := jwt.NewWithClaims(jwt.SigningMethodHS256, claims)
	if unsigned.Header["typ"] = typ; typ == "" {
		delete(unsigned.Header, "typ")
	}
	raw, err := unsigned.SignedString([]byte(testSecret))
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

func TestSenderConstrainedTokenDoesNotPassAsABearer(t *testing.T) {
	s := start(t, sayCall, boundEndpoints+"from header Authorization Bearer\nfrom header X-Token\nfrom cookie tok\nfrom query tok")
	mtls := claimsAt(time.Now())
	mtls["jti"], mtls["cnf"] = "m1", map[string]any{"x5t#S256": "bwcK0esc3ACC3DB2Y5_lESsXE8o9ltc05O89jdN-dg2"}
	null := claimsAt(time.Now())
	null["cnf"] = nil
	for what, raw := range map[string]string{"DPoP": sign(t, bound("d1", time.Now())), "mutual TLS": sign(t, mtls)} {
		for range 2 {
			s.do("GET", "/x", "", bearer(raw)).want(t, what, 401, bodyInvalid)
		}
		s.do("GET", "/x", "", bearer(raw), "DPoP: proof.of.it").want(t, what+" with a proof that nobody checks", 401, bodyInvalid)
		s.do("GET", "/x", "", "X-Token: "+raw).want(t, what+" in a header", 401, bodyInvalid)
		s.do("GET", "/x", "", "Cookie: tok="+raw).want(t, what+" in a cookie", 401, bodyInvalid)
		s.do("GET", "/x?tok="+raw, "").want(t, what+" in the query", 401, bodyInvalid)
	}
	s.wantLive("a plain token", sign(t, claimsAt(time.Now())))
	s.wantLive("cnf null", sign(t, null))

	s.options += "\nsender_constrained ignore"
	s.mustLoad()
	s.wantLive("ignored", sign(t, bound("d1", time.Now())))
	s.options = strings.Replace(s.options, "ignore", "refuse", 1)
	s.mustLoad()
	s.wantRefused("the default, named", sign(t, bound("d1", time.Now())))
}

// Who has a token may give it up, whatever else they lack (RFC 7009 §2.1).
func TestSenderConstrainedTokenCanBeLoggedOut(t *testing.T) {
	for what, c := range map[string]struct {
		body string
		raw  func() string
	}{
		"by itself":              {"", func() string { return sign(t, bound("d1", time.Now().Add(-time.Minute))) }},
		"expired":                {"", func() string { return sign(t, bound("d2", time.Now().Add(-2*time.Hour))) }},
		"with its refresh token": {`{"refresh":"` + sign(t, bound("r1", time.Now().Add(-time.Minute))) + `"}`, func() string { return "" }},
	} {
		t.Run(what, func(t *testing.T) {
			s := start(t, sayCall, boundEndpoints)
			plain := sign(t, claimsAt(time.Now().Add(-time.Minute)))
			s.wantLive("before", plain)
			var header []string
			if raw := c.raw(); raw != "" {
				header = append(header, bearer(raw))
			}
			s.do("POST", "/logout", c.body, header...).want(t, "logout", 200, bodyLoggedOut)
			s.wantRefused("the client's other token", plain)
		})
	}
}

// The API asks for the proof itself when a refresh token is exchanged (RFC 9449 §5).
func TestSenderConstrainedRefreshTokenIsExchanged(t *testing.T) {
	api := &fixedAnswer{body: `{}`}
	s := start(t, api, boundEndpoints+"types at+jwt")
	refresh := sign(t, bound("r1", time.Now().Add(-time.Second)))
	exchange := func(raw string) answer { return s.do("POST", "/refresh", `{"refresh":"`+raw+`"}`, "DPoP: proof.of.it") }
	if a := exchange(refresh); a.status != 200 {
		t.Fatalf("%d %s", a.status, a.body)
	}
	at := time.Now()
	s.do("POST", "/logout", "", bearer(sign(t, bound("d1", at)))).want(t, "logout", 200, bodyLoggedOut)
	exchange(refresh).want(t, "after the logout", 401, bodyInvalid)

	// One that says it was issued in the second of the logout is known to be newer.
	next := sign(t, bound("r2", at))
	api.body = `{"access":"` + typedJWT(t, "at+jwt", bound("d2", at)) + `","refresh":"` + next + `"}`
	exchange(next).want(t, "before it is issued", 401, bodyInvalid)
	if a := s.do("POST", "/login", `{}`); a.status != 200 {
		t.Fatalf("login: %d %s", a.status, a.body)
	}
	if a := exchange(next); a.status != 200 {
		t.Errorf("the refresh token of the next login: %d %s", a.status, a.body)
	}
}

// A token in whose place another is asked for must not have been revoked, bound or not.
func TestRevokedSenderConstrainedTokenIsNotExchangedForAnother(t *testing.T) {
	s := start(t, sayCall, "login /token {\naccess access\n}\nrefresh /token {\ntoken form refresh_token\n}\nlogout /logout {\nscope client\n}\nsecret "+testSecret)
	raw := sign(t, bound("d1", time.Now().Add(-time.Second)))
	form := "subject_token=" + url.QueryEscape(raw)
	if a := s.form("/token", form, "Content-Type: application/x-www-form-urlencoded"); a.status != 200 {
		t.Fatalf("before: %d %s", a.status, a.body)
	}
	s.do("POST", "/logout", "", bearer(raw)).want(t, "logout", 200, bodyLoggedOut)
	if a := s.form("/token", form, "Content-Type: application/x-www-form-urlencoded"); a.status != 401 {
		t.Errorf("after its logout: %d %s", a.status, a.body)
	}
}

func TestSecurityEventTokenIsNoAccessToken(t *testing.T) {
	s := start(t, sayCall, boundEndpoints)
	claims := claimsAt(time.Now())
	claims["events"] = map[string]any{"http://schemas.openid.net/event/backchannel-logout": map[string]any{}}
	for _, typ := range []string{"", "JWT", "at+jwt", "logout+jwt", "secevent+jwt"} {
		s.wantRefused("events, typ "+typ, typedJWT(t, typ, claims))
	}
	claims["events"] = []string{"concert"}
	s.wantLive("a claim of the API's own", typedJWT(t, "", claims))
}

func TestAccessTokensOfOtherTypesAreRefused(t *testing.T) {
	s := start(t, sayCall, boundEndpoints+"types at+jwt")
	claims := claimsAt(time.Now())
	s.wantLive("at+jwt", typedJWT(t, "at+jwt", claims))
	s.wantLive("in full", typedJWT(t, "application/AT+jwt", claims))
	for _, typ := range []string{"", "JWT", "application/jwt", "logout+jwt", "x/at+jwt"} {
		s.wantRefused("typ "+typ, typedJWT(t, typ, claims))
	}
	// What is no access token has another type.
	refresh := typedJWT(t, "JWT", claims)
	if a := s.do("POST", "/refresh", `{"refresh":"`+refresh+`"}`); a.status != 200 {
		t.Errorf("refresh: %d %s", a.status, a.body)
	}
	s.options = strings.Replace(s.options, "types at+jwt", "types at+jwt vnd.example+jwt\ntypes JWT", 1)
	s.mustLoad()
	for _, typ := range []string{"", "JWT", "at+jwt", "vnd.example+jwt"} {
		s.wantLive("named, typ "+typ, typedJWT(t, typ, jwt.MapClaims{
			"sub": "43", "jti": "t" + typ, "iat": time.Now().Unix(), "exp": time.Now().Add(time.Hour).Unix(),
		}))
	}
}

func TestIntrospectedTokenThatIsBoundIsRefused(t *testing.T) {
	s, as := startIntrospection(t, "")
	as.set(func(w http.ResponseWriter, raw string) {
		now := time.Now().Unix()
		_, _ = fmt.Fprintf(w, `{"active":true,"token_type":"DPoP","cnf":{"jkt":"x"},"sub":"alice","sid":%q,"iat":%d,"exp":%d}`, raw, now-60, now+3600)
	})
	s.do("GET", "/x", "", bearer("s1")).want(t, "bound", 401, bodyInvalid)
	s.do("POST", "/logout", "", bearer("s1")).want(t, "logout", 200, bodyLoggedOut)
	s.options += "\nsender_constrained ignore"
	s.mustLoad()
	s.do("GET", "/x", "", bearer("s1")).want(t, "logged out", 401, bodyInvalid)
	if a := s.do("GET", "/x", "", bearer("s2")); a.status != 200 {
		t.Errorf("ignored: %d %s", a.status, a.body)
	}
}
