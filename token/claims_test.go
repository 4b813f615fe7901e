package token

import (
	"errors"
	"fmt"
	"testing"
	"time"
)

func TestClientAndSessionClaims(t *testing.T) {
	c := Config{ClientClaim: "https://x.example/client", SessionClaim: "a.b", RequireClient: true, RequireSession: true}
	for _, tt := range []struct {
		fields          string
		client, session string
		err             error
	}{
		{`"https://x.example/client":"c","a.b":"s",`, "c", "s", nil},
		{`"https://x.example/client":42,"a.b":-7,`, "42", "-7", nil},
		{`"https://x.example/client":0,"a.b":123456789012345678901234567890,`, "0", "123456789012345678901234567890", nil},
		{`"\u0068ttps://x.example/client":"\u0063","a.b":"s",`, "c", "s", nil},
		{`"sub":{},"https://x.example/client":"c","a.b":"s",`, "", "", ErrClaim},
		{`"a.b":"s",`, "", "", ErrClaim},
		{`"sub":"c","a.b":"s",`, "", "", ErrClaim},
		{`"https://x.example/client":"c",`, "", "", ErrClaim},
		{`"https://x.example/client":"c","a":{"b":"s"},`, "", "", ErrClaim},
		{`"https://x.example/client":"","a.b":"s",`, "", "", ErrClaim},
		{`"https://x.example/client":"c","a.b":null,`, "", "", ErrClaim},
		{`"https://x.example/client":1.0,"a.b":"s",`, "", "", ErrClaim},
		{`"https://x.example/client":1e3,"a.b":"s",`, "", "", ErrClaim},
		{`"https://x.example/client":1E3,"a.b":"s",`, "", "", ErrClaim},
		{`"https://x.example/client":-0,"a.b":"s",`, "", "", ErrClaim},
		{`"https://x.example/client":true,"a.b":"s",`, "", "", ErrClaim},
		{`"https://x.example/client":["c"],"a.b":"s",`, "", "", ErrClaim},
		{`"https://x.example/client":{"id":"c"},"a.b":"s",`, "", "", ErrClaim},
	} {
		tok, err := verifier(t, c).Verify(t.Context(), hs256(good(tt.fields)))
		if !errors.Is(err, tt.err) {
			t.Errorf("%s %v; want %v", tt.fields, err, tt.err)
		}
		if err == nil && (tok.Identity().Client() != tt.client || tok.Identity().Session() != tt.session) {
			t.Errorf("%s %q, %q", tt.fields, tok.Identity().Client(), tok.Identity().Session())
		}
	}
	same := verifier(t, Config{ClientClaim: "sub", SessionClaim: "sub"})
	if tok, err := same.Verify(t.Context(), hs256(good(`"sub":"x",`))); err != nil || tok.Identity().Client() != "x" || tok.Identity().Session() != "x" {
		t.Errorf("one claim for both: %v", err)
	}
}

func TestIssuerAndAudience(t *testing.T) {
	v := verifier(t, Config{Issuers: []string{"me", "you"}, Audiences: []string{"api", "web"}})
	for fields, want := range map[string]error{
		`"iss":"me","aud":"api",`:                 nil,
		`"iss":"you","aud":["x","web"],`:          nil,
		`"aud":"api",`:                            ErrIssuer,
		`"iss":"","aud":"api",`:                   ErrIssuer,
		`"iss":"Me","aud":"api",`:                 ErrIssuer,
		`"iss":"me/","aud":"api",`:                ErrIssuer,
		`"iss":["me"],"aud":"api",`:               ErrClaim,
		`"iss":null,"aud":"api",`:                 ErrClaim,
		`"iss":1,"aud":"api",`:                    ErrClaim,
		`"iss":"me",`:                             ErrAudience,
		`"iss":"me","aud":[],`:                    ErrAudience,
		`"iss":"me","aud":"",`:                    ErrAudience,
		`"iss":"me","aud":"api web",`:             ErrAudience,
		`"iss":"me","aud":["x","y"],`:             ErrAudience,
		`"iss":"me","aud":["api",1],`:             ErrClaim,
		`"iss":"me","aud":[["api"]],`:             ErrClaim,
		`"iss":"me","aud":{"api":"api"},`:         ErrClaim,
		`"iss":"me","aud":null,`:                  ErrClaim,
		`"iss":"me","aud":7,`:                     ErrClaim,
		`"Iss":"me","aud":"api",`:                 ErrIssuer,
		`"iss":"me","AUD":"api",`:                 ErrAudience,
		`"iss":"me","aud":"api","sub":{"a":1},`:   ErrClaim,
		`"iss":"me","aud":"api","sub":"","x":"",`: ErrClaim,
	} {
		if _, err := v.Verify(t.Context(), hs256(good(fields))); !errors.Is(err, want) {
			t.Errorf("%s %v; want %v", fields, err, want)
		}
	}
	// Mistyped claims are refused even where nothing is pinned.
	for _, fields := range []string{`"iss":1,`, `"aud":1,`, `"jti":1,`, `"jti":"",`, `"jti":null,`, `"sid":false,`} {
		if _, err := verifier(t, Config{}).Verify(t.Context(), hs256(good(fields))); !errors.Is(err, ErrClaim) {
			t.Errorf("%s %v", fields, err)
		}
	}
}

