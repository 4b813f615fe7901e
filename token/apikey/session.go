package apikey

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"time"
)

// Why a text is not a session of its owner. The texts of these errors are fixed.
var (
	// ErrMalformed: the text has not the form of a session.
	ErrMalformed = errors.New("malformed session")
	// ErrForeign: the session was not begun for this owner with this secret.
	ErrForeign = errors.New("session is not one of this key")
	// ErrFuture: the session is genuine but begins later than now.
	ErrFuture = errors.New("session begins in the future")
)

const (
	// SessionLength is the length of every Session.Text, in bytes.
	SessionLength = (rawLength*8 + 5) / 6

	// MaxClockDifference is how much later than now a session may have begun: replicas'
	// clocks differ a little. More would let a session outlive the cut-off that ended it.
	MaxClockDifference = 5 * time.Second

	// What a session is made of: version ‖ random ‖ time ‖ MAC. 128 random bits never
	// repeat, and 128 bits of MAC cannot be guessed.
	randomLength = 16
	timeLength   = 8
	macLength    = 16
	bodyLength   = 1 + randomLength + timeLength
	rawLength    = bodyLength + macLength

	// sessionVersion is the first byte. Another layout gets another one.
	sessionVersion = 1

	// sessionLabel keeps the key and the MACs of sessions apart from all others.
	sessionLabel = "caddy-token-auth: session of an API key"
)

// Session is one session of the owner of a key. Printing and encoding it leaves out Text.
type Session struct {
	// ID is what the session is known by where its end is remembered. It is the random
	// part of Text, which is of no use without the rest: it cannot be presented.
	ID string
	// Text is what the client presents. It is base64url, SessionLength bytes.
	Text string `json:"-"`
	// Begun is when the session began, to the nanosecond.
	Begun time.Time
}

// Format implements fmt.Formatter for every verb.
func (s Session) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, s.String()) }

// String names the session by its ID.
func (s Session) String() string { return s.ID }

// Sessions begins sessions and recognises them.
type Sessions struct {
	mac *mac
	now func() time.Time
}

// NewSessions returns the Sessions of a secret of at least MinSecretLength bytes. All
// replicas need the same one; another one ends all sessions. now gives the time; nil
// stands for time.Now.
func NewSessions(secret []byte, now func() time.Time) (*Sessions, error) {
	m, err := newMAC(secret, sessionLabel)
	if err != nil {
		return nil, err
	}
	if now == nil {
		now = time.Now
	}
	return &Sessions{mac: m, now: now}, nil
}

// Begin returns a new session of owner: the identity of the key that was presented, not
// the key. It keeps nothing.
func (s *Sessions) Begin(owner string) Session {
	var raw [rawLength]byte
	raw[0] = sessionVersion
	_, _ = rand.Read(raw[1 : 1+randomLength]) // never fails
	binary.BigEndian.PutUint64(raw[1+randomLength:], uint64(s.now().UnixNano()))
	sum := s.sum(&raw, owner)
	copy(raw[bodyLength:], sum[:macLength])
	return session(&raw, encoding.EncodeToString(raw[:]))
}

// Parse returns the session that a text stands for, if it was begun for owner with the
// same secret, and not later than MaxClockDifference from now. The error is ErrMalformed,
// ErrForeign or ErrFuture.
func (s *Sessions) Parse(owner, text string) (Session, error) {
	if len(text) != SessionLength {
		return Session{}, ErrMalformed
	}
	var encoded [SessionLength]byte
	var raw [rawLength]byte
	copy(encoded[:], text)
	// The decoder passes over line breaks, and has less in the end.
	n, err := encoding.Decode(raw[:], encoded[:])
	if err != nil || n != rawLength || raw[0] != sessionVersion {
		return Session{}, ErrMalformed
	}
	sum := s.sum(&raw, owner)
	if subtle.ConstantTimeCompare(sum[:macLength], raw[bodyLength:]) != 1 {
		return Session{}, ErrForeign
	}
	// Said of genuine sessions only.
	parsed := session(&raw, text)
	if parsed.Begun.After(s.now().Add(MaxClockDifference)) {
		return Session{}, ErrFuture
	}
	return parsed, nil
}

// sum is the MAC of the body of raw for owner. All that comes before owner has a fixed
// length, and the length of owner is covered too: nothing else has the same bytes.
func (s *Sessions) sum(raw *[rawLength]byte, owner string) [sha256.Size]byte {
	const lengthAt = len(sessionLabel) + bodyLength
	var head [lengthAt + 8]byte
	copy(head[:], sessionLabel)
	copy(head[len(sessionLabel):], raw[:bodyLength])
	binary.BigEndian.PutUint64(head[lengthAt:], uint64(len(owner)))
	return s.mac.sum(head[:], owner)
}

// session returns the session that raw is and text says.
func session(raw *[rawLength]byte, text string) Session {
	const prefix = "session:"
	var id [len(prefix) + (randomLength*8+5)/6]byte
	copy(id[:], prefix)
	encoding.Encode(id[len(prefix):], raw[1:1+randomLength])
	nanoseconds := int64(binary.BigEndian.Uint64(raw[1+randomLength:]))
	return Session{ID: string(id[:]), Text: text, Begun: time.Unix(0, nanoseconds)}
}

// Format implements fmt.Formatter for every verb.
func (Sessions) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, "sessions of API keys") }
