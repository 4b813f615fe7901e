package localstore

import (
	"context"
	"encoding/binary"
	"fmt"
	"slices"
	"time"

	"go.etcd.io/bbolt"

	"example.com/caddy-token-auth/revocation"
)

// view runs fn in a read transaction.
func (s *Store) view(fn func(records *bbolt.Bucket) error) error {
	s.gate.RLock()
	defer s.gate.RUnlock()
	if s.closed.Load() {
		return revocation.ErrClosed
	}
	return s.read(fn)
}

// read is view for those who hold the gate.
func (s *Store) read(fn func(records *bbolt.Bucket) error) error {
	if err := s.ready(); err != nil {
		return err
	}
	began := false
	err := guarded(func() error {
		return s.db.View(func(tx *bbolt.Tx) error {
			began = true
			return fn(tx.Bucket(bucketRecords))
		})
	})
	if isPanic(err) && !began {
		s.broken.CompareAndSwap(nil, &err)
	}
	return err
}

// ready reports whether bbolt can be called. It reads both meta pages through the
// file, where a disk that cannot deliver them gives an error: bbolt touches them
// through the memory map with a lock in its hands, which a fault would not release.
func (s *Store) ready() error {
	if err := s.broken.Load(); err != nil {
		return fmt.Errorf("%w: %w", ErrBroken, *err)
	}
	var b [1]byte
	for _, offset := range [...]int64{0, s.pageSize} {
		if _, err := s.file.ReadAt(b[:], offset); err != nil {
			return fmt.Errorf("reading revocation list %s: %w", s.file.Name(), err)
		}
	}
	return nil
}

// wanted is a key that Lookup is still looking for.
type wanted struct {
	position int
	expiries []uint32 // where it may be stored
}

// Lookup implements revocation.Store. It reads the file only for keys that are in
// the index.
//
// The index always holds every place where the file may have a record: a commit adds
// the new place of an entry before it and removes the old one after it. So a key that
// was in neither of its places when the transaction began has moved in between, if
// its places have changed, and is looked for again.
func (s *Store) Lookup(ctx context.Context, keys ...revocation.Key) ([]revocation.Entry, error) {
	if err := s.usable(ctx); err != nil {
		return nil, err
	}
	found := make([]revocation.Entry, len(keys))
	var open []wanted
	for i, key := range keys {
		if expiries := s.index.Candidates(nil, key); len(expiries) > 0 {
			open = append(open, wanted{i, expiries})
		}
	}
	now := s.now()
	for len(open) > 0 {
		if s.hooks.beforeRead != nil {
			s.hooks.beforeRead()
		}
		err := s.view(func(records *bbolt.Bucket) error {
			missing := open[:0]
			for _, w := range open {
				e, ok, err := get(records, keys[w.position], w.expiries)
				switch {
				case err != nil:
					return err
				case !ok:
					missing = append(missing, w)
				case e.Live(now):
					found[w.position] = e
				}
			}
			open = missing
			return nil
		})
		if err != nil {
			return nil, err
		}
		moved := open[:0]
		for _, w := range open {
			expiries := s.index.Candidates(nil, keys[w.position])
			if !slices.Equal(w.expiries, expiries) {
				moved = append(moved, wanted{w.position, expiries})
			}
		}
		open = moved
		if err := ctx.Err(); err != nil && len(open) > 0 {
			return nil, err
		}
	}
	return found, nil
}

// get returns the entry stored under key and one of expiries.
func get(records *bbolt.Bucket, key revocation.Key, expiries []uint32) (revocation.Entry, bool, error) {
	for _, expiry := range expiries {
		rk := makeRecordKey(expiry, key)
		if value := records.Get(rk[:]); value != nil {
			e, err := readRecord(expiry, key, value)
			return e, err == nil, err
		}
	}
	return revocation.Entry{}, false, nil
}

// scanChunk is the number of entries that Scan reads in one transaction. Bounded,
// because a transaction in progress keeps the file from growing and pages from being
// reused, and what fn does may take its time.
const scanChunk = 256

// Scan implements revocation.Store. An entry whose expiry is moved meanwhile may be
// given twice; none that is stored throughout is missed, since expiries only move
// forward, in the direction of the scan. fn may use the Store.
func (s *Store) Scan(ctx context.Context, fn func(revocation.Entry) error) error {
	if err := s.usable(ctx); err != nil {
		return err
	}
	now := s.now()
	next := firstLive(now)
	for next != nil {
		var entries []revocation.Entry
		err := s.view(func(records *bbolt.Bucket) (err error) {
			entries, next, err = readChunk(records, next, now)
			return err
		})
		if err != nil {
			return err
		}
		for _, e := range entries {
			if err := ctx.Err(); err != nil {
				return err
			}
			if err := fn(e); err != nil {
				return err
			}
		}
	}
	return ctx.Err()
}

// firstLive returns a key before that of every record that is live at the time now.
func firstLive(now time.Time) []byte {
	s := min(max(now.Unix(), 0), int64(^uint32(0)))
	return binary.BigEndian.AppendUint32(nil, uint32(s))
}

// readChunk returns live entries from the key from on, and the key to go on with, or
// nil at the end.
func readChunk(records *bbolt.Bucket, from []byte, now time.Time) ([]revocation.Entry, []byte, error) {
	entries := make([]revocation.Entry, 0, scanChunk)
	cursor := records.Cursor()
	for k, v := cursor.Seek(from); k != nil; k, v = cursor.Next() {
		if len(entries) == scanChunk {
			return entries, slices.Clone(k), nil
		}
		expiry, key, err := parseRecordKey(k)
		if err != nil {
			return nil, nil, err
		}
		e, err := readRecord(expiry, key, v)
		if err != nil {
			return nil, nil, err
		}
		if e.Live(now) {
			entries = append(entries, e)
		}
	}
	return entries, nil, nil
}
