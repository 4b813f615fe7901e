// Package jwks keeps the verification keys that an issuer publishes as a JWK set
// (RFC 7517 §5), at a URL, in a file, or where OpenID Connect Discovery 1.0 says.
//
// # What is guaranteed
//
// Start: a Source begins without keys and fetches them in the background, again and
// again until it has them. Until then, and when they have become too old, everything that
// asks for them gets token.ErrKeysUnavailable.
//
// Rotation: a token that names a key which is not there has the set fetched while it
// waits, so that it is verified with a key that is seconds old. Tokens that arrive in
// the meantime wait for the same fetch. However many unknown keys tokens name, such
// fetches begin at least Options.Cooldown after the one before has ended, counted
// separately for keys that were looked for before. Until then tokens
// wait, if not too many do and it is not for long. A key is called unknown only if a fetch
// has looked for it; token.ErrKeysUnavailable says that none could.
//
// Removal: a key that is no longer in the set is no longer a key as soon as a fetch
// shows it, for tokens that were verified before too. That is at the latest after the
// refresh interval, and while the set cannot be fetched after Options.MaxStale.
//
// Failure: a set that cannot be fetched, is not strict JSON or has no usable key
// changes nothing; the keys of the last good one stay until Options.MaxStale has passed.
//
// Trust: the keys are as good as the connection. It is HTTPS with certificates checked,
// and no redirect leaves it. Plain HTTP is for loopback hosts, or must be allowed. Shared
// secrets and private keys in a set are never used.
//
// Size: a set has at most 1 MiB and 1024 keys, of which the first token.MaxKeys that are
// usable are used.
//
// A Source does not log. Options.OnEvent and Status tell what it does. Its goroutines
// end before Close returns.
package jwks
