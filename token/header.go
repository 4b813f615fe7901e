package token

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/go-json-experiment/json/jsontext"
	"golang.org/x/net/http/httpguts"

	"example.com/caddy-token-auth/token/internal/strictjson"
)

// header is what matters of a JOSE header (RFC 7515 §4.1).
type header struct {
	alg string
	kid string // "" if absent
	typ string // as mediaType returns it; "jwt" if absent
}

// parseHeader reads a JOSE header. types holds the accepted values of typ, in lower
// case and without "application/".
//
// Refused with ErrHeader: crit, since no extension is implemented (RFC 7515 §4.1.11);
// b64 (RFC 7797); enc and zip, which belong to encrypted tokens; cty "JWT", a nested
// token (RFC 7519 §5.2); a typ that is not among types, so that a token made for
// another purpose is not taken for an access token (RFC 8725 §3.11).
//
// jwk, jku, x5c, x5u and x5t may be there and are not looked at.
func parseHeader(doc []byte, types []string) (header, error) {
	h := header{typ: "jwt"} // a token without typ counts as a plain JWT
	err := strictjson.Members(doc, func(name string, value jsontext.Value) error {
		switch name {
		case "crit", "b64", "enc", "zip":
			return refusal(ErrHeader, name)
		case "alg":
			s, ok := strictjson.String(value)
			if !ok {
				return ErrAlgorithm
			}
			h.alg = s
		case "kid":
			s, ok := strictjson.String(value)
			if !ok {
				return refusal(ErrHeader, name)
			}
			h.kid = s
		case "typ":
			s, ok := strictjson.String(value)
			if !ok {
				return refusal(ErrHeader, name)
			}
			h.typ = mediaType(s)
		case "cty":
			if s, ok := strictjson.String(value); !ok || mediaType(s) == "jwt" {
				return refusal(ErrHeader, name)
			}
		}
		return nil
	})
	switch {
	case errors.Is(err, strictjson.ErrNotStrict):
		return header{}, refusal(ErrMalformed, "header is not a strict JSON object")
	case err != nil:
		return header{}, err
	case h.alg == "":
		return header{}, ErrAlgorithm
	}
	if !slices.Contains(types, h.typ) {
		return header{}, refusal(ErrHeader, "typ")
	}
	return h, nil
}

// mediaTypes returns what mediaType makes of each, or an error if one is no media type (RFC
// 9110 §8.3.1, without parameters).
func mediaTypes(texts []string) ([]string, error) {
	types := make([]string, len(texts))
	for i, text := range texts {
		types[i] = mediaType(text)
		main, sub, ok := strings.Cut(types[i], "/")
		if !ok {
			main, sub = "application", main
		}
		if !httpguts.ValidHeaderFieldName(main) || !httpguts.ValidHeaderFieldName(sub) { // RFC 9110 §5.6.2: tokens as well
			return nil, fmt.Errorf("types: %q: want the typ of tokens, such as at+jwt", text)
		}
	}
	return types, nil
}

// mediaType returns a value of typ or cty in lower case and without the prefix that
// RFC 7515 §4.1.9 allows to leave out.
func mediaType(s string) string {
	return strings.TrimPrefix(strings.ToLower(s), "application/")
}
