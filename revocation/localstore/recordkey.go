package localstore

import (
	"encoding/binary"
	"fmt"

	"example.com/caddy-token-auth/revocation"
)

// expirySize is the part of a record's key before the revocation.Key.
const expirySize = 4

// recordKey is where a record is stored: its expiry, then the entry's Key.
type recordKey [expirySize + len(revocation.Key{})]byte

func makeRecordKey(expiry uint32, key revocation.Key) (rk recordKey) {
	binary.BigEndian.PutUint32(rk[:], expiry)
	copy(rk[expirySize:], key[:])
	return rk
}

func parseRecordKey(b []byte) (expiry uint32, key revocation.Key, err error) {
	if len(b) != len(recordKey{}) {
		return 0, key, fmt.Errorf("%w: a record's key has %d bytes, not %d", ErrDamaged, len(b), len(recordKey{}))
	}
	expiry = binary.BigEndian.Uint32(b)
	if expiry == 0 {
		return 0, key, fmt.Errorf("%w: record %x has no expiry", ErrDamaged, b)
	}
	return expiry, revocation.Key(b[expirySize:]), nil
}

// readRecord decodes the record stored under expiry and key and checks that it
// belongs there.
func readRecord(expiry uint32, key revocation.Key, value []byte) (revocation.Entry, error) {
	e, err := decodeRecord(value)
	if err == nil && (e.ExpirySecond() != expiry || e.Key() != key) {
		err = errRecordKey
	}
	if err != nil {
		return revocation.Entry{}, fmt.Errorf("%w: key %x expiring at %d: %w", ErrDamaged, key, expiry, err)
	}
	return e, nil
}
