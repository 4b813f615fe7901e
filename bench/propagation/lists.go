package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"example.com/caddy-token-auth/bench/internal/report"
	"example.com/caddy-token-auth/revocation"
)

// openList opens a list on e as a process of its own does, and waits until it answers
// without its store. It is closed with the lab.
func (l *lab) openList(ctx context.Context, e engine) (*revocation.List, error) {
	store, err := e.open(ctx)
	if err != nil {
		return nil, err
	}
	list, err := revocation.Open(ctx, store, revocation.Options{})
	if err != nil {
		return nil, errors.Join(err, store.Close())
	}
	l.cleanup = append(l.cleanup, func() { _ = list.Close() })
	return list, waitUntil(ctx, e.name, func() error { return trusted(list) })
}

var errNotTrusted = errors.New("the feed is not followed yet")

// trusted returns an error unless the list answers without asking its store.
func trusted(list *revocation.List) error {
	if s := list.Status(); s.Followed && !s.Trusted {
		return errNotTrusted
	}
	return nil
}

// identity returns that of the n-th token, of a client of its own.
func identity(n int) *revocation.Identity {
	now := time.Now()
	return revocation.NewIdentity("", fmt.Sprintf("token-%d", n), fmt.Sprintf("session-%d", n), fmt.Sprintf("client-%d", n), now, now.Add(time.Hour))
}

// measureLists times the way of a logout from one list to another one in this process.
func measureLists(ctx context.Context, l *lab) (report.Table, error) {
	t := report.Table{Title: "From the return of `Revoke` on one list to the first refusal by `Check` on another, in one process:", Head: report.DelayHead("store")}
	engines, err := l.shared(ctx)
	if err != nil {
		return t, err
	}
	for _, e := range engines {
		a, err := l.openList(ctx, e)
		if err != nil {
			return t, err
		}
		b, err := l.openList(ctx, e)
		if err != nil {
			return t, err
		}
		var delays []time.Duration
		for n := range l.logouts {
			delay, err := passOn(ctx, a, b, identity(n))
			if err != nil {
				return t, fmt.Errorf("%s: %w", e.name, err)
			}
			delays = append(delays, delay)
		}
		t.Add(report.DelayRow(e.name, delays)...)
	}
	return t, nil
}

// passOn logs a client out by one list and returns how long after that the other refuses.
func passOn(ctx context.Context, a, b *revocation.List, id *revocation.Identity) (time.Duration, error) {
	if verdict, err := b.Check(ctx, id); verdict != revocation.Live {
		return 0, fmt.Errorf("before the logout: %v, %w", verdict, err)
	}
	if _, err := a.Revoke(ctx, id, revocation.ScopeClient); err != nil {
		return 0, err
	}
	acknowledged := time.Now()
	for {
		verdict, err := b.Check(ctx, id)
		if verdict == revocation.RevokedClient {
			return time.Since(acknowledged), nil
		}
		if err != nil {
			return 0, err
		}
		if time.Since(acknowledged) > startTimeout {
			return 0, fmt.Errorf("still let through after %s", startTimeout)
		}
		time.Sleep(20 * time.Microsecond) // the feed needs the processor too
	}
}
