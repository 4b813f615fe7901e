package localstore

import (
	"bytes"
	"time"

	"go.etcd.io/bbolt"

	"example.com/caddy-token-auth/revocation"
	"example.com/caddy-token-auth/revocation/index"
)

const (
	// maxPurge bounds the expired records that one transaction removes, and so what
	// purging adds to the time that a logout takes.
	maxPurge = 1000
	// fillPercent is how full bbolt leaves a page that it splits. More than its
	// default of one half, since most records arrive near the right end.
	fillPercent = 0.75
)

// batch is the work of one transaction.
type batch struct {
	index    *index.Index
	now      time.Time
	requests []*request
	size     int // entries and keys in requests
	purge    bool

	// changes holds, for each key written by this transaction, where its record was
	// before and is after it.
	changes map[revocation.Key]change
	purged  []recordKey
	dirty   bool
}

// change is the move of a record between expiries; 0 stands for no record.
type change struct{ before, after uint32 }

func newBatch(x *index.Index, now time.Time) *batch {
	return &batch{index: x, now: now, changes: make(map[revocation.Key]change)}
}

func (b *batch) add(r *request) {
	b.requests = append(b.requests, r)
	b.size += max(1, len(r.entries)+len(r.restore))
	b.purge = b.purge || r.purge
}

// apply makes all changes in records. A stored record that cannot be read fails the
// request that needs it, and no other. It returns errUnchanged if nothing is to be
// written.
func (b *batch) apply(records *bbolt.Bucket) error {
	records.FillPercent = fillPercent
	for _, r := range b.requests {
		for _, e := range r.entries {
			damage, err := b.put(records, e)
			if err != nil {
				return err
			}
			if damage != nil {
				r.err = damage
				break
			}
		}
		for _, key := range r.restore {
			if err := b.remove(records, key); err != nil {
				return err
			}
		}
	}
	if b.purge {
		if err := b.removeExpired(records); err != nil {
			return err
		}
	}
	if !b.dirty {
		return errUnchanged
	}
	return records.SetSequence(uint64(int64(records.Sequence()) + b.growth()))
}

// current returns where the record of key is at this point of the transaction, and
// the record, or 0 and nil.
func (b *batch) current(records *bbolt.Bucket, key revocation.Key) (uint32, []byte) {
	var few [4]uint32
	expiries := few[:0]
	if c, ok := b.changes[key]; ok {
		expiries = append(expiries, c.after)
	} else {
		expiries = b.index.Candidates(expiries, key)
	}
	for _, expiry := range expiries {
		rk := makeRecordKey(expiry, key)
		if value := records.Get(rk[:]); value != nil {
			return expiry, value
		}
	}
	return 0, nil
}

// move notes that the record of key is now under expiry after.
func (b *batch) move(key revocation.Key, before, after uint32) {
	c, ok := b.changes[key]
	if !ok {
		c.before = before
	}
	c.after = after
	b.changes[key] = c
	b.dirty = true
}

// put merges e into what is stored. damage is about the stored record.
func (b *batch) put(records *bbolt.Bucket, e revocation.Entry) (damage, err error) {
	key := e.Key()
	before, value := b.current(records, key)
	if value != nil {
		stored, err := readRecord(before, key, value)
		if err != nil {
			return err, nil
		}
		e = revocation.Merge(stored, e)
	}
	record := encodeRecord(e)
	if !e.Live(b.now) || bytes.Equal(record, value) {
		return nil, nil
	}
	after := e.ExpirySecond()
	if before != 0 && before != after {
		rk := makeRecordKey(before, key)
		if err := records.Delete(rk[:]); err != nil {
			return nil, err
		}
	}
	rk := makeRecordKey(after, key)
	if err := records.Put(rk[:], record); err != nil {
		return nil, err
	}
	b.move(key, before, after)
	return nil, nil
}

func (b *batch) remove(records *bbolt.Bucket, key revocation.Key) error {
	before, value := b.current(records, key)
	if value == nil {
		return nil
	}
	rk := makeRecordKey(before, key)
	b.move(key, before, 0)
	return records.Delete(rk[:])
}

// removeExpired removes the first maxPurge expired records.
func (b *batch) removeExpired(records *bbolt.Bucket) error {
	cursor := records.Cursor()
	for k, _ := cursor.First(); k != nil && len(b.purged) < maxPurge; k, _ = cursor.Next() {
		expiry, key, err := parseRecordKey(k)
		if err != nil || int64(expiry) > b.now.Unix() {
			break // what does not belong here is for the next start to report
		}
		b.purged = append(b.purged, makeRecordKey(expiry, key))
	}
	for _, rk := range b.purged {
		b.dirty = true
		if err := records.Delete(rk[:]); err != nil {
			return err
		}
	}
	return nil
}

// growth returns by how many records the transaction changes their number.
func (b *batch) growth() int64 {
	n := -int64(len(b.purged))
	for _, c := range b.changes {
		if c.before == 0 && c.after != 0 {
			n++
		}
		if c.before != 0 && c.after == 0 {
			n--
		}
	}
	return n
}

// announce adds the places that records will have to the index. It comes before the
// commit, so that no reader of the new tree can miss one.
func (b *batch) announce() {
	for key, c := range b.changes {
		if c.after != 0 && c.after != c.before {
			b.index.Add(key, c.after)
		}
	}
}

// settle removes the places that records had. It comes after the commit.
func (b *batch) settle() {
	for key, c := range b.changes {
		if c.before != 0 && c.after != c.before {
			b.index.Remove(key, c.before)
		}
	}
	for _, rk := range b.purged {
		expiry, key, err := parseRecordKey(rk[:])
		if err == nil {
			b.index.Remove(key, expiry)
		}
	}
}

// withdraw undoes announce when the commit has changed nothing.
func (b *batch) withdraw() {
	for key, c := range b.changes {
		if c.after != 0 && c.after != c.before {
			b.index.Remove(key, c.after)
		}
	}
}
