package token

import (
	"errors"
	"fmt"
)

// The reasons for which a credential is refused. Errors of this package wrap one of
// them; test with errors.Is. Their texts are fixed and hold nothing of the credential.
var (
	// ErrMissing: the request has no credential at all.
	ErrMissing = errors.New("no credential")
	// ErrConflict: the request has two different credentials.
	ErrConflict = errors.New("conflicting credentials")

	// ErrMalformed: this is no bearer credential (RFC 6750 §2.1) or no JWT in compact
	// form (RFC 7519 §7.2).
	ErrMalformed = errors.New("malformed token")
	// ErrTooLarge: longer than Config.MaxLength. It wraps ErrMalformed.
	ErrTooLarge = fmt.Errorf("%w: too long", ErrMalformed)
	// ErrAlgorithm: alg is missing, "none" or not one that the keys are allowed to use
	// (RFC 8725 §3.1).
	ErrAlgorithm = errors.New("algorithm not allowed")
	// ErrHeader: another header parameter is refused: crit, typ, cty, … (RFC 7515 §4.1).
	ErrHeader = errors.New("header not allowed")

	// ErrSignature: no configured key made this signature.
	ErrSignature = errors.New("signature is invalid")
	// ErrUnknownKey: there is no key for the token's alg and kid. Sources have been asked
	// for one. It wraps ErrSignature.
	ErrUnknownKey = fmt.Errorf("%w: unknown key", ErrSignature)

	// ErrKeysUnavailable: the keys that could verify the token cannot be had at present.
	// This says nothing about the token, and the client should try again later.
	ErrKeysUnavailable = errors.New("verification keys are unavailable")

	// ErrClaim: a claim is missing or of the wrong type (RFC 7519 §4.1).
	ErrClaim = errors.New("invalid claim")
	// ErrIssuer: iss is not one of Config.Issuers.
	ErrIssuer = errors.New("issuer not accepted")
	// ErrAudience: aud has none of Config.Audiences.
	ErrAudience = errors.New("audience not accepted")

	// ErrSenderConstrained: the token is good only together with proof of the key that it is
	// bound to (RFC 9449, RFC 8705), and says so with cnf (RFC 7800).
	ErrSenderConstrained = errors.New("the token is bound to a key (cnf), of which a bearer gives no proof")

	// ErrNotYetValid: nbf lies in the future, leeway considered.
	ErrNotYetValid = errors.New("token is not valid yet")
	// ErrIssuedInFuture: iat lies in the future, Config.IssuedAtLeeway considered.
	ErrIssuedInFuture = errors.New("token was issued in the future")
	// ErrTooOld: iat lies longer ago than Config.MaxAge, although the token has not expired.
	ErrTooOld = errors.New("token was issued too long ago")
	// ErrExpired: exp has passed, leeway considered, and nothing else is wrong.
	ErrExpired = errors.New("token has expired")
)

// refusal adds a fixed detail to one of the errors above.
func refusal(reason error, detail string) error {
	return fmt.Errorf("%w: %s", reason, detail)
}
