package token

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"net/http"
	"regexp"
	"strings"
	"testing"
)

// texts of all errors that Verify and BearerFromHeader can return. That an error's
// text is one of them shows that it holds nothing of the token.
var errorTexts = map[string]bool{
	"no credential": true, "conflicting credentials": true,
	"malformed token: not a bearer credential": true, "malformed token: too long": true,
	"malformed token: not a compact JWS": true, "malformed token: base64url": true,
	"malformed token: header is not a strict JSON object": true, "malformed token: payload is not a strict JSON object": true,
	"algorithm not allowed": true, "signature is invalid": true, "token has expired": true,
	"token is not valid yet": true, "token was issued in the future": true,
	"header not allowed: crit": true, "header not allowed: b64": true, "header not allowed: enc": true, "header not allowed: zip": true,
	"header not allowed: kid": true, "header not allowed: typ": true, "header not allowed: cty": true,
	"invalid claim: iss": true, "invalid claim: aud": true, "invalid claim: exp": true, "invalid claim: nbf": true,
	"invalid claim: iat": true, "invalid claim: jti": true, "invalid claim: sub": true, "invalid claim: client": true, "invalid claim: session": true,
}

// FuzzVerify compares Verify with a check of its own for HS256. With sign, what comes
// before the last dot gets a genuine signature, so that the fuzzer gets behind it.
func FuzzVerify(f *testing.F) {
	f.Add(hs256(good(`"sub":"a",`)), false)
	f.Add(encode(`{"alg":"HS256"}`)+"."+encode(`{"jti":"t","aud":["x"]}`)+".", true)
	v := verifier(f, Config{})
	f.Fuzz(func(t *testing.T, token string, sign bool) {
		if cut := strings.LastIndexByte(token, '.'); sign && cut >= 0 {
			token = token[:cut+1] + encode(withHMAC(secret)(token[:cut]))
		}
		tok, err := v.Verify(t.Context(), token)
		again, errAgain := v.Verify(t.Context(), fresh(token))
		if tok != again || (err == nil) != (errAgain == nil) {
			t.Fatalf("first %v, then %v", err, errAgain)
		}
		if err != nil {
			if tok != nil || !errorTexts[err.Error()] {
				t.Fatalf("token %v with error %q", tok != nil, err)
			}
			return
		}
		if fault := reference(token); fault != nil {
			t.Fatalf("accepted: %v", fault)
		}
		if id := tok.Identity(); id == nil || id.Token() == "" {
			t.Fatal("no identity")
		}
		tok.Claim("sub")
	})
}

// reference checks token in another way than the package does.
func reference(token string) error {
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return errors.New("not three parts")
	}
	var decoded [3][]byte
	for i, part := range parts {
		var err error
		if decoded[i], err = base64.RawURLEncoding.DecodeString(part); err != nil || encode(decoded[i]) != part {
			return errors.New("not the one base64url spelling")
		}
	}
	mac := hmac.New(sha256.New, secret)
	mac.Write([]byte(parts[0] + "." + parts[1]))
	if !hmac.Equal(mac.Sum(nil), decoded[2]) {
		return errors.New("not a genuine signature")
	}
	var header, payload map[string]any
	if json.Unmarshal(decoded[0], &header) != nil || header["alg"] != "HS256" || header["crit"] != nil {
		return errors.New("header")
	}
	if json.Unmarshal(decoded[1], &payload) != nil && !hugeNumber.Match(decoded[1]) {
		return errors.New("payload")
	}
	if exp, ok := payload["exp"]; ok {
		if seconds, ok := exp.(float64); !ok || seconds <= noon {
			return errors.New("expired")
		}
	}
	return nil
}

// hugeNumber matches what encoding/json cannot hold in a float64.
var hugeNumber = regexp.MustCompile(`[eE][+]?[0-9]{3,}|[0-9]{300,}`)

// FuzzBearerFromHeader compares BearerFromHeader with the grammar of RFC 6750 §2.1.
func FuzzBearerFromHeader(f *testing.F) {
	f.Add("Bearer abc.def.ghi", "", false)
	f.Add("Bearer abc", "Bearer abd", true)
	grammar := regexp.MustCompile(`\A(?i:bearer) +([A-Za-z0-9._~+/-]+=*)\z`)
	f.Fuzz(func(t *testing.T, first, second string, two bool) {
		values := []string{first}
		if two {
			values = append(values, second)
		}
		token, err := BearerFromHeader(http.Header{"Authorization": values})
		if err != nil {
			if token != "" || !errorTexts[err.Error()] {
				t.Fatalf("token %q with error %q", token, err)
			}
		}
		for _, value := range values {
			match := grammar.FindStringSubmatch(value)
			if err == nil && (match == nil || match[1] != token) {
				t.Fatalf("%q gives %q", values, token)
			}
			if err != nil && match != nil && len(values) == 1 {
				t.Fatalf("%q: %v", values, err)
			}
		}
	})
}
