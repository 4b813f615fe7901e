package main

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"time"

	"example.com/caddy-token-auth/bench/internal/report"
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

// measureSummary measures a follower's memory, and what it costs to ask it. The lists of all
// sizes are asked in turns, so that what else the machine does falls upon all of them.
func measureSummary(ctx context.Context, l *lab) (report.Table, error) {
	t := report.Table{
		Title: "A follower's summary of the entries, and `Check` of identities none of which is revoked: 10,000 that take turns, their verdicts cached and not, and others that nobody has seen before:",
		Head:  []string{"entries", "memory", "a million entries", "cached", "to 1,000", "uncached", "to 1,000", "first sight", "to 1,000"},
	}
	all := sizes(l.entries)
	lists := make([]*revocation.List, len(all))
	memory := make([]float64, len(all))
	for i, n := range all {
		before := heap()
		var err error
		lists[i], err = l.openList(ctx, engine{name: "summary", open: func(context.Context) (revocation.Store, error) { return endless{n}, nil }})
		if err != nil {
			return t, err
		}
		memory[i] = float64(heap()-before) / (1 << 20)
	}
	costs, err := checkCosts(ctx, lists)
	if err != nil {
		return t, err
	}
	for i, n := range all {
		perMillion := "–"
		if n >= 100_000 {
			perMillion = fmt.Sprintf("%.1f MiB", memory[i]*1e6/float64(n))
		}
		row := []string{fmt.Sprint(n), fmt.Sprintf("%.1f MiB", memory[i]), perMillion}
		for kind := range costs {
			row = append(row, fmt.Sprintf("%.0f ns", median(costs[kind][i])), fmt.Sprintf("%.2f ×", medianRatio(costs[kind][i], costs[kind][0])))
		}
		t.Add(row...)
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

// The ways in which identities are asked for.
const (
	cached = iota
	uncached
	firstSight
	kindCount
)

// checkCosts returns the nanoseconds of a Check in each round, for each kind and list.
func checkCosts(ctx context.Context, lists []*revocation.List) (costs [kindCount][][]float64, err error) {
	const identities, rounds = 10_000, 31
	for kind := range costs {
		costs[kind] = make([][]float64, len(lists))
	}
	again := workload.Identities(identities)
	for round := range rounds {
		fresh := make([]*revocation.Identity, identities)
		for i := range fresh {
			fresh[i] = identity(round*identities + i)
		}
		for turn := range lists {
			i := (turn + round) % len(lists)
			for kind := range costs {
				ids, size := again, revocation.DefaultCacheSize
				switch kind {
				case uncached:
					size = revocation.MinCacheSize
				case firstSight:
					ids = fresh
				}
				if err := lists[i].SetCacheSize(size); err != nil {
					return costs, err
				}
				if kind == cached {
					if _, err := checkAll(ctx, lists[i], ids); err != nil {
						return costs, err
					}
				}
				took, err := checkAll(ctx, lists[i], ids)
				if err != nil {
					return costs, err
				}
				costs[kind][i] = append(costs[kind][i], took)
			}
		}
	}
	return costs, nil
}

// checkAll returns the nanoseconds of a Check.
func checkAll(ctx context.Context, list *revocation.List, ids []*revocation.Identity) (float64, error) {
	begun := time.Now()
	for _, id := range ids {
		if verdict, err := list.Check(ctx, id); verdict != revocation.Live {
			return 0, fmt.Errorf("verdict %v: %w", verdict, err)
		}
	}
	return float64(time.Since(begun)) / float64(len(ids)), nil
}

func median(values []float64) float64 {
	sorted := slices.Sorted(slices.Values(values))
	return sorted[len(sorted)/2]
}

// medianRatio returns the median of the ratios in the same round.
func medianRatio(of, to []float64) float64 {
	ratios := make([]float64, len(of))
	for i := range of {
		ratios[i] = of[i] / to[i]
	}
	return median(ratios)
}
