package index

import (
	"hash/maphash"
	"sync"
	"sync/atomic"

	"example.com/caddy-token-auth/revocation"
)

// shardBits is the number of hash bits that choose the shard.
const shardBits = 8

// Index maps keys to expiries. Make it with New.
type Index struct {
	seed   maphash.Seed
	hash   func(revocation.Key) uint64 // replaced by tests that need collisions
	count  atomic.Int64
	shards [1 << shardBits]shard
}

// shard is one independent part of an Index, padded to a cache line.
type shard struct {
	mu    sync.RWMutex // guards table
	table table
	_     [64 - (24+32)%64]byte
}

// New returns an empty Index with a random seed.
func New() *Index {
	x := &Index{seed: maphash.MakeSeed()}
	x.hash = x.seeded
	return x
}

func (x *Index) seeded(key revocation.Key) uint64 {
	return maphash.Bytes(x.seed, key[:])
}

// locate returns the shard of key and its hash, whose upper bits chose the shard.
func (x *Index) locate(key revocation.Key) (*shard, uint64) {
	h := x.hash(key)
	return &x.shards[h>>(64-shardBits)], h
}

// Add records that key has an entry that expires at expiry, in Unix seconds, not 0.
// Adding the same pair twice takes two calls of Remove to undo.
func (x *Index) Add(key revocation.Key, expiry uint32) {
	if expiry == 0 {
		panic("index: expiry 0 marks an empty slot")
	}
	s, h := x.locate(key)
	s.mu.Lock()
	s.table.insert(h, expiry)
	s.mu.Unlock()
	x.count.Add(1)
}

// Remove undoes one Add of the same key and expiry, and reports whether there was one.
func (x *Index) Remove(key revocation.Key, expiry uint32) bool {
	s, h := x.locate(key)
	s.mu.Lock()
	removed := s.table.remove(h, expiry)
	s.mu.Unlock()
	if removed {
		x.count.Add(-1)
	}
	return removed
}

// MayContain reports whether there may be an entry under key. False is exact as of
// some moment during the call.
func (x *Index) MayContain(key revocation.Key) bool {
	s, h := x.locate(key)
	s.mu.RLock()
	_, found := s.table.find(h)
	s.mu.RUnlock()
	return found
}

// Candidates appends to dst the expiries, in Unix seconds, under which an entry for
// key may be stored, and returns the extended slice. Usually there is none or one.
func (x *Index) Candidates(dst []uint32, key revocation.Key) []uint32 {
	s, h := x.locate(key)
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.table.appendExpiries(dst, h)
}

// Len returns the number of entries.
func (x *Index) Len() int { return int(x.count.Load()) }
