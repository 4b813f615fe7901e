package token

import (
	"encoding/base64"
	"strings"
)

// compact is a JWS in compact serialisation (RFC 7515 §3.1), cut at its dots.
type compact struct {
	header, payload, signature string
	// signed is what the signature covers: header, dot and payload as they came.
	signed string
}

// parseCompact cuts raw. Everything but exactly two dots between base64url texts is
// refused: JWE (five parts), the JSON serialisations, padding, white space and line
// breaks, which the decoder of the standard library would skip. The signature may be
// empty here, so that an unsecured token is refused for its algorithm.
func parseCompact(raw string) (compact, bool) {
	first := strings.IndexByte(raw, '.')
	last := strings.LastIndexByte(raw, '.')
	if first <= 0 || last-first < 2 {
		return compact{}, false
	}
	c := compact{header: raw[:first], payload: raw[first+1 : last], signature: raw[last+1:], signed: raw[:last]}
	return c, isBase64URL(c.header) && isBase64URL(c.payload) && isBase64URL(c.signature)
}

func isBase64URL(s string) bool { return allIn(s, &base64url) }

// decodeSegment decodes base64url without padding (RFC 7515 §2) and refuses unused
// bits that are not zero. s must have passed isBase64URL.
func decodeSegment(s string) ([]byte, bool) {
	b, err := base64.RawURLEncoding.Strict().DecodeString(s)
	return b, err == nil
}
