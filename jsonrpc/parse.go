package jsonrpc

import (
	"bytes"
	"errors"
)

const (
	// MaxBatch is how many messages a batch may have. APIs that take batches at all
	// take dozens.
	MaxBatch = 100
	// MaxParams is how many members params may have. Real calls have a dozen; what there is
	// in bulk, such as quotes, stands in an array. Each takes fifty times its length of memory.
	MaxParams = 1024
	// MaxDepth is how deep a message may be nested. Real ones stay below ten.
	MaxDepth = 64
	// MaxID is how many bytes of JSON an id may have. A client chooses it for itself
	// and needs no more than a UUID; what is sent back has the same limit.
	MaxID = 256
)

var errTooManyParams = errors.New("too many parameters")

// Payload is what one WebSocket message or HTTP body holds.
type Payload struct {
	// Messages has at least one element.
	Messages []Message
	// Batch says that the messages were in an array (JSON-RPC 2.0 §6).
	Batch bool
}

// Parse reads one JSON-RPC message or a batch of at most MaxBatch. White space may be
// around it and nothing else. The version may be absent, since a server will not mind.
//
// An error is an *Error. A batch is refused as a whole if one of its messages is
// invalid. A member's name that looks like one that counts is invalid, at the top and
// among the parameters: the upstream might take it for that.
//
// The caller bounds the length of text, which the result refers to.
func Parse(text []byte) (Payload, error) {
	if tooDeep(text) {
		return Payload{}, &Error{kind: ErrParse, detail: "nested too deeply"}
	}
	d := decoders.Get().(*decoder)
	defer d.release(len(text))
	r := reader{text: text, decoder: d.open(text)}
	payload, fault, err := r.payload()
	if errors.Is(err, errTooManyParams) {
		return Payload{}, &Error{kind: ErrInvalidRequest, detail: err.Error()}
	}
	// The errors of the decoder quote the text and must not leave this function.
	if err != nil || !r.atEnd() {
		return Payload{}, &Error{kind: ErrParse, detail: "not one strict JSON value"}
	}
	if fault != "" {
		return Payload{}, &Error{kind: ErrInvalidRequest, detail: fault}
	}
	for i := range payload.Messages {
		m := &payload.Messages[i]
		if m.fault == "" {
			continue
		}
		invalid := &Error{kind: ErrInvalidRequest, detail: m.fault}
		if !payload.Batch {
			invalid.ID = m.ID
		}
		return Payload{}, invalid
	}
	return payload, nil
}

// tooDeep reports whether brackets outside of strings nest beyond MaxDepth.
func tooDeep(text []byte) bool {
	if bytes.Count(text, []byte("{"))+bytes.Count(text, []byte("[")) <= MaxDepth {
		return false // nearly always, and counting is much faster
	}
	depth, inString, escaped := 0, false, false
	for _, c := range text {
		switch {
		case escaped:
			escaped = false
		case inString && c == '\\':
			escaped = true
		case c == '"':
			inString = !inString
		case inString:
		case c == '{' || c == '[':
			if depth++; depth > MaxDepth {
				return true
			}
		case c == '}' || c == ']':
			depth--
		}
	}
	return false
}
