package websocket

import "github.com/gobwas/ws"

// A Message is a complete data message, unmasked and put together. Its payload is valid
// during the call that it was handed to, and must not be changed.
type Message struct {
	Op      ws.OpCode // ws.OpText or ws.OpBinary
	Payload []byte
}

// A Closing says how a connection is to be ended.
type Closing struct {
	// Code and Reason are for the client's close frame. A code that must not be sent
	// (§7.4) becomes 1011; a reason is cut to the 123 bytes that there is room for.
	Code   ws.StatusCode
	Reason string
	// Graceful ends the connection to the upstream with a close frame, of UpstreamCode, and
	// waits for its answer. Otherwise the upstream sees an abnormal end. Where no message
	// is inspected and the client does not complete the frame that it is sending, the end
	// is abnormal all the same.
	Graceful bool
	// UpstreamCode is for the upstream's close frame. 0 is 1000; one that must not be sent
	// becomes 1011.
	UpstreamCode ws.StatusCode
}

// A Decision is what becomes of a message. The zero Decision ends the connection with
// code 1011.
type Decision struct {
	action  action
	payload []byte
	closing Closing
	wait    func()
}

type action uint8

const (
	actionNone action = iota
	actionPass
	actionDrop
	actionAnswer
	actionDisconnect
	actionLater
)

// Pass lets the message go on, in the frames that it came in.
func Pass() Decision { return Decision{action: actionPass} }

// Drop discards the message.
func Drop() Decision { return Decision{action: actionDrop} }

// Answer discards the message and sends payload to the client, in one frame of the same
// type. In place of a message of the upstream it stands where that would have stood. As
// an answer to the client it waits, like Send, for the end of the server's frame and
// message, and if more than Options.MaxPending waits while the client does not read, for
// the client.
func Answer(payload []byte) Decision { return Decision{action: actionAnswer, payload: payload} }

// Later keeps a message of the client back until wait has returned, and then asks about it
// again. The messages before it go on meanwhile, and none behind it does. wait is called by
// Read, and returns at the latest when Conn.Ending is closed. For a message of the upstream
// it is no decision.
func Later(wait func()) Decision { return Decision{action: actionLater, wait: wait} }

// Disconnect discards the message and ends the connection, like Conn.Disconnect.
func Disconnect(cl Closing) Decision { return Decision{action: actionDisconnect, closing: cl} }
