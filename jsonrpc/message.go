package jsonrpc

import (
	"fmt"
	"io"

	"github.com/go-json-experiment/json/jsontext"
)

// Kind says which of the JSON-RPC objects a message is. The zero Kind is none.
type Kind uint8

const (
	// Request is a call with an id (JSON-RPC 2.0 §4).
	Request Kind = iota + 1
	// Notification is a call without an id, or with null for one (§4.1). Some servers
	// answer it all the same.
	Notification
	// Response is the answer to a call (§5), successful or not.
	Response
)

// Message is one JSON-RPC message. It refers to the text that it was parsed from,
// which must not change meanwhile.
type Message struct {
	Kind Kind
	// Method is what is called; "" in a response.
	Method string
	// ID is as it is written: a string, a number or null; nil if there is none.
	ID jsontext.Value

	raw    jsontext.Value
	params body
	result body
	failed bool
	fault  string // why it is no valid message, or ""
}

// body is the value of params or of result.
type body struct {
	kind    jsontext.Kind // 0 where the member is absent
	members []member      // of an object
	value   jsontext.Value
}

type member struct {
	name  string
	value jsontext.Value
}

func (b *body) member(name string) (jsontext.Value, bool) {
	for i := range b.members {
		if b.members[i].name == name {
			return b.members[i].value, true
		}
	}
	return nil, false
}

// Param returns the parameter with this name, and whether there is one. There is none
// where parameters are given by position.
func (m *Message) Param(name string) (jsontext.Value, bool) { return m.params.member(name) }

// Positional reports whether parameters are given by position (§4.2).
func (m *Message) Positional() bool { return m.params.kind == '[' }

// Result returns the result of a successful response; nil for anything else. An object
// is read with ResultMember, and nil here too.
func (m *Message) Result() jsontext.Value { return m.result.value }

// ResultMember returns the member with this name of a result that is an object, and
// whether there is one.
func (m *Message) ResultMember(name string) (jsontext.Value, bool) { return m.result.member(name) }

// Failed reports whether a response is an error (§5.1).
func (m *Message) Failed() bool { return m.failed }

// identified reports whether the message has an id that an answer can be told by.
func (m *Message) identified() bool { return m.ID != nil && m.ID.Kind() != 'n' }

// stringParam returns a parameter that is a string. One that is absent or null is "";
// ok is false if it is anything else.
func (m *Message) stringParam(name string) (text string, ok bool) {
	value, present := m.Param(name)
	if !present || value.Kind() == 'n' {
		return "", true
	}
	return stringOf(value)
}

// stringResult returns a member of the result that is a string, or "".
func (m *Message) stringResult(name string) string {
	value, _ := m.ResultMember(name)
	text, _ := stringOf(value)
	return text
}

// holdsTokens reports whether a response has what only the answer to a call that asks for
// tokens should have.
func (m *Message) holdsTokens() bool {
	_, access := m.ResultMember("access_token")
	_, refresh := m.ResultMember("refresh_token")
	return access || refresh
}

// stringOf returns the string that a valid JSON value is.
func stringOf(value jsontext.Value) (string, bool) {
	if value.Kind() != '"' {
		return "", false
	}
	text, err := jsontext.AppendUnquote(nil, value)
	return string(text), err == nil
}

// Format writes what kind of message it is and nothing of its content, which may be a
// credential, whatever the verb.
func (m Message) Format(f fmt.State, _ rune) {
	name := "JSON-RPC message"
	switch m.Kind {
	case Request:
		name = "JSON-RPC request"
	case Notification:
		name = "JSON-RPC notification"
	case Response:
		name = "JSON-RPC response"
	}
	_, _ = io.WriteString(f, name)
}
