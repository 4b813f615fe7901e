// Package jsonrpc reads JSON-RPC 2.0 messages and follows one WebSocket connection of
// an API of the Deribit kind: which calls need a credential, which answers hand one
// out, what a logout ends, and whether a lost connection cancels orders.
//
// # Messages
//
// Parse accepts only what every JSON parser reads in the same way: strict JSON in
// which no member name occurs twice, and none looks like one that counts without
// being it. So the upstream cannot see another method or credential than we do.
//
// # Session
//
// A Session does no I/O of its own and starts no goroutine. It is told of every
// message in both directions and says what becomes of it. It guarantees:
//
// A call that needs a credential is forwarded only after the Authorizer has said that
// the one it carries, or the connection's own, is live. Every method needs one that
// is not written as a public method is, known or not.
//
// A token becomes the connection's own, and reaches the client, only after the
// Authorizer has recorded it. It is taken only from the answer to a call that asks
// for tokens: no two calls that could be confused are open at the same time.
//
// A logout has been recorded before the connection is told to close, and the client
// gets no token afterwards from a call that was still open.
//
// What clients can make grow is bounded: the size of a message, of a batch and of an
// id, its depth, the calls that are open, and the sessions that are begun.
//
// Nothing prints a token: not the errors, and not the types that hold one.
package jsonrpc
