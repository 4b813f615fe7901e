package jsonrpc

import (
	"bytes"
	"encoding/json"
	"errors"
	"slices"

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
	// detail says more about what is invalid, or is "".
	detail string
	// grant says that the credential is a refresh token.
	grant bool
}

func refuse(reason dialect.Reason) refusal { return refusal{refused: true, reason: reason} }

var (
	invalidCall = refusal{refused: true, reason: dialect.InvalidRequest, invalid: true}
	// notExecuted is for a call that nothing is wrong with, in a batch that is refused
	// for another one, and for as long as that is; notExecutedNow is if that passes.
	notExecuted    = invalidFor("another call of the batch is refused")
	notExecutedNow = refuse(dialect.Unavailable)
)

// invalidFor is invalidCall for what only the text says that is wrong.
func invalidFor(detail string) refusal {
	r := invalidCall
	r.detail = detail
	return r
}

// passes reports whether the same call may be let through later on.
func (r refusal) passes() bool {
	return r.reason == dialect.Unavailable || r.reason == dialect.RateLimited || r.reason == dialect.TooManyConnections
}

// answer returns the error that a call with this id gets. Without an id, nil, the
// answer has none either.
func (s *Session) answer(r refusal, id jsontext.Value) []byte {
	if r.invalid {
		return invalidRequest(id, r.detail)
	}
	return s.config.Dialect.Refuse(dialect.Refusal{
		Request: dialect.Request{ID: func() json.RawMessage { return json.RawMessage(id) }},
		Reason:  r.reason,
		Grant:   r.grant,
	}).Body
}

// invalidRequest is the answer to what is no valid request (JSON-RPC 2.0 §5.1). Its id
// is null where the request's could not be read.
func invalidRequest(id jsontext.Value, detail string) []byte {
	if id == nil {
		id = jsontext.Value("null")
	}
	data := ""
	if detail != "" {
		data = `,"data":{"reason":` + quote(detail) + `}`
	}
	return []byte(`{"jsonrpc":"2.0","id":` + string(id) + `,"error":{"code":-32600,"message":"Invalid Request"` + data + `}}`)
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
	others := notExecutedNow
	if slices.ContainsFunc(calls, func(c call) bool { return c.refusal.refused && !c.refusal.passes() }) {
		others = notExecuted
	}
	for i := range calls {
		c := &calls[i]
		r := c.refusal
		if r.refused {
			d.Refused = append(d.Refused, r.reason)
		} else {
			r = others
		}
		// A notification in a batch has no answer; alone it has one without an id, as
		// the API gives to calls that have none.
		if !batch || c.message.identified() || c.refusal.invalid {
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
