package redisstore

import (
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"strconv"
	"strings"

	"example.com/caddy-token-auth/revocation"
)

// place is one change in the feed of one partition.
type place struct {
	// ms and seq are its id. The id alone does not say which change it is: a server
	// that has taken over, but lacks the last changes, gives their ids anew.
	ms, seq uint64
	nonce   [nonceLength]byte
}

// id returns the id as the server writes it.
func (p place) id() string {
	return strconv.FormatUint(p.ms, 10) + "-" + strconv.FormatUint(p.seq, 10)
}

// setID reads the id as the server writes it.
func (p *place) setID(id string) error {
	ms, seq, _ := strings.Cut(id, "-")
	var err1, err2 error
	p.ms, err1 = strconv.ParseUint(ms, 10, 64)
	p.seq, err2 = strconv.ParseUint(seq, 10, 64)
	if err1 != nil || err2 != nil {
		return fmt.Errorf("feed has the id %q", id)
	}
	return nil
}

// position is the last change that was reported of each partition.
type position [partitions]place

const (
	positionPrefix = "1." // the version
	placeLength    = 8 + 8 + nonceLength
)

// encode returns p as a revocation.Position: the places as fixed-width numbers, in
// base64url.
func (p *position) encode() revocation.Position {
	b := make([]byte, 0, partitions*placeLength)
	for i := range p {
		b = binary.BigEndian.AppendUint64(b, p[i].ms)
		b = binary.BigEndian.AppendUint64(b, p[i].seq)
		b = append(b, p[i].nonce[:]...)
	}
	return revocation.Position(positionPrefix + base64.RawURLEncoding.EncodeToString(b))
}

// decodePosition returns what encode made. ok is false for anything else.
func decodePosition(text revocation.Position) (p position, ok bool) {
	encoded, ok := strings.CutPrefix(string(text), positionPrefix)
	if !ok || len(encoded) != base64.RawURLEncoding.EncodedLen(partitions*placeLength) {
		return p, false
	}
	b, err := base64.RawURLEncoding.DecodeString(encoded)
	if err != nil || len(b) != partitions*placeLength {
		return p, false
	}
	for i := range p {
		p[i].ms, p[i].seq = binary.BigEndian.Uint64(b), binary.BigEndian.Uint64(b[8:])
		copy(p[i].nonce[:], b[16:])
		b = b[placeLength:]
	}
	return p, true
}
