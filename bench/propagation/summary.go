package main

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"time"

	"example.com/caddy-token-auth/bench/internal/workload"
	"example.com/caddy-token-auth/revocation"
)

// endless is a store that has a number of entries and no memory of them: what a list on it
// takes is the list's own.
type endless struct {
	entries int
}

// Scan implements revocation.Store.
func (e endless) Scan(ctx context.Context, fn func(revocation.Entry) error) error {
	now := time.Now()
	for n := range e.entries {
		entry := revocation.Entry{Scope: revocation.ScopeClient, ID: fmt.Sprintf("9c3d4f10-dead-%012d", n), At: now, Expires: now.Add(time.Hour)}
		if err := fn(entry); err != nil {
			return err
		}
		if n%1024 == 0 && ctx.Err() != nil {
			return ctx.Err()
		}
	}
	return nil
}

// Watch implements revocation.Feed.
func (endless) Watch(ctx context.Context, _ revocation.Position, sink revocation.Sink) error {
	sink.Started(true)
	for {
		sink.Alive(time.Now())
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(time.Second):
		}
	}
}

// Lookup implements revocation.Store: it is asked for the list's own settings alone.
func (endless) Lookup(_ context.Context, keys ...revocation.Key) ([]revocation.Entry, error) {
	return make([]revocation.Entry, len(keys)), nil
}

// Revoke implements revocation.Store.
func (endless) Revoke(context.Context, ...revocation.Entry) error { return nil }

// Restore implements revocation.Store.
func (endless) Restore(context.Context, ...revocation.Key) error { return errors.ErrUnsupported }

// Close implements revocation.Store.
func (endless) Close() error { return nil }

// measureSummary measures a follower's memory, and what it costs to ask it.
func measureSummary(ctx context.Context, l *lab) (table, error) {
	t := table{
		title: "A follower's summary of the entries, and `Check` of 10,000 identities that take turns, none of them revoked:",
		head:  []string{"entries", "memory", "a million entries", "`Check`, uncached", "to 1,000 entries"},
	}
	var base float64
	for _, n := range sizes(l.entries) {
		before := heap()
		list, err := l.openList(ctx, engine{name: "summary", open: func(context.Context) (revocation.Store, error) { return endless{n}, nil }})
		if err != nil {
			return t, err
		}
		memory := float64(heap()-before) / (1 << 20)
		cost, err := checkCost(ctx, list)
		if err != nil {
			return t, err
		}
		if base == 0 {
			base = cost
		}
		perMillion := "–"
		if n >= 100_000 {
			perMillion = fmt.Sprintf("%.1f MiB", memory*1e6/float64(n))
		}
		t.add(fmt.Sprint(n), fmt.Sprintf("%.1f MiB", memory), perMillion, fmt.Sprintf("%.0f ns", cost), fmt.Sprintf("%.2f ×", cost/base))
		l.close()
	}
	return t, nil
}

// sizes are 1,000, a million and the most.
func sizes(most int) []int {
	const small, middle = 1_000, 1_000_000
	if most <= middle {
		return []int{small, most}
	}
	return []int{small, middle, most}
}

// heap returns the bytes of what is in use. It collects garbage first.
func heap() int64 {
	runtime.GC()
	runtime.GC() // what had a finalizer
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// checkCost returns the nanoseconds of a Check that no cached verdict answers, the median
// of several rounds.
func checkCost(ctx context.Context, list *revocation.List) (float64, error) {
	const identities, rounds = 10_000, 21
	if err := list.SetCacheSize(revocation.MinCacheSize); err != nil {
		return 0, err
	}
	ids := workload.Identities(identities)
	costs := make([]time.Duration, 0, rounds)
	for range rounds {
		begun := time.Now()
		for _, id := range ids {
			if verdict, err := list.Check(ctx, id); verdict != revocation.Live {
				return 0, fmt.Errorf("verdict %v: %w", verdict, err)
			}
		}
		costs = append(costs, time.Since(begun))
	}
	return float64(quantile(costs, 0.5)) / identities, nil
}
