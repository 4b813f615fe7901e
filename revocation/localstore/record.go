package localstore

import (
	"encoding/binary"
	"errors"
	"hash/crc32"
	"time"

	"example.com/caddy-token-auth/revocation"
)

// A record is an entry as it is stored:
//
//	 0         1       2             10             14           15
//	+---------+-------+-------------+--------------+------------+---------+
//	| version | scope | at          | expires      | realm size | realm   |
//	| 1 byte  | 1     | 8, Unix ns  | 4, Unix s    | 1          | 0..255  |
//	+---------+-------+-------------+--------------+------------+---------+
//	| id size | id      | checksum                                        |
//	| 1       | 0..255  | 4, CRC-32C of all before it                     |
//	+---------+---------+-------------------------------------------------+
//
// Numbers are big-endian. Nothing follows the checksum. A record of version 2 has,
// between the id and the checksum, the entry's note, which is not empty.
const (
	recordVersion     = 1
	recordVersionNote = 2
	recordFixedSize   = 1 + 1 + 8 + 4 + 1 + 1 + crc32.Size
	maxRecordSize     = recordFixedSize + 2*revocation.MaxIDLength + revocation.MaxNoteLength
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// What can be wrong with a record. None of them repeats its content.
var (
	errRecordSize     = errors.New("record has the wrong size")
	errRecordVersion  = errors.New("record has an unknown version")
	errRecordChecksum = errors.New("record does not match its checksum")
	errRecordEntry    = errors.New("record holds no valid entry")
	errRecordKey      = errors.New("record does not belong to its key")
)

// encodeRecord returns e, which must be valid, as a record.
func encodeRecord(e revocation.Entry) []byte {
	b := make([]byte, 0, recordFixedSize+len(e.Realm)+len(e.ID)+len(e.Note))
	version := byte(recordVersion)
	if e.Note != "" {
		version = recordVersionNote
	}
	b = append(b, version, byte(e.Scope))
	b = binary.BigEndian.AppendUint64(b, uint64(e.At.UnixNano()))
	b = binary.BigEndian.AppendUint32(b, e.ExpirySecond())
	b = append(b, byte(len(e.Realm)))
	b = append(b, e.Realm...)
	b = append(b, byte(len(e.ID)))
	b = append(b, e.ID...)
	b = append(b, e.Note...)
	return appendChecksum(b)
}

func appendChecksum(b []byte) []byte {
	return binary.BigEndian.AppendUint32(b, crc32.Checksum(b, castagnoli))
}

// decodeRecord returns the entry that b holds. It accepts what encodeRecord writes
// and nothing else, and keeps no reference to b.
func decodeRecord(b []byte) (revocation.Entry, error) {
	var e revocation.Entry
	if len(b) < recordFixedSize || len(b) > maxRecordSize {
		return e, errRecordSize
	}
	if b[0] != recordVersion && b[0] != recordVersionNote {
		return e, errRecordVersion
	}
	body, sum := b[:len(b)-crc32.Size], b[len(b)-crc32.Size:]
	if crc32.Checksum(body, castagnoli) != binary.BigEndian.Uint32(sum) {
		return e, errRecordChecksum
	}
	realmEnd := 15 + int(body[14])
	if realmEnd >= len(body) {
		return e, errRecordSize
	}
	idEnd := realmEnd + 1 + int(body[realmEnd])
	if idEnd > len(body) || (idEnd < len(body)) != (b[0] == recordVersionNote) {
		return e, errRecordSize
	}
	e = revocation.Entry{
		Scope:   revocation.Scope(body[1]),
		Realm:   string(body[15:realmEnd]),
		ID:      string(body[realmEnd+1 : idEnd]),
		Note:    string(body[idEnd:]),
		At:      time.Unix(0, int64(binary.BigEndian.Uint64(body[2:]))).UTC(),
		Expires: time.Unix(int64(binary.BigEndian.Uint32(body[10:])), 0).UTC(),
	}
	if e.Validate() != nil {
		return revocation.Entry{}, errRecordEntry
	}
	return e, nil
}
