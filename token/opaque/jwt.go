package opaque

import (
	"bytes"
	"encoding/base64"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// ResemblesJWT reports whether some parser might take raw for a JWT, a signed or an
// encrypted one. Two things are needed for that: a dot, which divides header and claims, and in
// front of a dot something that can be decoded, however leniently, to an object with a member
// alg (RFC 7515 §4.1.1). Parsers skip what they do not know, overlook empty parts, or look for a
// JWT inside of a text: so the object may stand in any part but the last, and behind something
// else. JSON is read as leniently: with other quotes or none, comments, escapes, in UTF-16.
//
// What begins with a part that is a whole object, or is one itself, resembles a JWT even
// without alg.
//
// A random token does so once in a billion, and hardly ever without dots.
func ResemblesJWT(raw string) bool {
	for first := true; ; {
		part, rest, dotted := strings.Cut(raw, ".")
		if dotted && namesAlgorithm(part) || first && isObject(part) {
			return true
		}
		if !dotted {
			return false
		}
		first = first && part == ""
		raw = rest
	}
}

// stackLetters is how many letters of base64 are handled without allocating.
const stackLetters = 256

// letters has the letters of both alphabets of base64 as those of the one for URLs, and zero
// for all other bytes.
var letters = func() (table [256]byte) {
	for c := range byte(128) {
		if isAlphanumeric(c) || c == '-' || c == '_' {
			table[c] = c
		}
	}
	table['+'], table['/'] = '-', '_'
	return table
}()

// appendLetters appends at most n letters of base64 among those of part. Lenient decoders
// skip the others, and skipped: what is not of the one alphabet that they know.
func appendLetters(to []byte, part, skipped string, n int) []byte {
	for i := 0; i < len(part) && len(to) < n; i++ {
		if c := letters[part[i]]; c != 0 && strings.IndexByte(skipped, part[i]) < 0 {
			to = append(to, c)
		}
	}
	return to
}

// decode returns what letters stand for, without NUL bytes: so UTF-16 becomes ASCII. It uses
// the memory of text.
func decode(text, encoded []byte) []byte {
	// One letter over is less than a byte, and decoders that take it drop it.
	if len(encoded)%4 == 1 {
		encoded = encoded[:len(encoded)-1]
	}
	text = slices.Grow(text[:0], base64.RawURLEncoding.DecodedLen(len(encoded)))
	text = text[:cap(text)]
	n, err := base64.RawURLEncoding.Decode(text, encoded)
	if err != nil {
		return nil // there are none but letters
	}
	if text = text[:n]; bytes.IndexByte(text, 0) < 0 {
		return text
	}
	return slices.DeleteFunc(text, func(c byte) bool { return c == 0 })
}

// beginsLikeObject reports whether part decodes to something that begins like a JSON object.
func beginsLikeObject(part string) bool {
	// The beginning is enough.
	var memory, text [16]byte
	return bytes.HasPrefix(trim(decode(text[:0], appendLetters(memory[:0], part, "", len(memory)))), []byte("{"))
}

// isObject reports whether part decodes to what begins and ends like a JSON object, and is
// text in between.
func isObject(part string) bool {
	if !beginsLikeObject(part) {
		return false
	}
	text := trim(decode(nil, appendLetters(nil, part, "", len(part))))
	return bytes.HasSuffix(text, []byte("}")) && utf8.Valid(text) &&
		!bytes.ContainsFunc(text, func(r rune) bool { return r < ' ' && !strings.ContainsRune(space, r) })
}

const space = " \t\r\n\f\v"

func trim(text []byte) []byte {
	return bytes.Trim(bytes.TrimPrefix(text, []byte("\ufeff")), space)
}

// namesAlgorithm reports whether part, or the end of part, decodes to something in which there
// is a member alg.
func namesAlgorithm(part string) bool {
	var memory, text [stackLetters]byte
	for _, skipped := range []string{"", "-_", "+/"} {
		if skipped != "" && !strings.ContainsAny(part, skipped) {
			continue
		}
		encoded := appendLetters(memory[:0], part, skipped, len(part))
		for offset := range min(4, len(encoded)) {
			if hasAlg(decode(text[:0], encoded[offset:])) {
				return true
			}
		}
	}
	return false
}

// hasAlg reports whether alg, in any case and with letters escaped, stands in text where a
// member's name can be: behind a brace, and between what may stand around a name.
func hasAlg(text []byte) bool {
	begin := bytes.IndexByte(text, '{')
	if begin < 0 {
		return false
	}
	for i := begin + 1; i < len(text); i++ {
		if c := text[i]; c|0x20 != 'a' && c != '\\' {
			continue
		}
		before, _ := utf8.DecodeLastRune(text[:i])
		if !strings.ContainsRune(`{,;"'/`, before) && !isSpace(before) {
			continue
		}
		rest := text[i:]
		for _, letter := range []byte("alg") {
			rest = cutLetter(rest, letter)
		}
		if len(rest) == 0 {
			continue
		}
		if behind, _ := utf8.DecodeRune(rest); strings.ContainsRune(`"':=/#`, behind) || isSpace(behind) {
			return true
		}
	}
	return false
}

// isSpace reports whether r may be white space to somebody who reads JSON.
func isSpace(r rune) bool { return unicode.IsSpace(r) || r == '\ufeff' }

// cutLetter returns what is behind a letter, which may be a capital or escaped (RFC 8259 §7,
// or as in JavaScript); nil if text does not begin with it.
func cutLetter(text []byte, letter byte) []byte {
	if len(text) > 0 && text[0]|0x20 == letter {
		return text[1:]
	}
	for _, escape := range []string{`\u00`, `\x`} {
		digits, ok := bytes.CutPrefix(text, []byte(escape))
		if !ok || len(digits) < 2 {
			continue
		}
		if code, err := strconv.ParseUint(string(digits[:2]), 16, 8); err == nil && byte(code)|0x20 == letter {
			return digits[2:]
		}
	}
	return nil
}

// signedPart returns what names a JWT: all but the signature of a JWS in compact form (RFC
// 7515 §3.1), all of a JWE (RFC 7516 §3.1). It takes the one strict spelling of either, of
// which the header must begin like an object.
func signedPart(raw string) (string, bool) {
	parts := strings.Split(raw, ".")
	if len(parts) != 3 && len(parts) != 5 || !beginsLikeObject(parts[0]) {
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
