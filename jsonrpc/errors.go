package jsonrpc

import (
	"errors"

	"github.com/go-json-experiment/json/jsontext"
)

// The two ways in which a message can be unreadable (JSON-RPC 2.0 §5.1).
var (
	// ErrParse says that a message is not one strict JSON value.
	ErrParse = errors.New("JSON-RPC parse error")
	// ErrInvalidRequest says that it is, but not one JSON-RPC message or batch that can
	// be read in one way only.
	ErrInvalidRequest = errors.New("JSON-RPC invalid request")
)

// Error is why Parse refuses a message: it wraps ErrParse or ErrInvalidRequest. Its
// text holds nothing of the message.
type Error struct {
	// ID is the message's id, as it is written there: nil if it has none, or none that
	// is sure.
	ID jsontext.Value

	kind   error
	detail string
}

// Error returns what is wrong.
func (e *Error) Error() string { return e.kind.Error() + ": " + e.detail }

// Unwrap returns ErrParse or ErrInvalidRequest.
func (e *Error) Unwrap() error { return e.kind }
