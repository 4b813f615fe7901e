package introspect

import (
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"example.com/caddy-token-auth/token"
)

func TestAnActiveTokenIsAnswered(t *testing.T) {
	server := newAuthority(says(`{"active":true,"iss":"https://as.example","sub":"alice","sid":"s1","jti":"j1","client_id":"app",
		"username":"Alice","aud":["api","web"],"scope":"read write","exp":1768482000,"iat":1768478399.5,"nbf":1768478390,
		"token_type":"Bearer","count":1.50e3,"admin":true,"nothing":null,"object":{ "a" : [ 1 ] }}`))
	c := open(t, server, Options{Now: newClock().Now})
	a, err := c.Introspect(t.Context(), opaque)
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{
		"active": "true", "sub": "alice", "scope": "read write", "aud": `["api","web"]`, "exp": "1768482000", "iat": "1768478399.5",
		"count": "1.50e3", "admin": "true", "object": `{"a":[1]}`, "username": "Alice",
	} {
		if got, ok := a.Claim(name); !ok || got != want {
			t.Errorf("%s is %q, %v; want %q", name, got, ok, want)
		}
	}
	for _, name := range []string{"nothing", "absent", "Sub", "object.a"} {
		if got, ok := a.Claim(name); ok {
			t.Errorf("%s is %q", name, got)
		}
	}
	if a.Client() != "alice" || a.Session() != "s1" || a.ID() != "j1" || a.Issuer() != "https://as.example" {
		t.Errorf("%q, %q, %q, %q", a.Client(), a.Session(), a.ID(), a.Issuer())
	}
	if !a.Expires().Equal(time.Unix(1768482000, 0)) || !a.IssuedAt().Equal(time.UnixMicro(1768478399_500000)) || !a.NotBefore().Equal(time.Unix(1768478390, 0)) {
		t.Error(a.Expires(), a.IssuedAt(), a.NotBefore())
	}
	if text := fmt.Sprintf("%v %+v %#v %s", a, a, a, a); strings.Contains(text, "alice") {
		t.Errorf("printed: %s", text)
	}
}

// RFC 7662 §2.2: all members but active are optional.
func TestAnAnswerMaySayNothingElse(t *testing.T) {
	c := open(t, newAuthority(says(`{"active":true}`)), Options{})
	a, err := c.Introspect(t.Context(), opaque)
	if err != nil {
		t.Fatal(err)
	}
	if a.Client()+a.Session()+a.ID()+a.Issuer() != "" || !a.Expires().IsZero() || !a.IssuedAt().IsZero() || !a.NotBefore().IsZero() {
		t.Errorf("%q, %q, %q, %q, %v, %v, %v", a.Client(), a.Session(), a.ID(), a.Issuer(), a.Expires(), a.IssuedAt(), a.NotBefore())
	}
}

func TestOtherClaimsMayNameClientAndSession(t *testing.T) {
	c := open(t, newAuthority(says(`{"active":true,"sub":"alice","client_id":42,"x.session":"s"}`)),
		Options{ClientClaim: "client_id", SessionClaim: "x.session"})
	if a, err := c.Introspect(t.Context(), opaque); err != nil || a.Client() != "42" || a.Session() != "s" {
		t.Error(a.Client(), a.Session(), err)
	}
}

