// Package exchangeclient is a client of an API of the Deribit kind, for tests: JSON-RPC
// 2.0 on a WebSocket, with a library that is neither that of the sidecar nor that of
// the exchange the tests use.
//
// It tells exactly how its connection has ended, and can end it in each way that a
// client can: with a close frame, without one, and with a reset.
//
// A Client is safe for concurrent use. It has one goroutine until its connection has
// ended.
package exchangeclient
