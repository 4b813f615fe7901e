package workload

import (
	"context"
	"fmt"
	"time"

	"example.com/caddy-token-auth/revocation"
)

// batch is how many entries Fill writes in one call, so that they share their syncs.
const batch = 20_000

// Fill puts n live revocations into store, a third each of tokens, sessions and
// clients. None of them concerns a token of a Signer. They expire one after the
// other over the next days, as after a week of logouts.
func Fill(ctx context.Context, store revocation.Store, n int) error {
	const first, last = Lifetime, 6 * 24 * time.Hour
	now := time.Now()
	entries := make([]revocation.Entry, 0, min(n, batch))
	for i := range n {
		left := first + time.Duration(float64(last-first)*float64(i)/float64(n))
		entries = append(entries, revocation.Entry{
			Scope:   []revocation.Scope{revocation.ScopeToken, revocation.ScopeSession, revocation.ScopeClient}[i%3],
			ID:      fmt.Sprintf("9c3d4f10-dead-4bee-8f00-%012d", i),
			At:      now.Add(left - last - time.Hour),
			Expires: now.Add(left),
		})
		if len(entries) == cap(entries) || i == n-1 {
			if err := store.Revoke(ctx, entries...); err != nil {
				return fmt.Errorf("revocation %d of %d: %w", i, n, err)
			}
			entries = entries[:0]
		}
	}
	return nil
}
