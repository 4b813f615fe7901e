package revocation

import (
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"time"
)

// Scope says what an Entry covers. Its numbers are stored: they never change.
type Scope uint8

const (
	// ScopeToken covers the one token whose identifier is Entry.ID.
	ScopeToken Scope = 1
	// ScopeSession is a cut-off for every token of the session Entry.ID.
	ScopeSession Scope = 2
	// ScopeClient is a cut-off for every token of the client Entry.ID.
	ScopeClient Scope = 3
	// ScopeIssued is no revocation. It says that the token Entry.ID was seen being
	// issued when the cut-offs of its session and client stood at Entry.At, so that
	// only a later cut-off covers it.
	ScopeIssued Scope = 4
	// ScopeRetention is no revocation. There is one at most; it records the
	// retention that entries were written with (see List.RaiseMaxTokenLifetime).
	ScopeRetention Scope = 5
	// ScopeKnown is no revocation. It says that the token Entry.ID, which does not say
	// so itself, was issued at Entry.At, and to whom (see List.Learn).
	ScopeKnown Scope = 6
)

var scopeNames = [...]string{
	ScopeToken:     "token",
	ScopeSession:   "session",
	ScopeClient:    "client",
	ScopeIssued:    "issued",
	ScopeRetention: "retention",
	ScopeKnown:     "known",
}

// String returns the scope's name as configuration and logs spell it.
func (s Scope) String() string {
	if int(s) < len(scopeNames) && scopeNames[s] != "" {
		return scopeNames[s]
	}
	return fmt.Sprintf("scope(%d)", uint8(s))
}

// Valid reports whether s is one of the scopes that an Entry may have.
func (s Scope) Valid() bool {
	return s >= ScopeToken && s <= ScopeKnown
}

// ParseScope returns the revocation scope with the given name: token, session or client.
func ParseScope(name string) (Scope, error) {
	for _, s := range []Scope{ScopeToken, ScopeSession, ScopeClient} {
		if s.String() == name {
			return s, nil
		}
	}
	return 0, fmt.Errorf("unknown scope %q: want token, session or client", name)
}

// Key identifies an Entry: the first 128 bits of the SHA-256 of its scope, realm
// and identifier. Two entries with the same Key are the same entry.
type Key [16]byte

// IsZero reports whether k is the zero Key, which belongs to no entry.
func (k Key) IsZero() bool { return k == Key{} }

// KeyOf returns the Key of the entry for id within realm. The fields are
// delimited by their lengths, so that no two different triples hash alike.
func KeyOf(scope Scope, realm, id string) Key {
	buf := make([]byte, 0, 128)
	buf = append(buf, byte(scope))
	buf = binary.AppendUvarint(buf, uint64(len(realm)))
	buf = append(buf, realm...)
	buf = append(buf, id...)
	sum := sha256.Sum256(buf)
	return Key(sum[:16])
}

// MaxIDLength is the longest identifier or realm, in bytes, that is kept as it
// is. It bounds the size of a stored record whatever an issuer puts into a claim.
const MaxIDLength = 255

// CanonicalID returns id as entries hold it: unchanged up to MaxIDLength bytes,
// and its SHA-256 in hexadecimal, prefixed "sha256:", beyond that.
func CanonicalID(id string) string {
	if len(id) <= MaxIDLength {
		return id
	}
	return hashedID(id)
}

func hashedID(id string) string {
	sum := sha256.Sum256([]byte(id))
	return "sha256:" + hex.EncodeToString(sum[:])
}

// Entry is one record of the list.
type Entry struct {
	Scope Scope
	// Realm separates identifiers of different issuers; at most MaxIDLength bytes.
	Realm string
	// ID is the token or session identifier, or the ClientID; at most MaxIDLength bytes.
	ID string
	// At is the cut-off (ScopeSession, ScopeClient), the time of the revocation
	// (ScopeToken), the cut-off survived (ScopeIssued) or the time of issue
	// (ScopeKnown), to the nanosecond.
	At time.Time
	// Expires is the time from which the entry is no longer needed, because every
	// token that it covers is refused for its age by then. To the second, rounded up.
	Expires time.Time
	// Note is what else there is to say about it, in a form that is the List's
	// own; at most MaxNoteLength bytes of any value.
	Note string
}

