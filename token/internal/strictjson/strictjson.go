// Package strictjson reads JSON objects that every parser understands in the same way:
// without duplicate names, invalid UTF-8 or text around them (RFC 8725 §2.6).
package strictjson

import (
	"bytes"
	"errors"
	"io"

	"github.com/go-json-experiment/json/jsontext"
)

// MaxDepth is how deep the JSON of a token or a key set may be nested. Real ones stay
// below ten; the limit keeps hostile nesting away from whatever parses them later.
const MaxDepth = 32

// ErrNotStrict says that a text is not one JSON object in the strict sense of Members.
var ErrNotStrict = errors.New("not a strict JSON object")

// Members calls visit for each top-level member of the JSON object that doc
// consists of (RFC 8259). value is valid only during the call. Duplicate names and
// invalid UTF-8 at any depth, text before or after the object, anything but an object
// and nesting beyond MaxDepth give ErrNotStrict (RFC 8725 §2.6). An error of visit
// ends the walk and is returned.
func Members(doc []byte, visit func(name string, value jsontext.Value) error) error {
	if tooDeep(doc) {
		return ErrNotStrict
	}
	// The errors of the decoder quote the text and must not leave this function.
	dec := jsontext.NewDecoder(bytes.NewBuffer(doc))
	if tok, err := dec.ReadToken(); err != nil || tok.Kind() != '{' {
		return ErrNotStrict
	}
	for dec.PeekKind() != '}' {
		tok, err := dec.ReadToken()
		if err != nil {
			return ErrNotStrict
		}
		name := tok.String()
		value, err := dec.ReadValue()
		if err != nil {
			return ErrNotStrict
		}
		if err := visit(name, value); err != nil {
			return err
		}
	}
	if _, err := dec.ReadToken(); err != nil { // the closing brace
		return ErrNotStrict
	}
	if _, err := dec.ReadToken(); !errors.Is(err, io.EOF) {
		return ErrNotStrict
	}
	return nil
}

// tooDeep reports whether brackets outside of strings nest beyond MaxDepth.
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
				if depth > MaxDepth {
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

// String returns the string that a valid JSON value is.
func String(value jsontext.Value) (string, bool) {
	if value.Kind() != '"' {
		return "", false
	}
	if bytes.IndexByte(value, '\\') < 0 {
		return string(value[1 : len(value)-1]), true
	}
	s, err := jsontext.AppendUnquote(nil, value)
	return string(s), err == nil
}

// Strings returns the strings of a JSON array of strings, in a slice that is never nil,
// or false for anything else.
func Strings(value jsontext.Value) ([]string, bool) {
	if value.Kind() != '[' {
		return nil, false
	}
	list := []string{}
	dec := jsontext.NewDecoder(bytes.NewBuffer(value))
	if _, err := dec.ReadToken(); err != nil {
		return nil, false
	}
	for dec.PeekKind() != ']' {
		element, err := dec.ReadValue()
		if err != nil {
			return nil, false
		}
		s, ok := String(element)
		if !ok {
			return nil, false
		}
		list = append(list, s)
	}
	return list, true
}
