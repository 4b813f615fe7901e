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

// measureIssued has tokens issued at a fixed rate, as a watched login does, and looks at what
// a login has to wait for, and at what Check costs meanwhile.
func measureIssued(ctx context.Context, l *lab) (report.Table, error) {
	t := report.Table{
		Title: fmt.Sprintf("Tokens recorded as they are issued, %d a second, by %d logins at a time at most. A login waits from when it is due:", l.rate, 4*l.callers),
		Head:  []string{"store", "tokens", "recorded a second", "p50", "p99", "most", "`Check` meanwhile", "and before"},
	}
	engines, err := l.start(ctx, l.local,
		func(ctx context.Context) (engine, error) { return l.redis(ctx, "everysec") },
		func(ctx context.Context) (engine, error) { return l.redis(ctx, "always") },
		func(ctx context.Context) (engine, error) { return l.nats(ctx, false) },
	)
	if err != nil {
		return t, err
	}
	for _, e := range engines {
		list, err := l.openList(ctx, e)
		if err != nil {
			return t, err
		}
		for _, kind := range issuances {
			before, err := checksUntil(ctx, list, time.Now().Add(l.duration/4))
			if err != nil {
				return t, err
			}
			got, err := l.issue(ctx, list, kind.record)
			if err != nil {
				return t, fmt.Errorf("%s, %s: %w", e.name, kind.name, err)
			}
			t.Add(e.name, kind.name, fmt.Sprintf("%.0f", got.rate), report.Milliseconds(report.Quantile(got.waits, 0.5)), report.Milliseconds(report.Quantile(got.waits, 0.99)),
				report.Milliseconds(report.Quantile(got.waits, 1)), fmt.Sprintf("%.0f ns", got.check), fmt.Sprintf("%.0f ns", before))
		}
	}
	return t, nil
}

// issuances are the kinds of tokens.
var issuances = []struct {
	name   string
	record func(context.Context, *revocation.List, int) error
}{
	{"JWT", recordJWT},
	{"opaque", recordOpaque},
}

// recordJWT records a token that says itself when it was issued, and to whom.
func recordJWT(ctx context.Context, list *revocation.List, n int) error {
	since := list.Mark()
	return list.Issued(ctx, identity(n), since)
}

// recordOpaque records one that says nothing.
func recordOpaque(ctx context.Context, list *revocation.List, n int) error {
	since := list.Mark()
	_, err := list.Learn(ctx, revocation.Issuance{
		Token: fmt.Sprintf("digest-of-token-%d", n), Session: fmt.Sprintf("session-%d", n), Client: fmt.Sprintf("client-%d", n),
		Expires: time.Now().Add(time.Hour),
	}, since)
	return err
}

// issued is what came of it.
type issued struct {
	rate  float64
	waits []time.Duration
	check float64 // nanoseconds
}

// issue has record called at the rate of the settings.
func (l *lab) issue(ctx context.Context, list *revocation.List, record func(context.Context, *revocation.List, int) error) (issued, error) {
	var (
		group  sync.WaitGroup
		serial atomic.Int64
		first  atomic.Pointer[error]
		mu     sync.Mutex // guards waits
		waits  []time.Duration
	)
	begun := time.Now()
	end := begun.Add(l.duration)
	for range 4 * l.callers {
		group.Go(func() {
			var own []time.Duration
			for {
				n := int(serial.Add(1)) - 1
				due := begun.Add(time.Duration(n) * time.Second / time.Duration(l.rate))
				if due.After(end) || first.Load() != nil {
					break
				}
				time.Sleep(time.Until(due))
				if err := record(ctx, list, n); err != nil {
					first.CompareAndSwap(nil, &err)
					break
				}
				own = append(own, time.Since(due))
			}
			mu.Lock()
			defer mu.Unlock()
			waits = append(waits, own...)
		})
	}
	check, err := checksUntil(ctx, list, end)
	group.Wait()
	took := time.Since(begun)
	if failed := first.Load(); failed != nil {
		err = *failed
	}
	if err != nil {
		return issued{}, err
	}
	return issued{rate: float64(len(waits)) / took.Seconds(), waits: waits, check: check}, nil
}

// checksUntil returns the nanoseconds of a Check of tokens that were seen before, the median
// of what is measured now and then.
func checksUntil(ctx context.Context, list *revocation.List, end time.Time) (float64, error) {
	ids := make([]*revocation.Identity, 500)
	for i := range ids {
		ids[i] = identity(1_000_000_000 + i)
	}
	var costs []float64
	for len(costs) == 0 || time.Now().Before(end) {
		cost, err := checkAll(ctx, list, ids)
		if err != nil {
			return 0, err
		}
		costs = append(costs, cost)
		time.Sleep(10 * time.Millisecond)
	}
	return median(costs), nil
}
