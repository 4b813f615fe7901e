package main

import (
	"context"
	"fmt"
	"time"

	"example.com/caddy-token-auth/bench/internal/process"
	"example.com/caddy-token-auth/bench/internal/report"
)

// settle is how long memory is let settle after the last connection was opened.
const settle = 3 * time.Second

// measureMemory compares what a server needs for each open connection.
func measureMemory(ctx context.Context, l *lab) (report.Table, error) {
	t := report.Table{
		Title: fmt.Sprintf("Resident memory for each of %d open connections on which nothing is sent:", l.connections),
		Head:  []string{"server", "before", "for each connection", "above plain"},
	}
	var base float64
	for _, k := range []kind{plain, followed, inspected} {
		s, err := l.serve(ctx, "memory-"+k.name, k, "")
		if err != nil {
			return t, err
		}
		before, each, err := l.memoryOf(ctx, s)
		s.Stop()
		if err != nil {
			return t, fmt.Errorf("%s: %w", k.name, err)
		}
		if k.name == plain.name {
			base = each
		}
		t.Add(k.name, fmt.Sprintf("%.0f MB", before/1e6), fmt.Sprintf("%.1f KB", each/1e3), fmt.Sprintf("%.1f KB", (each-base)/1e3))
	}
	return t, nil
}

// memoryOf returns the bytes of a server before, and those that each connection adds.
func (l *lab) memoryOf(ctx context.Context, s *server) (before, each float64, err error) {
	idle, err := process.UsageOf(s.PID())
	if err != nil {
		return 0, 0, err
	}
	c, err := l.open(ctx, s)
	if err != nil {
		return 0, 0, err
	}
	defer c.close()
	select {
	case <-time.After(settle):
	case <-ctx.Done():
		return 0, 0, ctx.Err()
	}
	full, err := process.UsageOf(s.PID())
	return float64(idle.Memory), float64(full.Memory-idle.Memory) / float64(len(c.clients)*l.perClient), err
}
