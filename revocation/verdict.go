package revocation

import "fmt"

// Verdict is the answer to "is this identity revoked?". Only Live lets anything
// through; the zero value refuses.
type Verdict uint8

const (
	// Unknown is no answer: the list could not be asked. It comes with an error.
	Unknown Verdict = iota
	// Live means that nothing revokes the identity.
	Live
	// RevokedToken means that this very token is revoked.
	RevokedToken
	// RevokedSession means that its session was cut off after it was issued.
	RevokedSession
	// RevokedClient means that its client was cut off after it was issued.
	RevokedClient
	// TooOld means that the token was issued longer ago than revocations are
	// remembered, so that nobody can tell whether it was revoked. A token that
	// does not say when it was issued counts as issued at time zero.
	TooOld
	// RotatedToken means that this very token was exchanged for a newer one (see
	// List.Rotate), and that nothing else revokes it.
	RotatedToken
)

var verdictNames = [...]string{
	Unknown:        "unknown",
	Live:           "live",
	RevokedToken:   "revoked_token",
	RevokedSession: "revoked_session",
	RevokedClient:  "revoked_client",
	TooOld:         "too_old",
	RotatedToken:   "rotated_token",
}

// String returns the verdict's name as logs and placeholders spell it.
func (v Verdict) String() string {
	if int(v) < len(verdictNames) {
		return verdictNames[v]
	}
	return fmt.Sprintf("verdict(%d)", uint8(v))
}
