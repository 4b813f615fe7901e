package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"example.com/caddy-token-auth/bench/internal/report"
	"example.com/caddy-token-auth/bench/internal/workload"
	"example.com/caddy-token-auth/revocation"
	"example.com/caddy-token-auth/revocation/localstore"
)

// measurePurge lets nine tenths of a local store's entries expire at once, and times the calls
// on its list before, while they are removed, and afterwards.
func measurePurge(ctx context.Context, l *lab) (report.Table, error) {
	t := report.Table{
		Title: fmt.Sprintf("Local store with %d entries, nine tenths of which expire at once: single calls of `Check`, uncached, and of `Revoke`, one caller each:", l.purge),
		Head:  []string{"phase", "took", "entries at its end", "`Check` p50", "p99", "most", "`Revoke` p50", "p99", "most"},
	}
	dir, err := os.MkdirTemp(l.dir, "purge-")
	if err != nil {
		return t, err
	}
	var ahead atomic.Int64
	now := func() time.Time { return time.Now().Add(time.Duration(ahead.Load())) }
	store, err := localstore.Open(ctx, dir, localstore.Options{Now: now, PurgeInterval: 100 * time.Millisecond})
	if err != nil {
		return t, err
	}
	list, err := revocation.Open(ctx, store, revocation.Options{Now: now, CacheSize: revocation.MinCacheSize})
	if err != nil {
		return t, errors.Join(err, store.Close())
	}
	l.cleanup = append(l.cleanup, func() { _ = list.Close() })
	say("writing %d entries", l.purge)
	if err := workload.Fill(ctx, store, l.purge); err != nil {
		return t, err
	}
	left := l.purge / 10
	serial := 0
	for _, phase := range []struct {
		name  string
		begin func()
		over  func(begun time.Time) bool
	}{
		{"before", func() {}, func(begun time.Time) bool { return time.Since(begun) > l.duration }},
		{
			"while they are removed",
			func() { ahead.Store(int64(workload.Lifetime + (6*24*time.Hour-workload.Lifetime)*9/10)) },
			func(time.Time) bool { return store.Len() <= left+serial },
		},
		{"afterwards", func() {}, func(begun time.Time) bool { return time.Since(begun) > l.duration }},
	} {
		begun := time.Now()
		phase.begin()
		checks, revocations, err := timeCalls(ctx, list, now, &serial, func() bool { return phase.over(begun) })
		if err != nil {
			return t, fmt.Errorf("%s: %w", phase.name, err)
		}
		row := []string{phase.name, time.Since(begun).Round(10 * time.Millisecond).String(), fmt.Sprint(store.Len())}
		for _, times := range [][]time.Duration{checks, revocations} {
			for _, q := range []float64{0.5, 0.99, 1} {
				row = append(row, report.Quantile(times, q).Round(10*time.Nanosecond).String())
			}
		}
		t.Add(row...)
	}
	return t, nil
}

// timeCalls has one caller check tokens and another one revoke them until it is over, and
// returns how long each call took. It looks whether it is over after each revocation.
func timeCalls(ctx context.Context, list *revocation.List, now func() time.Time, serial *int, over func() bool) (checks, revocations []time.Duration, err error) {
	issuedNow := func(name string, n int) *revocation.Identity {
		return revocation.NewIdentity("", fmt.Sprintf("%s-%d", name, n), "", fmt.Sprintf("client-of-%s-%d", name, n), now(), now().Add(time.Hour))
	}
	ids := make([]*revocation.Identity, 10_000)
	for i := range ids {
		ids[i] = issuedNow("live", i)
	}
	var group sync.WaitGroup
	var ended atomic.Bool
	var failed error
	group.Go(func() {
		for i := 0; !ended.Load() && failed == nil; i++ {
			begun := time.Now()
			var verdict revocation.Verdict
			if verdict, failed = list.Check(ctx, ids[i%len(ids)]); verdict != revocation.Live {
				failed = fmt.Errorf("verdict %v: %w", verdict, failed)
			}
			checks = append(checks, time.Since(begun))
			if i%200 == 0 {
				time.Sleep(time.Millisecond) // the machine has other work too
			}
		}
	})
	for len(revocations) == 0 || err == nil && !over() {
		*serial++
		id := issuedNow("revoked", *serial)
		begun := time.Now()
		_, err = list.Revoke(ctx, id, revocation.ScopeToken)
		revocations = append(revocations, time.Since(begun))
	}
	ended.Store(true)
	group.Wait()
	return checks, revocations, errors.Join(err, failed)
}
