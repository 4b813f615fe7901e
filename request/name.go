package request

import (
	"encoding/hex"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/cases"
	"golang.org/x/text/unicode/norm"
)

// Name is the name of a parameter, a member of an object, a cookie or a header field that
// the configuration gives a meaning.
type Name struct {
	text string
	// skeleton is what text is compared by: its letters and digits, folded.
	skeleton string
}

// NewName returns the name that is written text.
func NewName(text string) Name { return Name{text: text, skeleton: skeleton(text, false)} }

// NewNames returns the names that are written so.
func NewNames(texts ...string) []Name {
	names := make([]Name, len(texts))
	for i, text := range texts {
		names[i] = NewName(text)
	}
	return names
}

// String returns the name as it is written.
func (n Name) String() string { return n.text }

// Is reports whether other is the name to the letter.
func (n Name) Is(other string) bool { return n.text == other }

// Resembles reports whether some parser may take other for the name, as which it also takes
// the name itself: by its letters and digits alone, without regard to case, up to a NUL, and
// whatever follows in brackets or behind a dot.
func (n Name) Resembles(other string) bool {
	if other == n.text {
		return true
	}
	return n.skeleton != "" && resembles(n.skeleton, other, false)
}

// Resemble reports whether one of the names is resembled by other.
func Resemble(names []Name, other string) bool {
	for _, n := range names {
		if n.Resembles(other) {
			return true
		}
	}
	return false
}

// resembles compares a text with a skeleton. It folds the text only when it comes to a
// character that has to be: most names differ before that. In a path, slashes count, and what
// is ignored at the end is an extension.
func resembles(skeleton, text string, isPath bool) bool {
	isFolded := false
	at := 0
	for i := 0; i < len(text); i++ {
		c := text[i]
		switch {
		case !isFolded && (c >= utf8.RuneSelf || c == '%'):
			text, isFolded = fold(text), true
			at, i = 0, -1 // from its beginning
			continue
		case 'A' <= c && c <= 'Z':
			c += 'a' - 'A'
		case 'a' <= c && c <= 'z', '0' <= c && c <= '9', c >= utf8.RuneSelf, isPath && c == '/':
		case c == 0:
			return at == len(skeleton)
		case at == len(skeleton) && isPath:
			if c == '.' && strings.IndexByte(fold(text[i:]), '/') < 0 {
				return true
			}
			continue
		case at == len(skeleton) && (c == '[' || c == ']' || c == '.'):
			return true
		default:
			continue
		}
		if at == len(skeleton) || skeleton[at] != c {
			return false
		}
		at++
	}
	return at == len(skeleton)
}

// skeleton returns the letters and digits of a text, folded, and in a path its slashes.
func skeleton(text string, isPath bool) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsLetter(r) || unicode.IsDigit(r) || isPath && r == '/' {
			return r
		}
		return -1
	}, strings.ToLower(fold(text)))
}

// fold makes the letters alike that some parser takes for the same: of another case, of
// another width, ligatures, and those whose upper case is that of another (Unicode's full
// case folding and compatibility forms). What it leaves that is not ASCII are letters and
// digits, so that what is compared is as in a skeleton.
func fold(text string) string {
	text = unescapeAll(text)
	isASCII := func(r rune) bool { return r < utf8.RuneSelf }
	if strings.IndexFunc(text, func(r rune) bool { return !isASCII(r) }) < 0 {
		return text
	}
	text = norm.NFKD.String(cases.Fold().String(norm.NFKD.String(text)))
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\u0131': // its upper case is that of i
			return 'i'
		case isASCII(r), r != utf8.RuneError && (unicode.IsLetter(r) || unicode.IsDigit(r)):
			return r
		}
		return -1
	}, text)
}

// maxDecodings bounds how often a text is decoded.
const maxDecodings = 8

// unescapeAll decodes each percent-encoding of a text, again and again.
func unescapeAll(text string) string {
	for range maxDecodings {
		decoded := unescape(text)
		if decoded == text {
			break
		}
		text = decoded
	}
	return text
}

func unescape(text string) string {
	if strings.IndexByte(text, '%') < 0 {
		return text
	}
	decoded := make([]byte, 0, len(text))
	for i := 0; i < len(text); i++ {
		if text[i] == '%' && i+2 < len(text) {
			if b, err := hex.DecodeString(text[i+1 : i+3]); err == nil {
				decoded = append(decoded, b[0])
				i += 2
				continue
			}
		}
		decoded = append(decoded, text[i])
	}
	return string(decoded)
}
