package token

import (
	"bytes"
	"errors"
	"math"
	"strconv"

	"github.com/go-json-experiment/json/jsontext"

	"example.com/caddy-token-auth/token/internal/strictjson"
)

// claims is what verification needs of a payload (RFC 7519 §4.1). An empty string
// stands for an absent claim.
type claims struct {
	issuer, id      string
	client, session string
	audience        []string

	expires, notBefore, issuedAt date
}

// date is a NumericDate (RFC 7519 §2) in microseconds of Unix time; 0 if absent.
type date int64

// maxDate is the end of the year 9999 in seconds, beyond which RFC 3339 has no dates.
const maxDate = 253402300800

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
			c.audience, ok = texts(value)
		case "exp":
			c.expires, ok = numericDate(value)
		case "nbf":
			c.notBefore, ok = numericDate(value)
		case "iat":
			c.issuedAt, ok = numericDate(value)
		case "jti":
			c.id, ok = strictjson.String(value)
			ok = ok && c.id != ""
		case "sub":
			_, ok = identifier(value)
		}
		if !ok {
			return refusal(ErrClaim, name)
		}
		if name == client {
			if c.client, ok = identifier(value); !ok {
				return refusal(ErrClaim, "client")
			}
		}
		if name == session {
			if c.session, ok = identifier(value); !ok {
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

// identifier returns a claim that names somebody: a string that is not empty, or an
// integer without fraction, exponent or needless zeros, as its digits.
func identifier(value jsontext.Value) (string, bool) {
	if value.Kind() != '0' {
		s, ok := strictjson.String(value)
		return s, ok && s != ""
	}
	s := string(value)
	if s == "-0" || bytes.ContainsAny(value, ".eE") {
		return "", false
	}
	return s, true
}

// texts returns a string or an array of strings (RFC 7519 §4.1.3).
func texts(value jsontext.Value) ([]string, bool) {
	if s, ok := strictjson.String(value); ok {
		return []string{s}, true
	}
	return strictjson.Strings(value)
}

// numericDate returns a JSON number of seconds after 1 January 1970 and before the
// year 10000. What is finer than a microsecond is cut off.
func numericDate(value jsontext.Value) (date, bool) {
	if value.Kind() != '0' {
		return 0, false
	}
	seconds, err := strconv.ParseFloat(string(value), 64)
	if err != nil || seconds <= 0 || seconds >= maxDate {
		return 0, false
	}
	whole, fraction := math.Modf(seconds)
	d := date(whole)*1e6 + date(fraction*1e6)
	return d, d > 0
}
