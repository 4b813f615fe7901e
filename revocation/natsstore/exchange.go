package natsstore

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/nats-io/nats.go"

	"example.com/caddy-token-auth/revocation"
)

const (
	// firstTry is the part of Options.Timeout after which what was sent is sent again,
	// because a server that dies takes what it has not answered with it.
	firstTry = 4

	minBackoff = time.Millisecond
	maxBackoff = 50 * time.Millisecond
)

// exchange calls do until it has an answer, for at most Options.Timeout. It tries again
// what can be cured by that (see passing).
func (s *Store) exchange(ctx context.Context, do func(ctx context.Context) error) error {
	limited, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	wait := s.timeout / firstTry
	var last error
	for try := 0; ; try++ {
		once, stop := context.WithTimeout(limited, wait)
		err := do(once)
		stop()
		switch {
		case err == nil:
			return nil
		case ctx.Err() != nil:
			return ctx.Err()
		case s.nc.IsClosed():
			return revocation.ErrClosed
		case !passing(err):
			return err
		}
		if !errors.Is(err, context.DeadlineExceeded) {
			last = err
		} else {
			wait = s.timeout // the servers may be slow: now wait to the end
		}
		if limited.Err() != nil || pause(limited, try) != nil {
			return s.noAnswer(ctx, last)
		}
	}
}

// noAnswer explains the end of an exchange, with the last of what was wrong.
func (s *Store) noAnswer(ctx context.Context, last error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if refused := s.nc.LastError(); errors.Is(refused, nats.ErrPermissionViolation) {
		last = refused
	} else {
		s.leave()
	}
	if last == nil {
		return fmt.Errorf("%w (%s)", errNoAnswer, s.timeout)
	}
	return fmt.Errorf("%w (%s): %w", errNoAnswer, s.timeout, last)
}

// pause waits a little, and longer each time, and returns the error of ctx if that ends.
func pause(ctx context.Context, try int) error {
	limit := maxBackoff
	if try < 6 {
		limit = min(limit, minBackoff<<try)
	}
	timer := time.NewTimer(rand.N(limit) + 1) //nolint:gosec // when to try again is no secret
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
