package main

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"example.com/caddy-token-auth/bench/internal/report"
	"example.com/caddy-token-auth/revocation"
)

// measureLogouts counts the logouts that become durable in a second.
func measureLogouts(ctx context.Context, l *lab) (report.Table, error) {
	t := report.Table{
		Title: "Acknowledged logouts of clients a second, by `Revoke` on one list:",
		Head:  []string{"store", "1 caller", fmt.Sprintf("%d callers", l.callers)},
	}
	engines, err := l.start(ctx, l.local,
		func(ctx context.Context) (engine, error) { return l.redis(ctx, "everysec") },
		func(ctx context.Context) (engine, error) { return l.redis(ctx, "always") },
		func(ctx context.Context) (engine, error) { return l.nats(ctx, false) },
		func(ctx context.Context) (engine, error) { return l.nats(ctx, true) },
	)
	if err != nil {
		return t, err
	}
	for _, e := range engines {
		list, err := l.openList(ctx, e)
		if err != nil {
			return t, err
		}
		row := []string{e.name}
		var serial atomic.Int64
		for _, callers := range []int{1, l.callers} {
			rate, err := l.logoutRate(ctx, list, callers, &serial)
			if err != nil {
				return t, fmt.Errorf("%s, %d callers: %w", e.name, callers, err)
			}
			row = append(row, fmt.Sprintf("%.0f", rate))
		}
		t.Add(row...)
	}
	return t, nil
}

// logoutRate has callers log out, each one client after the other.
func (l *lab) logoutRate(ctx context.Context, list *revocation.List, callers int, serial *atomic.Int64) (float64, error) {
	var (
		group sync.WaitGroup
		done  atomic.Int64
		first atomic.Pointer[error]
	)
	begun := time.Now()
	for range callers {
		group.Go(func() {
			for time.Since(begun) < l.duration {
				if _, err := list.Revoke(ctx, identity(int(serial.Add(1))), revocation.ScopeClient); err != nil {
					first.CompareAndSwap(nil, &err)
					return
				}
				done.Add(1)
			}
		})
	}
	group.Wait()
	if err := first.Load(); err != nil {
		return 0, *err
	}
	return float64(done.Load()) / time.Since(begun).Seconds(), nil
}
