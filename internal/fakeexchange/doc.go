// Package fakeexchange is an exchange of the Deribit kind, as far as tests of what
// stands in front of one need it: JSON-RPC 2.0 on a WebSocket at /ws/api/v2, and over
// HTTP at /api/v2/<method>.
//
// It has public/auth with all its grant types and real signatures, named sessions,
// orders that rest until they are cancelled, subscriptions, heartbeats, Cancel On
// Disconnect, and private/logout. By default all is as documented; the last two can be
// left out, for the kind of upstream that has not got them: see Options.
//
// # How a connection ends, and what becomes of its orders
//
// A logout alone is graceful: the orders stay. A close frame whatever its code, none, and
// a heartbeat that fails, are not: with Cancel On Disconnect switched on, the orders that
// were given on that connection are cancelled. What is switched on for the account holds
// on each of its connections that has no setting of its own. Options has another kind, to
// which a close frame is graceful too.
//
// Everything that happens is recorded, so that a test waits for events: Exchange.Await.
// A connection's Ended comes after the Cancelled of its orders.
//
// An Exchange is safe for concurrent use. Its state is in memory and bounded; after
// Close it has no goroutine left.
package fakeexchange
