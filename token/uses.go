package token

import "sync/atomic"

// CacheUses count how often the tokens that Verifiers are given were verified before.
// Several Verifiers may share them, one after the other or at the same time, and they outlive
// a Verifier. The zero value is ready; it must not be copied.
type CacheUses struct {
	hits   [1 << shardBits]spacedCounter // by shard
	misses atomic.Uint64
}

// spacedCounter has a cache line to itself.
type spacedCounter struct {
	atomic.Uint64
	_ [56]byte
}

// Counts returns how many tokens were found to be verified already, and how many were not,
// what is no token at all included.
func (u *CacheUses) Counts() (hits, misses uint64) {
	for i := range u.hits {
		hits += u.hits[i].Load()
	}
	return hits, u.misses.Load()
}
