package dialect

import "fmt"

// Reason says why a request is refused. The set is closed: it is also the label of
// refusals in logs and metrics.
type Reason uint8

const (
	// Unavailable means that nothing can be decided at present: the list does not
	// answer. It is the zero value, so a reason that was forgotten never tells a
	// client that its credential is bad.
	Unavailable Reason = iota
	// MissingCredential means that the request carries none.
	MissingCredential
	// InvalidCredential means that the credential is not genuine, malformed, or
	// contradicted by another one.
	InvalidCredential
	// ExpiredCredential means that it was genuine until it expired.
	ExpiredCredential
	// RevokedCredential means that it is genuine and was revoked.
	RevokedCredential
	// AgedCredential means that it is genuine and was issued longer ago than
	// revocations are remembered.
	AgedCredential
	// InvalidAPIKey is InvalidCredential for an API key.
	InvalidAPIKey
	// AddressForbidden means that the client may not call from this address.
	AddressForbidden
	// RateLimited means that the client calls too often.
	RateLimited
	// TooManyConnections means that the client, or its token, has as many connections open
	// as it may have.
	TooManyConnections
	// MalformedRequest means that the request is not in the format that it must
	// have, such as a body that is not JSON.
	MalformedRequest
	// InvalidRequest means that the request cannot be understood where it must be.
	InvalidRequest
	// RequestTooLarge means that the body exceeds what must be read of it.
	RequestTooLarge
	// MethodNotAllowed means that the path does not take this method.
	MethodNotAllowed
	// NotWebSocket means that the call can only be made on a WebSocket.
	NotWebSocket
	// UpgradeRefused means that the request asks for a protocol that cannot be
	// followed.
	UpgradeRefused

	reasonCount
)

var reasonNames = [reasonCount]string{ //nolint:gosec // names, not credentials
	Unavailable:        "unavailable",
	MissingCredential:  "missing_credential",
	InvalidCredential:  "invalid_credential",
	ExpiredCredential:  "expired_credential",
	RevokedCredential:  "revoked_credential",
	AgedCredential:     "aged_credential",
	InvalidAPIKey:      "invalid_api_key",
	AddressForbidden:   "address_forbidden",
	RateLimited:        "rate_limited",
	TooManyConnections: "too_many_connections",
	MalformedRequest:   "malformed_request",
	InvalidRequest:     "invalid_request",
	RequestTooLarge:    "request_too_large",
	MethodNotAllowed:   "method_not_allowed",
	NotWebSocket:       "not_websocket",
	UpgradeRefused:     "upgrade_refused",
}

// general is the reason that a more special one is a case of: it answers for one
// that a format has no answer for.
var general = map[Reason]Reason{
	InvalidAPIKey:      InvalidCredential,
	TooManyConnections: RateLimited,
	MalformedRequest:   InvalidRequest,
	NotWebSocket:       InvalidRequest,
}

// String returns the reason's name.
func (r Reason) String() string {
	if r < reasonCount {
		return reasonNames[r]
	}
	return fmt.Sprintf("reason(%d)", uint8(r))
}

// known returns r, or Unavailable if r is not one of the set.
func (r Reason) known() Reason {
	if r < reasonCount {
		return r
	}
	return Unavailable
}

// Reasons returns every reason.
func Reasons() []Reason {
	all := make([]Reason, reasonCount)
	for i := range all {
		all[i] = Reason(i)
	}
	return all
}
