package natsstore

import (
	"encoding/base64"
	"encoding/binary"
	"strings"
	"time"

	"example.com/caddy-token-auth/revocation"
)

// position is a place in the feed: a message that was reported.
type position struct {
	// created is when the stream was created, in Unix nanoseconds. One that was
	// deleted and created again is another one.
	created int64
	// sequence is the message's, and stored when the servers stored it, in Unix
	// nanoseconds.
	sequence uint64
	stored   int64
	// clean is the place up to which all removals have been reported (see follower).
	clean uint64
}

const (
	positionPrefix = "1." // the version
	positionLength = 4 * 8
)

// encode returns p as a revocation.Position: four fixed-width numbers in base64url.
func (p position) encode() revocation.Position {
	b := make([]byte, 0, positionLength)
	b = binary.BigEndian.AppendUint64(b, uint64(p.created))
	b = binary.BigEndian.AppendUint64(b, p.sequence)
	b = binary.BigEndian.AppendUint64(b, uint64(p.stored))
	b = binary.BigEndian.AppendUint64(b, p.clean)
	return revocation.Position(positionPrefix + base64.RawURLEncoding.EncodeToString(b))
}

// decodePosition returns what encode made. ok is false for anything else.
func decodePosition(text revocation.Position) (p position, ok bool) {
	encoded, ok := strings.CutPrefix(string(text), positionPrefix)
	if !ok || len(encoded) != base64.RawURLEncoding.EncodedLen(positionLength) {
		return p, false
	}
	b, err := base64.RawURLEncoding.DecodeString(encoded)
	if err != nil || len(b) != positionLength {
		return p, false
	}
	return position{
		created:  int64(binary.BigEndian.Uint64(b)),
		sequence: binary.BigEndian.Uint64(b[8:]),
		stored:   int64(binary.BigEndian.Uint64(b[16:])),
		clean:    binary.BigEndian.Uint64(b[24:]),
	}, true
}

// after returns the moment after the message was stored.
func (p position) after() time.Time { return time.Unix(0, p.stored+1) }
