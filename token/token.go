package token

import (
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"example.com/caddy-token-auth/revocation"
	"example.com/caddy-token-auth/token/internal/strictjson"
)

// Token is a verified token. It is immutable.
type Token struct {
	identity *revocation.Identity
	key      *life // of the key that signed it
	unfit    error

	expires, notBefore, issuedAt date

	// payload is the base64url text of the claims. It shares its memory with the key of
	// the cache, so that claims which nobody reads cost nothing.
	payload string
	read    sync.Once
	claims  map[string]string // written once, under read
}

// Identity returns the identifiers that the revocation list is asked about.
func (t *Token) Identity() *revocation.Identity { return t.identity }

// Unfit returns why t, genuine as it is, must not be taken for an access token that its
// bearer need not prove anything for, or nil: ErrSenderConstrained, or ErrHeader for a typ
// that is not among Config.AccessTypes. Who has t may still revoke it, or exchange it where
// its issuer asks for the proof.
func (t *Token) Unfit() error { return t.unfit }

// Expires returns exp without leeway, or the zero time if the token has none.
func (t *Token) Expires() time.Time { return t.expires.time() }

// NotBefore returns nbf without leeway, or the zero time if the token has none.
func (t *Token) NotBefore() time.Time { return t.notBefore.time() }

// IssuedAt returns iat, or the zero time if the token has none.
func (t *Token) IssuedAt() time.Time { return t.issuedAt.time() }

// Claim returns the top-level claim with exactly this name: a string as it is, a
// number or boolean as its JSON text, an array or object as JSON without white space.
// It returns false if there is no such claim or if it is null. A string may hold any
// character, line breaks included: check it before it becomes part of a header field.
//
// The first call reads the claims; later ones do not allocate.
func (t *Token) Claim(name string) (string, bool) {
	t.read.Do(t.readClaims)
	value, ok := t.claims[name]
	return value, ok
}

func (t *Token) readClaims() {
	payload, ok := decodeSegment(t.payload)
	if !ok {
		return
	}
	t.claims = make(map[string]string)
	// The payload passed members when the token was verified.
	_ = strictjson.Members(payload, func(name string, value jsontext.Value) error {
		if value.Kind() == 'n' {
			return nil
		}
		text, err := strictjson.Text(value)
		t.claims[name] = text
		return err
	})
}

// Format implements fmt.Formatter. It keeps personal claims out of logs.
func (t *Token) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, "verified token") }

func (d date) time() time.Time {
	if d == 0 {
		return time.Time{}
	}
	return time.UnixMicro(int64(d)).UTC()
}
