package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"example.com/caddy-token-auth/bench/internal/report"
	"example.com/caddy-token-auth/bench/internal/workload"
	"example.com/caddy-token-auth/revocation"
)

// measureReady times the start of a list on a full store.
func measureReady(ctx context.Context, l *lab) (report.Table, error) {
	t := report.Table{
		Title: fmt.Sprintf("From opening the store to a list that is ready, with %d entries:", l.ready),
		Head:  []string{"store", "ready after", "answers without the store after"},
	}
	engines, err := l.start(ctx, l.local, func(ctx context.Context) (engine, error) { return l.redis(ctx, "everysec") })
	if err != nil {
		return t, err
	}
	for _, e := range engines {
		say("writing %d entries: %s", l.ready, e.name)
		store, err := e.open(ctx)
		if err != nil {
			return t, err
		}
		if err := errors.Join(workload.Fill(ctx, store, l.ready), store.Close()); err != nil {
			return t, fmt.Errorf("%s: %w", e.name, err)
		}
		ready, alone, err := timeReady(ctx, e)
		if err != nil {
			return t, fmt.Errorf("%s: %w", e.name, err)
		}
		say("ready after %s: %s", ready.Round(time.Millisecond), e.name)
		t.Add(e.name, report.Milliseconds(ready), report.Milliseconds(alone))
	}
	return t, nil
}

// timeReady opens a list and closes it again.
func timeReady(ctx context.Context, e engine) (ready, alone time.Duration, err error) {
	begun := time.Now()
	store, err := e.open(ctx)
	if err != nil {
		return 0, 0, err
	}
	list, err := revocation.Open(ctx, store, revocation.Options{})
	if err != nil {
		return 0, 0, errors.Join(err, store.Close())
	}
	defer func() { err = errors.Join(err, list.Close()) }()
	for ready == 0 || alone == 0 {
		if ready == 0 && list.Ready(ctx) == nil {
			ready = time.Since(begun)
		}
		if alone == 0 && trusted(list) == nil {
			alone = time.Since(begun)
		}
		select {
		case <-ctx.Done():
			return 0, 0, ctx.Err()
		case <-time.After(time.Millisecond):
		}
	}
	return ready, alone, nil
}
