package introspect

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"example.com/caddy-token-auth/token/internal/strictjson"
)

// errNotAccessToken: the server calls the token active, but says that it is another kind.
var errNotAccessToken = errors.New("not an access token")

// errUnsupportedType: the server does not answer about tokens of this kind.
var errUnsupportedType = errors.New("the server does not introspect tokens of this type")

// unsupportedType is what a server says of a token, such as a JWT, that it cannot be asked
// about (RFC 7009 §2.2.1; of introspection no RFC says it, but servers do the same). It is
// the one error of OAuth 2.0 that is about the token and cannot be about us.
const unsupportedType = "unsupported_token_type"

// otherKinds are the values of token_type, token_use and typ, in lower case, with which
// servers tell the other kinds of tokens from access tokens.
var otherKinds = []string{"refresh_token", "refresh", "offline", "id_token", "id"}

// parse reads an answer (RFC 7662 §2.2). client and session name the members with these
// identifiers. It returns the answer about an active token, or an error that wraps
// ErrInactive if the answer is that the token is not one, or an error that says what is
// wrong with the answer. An answer that is inactive needs no other member to be right.
func parse(doc []byte, client, session string) (*Answer, error) {
	a := &Answer{claims: make(map[string]string)}
	var active, other bool
	var stated bool     // there is a member active
	var mistyped string // the first such member
	err := strictjson.Members(doc, func(name string, value jsontext.Value) error {
		if name == "active" {
			stated, active = value.Kind() == 't' || value.Kind() == 'f', value.Kind() == 't'
		}
		if value.Kind() == 'n' {
			return nil // says as little as an absent one
		}
		if !a.read(name, value, client, session) && mistyped == "" {
			mistyped = name
		}
		other = other || isOtherKind(name, value)
		text, err := strictjson.Text(value)
		a.claims[name] = text
		return err
	})
	switch {
	case err != nil:
		return nil, errors.New("an answer that is not a strict JSON object")
	case !stated:
		return nil, errors.New("an answer without a boolean member active")
	case !active:
		return nil, ErrInactive
	case mistyped != "":
		return nil, fmt.Errorf("an answer with an invalid member %q", mistyped)
	case other:
		return nil, inactive(errNotAccessToken)
	}
	return a, nil
}

// isUnsupportedType reports whether an answer with status 400 says unsupportedType, and
// leaves no doubt.
func isUnsupportedType(doc []byte) bool {
	said, stated := "", false
	err := strictjson.Members(doc, func(name string, value jsontext.Value) error {
		switch name {
		case "error":
			said, _ = strictjson.String(value)
		case "active":
			stated = true
		}
		return nil
	})
	return err == nil && said == unsupportedType && !stated
}

// read takes the members that have a meaning here, and reports whether value has the
// type that it must have.
func (a *Answer) read(name string, value jsontext.Value, client, session string) bool {
	ok := true
	switch name {
	case "iss":
		a.issuer, ok = strictjson.String(value)
	case "aud":
		a.audience, ok = strictjson.OneOrMore(value)
	case "exp":
		a.expires, ok = numericDate(value)
	case "nbf":
		var micros int64
		micros, ok = strictjson.Start(value)
		a.notBefore = time.UnixMicro(micros).UTC()
	case "iat":
		a.issuedAt, ok = numericDate(value)
	case "jti":
		a.id, ok = strictjson.String(value)
		ok = ok && a.id != ""
	case "cnf":
		a.bound = true
	case "token_type":
		kind, _ := strictjson.String(value)
		a.bound = a.bound || strings.EqualFold(kind, "DPoP")
	case "username":
		_, ok = strictjson.String(value)
	case "sub", "client_id", "sid":
		_, ok = strictjson.Identifier(value)
	}
	if ok && name == client {
		a.client, ok = strictjson.Identifier(value)
	}
	if ok && name == session {
		a.session, ok = strictjson.Identifier(value)
	}
	return ok
}

func isOtherKind(name string, value jsontext.Value) bool {
	if name == "events" {
		return value.Kind() == '{' // a security event token (RFC 8417 §2.2)
	}
	if name != "token_type" && name != "token_use" && name != "typ" {
		return false
	}
	kind, _ := strictjson.String(value)
	return slices.Contains(otherKinds, strings.ToLower(kind))
}

func numericDate(value jsontext.Value) (time.Time, bool) {
	micros, ok := strictjson.NumericDate(value)
	if !ok {
		return time.Time{}, false
	}
	return time.UnixMicro(micros).UTC(), true
}
