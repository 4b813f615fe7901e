// Package websocket stands in the byte stream of a WebSocket connection (RFC 6455) that
// a reverse proxy relays. It follows the frames of both directions, lets messages be
// looked at before they go on, and ends the connection from the inside.
//
// A Conn takes the place of the client's connection. The proxy reads from it what goes
// to the upstream and writes to it what came from there. The handshake is over by then.
//
// # What is guaranteed
//
// Bytes: what is passed on is what was received, byte for byte, however it was cut into
// segments. Payload is not kept back, except that of messages that Options.FromClient or
// FromServer looks at. A frame's header and a control frame are passed on when they are
// complete and good: neither side gets the beginning of a bad one.
//
// Inspection: no byte of a message that is looked at goes on before it has been decided
// that the message passes. Control frames between its fragments overtake it.
//
// Injection: what Send, Answer and Disconnect write to the client stands between two
// frames of the server, and a data frame never inside a fragmented message (§5.4).
// Nothing follows a close frame.
//
// Ending: after Disconnect, or a violation, nothing that the client sends goes on, and
// after at most twice Options.CloseWait the connection has ended; twice as much and
// Options.AnswerWait where the upstream gets a last message. The client is given the time
// to read its close frame. The upstream sees an abnormal end, with no close frame, unless
// Closing.Graceful says otherwise. Every exchange has one end: the first cause counts,
// and Err returns it.
//
// Violations: a frame that RFC 6455 forbids ends the connection, whoever sent it. That
// includes what only the strict reading forbids, such as a length that is not encoded
// in the fewest bytes (§5.2). Whether the client's text is UTF-8 is checked where it is
// inspected. See ViolationError.
//
// Memory: a Conn keeps what the limits in Options say: up to three times MaxMessage while
// a fragmented message is decided about, as much for MaxServerMessage or, while the caller says so, MaxAwaitedServerMessage, twice MaxPending,
// each rounded up as append does. It grows with what has been received, never with what a
// header announces, and is given back after a large message.
//
// Goroutines: a Conn has none of its own while it is open. After Close none is left.
//
// All methods of a Conn are safe for concurrent use.
package websocket
