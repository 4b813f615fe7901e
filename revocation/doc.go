// Package revocation keeps the list of what has been logged out and answers, for
// a verified identity, whether it is on it.
//
// # What is guaranteed
//
// Durability: List.Revoke returns nil only after the Store has made the entries
// durable. From that return on, every Check that begins in this process sees them.
//
// No false positives: a verdict of revoked always comes from an entry read from
// the Store. A Filter may only say that an entry certainly does not exist.
//
// Cut-offs: revoking a session or a client is a point in time. It covers every
// token issued at or before it, and it only ever moves forward.
//
// Races: a Check that looked the Store up before a revocation landed cannot leave
// its outdated answer in the cache. Each cached verdict remembers the sequence
// numbers that its keys had before the lookup, and is ignored once one has moved.
//
// Failure: the zero Verdict refuses. A Store that cannot answer gives an error and
// Unknown, never Live.
//
// All exported types are safe for concurrent use unless they say otherwise. After
// Close, every call on a List or a Store returns ErrClosed.
package revocation
