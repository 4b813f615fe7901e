package revocation

import "strings"

// Kind says what a client is named by. Clients of two kinds are two clients, whatever their
// names.
type Kind uint8

const (
	// KindSubject is whom tokens are issued to, as they or the answer that issued them say.
	KindSubject Kind = iota
	// KindAPIKey is who has an API key, by its name in the configuration or its digest.
	KindAPIKey
)

// String returns the kind's name as the admin API and logs spell it.
func (k Kind) String() string {
	if k == KindAPIKey {
		return "api_key"
	}
	return "subject"
}

// The kind of a client is a part of the ID that its entries have, and so of their Key: that
// of an API key begins with apiKeyMark. Subjects are what they always were, but for one that
// looks like an API key. Versions that know of no kinds read and keep such an entry as one of
// a client with a strange name.
const apiKeyMark = "\x00api-key\x00"

// ClientID returns the ID of entries about the client with this name. No two clients have the
// same.
func ClientID(kind Kind, name string) string {
	name = CanonicalID(name)
	switch {
	case kind == KindAPIKey && len(apiKeyMark)+len(name) > MaxIDLength:
		// Not CanonicalID of the whole, which a subject might have for its name.
		return apiKeyMark + hashedID(name)
	case kind == KindAPIKey:
		return apiKeyMark + name
	case looksLikeAPIKey(name):
		return CanonicalID("\x00" + name)
	default:
		return name
	}
}

// looksLikeAPIKey reports whether a subject has the ID of an API key, or the one that such a
// subject is given.
func looksLikeAPIKey(id string) bool {
	trimmed := strings.TrimLeft(id, "\x00")
	return len(trimmed) < len(id) && strings.HasPrefix(trimmed, apiKeyMark[1:])
}

// Client returns which client an entry with ScopeClient is about.
func (e Entry) Client() (Kind, string) {
	if name, ok := strings.CutPrefix(e.ID, apiKeyMark); ok {
		return KindAPIKey, name
	}
	if looksLikeAPIKey(e.ID) {
		return KindSubject, e.ID[1:]
	}
	return KindSubject, e.ID
}

// noteSubject is the Note of a cut-off of a subject. Before there were kinds, a cut-off was
// about every client with its name: without the Note, it still counts for the API key too.
const noteSubject = "subject"

// ofEveryKind returns the cut-off of a subject if it is one for the API key with its name too,
// and the zero Entry if it is none.
func (e Entry) ofEveryKind() Entry {
	if e.Scope == ScopeClient && e.Note == noteSubject {
		return Entry{}
	}
	return e
}

// asAPIKey returns what a cut-off of every kind is for the API key.
func (e Entry) asAPIKey() Entry {
	e.ID = ClientID(KindAPIKey, e.ID)
	return e
}