// What goes over the wire, byte for byte.
func TestTheRequest(t *testing.T) {
	basic := func(pair string) string { return "Basic " + base64.StdEncoding.EncodeToString([]byte(pair)) }
	const form = "token=a%2Fb%2Bc%3D%3D&token_type_hint=access_token"
	for name, tt := range map[string]struct {
		options             Options
		authorization, body string
	}{
		"none":  {Options{}, "", form},
		"basic": {Options{ClientID: "api", ClientSecret: "secret"}, basic("api:secret"), form},
		"basic, special characters": {
			Options{Method: ClientSecretBasic, ClientID: "urn:api 1/é", ClientSecret: "p:a+b&c=d%20 \"ü\n"},
			basic("urn%3Aapi+1%2F%C3%A9:p%3Aa%2Bb%26c%3Dd%2520+%22%C3%BC%0A"), form,
		},
		"post": {
			Options{Method: ClientSecretPost, ClientID: "urn:api 1", ClientSecret: "a&token=x=+é%"},
			"",
			form + "&client_id=urn%3Aapi+1&client_secret=a%26token%3Dx%3D%2B%C3%A9%25",
		},
		"bearer": {Options{BearerToken: "23410913-abewfq.123483"}, "Bearer 23410913-abewfq.123483", form},
	} {
		t.Run(name, func(t *testing.T) {
			server := newAuthority(says(`{"active":true}`))
			web := httptest.NewServer(server)
			defer web.Close()
			c, err := New(web.URL+"/introspect?realm=x", tt.options)
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			expect(t, c, "the token", "a/b+c==", nil)
			if server.body != tt.body {
				t.Errorf("body %s; want %s", server.body, tt.body)
			}
			got := server.last.Header
			if server.last.Method != http.MethodPost || server.last.RequestURI != "/introspect?realm=x" || got.Get("Authorization") != tt.authorization ||
				got.Get("Content-Type") != "application/x-www-form-urlencoded" || got.Get("Accept") != "application/json" {
				t.Errorf("%s %s with %v", server.last.Method, server.last.RequestURI, got)
			}
			for field := range got {
				switch field {
				case "Authorization", "Content-Type", "Content-Length", "Accept", "Accept-Encoding", "User-Agent":
				default:
					t.Errorf("a field %s", field)
				}
			}
		})
	}
}

// What the server can decode is what was configured.
func TestCredentialsArriveAsConfigured(t *testing.T) {
	const client, password = "cl:ie nt+%41é\x00", ":;&=+%2B \\\"日本\r\n"
	for _, method := range []string{ClientSecretBasic, ClientSecretPost} {
		server := newAuthority(func(w http.ResponseWriter, r *http.Request) {
			gotID, gotSecret := r.Form.Get("client_id"), r.Form.Get("client_secret")
			if method == ClientSecretBasic {
				user, pass, _ := r.BasicAuth()
				gotID, gotSecret = unescape(user), unescape(pass)
			}
			if gotID != client || gotSecret != password || r.Form.Get("token") != opaque {
				w.WriteHeader(http.StatusUnauthorized)
				return
			}
			says(`{"active":true}`)(w, r)
		})
		expect(t, open(t, server, Options{Method: method, ClientID: client, ClientSecret: password}), method, opaque, nil)
	}
}

func TestInactiveTokensAreRefused(t *testing.T) {
	for _, document := range []string{
		`{"active":false}`,
		`{"active":false,"exp":"tomorrow","sub":{}}`,
		`{"exp":9999999999,"sub":"alice","active":false}`,
	} {
		expect(t, open(t, newAuthority(says(document)), Options{}), document, opaque, ErrInactive)
	}
}

func TestPinnedIssuersAndAudiences(t *testing.T) {
	o := Options{Issuers: []string{"https://as.example", "https://other.example"}, Audiences: []string{"api", "web"}}
	for members, want := range map[string]error{
		`"iss":"https://as.example","aud":"api"`:          nil,
		`"iss":"https://other.example","aud":["x","web"]`: nil,
		`"aud":"api"`:                                        token.ErrIssuer,
		`"iss":null,"aud":"api"`:                             token.ErrIssuer,
		`"iss":"","aud":"api"`:                               token.ErrIssuer,
		`"iss":"https://as.example/","aud":"api"`:            token.ErrIssuer,
		`"iss":"https://evil.example","aud":"api"`:           token.ErrIssuer,
		`"Iss":"https://as.example","aud":"api"`:             token.ErrIssuer,
		`"iss":"https://as.example"`:                         token.ErrAudience,
		`"iss":"https://as.example","aud":null`:              token.ErrAudience,
		`"iss":"https://as.example","aud":[]`:                token.ErrAudience,
		`"iss":"https://as.example","aud":"api web"`:         token.ErrAudience,
		`"iss":"https://as.example","aud":"API"`:             token.ErrAudience,
		`"iss":["https://as.example"],"aud":"api"`:           ErrUnavailable,
		`"iss":"https://as.example","aud":["api",1]`:         ErrUnavailable,
		`"iss":"https://as.example","aud":{"api":"api"}`:     ErrUnavailable,
		`"iss":"https://as.example","aud":"api","exp":1`:     token.ErrExpired,
		`"iss":"https://evil.example","aud":"api","exp":1`:   token.ErrIssuer,
		`"iss":"https://as.example","aud":"other","exp":1`:   token.ErrAudience,
		`"iss":"https://as.example","aud":"other","exp":"1"`: ErrUnavailable,
	} {
		c := open(t, newAuthority(says(`{"active":true,`+members+`}`)), o)
		for range 2 { // not accepted from the cache either
			answer, err := c.Introspect(t.Context(), opaque)
			check(t, members, answer, err, want)
			if want != nil && !errors.Is(want, ErrUnavailable) {
				check(t, members, answer, err, ErrInactive)
			}
		}
	}
}