func TestTimes(t *testing.T) {
	v := verifier(t, Config{Leeway: 30 * time.Second, IssuedAtLeeway: 5 * time.Second})
	for payload, want := range map[string]error{
		`{}`:                                            nil,
		`{"exp":1768478401}`:                            nil,
		`{"exp":1768478371}`:                            nil, // one second of the leeway left
		`{"exp":1768478370.00001}`:                      nil,
		`{"exp":1768478370}`:                            ErrExpired,
		`{"exp":1768478369}`:                            ErrExpired,
		`{"exp":1}`:                                     ErrExpired,
		`{"exp":1.768478401e9}`:                         nil,
		`{"nbf":1768478430}`:                            nil,
		`{"nbf":1768478430.5}`:                          ErrNotYetValid,
		`{"nbf":1768478431}`:                            ErrNotYetValid,
		`{"iat":1768478405}`:                            nil,
		`{"iat":1768478406}`:                            ErrIssuedInFuture,
		`{"iat":253402300799}`:                          ErrIssuedInFuture,
		`{"exp":253402300799}`:                          nil,
		`{"exp":1,"nbf":1768478431}`:                    ErrNotYetValid,
		`{"exp":1,"iat":1768478431}`:                    ErrIssuedInFuture,
		`{"exp":1,"iat":1768478431,"nbf":1768478431}`:   ErrNotYetValid,
		`{"exp":1768478401,"nbf":1768478300,"iat":0.1}`: nil,
	} {
		tok, err := v.Verify(t.Context(), hs256(payload))
		if !errors.Is(err, want) || (tok == nil) != (err != nil) {
			t.Errorf("%s: %v; want %v", payload, err, want)
		}
	}
}

func TestNumericDatesAreStrict(t *testing.T) {
	v := verifier(t, Config{})
	for _, claim := range []string{"exp", "nbf", "iat"} {
		values := []string{
			`1e400`, `-1e400`, `253402300800`, `1e300`,
			`"123"`, `"1768478400"`, `null`, `true`, `[1768478400]`, `{"a":1}`, `""`,
		}
		if claim != "nbf" { // which may lie in whatever past
			values = append(values, `0`, `-0`, `0.0`, `0e9`, `-1`, `-1768478400`, `1e-400`, `1e-7`)
		}
		for _, value := range values {
			if _, err := v.Verify(t.Context(), hs256(`{"`+claim+`":`+value+`}`)); !errors.Is(err, ErrClaim) {
				t.Errorf("%s %s: %v", claim, value, err)
			}
		}
		for _, value := range []string{`NaN`, `Infinity`, `+1`, `01`, `0x1`, `1.`, `.5`, `1_000`} {
			if _, err := v.Verify(t.Context(), hs256(`{"`+claim+`":`+value+`}`)); !errors.Is(err, ErrMalformed) {
				t.Errorf("%s %s: %v", claim, value, err)
			}
		}
	}
}

// As Keycloak before version 18 wrote its tokens.
func TestStartBeforeAnyTimeIsNoReasonToRefuse(t *testing.T) {
	v := verifier(t, Config{MaxAge: time.Hour})
	for _, fields := range []string{`"nbf":0,"auth_time":0,"session_state":"s",`, `"nbf":-0,`, `"nbf":0.0,`, `"nbf":-1,`, `"nbf":1,`, `"nbf":1e-9,`} {
		tok, err := v.Verify(t.Context(), hs256(good(fields)))
		if err != nil || tok.NotBefore().After(time.Unix(1, 0)) {
			t.Errorf("%s %v", fields, err)
		}
	}
	// A token that never ends, or was never issued, is none.
	for _, payload := range []string{`{"nbf":0,"exp":0}`, `{"nbf":0,"iat":0}`, `{"nbf":"0"}`, `{"nbf":null}`, `{"nbf":1e400}`} {
		refused(t, v, payload, hs256(payload), ErrClaim)
	}
}

func TestExpiredIsSaidLast(t *testing.T) {
	v := verifier(t, Config{Issuers: []string{"me"}, Audiences: []string{"api"}, RequireClient: true})
	const all = `"iss":"me","aud":"api","sub":"c",`
	genuine := hs256(`{` + all + `"exp":1}`)
	for name, c := range map[string]struct {
		token string
		err   error
	}{
		"only expired":  {genuine, ErrExpired},
		"signature":     {raw(`{"alg":"HS256"}`, `{`+all+`"exp":1}`, withHMAC([]byte("other"))), ErrSignature},
		"cut signature": {raw(`{"alg":"HS256"}`, `{`+all+`"exp":1}`, func(s string) []byte { return withHMAC(secret)(s)[:31] }), ErrSignature},
		"issuer":        {hs256(`{"iss":"x","aud":"api","sub":"c","exp":1}`), ErrIssuer},
		"audience":      {hs256(`{"iss":"me","aud":"x","sub":"c","exp":1}`), ErrAudience},
		"client":        {hs256(`{"iss":"me","aud":"api","exp":1}`), ErrClaim},
		"type":          {hs256(`{` + all + `"jti":7,"exp":1}`), ErrClaim},
		"not yet valid": {hs256(`{` + all + fmt.Sprintf(`"exp":1,"nbf":%d}`, noon+1)), ErrNotYetValid},
		"future":        {hs256(`{` + all + fmt.Sprintf(`"exp":1,"iat":%d}`, noon+1)), ErrIssuedInFuture},
	} {
		if _, err := v.Verify(t.Context(), c.token); !errors.Is(err, c.err) {
			t.Errorf("%s: %v; want %v", name, err, c.err)
		}
	}
}
