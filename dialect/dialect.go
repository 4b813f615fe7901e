package dialect

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
)

// Answer is a whole response but for the header fields common to all APIs.
type Answer struct {
	// Status is the HTTP status code.
	Status int
	// ContentType is the media type of Body, or empty if there is no body.
	ContentType string
	// Body may be shared and must not be modified.
	Body []byte
}

// Request is what a dialect may want to know of the request that it answers. Its
// functions are called at most as often as the answer needs, and only by dialects
// that do need them; each may be nil.
type Request struct {
	// ID returns the id of a JSON-RPC request as the client wrote it: raw JSON, or
	// nil if the request has none. It may come from the client unchecked: one that
	// is not a string, a number or null, or is longer than 256 bytes, is answered
	// as null. MessageID and TextID find it.
	ID func() json.RawMessage
	// Value returns what a placeholder of a custom answer stands for, and whether
	// there is one of this name.
	Value func(name string) (value string, ok bool)
}

// Refusal is a request that is not let through.
type Refusal struct {
	Request
	// Reason is why. An unknown one is answered like Unavailable.
	Reason Reason
	// Grant says that the credential is not one for access but the grant of a
	// request for a new token: a refresh token (RFC 6749 §6).
	Grant bool
}

// Dialect is the format of one API. Both methods are safe for concurrent use.
type Dialect interface {
	// Refuse returns the API's answer to a refused request. It has one for every
	// Reason.
	Refuse(refusal Refusal) Answer
	// LoggedOut returns the API's answer to a successful logout.
	LoggedOut(request Request) Answer
}

var dialects = map[string]Dialect{
	"deribit":       deribit{},
	"ecgrid":        ecgrid,
	"oauth":         oauth{},
	"octopus_cards": octopusCards,
	"problem":       problem,
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
