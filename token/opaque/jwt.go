package opaque

import (
	"encoding/base64"
	"strings"
)

// ResemblesJWT reports whether some parser might take raw for a JWT, a signed or an
// encrypted one: whether what stands before its first dot, or all of it, can be decoded, however
// leniently, to something that begins like a JSON object.
func ResemblesJWT(raw string) bool {
	head, _, _ := strings.Cut(raw, ".")
	// Lenient decoders skip what is not of their alphabet. The beginning is enough.
	var letters [16]byte
	n := 0
	for i := 0; i < len(head) && n < len(letters); i++ {
		switch c := head[i]; {
		case isAlphanumeric(c):
			letters[n] = c
			n++
		case c == '-' || c == '+':
			letters[n] = '-'
			n++
		case c == '_' || c == '/':
			letters[n] = '_'
			n++
		}
	}
	// One letter over is less than a byte, and decoders that take it drop it.
	if n%4 == 1 {
		n--
	}
	var decoded [12]byte
	size, err := base64.RawURLEncoding.Decode(decoded[:], letters[:n])
	if err != nil {
		return false
	}
	text := strings.TrimPrefix(string(decoded[:size]), "\ufeff")
	return strings.HasPrefix(strings.TrimLeft(text, " \t\r\n\f\v\x00"), "{")
}

// signedPart returns what names a token that resembles a JWT: all but the signature of
// a JWS in compact form (RFC 7515 §3.1), all of a JWE (RFC 7516 §3.1). It takes the one
// strict spelling of either.
func signedPart(raw string) (string, bool) {
	parts := strings.Split(raw, ".")
	if len(parts) != 3 && len(parts) != 5 {
		return "", false
	}
	for i, part := range parts {
		if _, err := base64.RawURLEncoding.Strict().DecodeString(part); err != nil {
			return "", false
		}
		// The encrypted key of a JWE is empty with direct encryption.
		if part == "" && (len(parts) != 5 || i != 1) {
			return "", false
		}
	}
	if len(parts) == 5 {
		return raw, true
	}
	return raw[:strings.LastIndexByte(raw, '.')], true
}
