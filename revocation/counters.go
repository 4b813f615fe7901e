package revocation

import "sync/atomic"

// Counters count what Lists do. Several Lists may share them, one after the other or at
// the same time, and they outlive a List. The zero value is ready; it must not be copied.
type Counters struct {
	absent, stored, aged, failed  atomic.Uint64
	revocations, failedRevocation [ScopeClient + 1]atomic.Uint64
}

// Lookups says how calls of List.Check and List.CheckStore were answered, but for those whose
// verdict was cached. Those are not counted: a counter that every request touches is not free.
type Lookups struct {
	// Absent were ruled out by the store's Filter or the summary of its feed.
	Absent uint64
	// Stored were looked up in the store.
	Stored uint64
	// Aged were refused for their age.
	Aged uint64
	// Failed could not be answered.
	Failed uint64
}

// Lookups returns the counts until now.
func (c *Counters) Lookups() Lookups {
	return Lookups{Absent: c.absent.Load(), Stored: c.stored.Load(), Aged: c.aged.Load(), Failed: c.failed.Load()}
}

// Revocations returns how many revocations of a scope, which is ScopeToken, ScopeSession or
// ScopeClient, were recorded, and how many were tried and cannot be relied on.
func (c *Counters) Revocations(scope Scope) (recorded, failed uint64) {
	if scope > ScopeClient {
		return 0, 0
	}
	return c.revocations[scope].Load(), c.failedRevocation[scope].Load()
}

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
