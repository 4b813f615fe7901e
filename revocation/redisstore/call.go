package redisstore

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/redis/rueidis"

	"example.com/caddy-token-auth/revocation"
)

const (
	// maxCalls is how many exchanges with the servers are under way at a time; others
	// wait. It bounds what is left behind while a server does not answer.
	maxCalls = 4096

	minBackoff = 5 * time.Millisecond
	maxBackoff = 200 * time.Millisecond
)

// exchange sends commands and returns their results. It makes them anew each time, since
// the client takes them back.
type exchange func(ctx context.Context) []rueidis.RedisResult

// do runs an exchange until each of its results is an answer, for at most limit. It
// tries again what can be cured by that (see passing).
func (s *Store) do(ctx context.Context, limit time.Duration, send exchange) ([]rueidis.RedisResult, error) {
	if err := s.enter(ctx); err != nil {
		return nil, err
	}
	defer s.gate.RUnlock()
	limited, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	var last error
	for backoff := minBackoff; ; backoff = min(2*backoff, maxBackoff) {
		results, err := s.attempt(limited, send)
		switch {
		case err == nil:
			return results, nil
		case ctx.Err() != nil:
			return nil, ctx.Err()
		case limited.Err() != nil:
			return nil, timeoutError(limit, last)
		case !s.cluster && replyWord(err) == replyMoved:
			return nil, fmt.Errorf("%w: %w", errClusterNode, err)
		case !passing(err):
			return nil, err
		}
		last = err
		if replyWord(err) == replyReadOnly && s.single {
			// The name of the server may lead to another one by now.
			s.dialer.drop()
		}
		timer := time.NewTimer(backoff)
		select {
		case <-timer.C:
		case <-limited.Done():
			timer.Stop()
		}
	}
}

// timeoutError does not wrap context.DeadlineExceeded: the caller's context goes on.
func timeoutError(limit time.Duration, last error) error {
	if last == nil {
		return fmt.Errorf("no answer within %s", limit)
	}
	return fmt.Errorf("no success within %s: %w", limit, last)
}

// attempt runs an exchange once and returns the first error among its results. It
// returns when ctx ends, whatever the exchange does.
func (s *Store) attempt(ctx context.Context, send exchange) ([]rueidis.RedisResult, error) {
	select {
	case s.calls <- struct{}{}:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	answered := make(chan []rueidis.RedisResult, 1)
	go func() {
		defer func() {
			if cause := recover(); cause != nil {
				answered <- []rueidis.RedisResult{rueidis.NewErrorResult(fmt.Errorf("%w: %v", errClientPanic, cause))}
			}
			<-s.calls
		}()
		answered <- send(ctx)
	}()
	select {
	case results := <-answered:
		err := failure(results)
		if errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled) {
			// The client's own time limit, or the end of another caller's context while
			// both waited for one connection.
			err = errInterrupted
		}
		return results, err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// errInterrupted stands in for errors that the caller would take for those of its own
// context.
var errInterrupted = errors.New("the connection was given up")

// errClientPanic is a fault of the client library, which must not end the process.
var errClientPanic = errors.New("the redis client has panicked")

// enter begins a call: the store stays open until gate is released.
func (s *Store) enter(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if s.closing.Err() != nil {
		return revocation.ErrClosed // without waiting for Close to end
	}
	s.gate.RLock()
	if s.closing.Err() != nil {
		s.gate.RUnlock()
		return revocation.ErrClosed
	}
	return nil
}

// usable reports why a call that needs no server cannot be answered.
func (s *Store) usable(ctx context.Context) error {
	if err := s.enter(ctx); err != nil {
		return err
	}
	s.gate.RUnlock()
	return nil
}

// fromPrimary sends commands that read, such that they are answered by a primary only.
//
// In a cluster every node sees to that by itself. Elsewhere a server that was demoted
// goes on answering reads on connections that it had as a primary. So a write goes
// ahead that changes nothing: the removal of a key that never exists, which a replica
// refuses. Whether a primary lets it write now does not matter, unless strict is set:
// then it also has to have the replicas that its min-replicas-to-write asks for, which
// one that was cut off from the others does not.
func (s *Store) fromPrimary(ctx context.Context, strict bool, commands ...rueidis.Completed) []rueidis.RedisResult {
	if s.cluster {
		return s.client.DoMulti(ctx, commands...)
	}
	commands = append([]rueidis.Completed{s.probeCommand(0)}, commands...)
	results := s.client.DoMulti(ctx, commands...)
	if err := results[0].Error(); err != nil {
		switch word := replyWord(err); {
		case word == replyMisconf, word == replyNoReplicas && !strict:
		default:
			return results[:1]
		}
	}
	return results[1:]
}

func (s *Store) probeCommand(partition int) rueidis.Completed {
	return s.client.B().Del().Key(s.layout.probe(partition)).Build()
}
