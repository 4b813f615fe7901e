package token

import (
	"bytes"
	"errors"
	"io"

	"github.com/go-json-experiment/json/jsontext"
)

// maxDepth is how deep the JSON of a token may be nested. Real claims stay below
// ten; the limit keeps hostile nesting away from whatever parses the token later.
const maxDepth = 32

// errNotStrict says that a text is not one JSON object in the strict sense of members.
var errNotStrict = errors.New("not a strict JSON object")

// members calls visit for each top-level member of the JSON object that doc
// consists of (RFC 8259). value is valid only during the call. Duplicate names and
// invalid UTF-8 at any depth, text before or after the object, anything but an object
// and nesting beyond maxDepth give errNotStrict (RFC 8725 §2.6). An error of visit
// ends the walk and is returned.
func members(doc []byte, visit func(name string, value jsontext.Value) error) error {
	if tooDeep(doc) {
		return errNotStrict
	}
	// The errors of the decoder quote the text and must not leave this function.
	dec := jsontext.NewDecoder(bytes.NewBuffer(doc))
	if tok, err := dec.ReadToken(); err != nil || tok.Kind() != '{' {
		return errNotStrict
	}
	for dec.PeekKind() != '}' {
		tok, err := dec.ReadToken()
		if err != nil {
			return errNotStrict
		}
		name := tok.String()
		value, err := dec.ReadValue()
		if err != nil {
			return errNotStrict
		}
		if err := visit(name, value); err != nil {
			return err
		}
	}
	if _, err := dec.ReadToken(); err != nil { // the closing brace
		return errNotStrict
	}
	if _, err := dec.ReadToken(); !errors.Is(err, io.EOF) {
		return errNotStrict
	}
	return nil
}

// tooDeep reports whether brackets outside of strings nest beyond maxDepth.
func tooDeep(doc []byte) bool {
	depth, quoted := 0, false
	for i := 0; i < len(doc); i++ {
		switch doc[i] {
		case '"':
			quoted = !quoted
		case '\\':
			i++ // the escaped byte, of a string or of no valid JSON at all
		case '{', '[':
			if !quoted {
				depth++
				if depth > maxDepth {
					return true
				}
			}
		case '}', ']':
			if !quoted {
				depth--
			}
		}
	}
	return false
}

// text returns the string that a valid JSON value is.
func text(value jsontext.Value) (string, bool) {
	if value.Kind() != '"' {
		return "", false
	}
	if bytes.IndexByte(value, '\\') < 0 {
		return string(value[1 : len(value)-1]), true
	}
	s, err := jsontext.AppendUnquote(nil, value)
	return string(s), err == nil
}
