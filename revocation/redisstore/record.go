package redisstore

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"strings"
	"time"

	"example.com/caddy-token-auth/revocation"
)

// A record is the value of an entry's key:
//
//	+---------+----------------+------+
//	| version | expiry, uint32 | rank |
//	+---------+----------------+------+
//
//	rank:
//	+------------+---------+-----------+-------+--------------+
//	| At, uint64 | text ID | text Note | scope | realm, bytes |
//	+------------+---------+-----------+-------+--------------+
//
// Numbers are big-endian; the expiry is in Unix seconds, rounded up, At in Unix
// nanoseconds. A text is its bytes, with 00 FF for each 00, and 00 00 at its end. So
// of two ranks the one that is greater, byte by byte, is the one that
// revocation.Merge takes, and merging is the greater expiry and the greater rank,
// which write.lua does without knowing more.
const (
	recordVersion = 1
	rankOffset    = 1 + 4
	minRecord     = rankOffset + 8 + 2 + 2 + 1
)

// errDamaged says that a value in the store is not one that this package has written.
var errDamaged = errors.New("not a record of this version, or damaged")

func encodeRecord(e revocation.Entry) []byte {
	b := make([]byte, 0, minRecord+len(e.ID)+len(e.Note)+len(e.Realm)+8)
	b = append(b, recordVersion)
	b = binary.BigEndian.AppendUint32(b, e.ExpirySecond())
	b = binary.BigEndian.AppendUint64(b, uint64(e.At.UnixNano()))
	b = appendText(b, e.ID)
	b = appendText(b, e.Note)
	b = append(b, byte(e.Scope))
	return append(b, e.Realm...)
}

func appendText(b []byte, text string) []byte {
	for {
		zero := strings.IndexByte(text, 0)
		if zero < 0 {
			return append(append(b, text...), 0, 0)
		}
		b = append(append(b, text[:zero]...), 0, 0xff)
		text = text[zero+1:]
	}
}

// decodeRecord returns the entry that record stands for, which is valid.
func decodeRecord(record string) (revocation.Entry, error) {
	if len(record) < minRecord || record[0] != recordVersion {
		return revocation.Entry{}, errDamaged
	}
	expires := binary.BigEndian.Uint32([]byte(record[1:rankOffset]))
	at := binary.BigEndian.Uint64([]byte(record[rankOffset : rankOffset+8]))
	if at > math.MaxInt64 {
		return revocation.Entry{}, errDamaged
	}
	e := revocation.Entry{At: time.Unix(0, int64(at)).UTC(), Expires: time.Unix(int64(expires), 0).UTC()}
	rest := record[rankOffset+8:]
	var ok [2]bool
	e.ID, rest, ok[0] = cutText(rest)
	e.Note, rest, ok[1] = cutText(rest)
	if !ok[0] || !ok[1] || rest == "" {
		return revocation.Entry{}, errDamaged
	}
	e.Scope, e.Realm = revocation.Scope(rest[0]), rest[1:]
	if err := e.Validate(); err != nil {
		return revocation.Entry{}, fmt.Errorf("%w: %w", errDamaged, err)
	}
	return e, nil
}

// cutText splits b after the text that it begins with.
func cutText(b string) (text, rest string, ok bool) {
	var parts strings.Builder
	for {
		zero := strings.IndexByte(b, 0)
		if zero < 0 || zero+1 == len(b) {
			return "", "", false
		}
		end, mark := b[:zero], b[zero+1]
		b = b[zero+2:]
		switch {
		case mark == 0 && parts.Len() == 0:
			return end, b, true
		case mark == 0:
			parts.WriteString(end)
			return parts.String(), b, true
		case mark == 0xff:
			parts.WriteString(end)
			parts.WriteByte(0)
		default:
			return "", "", false
		}
	}
}

// decodeEntry is decodeRecord for the record that was found under key.
func decodeEntry(key revocation.Key, record string) (revocation.Entry, error) {
	e, err := decodeRecord(record)
	if err == nil && e.Key() != key {
		err = errDamaged
	}
	if err != nil {
		return revocation.Entry{}, fmt.Errorf("record of key %s: %w", keyEncoding.EncodeToString(key[:]), err)
	}
	return e, nil
}
