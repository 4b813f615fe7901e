package websocket

import (
	"errors"
	"fmt"

	"github.com/gobwas/ws"
)

// ErrClosed is wrapped by what Read, Write, CloseWrite and Send return once the
// connection is being ended or has ended, together with the cause. It never is io.EOF,
// which a proxy takes for a half-close.
var ErrClosed = errors.New("websocket connection is closed")

// What a ViolationError wraps besides the errors of github.com/gobwas/ws for a frame's
// header, such as ws.ErrProtocolMaskRequired.
var (
	// ErrLength: a length has its top bit set or is not in the fewest bytes (§5.2).
	ErrLength = errors.New("payload length is not well encoded")
	// ErrClosePayload: a close frame has one byte of payload or a status code that must
	// not be sent (§5.5.1, §7.4).
	ErrClosePayload = errors.New("close frame has no valid status code")
	// ErrUTF8: a text message or the reason of a close frame is not UTF-8 (§8.1).
	ErrUTF8 = errors.New("text is not valid UTF-8")

	// ErrMessageTooLong: longer than Options.MaxMessage, or MaxAwaitedServerMessage.
	ErrMessageTooLong = errors.New("message is too long")
	// ErrTooManyFragments: more than Options.MaxFragments.
	ErrTooManyFragments = errors.New("message has too many fragments")
	// ErrTooManyMessages: more than Options.MessagesPerSecond.
	ErrTooManyMessages = errors.New("too many messages")
	// ErrPending: more than Options.MaxPending waits for the client. Send returns it as
	// it is and leaves the connection open.
	ErrPending = errors.New("too many bytes wait for the client")
)

// A ViolationError says which rule or limit ended the connection. It holds nothing of
// what was received.
type ViolationError struct {
	// Server says that the upstream broke the rule and not the client.
	Server bool
	// Code is what the client's close frame says: 1002 for the protocol, 1007 for text
	// that is not UTF-8, 1008 for a rate and for answers that are not read, 1009 for size,
	// and 1011 for everything that the upstream did (§7.4.1).
	Code ws.StatusCode
	// Err is the rule.
	Err error
}

func (e *ViolationError) Error() string {
	if e.Server {
		return fmt.Sprintf("upstream: %v", e.Err)
	}
	return fmt.Sprintf("client: %v", e.Err)
}

func (e *ViolationError) Unwrap() error { return e.Err }

// A DisconnectError is the cause of an end that Disconnect asked for, as method or as
// decision.
type DisconnectError struct{ Closing }

func (e *DisconnectError) Error() string { return fmt.Sprintf("disconnected with code %d", e.Code) }

// disconnected is the cause of an end that was asked for, with codes that can be sent.
func disconnected(cl Closing) *DisconnectError {
	if !sendable(cl.Code) {
		cl.Code = ws.StatusInternalServerError
	}
	if cl.UpstreamCode != 0 && !sendable(cl.UpstreamCode) {
		cl.UpstreamCode = ws.StatusInternalServerError
	}
	return &DisconnectError{cl}
}

// violation gives the broken rule its close code.
func violation(server bool, rule error) *ViolationError {
	code := ws.StatusProtocolError
	switch {
	case server:
		code = ws.StatusInternalServerError
	case errors.Is(rule, ErrUTF8):
		code = ws.StatusInvalidFramePayloadData
	case errors.Is(rule, ErrMessageTooLong), errors.Is(rule, ErrTooManyFragments):
		code = ws.StatusMessageTooBig
	case errors.Is(rule, ErrTooManyMessages), errors.Is(rule, ErrPending):
		code = ws.StatusPolicyViolation
	}
	return &ViolationError{Server: server, Code: code, Err: rule}
}
