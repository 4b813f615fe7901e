// Package introspect asks an authorization server about tokens that cannot be
// verified here, because they are not JWTs: OAuth 2.0 Token Introspection (RFC 7662).
//
// # What is guaranteed
//
// Two outcomes: an Answer is given only for a token that the server calls active in an
// answer that leaves no doubt, and that no time, issuer or audience contradicts. Every
// error wraps either ErrInactive, which is about the token, or ErrUnavailable, which says
// nothing about it. A server that is down, slow, misconfigured or that answers in any
// unexpected way is never taken to have called a token inactive, or active.
//
// Errors: one error of the server is about the token, unsupported_token_type (RFC 7009
// §2.2.1) with status 400. Such a token is not active. All others may be about us.
//
// One reading: an answer is one strict JSON object of at most 64 KiB, without duplicate
// names. A known member of the wrong type makes the whole answer unusable.
//
// Access tokens only: RFC 7662 lets a server call a refresh token active as well. An
// answer that says so is no answer for an access token. A server that does not tell the
// two apart must be configured to know only access tokens of this client.
//
// Age: an active answer is used for at most Options.CacheTTL after it was asked for, and
// never past its exp; an inactive one for at most Options.RejectTTL. Failures are not
// kept. Rejections have a cache of their own, so that invented tokens push no genuine
// one out.
//
// Load: callers with the same token share one request. At most Options.MaxConcurrent
// requests are under way; a caller that goes away leaves the queue. Networks take turns,
// so that one that floods waits behind itself. One alone has three quarters of the turns
// at most. One whose last token was not active comes after the others. While the server
// does not answer, one request after the other tries it, Options.FailureBackoff apart,
// and all other callers fail at once.
//
// Trust: the answer is as good as the connection. It is HTTPS with certificates checked,
// and redirects are not followed. Plain HTTP is for loopback hosts, or must be allowed.
//
// Secrecy: no error has any part of a token, of our own credentials or of an answer in
// it. Tokens are cached under a keyed hash, and are not held longer than their request.
//
// A Client is safe for concurrent use. It does not log. Its goroutines end before Close
// returns.
package introspect
