// Package token turns the credential of a request into the verified identity that
// the revocation list is asked about.
//
// # What is guaranteed
//
// Verification: a Verifier returns a Token only for a JWS in compact form (RFC 7515
// §3.1) whose signature was made by one of the configured keys, or by one that a
// configured source has, with an algorithm that this very key may use. The signature is
// checked by github.com/golang-jwt/jwt/v5. What a token says about keys (jwk, jku, x5c,
// x5u) is never a source of keys.
//
// One reading: header and payload are refused if two parsers could understand them
// differently: duplicate names at any depth, invalid UTF-8, base64 with padding, line
// breaks or unused bits. This package, golang-jwt and the API behind see the same claims.
//
// Identity: the identifier of a token without jti is a digest of what its signature
// covers. No other spelling of the same token has another identifier.
//
// Time: a cached token is checked against the clock on every call. It spares the
// cryptography, never a refusal.
//
// Use: a Token is genuine, which is all that it takes to revoke it. Whether it authorises
// the one who presents it, or is bound to a key or made for another purpose, Token.Unfit
// says.
//
// Keys that change: a KeySource replaces the keys of its KeyRing at any time. A token
// that was verified before goes with the key that signed it. With several sources, the
// keys of one issuer verify no token of another; iss is read before the signature only to
// choose the source.
//
// Order of refusal: what is wrong with a token's claims is said only after its
// signature was found good, and ErrExpired only if nothing else is wrong. A forged
// token is never called expired. The one exception is ErrIssuer for an issuer that
// has no keys at all. ErrKeysUnavailable says nothing about the token.
//
// Secrecy: no error carries any part of a token or a key, and keys do not show their
// secrets when they are printed or encoded.
//
// All types are safe for concurrent use.
package token
