package revocation

import (
	"encoding/binary"
	"sync/atomic"
	"time"
)

// sequenceSlots is how many counters the keys share. A revocation makes the cached
// verdicts of all keys of its slot be looked up again: with 2^16 slots, one in
// 65,536 of those that it does not concern. The table takes 512 KiB.
const sequenceSlots = 1 << 16

// Mark is a moment: by the clock, and in the order in which a List learned of
// revocations.
type Mark struct {
	at     time.Time
	number uint64
}

// sequences numbers the changes of the list as this process learns of them and
// keeps, for each slot of keys, the number of the last one. A cached verdict is
// good as long as the numbers of its keys are those from before its lookup.
type sequences struct {
	last  atomic.Uint64
	slots [sequenceSlots]atomic.Uint64
}

// slotNumbers are the numbers of an identity's keys, in the order of Identity.keys.
type slotNumbers [keyCount]uint64

func slotOf(k Key) uint16 { return binary.BigEndian.Uint16(k[:2]) }

// touch gives the slot of k the next number. The number of a slot never falls:
// one that was drawn before another but arrives after it changes nothing, since
// whoever read the other read it after both changes had been made.
func (s *sequences) touch(k Key) {
	raise(&s.slots[slotOf(k)], s.last.Add(1))
}

func raise(slot *atomic.Uint64, n uint64) {
	for {
		old := slot.Load()
		if old >= n || slot.CompareAndSwap(old, n) {
			return
		}
	}
}

// touchAll gives every slot the next number.
func (s *sequences) touchAll() {
	n := s.last.Add(1)
	for i := range s.slots {
		raise(&s.slots[i], n)
	}
}

// changedSince reports whether the slot of k was touched after m.
func (s *sequences) changedSince(k Key, m Mark) bool {
	return s.number(k) > m.number
}

// number returns the current number of one key.
func (s *sequences) number(k Key) uint64 { return s.slots[slotOf(k)].Load() }

// numbers returns the current numbers of all keys of id.
func (s *sequences) numbers(id *Identity) slotNumbers {
	var n slotNumbers
	for i := range id.keys {
		n[i] = s.number(id.keys[i])
	}
	return n
}
