package opaque

import (
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"strings"
)

const (
	// Prefix begins every name, and no identifier of another origin.
	Prefix = "opaque:"
	// MaxLength is the longest token that is named, in bytes.
	MaxLength = 8192
	// MinSecret is the shortest secret, in bytes.
	MinSecret = 32

	// nameSize is how many bytes of the HMAC a name has: enough that no two tokens have
	// the same one.
	nameSize = 24
)

// ErrMalformed says that the text cannot be a bearer token (RFC 6750 §2.1), is longer than
// MaxLength, or resembles a JWT without being one.
var ErrMalformed = errors.New("malformed opaque token")

// Namer names opaque tokens. It never changes.
type Namer struct {
	key []byte
}

// NewNamer returns the Namer for a secret of at least MinSecret bytes. The same secret
// gives the same names, in every process.
func NewNamer(secret []byte) (*Namer, error) {
	if len(secret) < MinSecret {
		return nil, fmt.Errorf("secret of %d bytes: want at least %d", len(secret), MinSecret)
	}
	key, err := hkdf.Key(sha256.New, secret, nil, "token_auth opaque token", sha256.Size)
	if err != nil {
		return nil, err
	}
	return &Namer{key: key}, nil
}

// Name returns the name of a token, or ErrMalformed.
func (n *Namer) Name(raw string) (string, error) {
	if raw == "" || len(raw) > MaxLength || !isB64Token(raw) {
		return "", ErrMalformed
	}
	text, ok := signedPart(raw)
	if !ok {
		if ResemblesJWT(raw) {
			return "", ErrMalformed
		}
		// The list may know a token that only begins like a JWT by the name that one has.
		text = canonical(raw)
		if part, ok := signedPart(text); ok {
			text = part
		}
	}
	mac := hmac.New(sha256.New, n.key)
	_, _ = io.WriteString(mac, text) // never fails
	return Prefix + base64.RawURLEncoding.EncodeToString(mac.Sum(nil)[:nameSize]), nil
}

// Format implements fmt.Formatter. A Namer holds a secret and shows nothing.
func (Namer) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, "namer of opaque tokens") }

// isB64Token reports whether s is a b64token: 1*( ALPHA / DIGIT / "-" / "." / "_" /
// "~" / "+" / "/" ) *"=".
func isB64Token(s string) bool {
	s = strings.TrimRight(s, "=")
	for i := range len(s) {
		if c := s[i]; !isAlphanumeric(c) && !strings.ContainsRune("-._~+/", rune(c)) {
			return false
		}
	}
	return s != ""
}

func isAlphanumeric(c byte) bool {
	return '0' <= c && c <= '9' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z'
}

var urlAlphabet = strings.NewReplacer("+", "-", "/", "_")

// canonical returns the one text for all spellings of a token that is no JWT.
func canonical(raw string) string {
	if isHex(raw) {
		return strings.ToLower(strings.ReplaceAll(raw, "-", ""))
	}
	return urlAlphabet.Replace(strings.TrimRight(raw, "="))
}

// isHex reports whether s is nothing but hexadecimal digits and hyphens, in a number
// that is unlikely for a token in another notation.
func isHex(s string) bool {
	const enough = 16
	digits := 0
	for i := range len(s) {
		switch c := s[i]; {
		case '0' <= c && c <= '9', 'a' <= c && c <= 'f', 'A' <= c && c <= 'F':
			digits++
		case c != '-':
			return false
		}
	}
	return digits >= enough
}
