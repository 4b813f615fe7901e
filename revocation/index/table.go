package index

import "math/bits"

// How full a table gets before it grows, and by how much. The memory for an entry, a
// byte of the filter included, is 13/maxLoad bytes just before and 13*growth/maxLoad
// just after: 14.8 to 15.5. A small step costs an entry about 20 moves on average over
// its time here.
const (
	maxLoadPercent = 88
	growthPercent  = 105
	// minLoadPercent is when a table shrinks, far enough from the load right
	// after growing (84 %) that adding and removing in turn moves nothing.
	minLoadPercent = 40

	minHomes = 8
	// minTail and maxTail bound the overflow that a table starts with. It is longer
	// than the runs that a seeded hash leads to, and is extended by minTail slots
	// when a run needs more all the same.
	minTail = 4
	maxTail = 64
)

// slot holds one entry: a hash in two halves, so that a slot takes 12 bytes and
// not 16, and its expiry. Expiry 0 marks an empty slot.
type slot struct {
	high, low uint32
	expiry    uint32
}

func (s *slot) hash() uint64 { return uint64(s.high)<<32 | uint64(s.low) }

// table is the sorted slice described in the package comment. The zero table is
// empty and usable. It does not lock.
type table struct {
	slots []slot
	homes uint32 // slots that are some hash's home
	used  uint32
	// filter has the hashes of all entries, and of those that were removed since it
	// was made, which are stale. Nil while there is no slot.
	filter *filter
	stale  uint32
}

// home returns the slot where the search for h begins. It never decreases as h
// grows, within one shard.
func (t *table) home(h uint64) int {
	high, _ := bits.Mul64(h<<shardBits, uint64(t.homes))
	return int(high)
}

// find returns the first slot with hash h.
func (t *table) find(h uint64) (int, bool) {
	for i := t.home(h); i < len(t.slots) && t.slots[i].expiry != 0; i++ {
		if got := t.slots[i].hash(); got >= h {
			return i, got == h
		}
	}
	return 0, false
}

func (t *table) appendExpiries(dst []uint32, h uint64) []uint32 {
	i, found := t.find(h)
	for ; found && i < len(t.slots) && t.slots[i].expiry != 0 && t.slots[i].hash() == h; i++ {
		dst = append(dst, t.slots[i].expiry)
	}
	return dst
}

// latest returns the latest expiry with hash h, or 0.
func (t *table) latest(h uint64) uint32 {
	latest := uint32(0)
	i, found := t.find(h)
	for ; found && i < len(t.slots) && t.slots[i].expiry != 0 && t.slots[i].hash() == h; i++ {
		latest = max(latest, t.slots[i].expiry)
	}
	return latest
}

// purge removes what expires at the given time or before, and returns how many entries
// that were. The others move to a table of their size.
func (t *table) purge(until uint32) int {
	removed := 0
	for i := range t.slots {
		if expiry := t.slots[i].expiry; expiry != 0 && expiry <= until {
			removed++
		}
	}
	if removed == 0 {
		return 0
	}
	// Not emptied in place: a search ends at the first empty slot.
	t.used -= uint32(removed)
	t.move(max(minHomes, int(t.used)*growthPercent/maxLoadPercent), until)
	return removed
}

func (t *table) insert(h uint64, expiry uint32) {
	if uint64(t.used+1)*100 > uint64(t.homes)*maxLoadPercent {
		t.resize(max(minHomes, int(uint64(t.homes)*growthPercent/100)+1))
	}
	i := t.home(h)
	for i < len(t.slots) && t.slots[i].expiry != 0 && t.slots[i].hash() <= h {
		i++
	}
	end := i
	for end < len(t.slots) && t.slots[end].expiry != 0 {
		end++
	}
	if end == len(t.slots) {
		t.slots = append(t.slots, make([]slot, minTail)...)
	}
	copy(t.slots[i+1:end+1], t.slots[i:end])
	t.slots[i] = slot{high: uint32(h >> 32), low: uint32(h), expiry: expiry}
	t.used++
	t.filter.add(h)
}

func (t *table) remove(h uint64, expiry uint32) bool {
	i, found := t.find(h)
	if !found {
		return false
	}
	for t.slots[i].expiry != expiry {
		i++
		if i == len(t.slots) || t.slots[i].expiry == 0 || t.slots[i].hash() != h {
			return false
		}
	}
	// Entries to the right that are not at home move back by one.
	end := i + 1
	for end < len(t.slots) && t.slots[end].expiry != 0 && t.home(t.slots[end].hash()) < end {
		end++
	}
	copy(t.slots[i:end-1], t.slots[i+1:end])
	t.slots[end-1] = slot{}
	t.used--
	t.stale++
	switch {
	case t.homes > minHomes && uint64(t.used)*100 < uint64(t.homes)*minLoadPercent:
		t.resize(max(minHomes, int(uint64(t.used)*100*growthPercent/(100*maxLoadPercent))))
	case t.used+t.stale > t.homes:
		t.renewFilter()
	}
	return true
}

// renewFilter takes another filter without what is stale.
func (t *table) renewFilter() {
	f := newFilter(t.homes)
	for i := range t.slots {
		if t.slots[i].expiry != 0 {
			f.set(t.slots[i].hash())
		}
	}
	t.filter, t.stale = f, 0
}

// resize moves every entry to a table with at least the given number of homes.
func (t *table) resize(homes int) { t.move(homes, 0) }

// move is resize without the entries that expire at the given time or before, which used
// no longer counts. Entries are copied in order, each to its home or right after the one
// before it, so this is one pass over both slices.
func (t *table) move(homes int, until uint32) {
	next := newTable(homes)
	next.used = t.used
	end := 0
	for i := range t.slots {
		if t.slots[i].expiry <= until { // or empty
			continue
		}
		end = max(end, next.home(t.slots[i].hash()))
		if end == len(next.slots) {
			next.slots = append(next.slots, make([]slot, minTail)...)
		}
		next.slots[end] = t.slots[i]
		next.filter.set(t.slots[i].hash())
		end++
	}
	*t = next
}

func newTable(homes int) table {
	tail := min(maxTail, homes/8+minTail)
	// append, unlike make, hands out the rest of the allocator's size class too.
	slots := append([]slot(nil), make([]slot, homes+tail)...)
	slots = slots[:cap(slots)]
	homes = len(slots) - tail
	return table{slots: slots, homes: uint32(homes), filter: newFilter(uint32(homes))}
}
