package dialect

import (
	"bytes"
	"encoding/json"
	"strconv"
	"unicode/utf8"
)

// maxRequestID is how many bytes of JSON the id of a request may have to be sent
// back. A client chooses it for itself and needs no more than a UUID.
const maxRequestID = 256

var nullID = json.RawMessage("null")

// echoedID is the id as it is sent back: nil if the request has none, null if it
// has one that may not be sent back.
func (r Request) echoedID() []byte {
	if r.ID == nil {
		return nil
	}
	id := r.ID()
	switch {
	case len(id) == 0:
		return nil
	case validID(id):
		return id
	default:
		return nullID
	}
}

// validID reports whether id is one JSON string, number or null (JSON-RPC 2.0 §4)
// of bounded length, and nothing around it. It cannot end the object that it is
// put into, nor add a member to it.
func validID(id []byte) bool {
	if len(id) > maxRequestID || !utf8.Valid(id) || !json.Valid(id) {
		return false
	}
	last := id[len(id)-1]
	switch c := id[0]; {
	case c == '"':
		return last == '"'
	case c == '-' || isDigit(c):
		return isDigit(last)
	default:
		return bytes.Equal(id, nullID)
	}
}

func isDigit(c byte) bool { return '0' <= c && c <= '9' }

// MessageID returns the id of a JSON-RPC request message: nil if there is no
// message, or it has none. Of a message that is not a JSON object, the id cannot be
// known and is null (JSON-RPC 2.0 §5). The caller bounds the message.
func MessageID(message []byte) json.RawMessage {
	if len(bytes.TrimSpace(message)) == 0 {
		return nil
	}
	var members map[string]json.RawMessage
	if err := json.Unmarshal(message, &members); err != nil || members == nil {
		return nullID
	}
	return members["id"]
}

// TextID returns the id of a JSON-RPC request that is sent as text, such as a
// parameter of a query: an integer as it is, anything else as a string, nil if it
// is empty.
func TextID(text string) json.RawMessage {
	if text == "" {
		return nil
	}
	if len(text) > maxRequestID {
		return nullID
	}
	if n, err := strconv.ParseInt(text, 10, 64); err == nil && strconv.FormatInt(n, 10) == text {
		return json.RawMessage(text)
	}
	quoted, err := json.Marshal(text)
	if err != nil {
		return nullID
	}
	return quoted
}
