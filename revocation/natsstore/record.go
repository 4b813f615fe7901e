package natsstore

import (
	"encoding/binary"
	"errors"
	"time"

	"example.com/caddy-token-auth/revocation"
)

// A record is an entry as it is stored:
//
//	 0         1       2            10            14          14+n
//	+---------+-------+------------+-------------+-----------+------------+-------+
//	| version | scope | at         | expires     | removal   | realm size | realm |
//	| 1 byte  | 1     | 8, Unix ns | 4, Unix s   | n, varint | 1          | 0-255 |
//	+---------+-------+------------+-------------+-----------+------------+-------+
//	| id size | id    | note                                                       |
//	| 1       | 0-255 | all that is left                                           |
//	+---------+-------+------------------------------------------------------------+
//
// Numbers of a fixed size are big-endian. There is no checksum: the servers have one for
// every message. removal is the stream sequence of the marker of the key's last Restore
// that the record came after, and 0 without one: the feed tells by it that a marker was
// replaced before anybody had read it.
const (
	recordVersion   = 1
	recordFixedSize = 1 + 1 + 8 + 4 + 1 + 1
	recordRemoval   = 1 + 1 + 8 + 4 // where the removal begins
	maxRecordSize   = recordFixedSize + binary.MaxVarintLen64 + 2*revocation.MaxIDLength + revocation.MaxNoteLength
)

// record is what is stored under a key.
type record struct {
	entry   revocation.Entry
	removal uint64
}

// What can be wrong with a record. None of them repeats its content.
var (
	errRecordSize    = errors.New("record has the wrong size")
	errRecordVersion = errors.New("record has an unknown version")
	errRecordRemoval = errors.New("record has an irregular number")
	errRecordEntry   = errors.New("record holds no valid entry")
	errRecordKey     = errors.New("record does not belong to its key")
)

// encode returns r, whose entry must be valid, as bytes.
func (r record) encode() []byte {
	e := r.entry
	b := make([]byte, 0, recordFixedSize+binary.MaxVarintLen64+len(e.Realm)+len(e.ID)+len(e.Note))
	b = append(b, recordVersion, byte(e.Scope))
	b = binary.BigEndian.AppendUint64(b, uint64(e.At.UnixNano()))
	b = binary.BigEndian.AppendUint32(b, e.ExpirySecond())
	b = binary.AppendUvarint(b, r.removal)
	b = append(b, byte(len(e.Realm)))
	b = append(b, e.Realm...)
	b = append(b, byte(len(e.ID)))
	b = append(b, e.ID...)
	return append(b, e.Note...)
}

// decodeRecord returns what encode made. It accepts nothing else, and keeps no reference
// to b.
func decodeRecord(b []byte) (record, error) {
	if len(b) < recordFixedSize || len(b) > maxRecordSize {
		return record{}, errRecordSize
	}
	if b[0] != recordVersion {
		return record{}, errRecordVersion
	}
	removal, n := binary.Uvarint(b[recordRemoval:])
	if n <= 0 || n > 1 && b[recordRemoval+n-1] == 0 {
		return record{}, errRecordRemoval
	}
	realm, rest, ok := cutSized(b[recordRemoval+n:])
	if !ok {
		return record{}, errRecordSize
	}
	id, note, ok := cutSized(rest)
	if !ok {
		return record{}, errRecordSize
	}
	e := revocation.Entry{
		Scope:   revocation.Scope(b[1]),
		Realm:   string(realm),
		ID:      string(id),
		Note:    string(note),
		At:      time.Unix(0, int64(binary.BigEndian.Uint64(b[2:]))).UTC(),
		Expires: time.Unix(int64(binary.BigEndian.Uint32(b[10:])), 0).UTC(),
	}
	if e.Validate() != nil {
		return record{}, errRecordEntry
	}
	return record{entry: e, removal: removal}, nil
}

// cutSized takes the bytes off b whose number its first byte is.
func cutSized(b []byte) (taken, rest []byte, ok bool) {
	if len(b) == 0 || len(b) < 1+int(b[0]) {
		return nil, nil, false
	}
	end := 1 + int(b[0])
	return b[1:end], b[end:], true
}
