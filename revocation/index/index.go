package index

import (
	"hash/maphash"
	"math"
	"sync"
	"sync/atomic"
)

// Key identifies an entry: a hash of 128 bits, such as a revocation.Key.
type Key = [16]byte

// shardBits is the number of hash bits that choose the shard.
const shardBits = 8

// Index maps keys to expiries. Make it with New.
type Index struct {
	seed   maphash.Seed
	hash   func(Key) uint64 // replaced by tests that need collisions
	count  atomic.Int64
	shards [1 << shardBits]shard
}

// shard is one independent part of an Index, padded to two cache lines.
type shard struct {
	mu    sync.RWMutex // guards table
	table table
	// filter is that of the table, for those who do not hold mu.
	filter atomic.Pointer[filter]
	_      [128 - (24 + 48 + 8)]byte
}

// unlock ends a change of the table.
func (s *shard) unlock() {
	if f := s.table.filter; f != s.filter.Load() {
		s.filter.Store(f)
	}
	s.mu.Unlock()
}

// New returns an empty Index with a random seed.
func New() *Index {
	x := &Index{seed: maphash.MakeSeed()}
	x.hash = x.seeded
	return x
}

func (x *Index) seeded(key Key) uint64 {
	return maphash.Bytes(x.seed, key[:])
}

// locate returns the shard of key and its hash, whose upper bits chose the shard.
func (x *Index) locate(key Key) (*shard, uint64) {
	h := x.hash(key)
	return &x.shards[h>>(64-shardBits)], h
}

// Reserve makes room for n entries in all, so that adding them moves nothing around.
func (x *Index) Reserve(n int) {
	// Some shards get more than others, by a few times the square root of the mean.
	each := float64(n) / float64(len(x.shards))
	each += 3 * math.Sqrt(each)
	homes := int(each*100/maxLoadPercent) + 1
	for i := range x.shards {
		s := &x.shards[i]
		s.mu.Lock()
		if homes > max(minHomes, int(s.table.homes)) {
			s.table.resize(homes)
		}
		s.unlock()
	}
}

// Add records that key has an entry that expires at expiry, in Unix seconds, not 0.
// Adding the same pair twice takes two calls of Remove to undo.
func (x *Index) Add(key Key, expiry uint32) {
	if expiry == 0 {
		panic("index: expiry 0 marks an empty slot")
	}
	s, h := x.locate(key)
	s.mu.Lock()
	s.table.insert(h, expiry)
	s.unlock()
	x.count.Add(1)
}

// Ensure records that key has an entry that expires at expiry, in Unix seconds, not 0,
// unless it is known to have one that expires then or later. It is for those who need
// MayContain alone, and who let Purge forget what has expired.
func (x *Index) Ensure(key Key, expiry uint32) {
	if expiry == 0 {
		panic("index: expiry 0 marks an empty slot")
	}
	s, h := x.locate(key)
	s.mu.Lock()
	defer s.unlock()
	if s.table.latest(h) >= expiry {
		return
	}
	s.table.insert(h, expiry)
	x.count.Add(1)
}

// Purge removes all entries that expire at the given time or before, in Unix seconds,
// and returns how many they were. It holds up a 256th of the other calls at a time.
func (x *Index) Purge(until uint32) int {
	removed := 0
	for i := range x.shards {
		s := &x.shards[i]
		s.mu.Lock()
		n := s.table.purge(until)
		s.unlock()
		x.count.Add(-int64(n))
		removed += n
	}
	return removed
}

// Remove undoes one Add of the same key and expiry, and reports whether there was one.
func (x *Index) Remove(key Key, expiry uint32) bool {
	s, h := x.locate(key)
	s.mu.Lock()
	removed := s.table.remove(h, expiry)
	s.unlock()
	if removed {
		x.count.Add(-1)
	}
	return removed
}

// MayContain reports whether there may be an entry under key. False is exact as of
// some moment during the call: the filter that is loaded has, by then, every entry of
// the shard, and one that it lacks later is added to another one.
func (x *Index) MayContain(key Key) bool {
	s, h := x.locate(key)
	return s.filter.Load().mayContain(h) && x.find(h)
}

// find reports whether there is an entry with hash h.
func (x *Index) find(h uint64) bool {
	s := &x.shards[h>>(64-shardBits)]
	s.mu.RLock()
	_, found := s.table.find(h)
	s.mu.RUnlock()
	return found
}

// Candidates appends to dst the expiries, in Unix seconds, under which an entry for
// key may be stored, and returns the extended slice. Usually there is none or one.
func (x *Index) Candidates(dst []uint32, key Key) []uint32 {
	s, h := x.locate(key)
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.table.appendExpiries(dst, h)
}

// Len returns the number of entries.
func (x *Index) Len() int { return int(x.count.Load()) }
