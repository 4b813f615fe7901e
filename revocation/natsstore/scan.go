package natsstore

import (
	"context"

	"example.com/caddy-token-auth/revocation"
)

// Scan implements revocation.Store. An entry that is written meanwhile may be seen twice,
// as it was and as it is.
//
// It reads the stream from its beginning. An entry that is written again before it was
// reached moves to the end, so reading goes on until that cannot have happened: until it
// passes a barrier, and has seen no hole since the barrier was sent. For the message that
// left a hole before has moved to a place before the barrier, and was found there, or has
// left a hole again.
func (s *Store) Scan(ctx context.Context, fn func(revocation.Entry) error) error {
	if err := s.enter(ctx); err != nil {
		return err
	}
	defer s.calls.Done()
	ctx, cancel := s.untilClosed(ctx)
	defer cancel()
	t, err := s.openTail(ctx, from{sequence: 1})
	if err != nil {
		return s.ended(ctx, "scan", err)
	}
	defer t.close()
	for clean := false; !clean; {
		holes := t.holes
		end, err := s.barrier(ctx)
		for err == nil && t.last < end {
			var c change
			if c, err = t.next(ctx); err == nil && c.stored && c.entry.Live(s.now()) {
				if err := fn(c.entry); err != nil {
					return err
				}
			}
		}
		if err != nil {
			return s.ended(ctx, "scan", err)
		}
		clean = t.holes == holes
	}
	return nil
}

// ended names what failed. If that is because ctx ended, or the Store was closed, that is
// the error.
func (s *Store) ended(ctx context.Context, what string, err error) error {
	if ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	return s.failed(what, err)
}
