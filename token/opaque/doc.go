// Package opaque names tokens that nobody but their issuer can read.
//
// # What is guaranteed
//
// Names: Namer.Name gives every token a name by which a revocation list can know it: an
// HMAC-SHA256 under a secret. From the name nobody can make the token, and without the
// secret nobody can tell whether a guess at a token is right.
//
// Spellings: tokens of one API that differ in a way which APIs are known to overlook have
// one name: padding at the end, the two alphabets of base64, and, for tokens that are
// nothing but hexadecimal digits and hyphens, such as UUIDs, case and hyphens. A
// token that resembles a JWT is taken in its one strict spelling alone, and named by
// what its signature covers: whoever changes the signature without invalidating it
// (ECDSA, unused bits) does not change the name.
//
// All types are safe for concurrent use.
package opaque
