package introspect

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"example.com/caddy-token-auth/token/internal/strictjson"
)

// errNotAccessToken: the server calls the token active, but says that it is another kind.
var errNotAccessToken = errors.New("not an access token")

// otherKinds are the values of token_type, token_use and typ, in lower case, with which
// servers tell the other kinds of tokens from access tokens.
var otherKinds = []string{"refresh_token", "refresh", "offline", "id_token", "id"}

// maxDate is the end of the year 9999 in seconds, beyond which RFC 3339 has no dates.
const maxDate = 253402300800

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
		return a.keep(name, value)
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

// read takes the members that have a meaning here, and reports whether value has the
// type that it must have.
func (a *Answer) read(name string, value jsontext.Value, client, session string) bool {
	ok := true
	switch name {
	case "iss":
		a.issuer, ok = strictjson.String(value)
	case "aud":
		a.audience, ok = texts(value)
	case "exp":
		a.expires, ok = numericDate(value)
	case "nbf":
		a.notBefore, ok = numericDate(value)
	case "iat":
		a.issuedAt, ok = numericDate(value)
	case "jti":
		a.id, ok = strictjson.String(value)
		ok = ok && a.id != ""
	case "username":
		_, ok = strictjson.String(value)
	case "sub", "client_id", "sid":
		_, ok = identifier(value)
	}
	if ok && name == client {
		a.client, ok = identifier(value)
	}
	if ok && name == session {
		a.session, ok = identifier(value)
	}
	return ok
}

// keep makes a member available as a claim.
func (a *Answer) keep(name string, value jsontext.Value) error {
	switch value.Kind() {
	case '"':
		a.claims[name], _ = strictjson.String(value)
	case '{', '[':
		value = value.Clone()
		if err := value.Compact(); err != nil {
			return err
		}
		a.claims[name] = string(value)
	default: // a number or a boolean
		a.claims[name] = string(value)
	}
	return nil
}

func isOtherKind(name string, value jsontext.Value) bool {
	if name != "token_type" && name != "token_use" && name != "typ" {
		return false
	}
	kind, _ := strictjson.String(value)
	return slices.Contains(otherKinds, strings.ToLower(kind))
}

// identifier returns a member that names somebody: a string that is not empty, or an
// integer without fraction, exponent or needless zeros, as its digits.
func identifier(value jsontext.Value) (string, bool) {
	if s, ok := strictjson.String(value); ok {
		return s, s != ""
	}
	return string(value), value.Kind() == '0' && string(value) != "-0" && !bytes.ContainsAny(value, ".eE")
}

// texts returns a string or an array of strings (RFC 7519 §4.1.3).
func texts(value jsontext.Value) ([]string, bool) {
	if s, ok := strictjson.String(value); ok {
		return []string{s}, true
	}
	return strictjson.Strings(value)
}

// numericDate returns a JSON number of seconds after 1 January 1970 and before the year
// 10000 (RFC 7519 §2). What is finer than a microsecond is cut off.
func numericDate(value jsontext.Value) (time.Time, bool) {
	if value.Kind() != '0' {
		return time.Time{}, false
	}
	seconds, err := strconv.ParseFloat(string(value), 64)
	if err != nil || seconds <= 0 || seconds >= maxDate {
		return time.Time{}, false
	}
	return time.UnixMicro(int64(seconds * 1e6)).UTC(), true
}
