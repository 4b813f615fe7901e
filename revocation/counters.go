package revocation

import "sync/atomic"

// Counters count what Lists do. Several Lists may share them, one after the other or at
// the same time, and they outlive a List. The zero value is ready; it must not be copied.
type Counters struct {
	cached                        [cacheShards]spacedCounter // by shard of the cache
	absent, stored, aged, failed  atomic.Uint64
	revocations, failedRevocation [ScopeClient + 1]atomic.Uint64
}

// spacedCounter has a cache line to itself.
type spacedCounter struct {
	atomic.Uint64
	_ [56]byte
}

// Checks says how calls of List.Check and List.CheckStore were answered.
type Checks struct {
	// Cached verdicts were found in the cache.
	Cached uint64
	// Absent were ruled out by the store's Filter or the summary of its feed.
	Absent uint64
	// Stored were looked up in the store.
	Stored uint64
	// Aged were refused for their age.
	Aged uint64
	// Failed could not be answered.
	Failed uint64
}

// Checks returns the counts until now.
func (c *Counters) Checks() Checks {
	checks := Checks{Absent: c.absent.Load(), Stored: c.stored.Load(), Aged: c.aged.Load(), Failed: c.failed.Load()}
	for i := range c.cached {
		checks.Cached += c.cached[i].Load()
	}
	return checks
}

// Revocations returns how many revocations of a scope, which is ScopeToken, ScopeSession or
// ScopeClient, were recorded, and how many were tried and cannot be relied on.
func (c *Counters) Revocations(scope Scope) (recorded, failed uint64) {
	if scope > ScopeClient {
		return 0, 0
	}
	return c.revocations[scope].Load(), c.failedRevocation[scope].Load()
}

// fromCache counts a verdict that was cached under k.
func (c *Counters) fromCache(k Key) { c.cached[shardOf(k)].Add(1) }

// revoked counts a call of List.Revoke.
func (c *Counters) revoked(scope Scope, err error) {
	switch {
	case scope > ScopeClient:
	case err != nil:
		c.failedRevocation[scope].Add(1)
	default:
		c.revocations[scope].Add(1)
	}
}