// MaxNoteLength is the longest Note in bytes: room for two identifiers.
const MaxNoteLength = 2*MaxIDLength + 32

// Key returns the entry's Key. It does not depend on the ID of the one entry with
// ScopeRetention, whose ID is its content.
func (e Entry) Key() Key {
	if e.Scope == ScopeRetention {
		return retentionKey
	}
	return KeyOf(e.Scope, e.Realm, e.ID)
}

var retentionKey = KeyOf(ScopeRetention, "", "")

// Live reports whether the entry still matters at the time now.
func (e Entry) Live(now time.Time) bool { return now.Before(e.Expires) }

// ExpirySecond returns Expires in Unix seconds, rounded up, as stores keep it: nothing of
// the entry's life is left then. Validate keeps it between 1 and the largest uint32.
func (e Entry) ExpirySecond() uint32 {
	s := e.Expires.Unix()
	if e.Expires.Nanosecond() > 0 {
		s++
	}
	return uint32(min(max(s, 1), 1<<32-1))
}

// Merge returns the one entry that stands for both a and b, which have the same
// Key: the later At, with the ID and Note that came with it, and the later Expires.
// Of two entries with the same At, the greater ID counts, byte by byte, and with the
// same ID the greater Note. So merging is commutative, associative and idempotent:
// replicas may apply entries in any order and any number of times.
func Merge(a, b Entry) Entry {
	if compare(b, a) > 0 {
		a.At, a.ID, a.Note = b.At, b.ID, b.Note
	}
	if b.Expires.After(a.Expires) {
		a.Expires = b.Expires
	}
	return a
}

// compare orders entries of one Key by what Merge takes from the greater one.
func compare(a, b Entry) int {
	return cmp.Or(a.At.Compare(b.At), strings.Compare(a.ID, b.ID), strings.Compare(a.Note, b.Note))
}

// ErrInvalidEntry is wrapped by the errors of Entry.Validate.
var ErrInvalidEntry = errors.New("invalid entry")

// Validate reports what is wrong with e, as an error that wraps ErrInvalidEntry.
// A Store refuses invalid entries.
func (e Entry) Validate() error {
	switch {
	case !e.Scope.Valid():
		return fmt.Errorf("%w: %s", ErrInvalidEntry, e.Scope)
	case e.ID == "" && e.Scope != ScopeRetention:
		return fmt.Errorf("%w: no identifier", ErrInvalidEntry)
	case len(e.ID) > MaxIDLength || len(e.Realm) > MaxIDLength:
		return fmt.Errorf("%w: identifier or realm longer than %d bytes", ErrInvalidEntry, MaxIDLength)
	case len(e.Note) > MaxNoteLength:
		return fmt.Errorf("%w: note longer than %d bytes", ErrInvalidEntry, MaxNoteLength)
	case e.At.IsZero() || e.At.Unix() < 0 || e.At.Year() > maxYear:
		return fmt.Errorf("%w: time %s out of range", ErrInvalidEntry, e.At)
	case e.Expires.IsZero() || e.Expires.Unix() <= 0 || e.Expires.Year() > maxYear:
		return fmt.Errorf("%w: expiry %s out of range", ErrInvalidEntry, e.Expires)
	}
	return nil
}

// maxYear keeps At within an int64 of Unix nanoseconds and Expires within a
// uint32 of Unix seconds (7 February 2106).
const maxYear = 2105

// Forever is the Expires of an entry that is never purged.
var Forever = time.Date(maxYear, time.December, 31, 0, 0, 0, 0, time.UTC)
