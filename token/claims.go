package token

import (
	"errors"

	"github.com/go-json-experiment/json/jsontext"

	"example.com/caddy-token-auth/token/internal/strictjson"
)

// claims is what verification needs of a payload (RFC 7519 §4.1). An empty string
// stands for an absent claim.
type claims struct {
	issuer, id      string
	client, session string
	audience        []string
	bound           bool // to a key that the sender must have (RFC 7800 §3.1)

	expires, notBefore, issuedAt date
}

// date is a NumericDate (RFC 7519 §2) in microseconds of Unix time; 0 if absent.
type date int64

// parseClaims reads a payload. client and session name the claims that hold these
// identifiers. A payload that is not a strict JSON object gives ErrMalformed, a claim
// of the wrong type ErrClaim.
func parseClaims(payload []byte, client, session string) (claims, error) {
	var c claims
	err := strictjson.Members(payload, func(name string, value jsontext.Value) error {
		ok := true
		switch name {
		case "iss":
			c.issuer, ok = strictjson.String(value)
		case "aud":
			c.audience, ok = strictjson.OneOrMore(value)
		case "exp":
			c.expires, ok = numericDate(value)
		case "nbf":
			var micros int64
			micros, ok = strictjson.Start(value)
			c.notBefore = date(micros)
		case "iat":
			c.issuedAt, ok = numericDate(value)
		case "jti":
			c.id, ok = strictjson.String(value)
			ok = ok && c.id != ""
		case "cnf":
			c.bound = value.Kind() != 'n'
		case "events":
			// A security event token (RFC 8417 §2.2) is no access token.
			ok = value.Kind() != '{'
		case "sub":
			_, ok = strictjson.Identifier(value)
		}
		if !ok {
			return refusal(ErrClaim, name)
		}
		if name == client {
			if c.client, ok = strictjson.Identifier(value); !ok {
				return refusal(ErrClaim, "client")
			}
		}
		if name == session {
			if c.session, ok = strictjson.Identifier(value); !ok {
				return refusal(ErrClaim, "session")
			}
		}
		return nil
	})
	if errors.Is(err, strictjson.ErrNotStrict) {
		return claims{}, refusal(ErrMalformed, "payload is not a strict JSON object")
	}
	return c, err
}

func numericDate(value jsontext.Value) (date, bool) {
	micros, ok := strictjson.NumericDate(value)
	return date(micros), ok
}
