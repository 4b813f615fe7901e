package redisstore

import (
	"context"
	"errors"
	"sync"

	"github.com/redis/rueidis"

	"example.com/caddy-token-auth/revocation"
)

// overlap is how many changes of each partition are told again where following begins:
// their writers may not have been answered yet.
const overlap = 64

// Watch implements revocation.Feed.
//
// In one round trip it asks for the changes after those that it has, which the server
// answers when there are some, or after a second, and whether the last one that it has
// is still there. If it is, nothing is missing between it and the answer. If it is not,
// because too much was written since, the data was deleted, or the server is one that
// has taken over without it, Watch ends with an error that wraps ErrFeedLost, and the
// next one from the same position reports a gap.
//
// Right after Started, Changed is called without a change, to tell the position.
//
// What Alive says is as true as the server is the primary. Watch has made sure that it
// takes writes, but a primary that was cut off from its replicas and its Sentinels, on
// our side of the cut, goes on as one: until the Sentinels that we reach know better
// (they are asked every second), or, with the setting min-replicas-to-write, for
// min-replicas-max-lag (then Watch ends). In a cluster it stops after
// cluster-node-timeout by itself.
func (s *Store) Watch(ctx context.Context, from revocation.Position, sink revocation.Sink) error {
	if err := s.usable(ctx); err != nil {
		return s.failed("follow the feed", err)
	}
	following, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	defer context.AfterFunc(s.closing, func() { cancel(nil) })()

	err := s.follow(following, cancel, from, sink)
	switch {
	case ctx.Err() != nil:
		err = ctx.Err()
	case s.closing.Err() != nil:
		err = revocation.ErrClosed
	case following.Err() != nil:
		err = context.Cause(following)
	}
	return s.failed("follow the feed", err)
}

// follow reports everything until ctx ends, which the first error sees to.
func (s *Store) follow(ctx context.Context, cancel context.CancelCauseFunc, from revocation.Position, sink revocation.Sink) error {
	at, gap, err := s.start(ctx, from)
	if err != nil {
		return err
	}
	sink.Started(gap)
	sink.Changed(nil, nil, at.encode())
	f := &follower{store: s, sink: sink, at: at}
	var loops sync.WaitGroup
	for _, group := range s.feedGroups() {
		loops.Go(func() {
			for ctx.Err() == nil {
				if err := f.round(ctx, group); err != nil {
					cancel(err)
				}
			}
		})
	}
	loops.Wait()
	return ctx.Err()
}

// feedGroups returns the partitions whose feeds one command can read.
func (s *Store) feedGroups() [][]int {
	var groups [][]int
	for p := range partitions {
		if s.cluster || p == 0 {
			groups = append(groups, nil)
		}
		last := len(groups) - 1
		groups[last] = append(groups[last], p)
	}
	return groups
}

// start returns from which places to follow. gap is true if from is not one of them.
func (s *Store) start(ctx context.Context, from revocation.Position) (at position, gap bool, err error) {
	if at, ok := decodePosition(from); ok {
		err := s.checkPlaces(ctx, &at)
		if !errors.Is(err, ErrFeedLost) {
			return at, false, err
		}
	}
	at, err = s.latest(ctx)
	return at, true, err
}

// checkPlaces returns ErrFeedLost unless the feed has all the places.
func (s *Store) checkPlaces(ctx context.Context, at *position) error {
	results, err := s.do(ctx, s.timeout, func(ctx context.Context) []rueidis.RedisResult {
		commands := make([]rueidis.Completed, partitions)
		for p := range commands {
			commands[p] = s.placeCommand(p, at[p])
		}
		return s.fromPrimary(ctx, true, commands...)
	})
	if err != nil {
		return err
	}
	for p, r := range results {
		if err := checkPlace(r, at[p]); err != nil {
			return err
		}
	}
	return nil
}

func (s *Store) placeCommand(partition int, at place) rueidis.Completed {
	id := at.id()
	return s.client.B().Xrange().Key(s.layout.feeds[partition]).Start(id).End(id).Build()
}

// checkPlace returns ErrFeedLost unless the answer to placeCommand is the change at p.
func checkPlace(answer rueidis.RedisResult, p place) error {
	found, err := answer.AsXRange()
	if err != nil {
		return err
	}
	if len(found) != 1 {
		return ErrFeedLost
	}
	t, err := parseTold(found[0])
	if err != nil {
		return err
	}
	if t.place != p {
		return ErrFeedLost
	}
	return nil
}

// latest returns places to begin at: in each partition, overlap changes before the end.
func (s *Store) latest(ctx context.Context) (at position, err error) {
	results, err := s.do(ctx, s.timeout, func(ctx context.Context) []rueidis.RedisResult {
		// A feed that does not exist yet gets its first entry, so that there is a place.
		var begin batch
		for p := range partitions {
			begin.runs = append(begin.runs, run{partition: p})
		}
		if results := s.execute(ctx, s.client, begin.runs, 0); failure(results) != nil {
			return results
		}
		commands := make([]rueidis.Completed, partitions)
		for p := range commands {
			commands[p] = s.client.B().Xrevrange().Key(s.layout.feeds[p]).End("+").Start("-").Count(overlap).Build()
		}
		return s.fromPrimary(ctx, true, commands...)
	})
	if err != nil {
		return at, err
	}
	for p, r := range results {
		found, err := r.AsXRange()
		if err != nil {
			return at, err
		}
		if len(found) == 0 {
			return at, ErrFeedLost
		}
		t, err := parseTold(found[len(found)-1])
		if err != nil {
			return at, err
		}
		at[p] = t.place
	}
	return at, nil
}
