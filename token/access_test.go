package token

import (
	"errors"
	"testing"
)

// A token that is bound to a key is genuine, and no bearer token (RFC 9449 §6, RFC 8705 §3).
func TestSenderConstrainedTokenIsNoBearerToken(t *testing.T) {
	refusing, ignoring := verifier(t, Config{}), verifier(t, Config{AllowSenderConstrained: true})
	for cnf, bound := range map[string]bool{
		`{"jkt":"0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I"}`:      true,
		`{"x5t#S256":"bwcK0esc3ACC3DB2Y5_lESsXE8o9ltc05O89jdN-dg2"}`: true,
		`{"jwk":{"kty":"OKP","crv":"Ed25519","x":"AA"}}`:             true,
		`{"kid":"1"}`: true,
		`{}`:          true, // of a kind that nobody knows
		`"x"`:         true,
		`true`:        true,
		`null`:        false, // says as little as an absent one
	} {
		raw := hs256(good(`"cnf":` + cnf + `,`))
		for range 2 { // verified and from the cache
			tok, err := refusing.Verify(t.Context(), raw)
			if err != nil {
				t.Fatalf("%s is not genuine: %v", cnf, err)
			}
			if err := tok.Unfit(); errors.Is(err, ErrSenderConstrained) != bound || (err != nil) != bound {
				t.Errorf("%s: %v", cnf, err)
			}
			if err := must(ignoring.Verify(t.Context(), raw)).Unfit(); err != nil {
				t.Errorf("%s, ignored: %v", cnf, err)
			}
		}
	}
	for _, fields := range []string{``, `"CNF":{"jkt":"x"},`, `"x":{"cnf":{"jkt":"x"}},`} {
		if err := must(refusing.Verify(t.Context(), hs256(good(fields)))).Unfit(); err != nil {
			t.Errorf("%s %v", fields, err)
		}
	}
}

// Logout tokens and other security event tokens (RFC 8417 §2.2) are no access tokens, though
// some issuers give them no typ. A claim of that name and another type is the API's own.
func TestSecurityEventTokenIsNoAccessToken(t *testing.T) {
	v := verifier(t, Config{AllowSenderConstrained: true})
	for fields, want := range map[string]error{
		`"events":{"http://schemas.openid.net/event/backchannel-logout":{}},`: ErrClaim,
		`"events":{},`:                         ErrClaim,
		`"events":["concert"],"events_max":7,`: nil,
		`"events":"all",`:                      nil,
		`"events":3,`:                          nil,
		`"events":null,`:                       nil,
		`"Events":{},"x":{"events":{"urn:ietf:params:event":1}},`: nil,
	} {
		for _, typ := range []string{"", `,"typ":"JWT"`, `,"typ":"at+jwt"`} {
			token := raw(`{"alg":"HS256"`+typ+`}`, good(fields), withHMAC(secret))
			if _, err := v.Verify(t.Context(), token); !errors.Is(err, want) {
				t.Errorf("%s%s: %v; want %v", fields, typ, err, want)
			}
		}
	}
}

func TestAccessTokensCanBeOfChosenTypesOnly(t *testing.T) {
	typed := func(typ string) string { return raw(`{"alg":"HS256"`+typ+`}`, good(""), withHMAC(secret)) }
	only := verifier(t, Config{AccessTypes: []string{"at+jwt"}})
	prefixed := verifier(t, Config{AccessTypes: []string{"application/AT+jwt"}})
	own := verifier(t, Config{AccessTypes: []string{"at+jwt", "vnd.example+jwt"}})
	for typ, fit := range map[string][3]error{
		`,"typ":"at+jwt"`:               {nil, nil, nil},
		`,"typ":"AT+JWT"`:               {nil, nil, nil},
		`,"typ":"application/at+jwt"`:   {nil, nil, nil},
		`,"typ":"vnd.example+jwt"`:      {errNotGenuine, errNotGenuine, nil},
		`,"typ":"JWT"`:                  {ErrHeader, ErrHeader, ErrHeader},
		`,"typ":"application/jwt"`:      {ErrHeader, ErrHeader, ErrHeader},
		``:                              {ErrHeader, ErrHeader, ErrHeader},
		`,"typ":"logout+jwt"`:           {errNotGenuine, errNotGenuine, errNotGenuine},
		`,"typ":"text/at+jwt"`:          {errNotGenuine, errNotGenuine, errNotGenuine},
		`,"typ":"application/x/at+jwt"`: {errNotGenuine, errNotGenuine, errNotGenuine},
		`,"typ":"at+jwt;v=1"`:           {errNotGenuine, errNotGenuine, errNotGenuine},
	} {
		for i, v := range []*Verifier{only, prefixed, own} {
			for range 2 {
				tok, err := v.Verify(t.Context(), typed(typ))
				if fit[i] == errNotGenuine {
					if !errors.Is(err, ErrHeader) {
						t.Errorf("%s, verifier %d: %v", typ, i, err)
					}
					continue
				}
				// Whatever typ refresh tokens have, they are genuine.
				if err != nil || !errors.Is(tok.Unfit(), fit[i]) || fit[i] == nil && tok.Unfit() != nil {
					t.Errorf("%s, verifier %d: %v, %v", typ, i, err, tok.Unfit())
				}
			}
		}
	}
	for _, typ := range []string{"", "application/", "at jwt", "a/b/c", "at+jwt;v=1", "ät"} {
		if _, err := NewVerifier(Config{Keys: []VerificationKey{hmacKey(t, secret)}, AccessTypes: []string{typ}}); err == nil {
			t.Errorf("the type %q is accepted", typ)
		}
	}
}

// errNotGenuine stands for a token that is refused altogether.
var errNotGenuine = errors.New("not genuine")
