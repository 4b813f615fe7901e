package dialect

import (
	"fmt"
	"slices"
	"strings"
)

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
	// AddressForbidden means that the client may not call from this address.
	AddressForbidden
	// InvalidRequest means that the request cannot be understood where it must be.
	InvalidRequest
	// RequestTooLarge means that the body exceeds what must be read of it.
	RequestTooLarge
	// MethodNotAllowed means that the path does not take this method.
	MethodNotAllowed
	// UpgradeRefused means that the request asks for a protocol that cannot be
	// followed.
	UpgradeRefused

	reasonCount
)

var reasonNames = [reasonCount]string{
	Unavailable:       "unavailable",
	MissingCredential: "missing_credential",
	InvalidCredential: "invalid_credential",
	ExpiredCredential: "expired_credential",
	RevokedCredential: "revoked_credential",
	AgedCredential:    "aged_credential",
	AddressForbidden:  "address_forbidden",
	InvalidRequest:    "invalid_request",
	RequestTooLarge:   "request_too_large",
	MethodNotAllowed:  "method_not_allowed",
	UpgradeRefused:    "upgrade_refused",
}

// String returns the reason's name.
func (r Reason) String() string {
	if r < reasonCount {
		return reasonNames[r]
	}
	return fmt.Sprintf("reason(%d)", uint8(r))
}

// Reasons returns every reason.
func Reasons() []Reason {
	all := make([]Reason, reasonCount)
	for i := range all {
		all[i] = Reason(i)
	}
	return all
}

// Answer is a whole response but for the header fields common to all APIs.
type Answer struct {
	// Status is the HTTP status code.
	Status int
	// ContentType is the media type of Body.
	ContentType string
	// Body is shared and must not be modified.
	Body []byte
}

// Dialect is the format of one API. Both methods are safe for concurrent use.
type Dialect interface {
	// Refuse returns the API's answer to a refused request. It has one for every
	// Reason; an unknown one is answered like Unavailable.
	Refuse(reason Reason) Answer
	// LoggedOut returns the API's answer to a successful logout.
	LoggedOut() Answer
}

var dialects = map[string]Dialect{
	"octopus_cards": octopusCards{},
}

// Named returns the dialect with the given name.
func Named(name string) (Dialect, error) {
	if d, ok := dialects[name]; ok {
		return d, nil
	}
	return nil, fmt.Errorf("unknown response format %q: want %s", name, strings.Join(Names(), ", "))
}

// Names returns the names of all dialects, sorted.
func Names() []string {
	names := make([]string, 0, len(dialects))
	for name := range dialects {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}