// The server's word is not enough against the times that it gives.
func TestTimesContradictTheServer(t *testing.T) {
	o := Options{Leeway: 30 * time.Second, IssuedAtLeeway: 5 * time.Second, MaxAge: time.Hour}
	for members, want := range map[string]error{
		`"exp":1768478401`:                  nil,
		`"exp":1768478371`:                  nil, // one second of the leeway left
		`"exp":1768478370`:                  token.ErrExpired,
		`"exp":1`:                           token.ErrExpired,
		`"nbf":1768478430`:                  nil,
		`"nbf":1768478430.5`:                token.ErrNotYetValid,
		`"iat":1768478405`:                  nil,
		`"iat":1768478406`:                  token.ErrIssuedInFuture,
		`"iat":1768474800`:                  nil, // an hour ago
		`"iat":1768474799`:                  token.ErrTooOld,
		`"exp":1,"nbf":1768478431`:          token.ErrNotYetValid,
		`"exp":1,"iat":1`:                   token.ErrExpired,
		`"exp":253402300799,"iat":1.768e9`:  token.ErrTooOld,
		`"exp":1768478401,"iat":1768478400`: nil,
	} {
		o.Now = newClock().Now
		expect(t, open(t, newAuthority(says(`{"active":true,`+members+`}`)), o), members, opaque, want)
	}
}

func TestRefreshTokensAreNoAccessTokens(t *testing.T) {
	for members, want := range map[string]error{
		`"token_type":"Bearer"`:                               nil,
		`"token_type":"access_token"`:                         nil,
		`"token_type":null,"token_use":null`:                  nil,
		`"token_use":"access_token","token_type":"Bearer"`:    nil,
		`"typ":"Bearer"`:                                      nil,
		`"typ":["Refresh"]`:                                   nil, // nobody writes it like that
		`"use":"refresh_token"`:                               nil,
		`"token_use":"refresh_token","token_type":"Bearer"`:   ErrInactive,
		`"token_type":"refresh_token"`:                        ErrInactive,
		`"token_type":"Refresh"`:                              ErrInactive,
		`"typ":"Refresh","exp":9999999999`:                    ErrInactive,
		`"typ":"Offline"`:                                     ErrInactive,
		`"typ":"ID"`:                                          ErrInactive,
		`"token_use":"\u0072efresh_token"`:                    ErrInactive,
		`"token_use":"access_token","token_type":"id_token"`:  ErrInactive,
		`"token_use":"refresh_token","exp":"not even a date"`: ErrUnavailable,
	} {
		expect(t, open(t, newAuthority(says(`{"active":true,`+members+`}`)), Options{}), members, opaque, want)
	}
}

// What no server can have issued is refused without being sent to one.
func TestImpossibleTokensAreNotSent(t *testing.T) {
	server := newAuthority(says(`{"active":true}`))
	c := open(t, server, Options{})
	for raw, want := range map[string]error{
		"":                        token.ErrMissing,
		"line\r\nbreak":           token.ErrMalformed,
		"nul\x00":                 token.ErrMalformed,
		"é":                       token.ErrMalformed,
		"tab\t":                   token.ErrMalformed,
		"\x7f":                    token.ErrMalformed,
		strings.Repeat("x", 8193): token.ErrTooLarge,
	} {
		answer, err := c.Introspect(t.Context(), raw)
		check(t, "impossible", answer, err, want)
		check(t, "impossible", answer, err, ErrInactive)
	}
	if n := server.count(); n != 0 {
		t.Errorf("%d requests", n)
	}
	expect(t, c, "the longest", strings.Repeat("x", 8192), nil)
	expect(t, c, "any printable character", " !\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~", nil)
}
