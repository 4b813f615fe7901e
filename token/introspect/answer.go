package introspect

import (
	"fmt"
	"io"
	"time"
)

// Answer is what the server says about an active token (RFC 7662 §2.2). It is immutable.
type Answer struct {
	issuer, id      string
	client, session string
	audience        []string
	bound           bool

	expires, notBefore, issuedAt time.Time

	claims map[string]string
}

// Claim returns the top-level member with exactly this name, as token.Token.Claim does:
// a string as it is, a number or boolean as its JSON text, an array or object as JSON
// without white space. It returns false if there is no such member or if it is null. A
// string may hold any character, line breaks included: check it before it becomes part
// of a header field.
func (a *Answer) Claim(name string) (string, bool) {
	value, ok := a.claims[name]
	return value, ok
}

// Client returns the identifier in Options.ClientClaim, or "".
func (a *Answer) Client() string { return a.client }

// Session returns the identifier in Options.SessionClaim, or "".
func (a *Answer) Session() string { return a.session }

// ID returns jti, or "".
func (a *Answer) ID() string { return a.id }

// Issuer returns iss, or "".
func (a *Answer) Issuer() string { return a.issuer }

// SenderConstrained reports whether the token is good only together with proof of the key
// that it is bound to (RFC 8705 §3.2, RFC 9449 §6.2).
func (a *Answer) SenderConstrained() bool { return a.bound }

// Expires returns exp without leeway, or the zero time if there is none.
func (a *Answer) Expires() time.Time { return a.expires }

// NotBefore returns nbf without leeway, or the zero time if there is none.
func (a *Answer) NotBefore() time.Time { return a.notBefore }

// IssuedAt returns iat, or the zero time if there is none.
func (a *Answer) IssuedAt() time.Time { return a.issuedAt }

// Format implements fmt.Formatter. It keeps personal claims out of logs.
func (a *Answer) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, "active token") }
