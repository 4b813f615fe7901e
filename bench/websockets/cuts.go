package main

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"time"

	"github.com/gobwas/ws"

	"example.com/caddy-token-auth/bench/internal/report"
)

// measureCuts times how soon after the answer to a logout the last connection of the
// client is closed, on the server that answers it and on another one.
func measureCuts(ctx context.Context, l *lab) (report.Table, error) {
	t := report.Table{
		Title: fmt.Sprintf("From the 200 to a logout to the close frame on the last of the client's %d connections, while %d are open:", l.perClient, l.connections),
		Head:  report.DelayHead("where the connections are"),
	}
	same, err := l.serve(ctx, "same", followed, "")
	if err != nil {
		return t, err
	}
	delays, err := l.timeCuts(ctx, same, same)
	if err != nil {
		return t, err
	}
	t.Add(report.DelayRow("on the server that answers the logout", delays)...)
	same.Stop()

	option, err := l.redis(ctx)
	if errors.Is(err, exec.ErrNotFound) {
		say("left out: %v", err)
		return t, nil
	}
	if err != nil {
		return t, err
	}
	one, err := l.serve(ctx, "one", followed, option)
	if err != nil {
		return t, err
	}
	other, err := l.serve(ctx, "other", followed, option)
	if err != nil {
		return t, err
	}
	if delays, err = l.timeCuts(ctx, one, other); err != nil {
		return t, err
	}
	t.Add(report.DelayRow("on another one, redis", delays)...)
	return t, nil
}

// timeCuts opens all connections at one server and logs client by client out at another.
func (l *lab) timeCuts(ctx context.Context, logout, connected *server) ([]time.Duration, error) {
	say("opening %d connections at %s", l.connections, connected.Name)
	c, err := l.open(ctx, connected)
	if err != nil {
		return nil, err
	}
	defer c.close()
	var delays []time.Duration
	for i, token := range c.tokens {
		cuts := make(chan cut, len(c.clients[i]))
		for _, conn := range c.clients[i] {
			go func() { cuts <- conn.awaitClose() }()
		}
		acknowledged, err := logout.logOut(ctx, token)
		if err != nil {
			return nil, err
		}
		var last time.Duration // 0 if all were closed before the answer
		for range c.clients[i] {
			select {
			case end := <-cuts:
				if end.err != nil || end.code != codeCut {
					return nil, fmt.Errorf("a connection ended with code %d, %w", end.code, end.err)
				}
				last = max(last, end.at.Sub(acknowledged))
			case <-time.After(patience):
				return nil, fmt.Errorf("not all connections were closed within %s", patience)
			case <-ctx.Done():
				return nil, ctx.Err()
			}
		}
		delays = append(delays, last)
	}
	if _, err := dial(ctx, connected, c.tokens[0]); !upgradeRefused(err) {
		return nil, fmt.Errorf("a client that has logged out was let in again: %w", err)
	}
	return delays, nil
}

const (
	// codeCut is the code of the close frame after a revocation.
	codeCut ws.StatusCode = 4001
	// patience is how long the end of a connection is waited for.
	patience = 30 * time.Second
)
