// Package apikey knows API keys by their hashes, and gives the sessions of an API key an
// identity of their own.
//
// # Keys
//
// A key is a random string of at least 128 bits, such as `openssl rand -hex 32` prints.
// What is configured is its SHA-256 in hexadecimal, which Hash makes. One round is right
// here: nobody can guess a random key from its hash, however fast the hash, whereas a
// slow password hash would be work that anyone can have done with every request. A
// password is no API key and must not be used as one.
//
// A key is looked up by its digest in a map. What a lookup compares depends on a digest
// that whoever presents a key cannot choose, so that its time tells nothing about the
// keys that exist.
//
// One name may have several keys, so that a key can be replaced without a moment at
// which neither works. Several names cannot share a key.
//
// A Source reads its files again when they change. A file with a mistake, or one that
// changes while it is read, leaves the last good keys in force, all of them.
//
// # Sessions
//
// An API whose logout ends the session and leaves the key alone needs something that
// can be ended. A session is an identifier that says itself when it began and to whom it
// belongs, authenticated with a secret that all replicas share. To begin one writes
// nothing, and every replica with the secret knows every session. What is remembered,
// by whoever uses this package, is that a session has ended, under Session.ID.
//
// A session cannot be made, dated or given to another owner without the secret, and there
// is exactly one text for each. It does not replace the key: it is looked at beside it.
// It does not expire by itself either. Whoever remembers ended sessions for a limited
// time must refuse those that began longer ago.
//
// # Secrecy
//
// No error carries a key, a session or a whole hash. An error in a file names the line, and
// shows nothing of it before all of it was understood. Keys, sources, sessions and secrets
// do not show themselves when they are printed.
//
// All types are safe for concurrent use.
package apikey
