package jsonrpc

import (
	"fmt"
	"io"
	"time"

	"example.com/caddy-token-auth/dialect"
)

// Action is what becomes of a message.
type Action uint8

const (
	// Drop: nothing is sent to anybody. It is the zero value.
	Drop Action = iota
	// Forward: the message goes on as it is.
	Forward
	// Answer: Payload goes to the client, and the message nowhere.
	Answer
	// Wait: the message is to be shown to FromClient again when Settled is closed, and
	// at Until at the latest. No later message of the client may be shown before it.
	Wait
	// Close: Payload, if any, goes to the client. Then its connection is closed with Code
	// and Reason.
	Close
)

var actionNames = [...]string{Drop: "drop", Forward: "forward", Answer: "answer", Wait: "wait", Close: "close"}

// String returns the action's name.
func (a Action) String() string {
	if int(a) < len(actionNames) {
		return actionNames[a]
	}
	return fmt.Sprintf("action(%d)", uint8(a))
}

// Status codes of a WebSocket close frame (RFC 6455 §7.4.1).
const (
	CloseNormal   uint16 = 1000
	CloseTooLarge uint16 = 1009
	CloseFailed   uint16 = 1011
)

// Decision says what becomes of a message.
type Decision struct {
	Action Action
	// Payload is for the client, in one text frame.
	Payload []byte
	// Code and Reason are those of the close frame.
	Code   uint16
	Reason string
	// Settled and Until end a Wait.
	Settled <-chan struct{}
	Until   time.Time
	// Refused has the reason of every call that was refused.
	Refused []dialect.Reason
	// CallAnswered says that the message answers the last call before the end: that of
	// UnexpectedClose, or a logout that was passed on.
	CallAnswered bool
}

// Format writes the action and nothing of the payloads, whatever the verb.
func (d Decision) Format(f fmt.State, _ rune) {
	_, _ = io.WriteString(f, "decision to "+d.Action.String())
}
