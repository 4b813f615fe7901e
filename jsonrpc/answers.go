package jsonrpc

import (
	"bytes"
	"encoding/json"
	"errors"

	"github.com/go-json-experiment/json/jsontext"

	"example.com/caddy-token-auth/dialect"
)

// refusal is why a call is not forwarded. The zero value is no refusal.
type refusal struct {
	refused bool
	reason  dialect.Reason
	// invalid says that it is no valid request in itself, which JSON-RPC has a code
	// for and dialects have not.
	invalid bool
	// grant says that the credential is a refresh token.
	grant bool
}

func refuse(reason dialect.Reason) refusal { return refusal{refused: true, reason: reason} }

var (
	invalidCall = refusal{refused: true, reason: dialect.InvalidRequest, invalid: true}
	// notExecuted is for a call that nothing is wrong with, in a batch that is refused
	// for another one.
	notExecuted = refuse(dialect.Unavailable)
)

// answer returns the error that a call with this id gets. Without an id, nil, the
// answer has none either.
func (s *Session) answer(r refusal, id jsontext.Value) []byte {
	if r.invalid {
		return invalidRequest(id)
	}
	return s.config.Dialect.Refuse(dialect.Refusal{
		Request: dialect.Request{ID: func() json.RawMessage { return json.RawMessage(id) }},
		Reason:  r.reason,
		Grant:   r.grant,
	}).Body
}

// invalidRequest is the answer to what is no valid request (JSON-RPC 2.0 §5.1). Its id
// is null where the request's could not be read.
func invalidRequest(id jsontext.Value) []byte {
	if id == nil {
		id = jsontext.Value("null")
	}
	const before, after = `{"jsonrpc":"2.0","id":`, `,"error":{"code":-32600,"message":"Invalid Request"}}`
	return append(append([]byte(before), id...), after...)
}

// unreadable answers a message that Parse refuses.
func (s *Session) unreadable(err error) Decision {
	r := refuse(dialect.MalformedRequest)
	var id jsontext.Value
	if invalid, ok := errors.AsType[*Error](err); ok && errors.Is(err, ErrInvalidRequest) {
		r, id = invalidCall, invalid.ID
	}
	return Decision{Action: Answer, Payload: s.answer(r, id), Refused: []dialect.Reason{r.reason}}
}

// refuseAll answers a payload of which at least one call is refused. Of a batch, none
// is executed then, and each call with an id is told so.
func (s *Session) refuseAll(calls []call, batch bool) Decision {
	d := Decision{Action: Answer}
	answers := make([][]byte, 0, len(calls))
	for i := range calls {
		c := &calls[i]
		r := c.refusal
		if r.refused {
			d.Refused = append(d.Refused, r.reason)
		} else {
			r = notExecuted
		}
		// A notification in a batch has no answer; alone it has one without an id, as
		// the API gives to calls that have none.
		if !batch || c.message.identified() || r.invalid {
			answers = append(answers, s.answer(r, c.message.ID))
		}
	}
	switch {
	case len(answers) == 0:
		d.Action = Drop
	case batch:
		d.Payload = array(answers)
	default:
		d.Payload = answers[0]
	}
	return d
}

// array is a JSON array.
func array(elements [][]byte) []byte {
	return append(append([]byte{'['}, bytes.Join(elements, []byte{','})...), ']')
}
