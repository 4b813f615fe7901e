package jsonrpc

import (
	"errors"
	"io"

	"github.com/go-json-experiment/json/jsontext"
)

// reader reads the messages of one text.
type reader struct {
	text    []byte
	decoder *jsontext.Decoder
}

// atEnd reports whether nothing but white space is left.
func (r *reader) atEnd() bool {
	_, err := r.decoder.ReadToken()
	return errors.Is(err, io.EOF)
}

// value reads a value, in place.
func (r *reader) value() (jsontext.Value, error) {
	value, err := r.decoder.ReadValue()
	if err != nil {
		return nil, err
	}
	end := int(r.decoder.InputOffset())
	return r.text[end-len(value) : end : end], nil
}

// payload reads everything. What is wrong beyond the syntax is a fault, told only once
// all of the text is known to be JSON.
func (r *reader) payload() (p Payload, fault string, err error) {
	switch r.decoder.PeekKind() {
	case '{':
		m, err := r.message()
		return Payload{Messages: []Message{m}}, "", err
	case '[':
	default:
		_, err := r.value()
		return Payload{}, "neither an object nor an array", err
	}
	if _, err := r.decoder.ReadToken(); err != nil {
		return Payload{}, "", err
	}
	p.Batch = true
	for r.decoder.PeekKind() != ']' {
		switch {
		case r.decoder.PeekKind() != '{':
			fault = "an element of a batch is not an object"
			err = r.decoder.SkipValue()
		case len(p.Messages) == MaxBatch:
			fault = "a batch with too many messages"
			err = r.decoder.SkipValue()
		default:
			var m Message
			m, err = r.message()
			p.Messages = append(p.Messages, m)
		}
		if err != nil {
			return Payload{}, "", err
		}
	}
	if len(p.Messages) == 0 && fault == "" {
		fault = "an empty batch"
	}
	_, err = r.decoder.ReadToken()
	return p, fault, err
}

// message reads one object.
func (r *reader) message() (Message, error) {
	var (
		m          Message
		hasMethod  bool
		wrongError bool
		strayToken bool // a member that some server may take for a token
	)
	invalid := func(fault string) {
		if m.fault == "" {
			m.fault = fault
		}
	}
	if _, err := r.decoder.ReadToken(); err != nil {
		return m, err
	}
	start := r.decoder.InputOffset() - 1
	for r.decoder.PeekKind() != '}' {
		token, err := r.decoder.ReadToken()
		if err != nil {
			return m, err
		}
		var value jsontext.Value
		switch name := token.String(); name {
		case "params":
			m.params, err = r.body(paramNames, invalid)
			if k := m.params.kind; k != '{' && k != '[' && k != 'n' {
				invalid("params is neither an object nor an array")
			}
		case "result":
			m.result, err = r.body(nil, invalid)
		case "error":
			value, err = r.value()
			m.failed = value.Kind() != 'n'
			wrongError = value.Kind() != 'n' && value.Kind() != '{'
		case "method":
			value, err = r.value()
			if m.Method, hasMethod = stringOf(value); !hasMethod {
				invalid("method is not a string")
			}
		case "id":
			value, err = r.value()
			if !validID(value) {
				invalid("id is not a string, a number or null of bounded length")
				break
			}
			m.ID = value
		case "jsonrpc":
			// Older versions have other ways to name a parameter.
			value, err = r.value()
			if version, ok := stringOf(value); !ok || version != "2.0" {
				invalid("another version")
			}
		default:
			if memberNames.has(name) {
				invalid("a member looks like another")
			}
			strayToken = strayToken || tokenNames.resemble(name)
			err = r.decoder.SkipValue()
		}
		if err != nil {
			return m, err
		}
	}
	_, err := r.decoder.ReadToken()
	m.raw = r.text[start:r.decoder.InputOffset()]
	answered := m.failed || m.result.kind != 0
	switch {
	case hasMethod && answered || m.failed && m.result.kind != 0 && m.result.kind != 'n':
		invalid("a call and an answer, or two answers")
	case wrongError:
		invalid("error is not an object")
	case hasMethod && strayToken:
		invalid("a token stands outside of params")
	case hasMethod && m.identified():
		m.Kind = Request
	case hasMethod:
		m.Kind = Notification
	case answered:
		m.Kind = Response
	default:
		invalid("neither a call nor an answer")
	}
	return m, err
}

// body reads params or result. Names that look like one of those that count are
// invalid.
func (r *reader) body(names lookAlikes, invalid func(fault string)) (body, error) {
	b := body{kind: r.decoder.PeekKind()}
	if b.kind != '{' {
		var err error
		b.value, err = r.value()
		return b, err
	}
	if _, err := r.decoder.ReadToken(); err != nil {
		return b, err
	}
	for r.decoder.PeekKind() != '}' {
		token, err := r.decoder.ReadToken()
		if err != nil {
			return b, err
		}
		name := token.String()
		if names.has(name) {
			invalid("a parameter looks like another")
		}
		if names != nil && len(b.members) == MaxParams {
			return b, errTooManyParams
		}
		value, err := r.value()
		if err != nil {
			return b, err
		}
		b.members = append(b.members, member{name, value})
	}
	_, err := r.decoder.ReadToken()
	return b, err
}
