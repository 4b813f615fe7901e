package redisstore

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/redis/rueidis"

	"example.com/caddy-token-auth/revocation"
)

const (
	// defaultBlock is how long the server holds back the answer that nothing has changed.
	defaultBlock = time.Second
	// maxAnswer is how long the answer may take beyond that, if Options.Timeout is not
	// shorter, before the connection is given up.
	maxAnswer = 1500 * time.Millisecond
	// readAtOnce is how many changes of one partition are read at a time.
	readAtOnce = 1000
	// pace is the least time between the beginnings of two rounds, so that a busy feed is
	// read in larger pieces.
	pace = time.Millisecond
	// pollMoving is the time between two looks at the feed of a partition that is on its
	// way to another node.
	pollMoving = 50 * time.Millisecond
)

// follower is a Watch that follows.
type follower struct {
	store *Store
	sink  revocation.Sink

	mu sync.Mutex // guards all below, and is held while sink is called
	// at is up to where the sink was told. The place of a partition is changed only by
	// the goroutine that reads it.
	at position
	// asOf is when each partition was last known to be told completely; alive is
	// what the sink was told of that.
	asOf  [partitions]time.Time
	alive time.Time
}

// round reads once what is new in a group of partitions and tells the sink.
func (f *follower) round(ctx context.Context, group []int) error {
	s := f.store
	// All that was acknowledged before now was executed before what we send now.
	began := s.now()
	paced := time.NewTimer(pace)
	defer paced.Stop()
	limit := s.blockFor + min(s.timeout, maxAnswer)
	limited, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	results, err := s.attempt(limited, func(ctx context.Context) []rueidis.RedisResult { return f.read(ctx, group) })
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case limited.Err() != nil:
		return timeoutError(limit, nil)
	case err != nil:
		return err
	}
	for i, p := range group {
		if err := checkPlace(results[1+i], f.at[p]); err != nil {
			return err
		}
	}
	read, err := results[0].AsXRead()
	if err != nil && !rueidis.IsRedisNil(err) {
		return err
	}
	if err := f.tell(group, read, began); err != nil {
		return err
	}
	select {
	case <-paced.C:
	case <-ctx.Done():
	}
	return nil
}

// read sends the commands of a round. In a cluster they go to the owner of the one
// partition of the group. If that says that the partition is on its way to another,
// they go through the client, which finds it, and must not block there: rueidis 1.0.79
// cannot redirect a blocking command with ASK.
func (f *follower) read(ctx context.Context, group []int) []rueidis.RedisResult {
	s := f.store
	if !s.cluster {
		return s.fromPrimary(ctx, true, f.commands(group, s.blockFor)...)
	}
	owner, err := s.primary(ctx, group[0])
	if err != nil {
		return []rueidis.RedisResult{rueidis.NewErrorResult(err)}
	}
	results := owner.DoMulti(ctx, f.commands(group, s.blockFor)...)
	if err := failure(results); err != nil {
		s.forgetOwners()
		if word := replyWord(err); word != replyMoved && word != replyAsk {
			return results
		}
		timer := time.NewTimer(pollMoving)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-ctx.Done():
		}
		return s.client.DoMulti(ctx, f.commands(group, 0)...)
	}
	return results
}

// commands are those of a round, which block so long if that is not 0. What is read comes
// first: where the place is still there afterwards, nothing between it and what was read
// can have been missing.
func (f *follower) commands(group []int, block time.Duration) []rueidis.Completed {
	s := f.store
	names, ids := make([]string, len(group)), make([]string, len(group))
	for i, p := range group {
		names[i], ids[i] = s.layout.feeds[p], f.at[p].id()
	}
	commands := make([]rueidis.Completed, 1, 1+len(group))
	if xread := s.client.B().Xread().Count(readAtOnce); block > 0 {
		commands[0] = xread.Block(block.Milliseconds()).Streams().Key(names...).Id(ids...).Build()
	} else {
		commands[0] = xread.Streams().Key(names...).Id(ids...).Build()
	}
	for _, p := range group {
		commands = append(commands, s.placeCommand(p, f.at[p]))
	}
	return commands
}

// tell tells the sink what was read in a round that began at the given time.
func (f *follower) tell(group []int, read map[string][]rueidis.XRangeEntry, began time.Time) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, p := range group {
		changes := read[f.store.layout.feeds[p]]
		if err := f.tellChanges(p, changes); err != nil {
			return err
		}
		if len(changes) < readAtOnce {
			f.asOf[p] = began
		}
	}
	oldest := f.asOf[0]
	for _, t := range f.asOf[1:] {
		if t.Before(oldest) {
			oldest = t
		}
	}
	if oldest.After(f.alive) {
		f.alive = oldest
		f.sink.Alive(oldest)
	}
	return nil
}

// tellChanges tells the sink changes of one partition, in calls that have either stored
// entries or removed ones.
func (f *follower) tellChanges(partition int, changes []rueidis.XRangeEntry) error {
	var stored []revocation.Entry
	var removed []revocation.Key
	last := f.at[partition]
	flush := func() {
		if len(stored) > 0 || len(removed) > 0 {
			f.at[partition] = last
			f.sink.Changed(stored, removed, f.at.encode())
			stored, removed = nil, nil
		}
	}
	for _, c := range changes {
		t, err := parseTold(c)
		if err == nil && t.partition() != partition && t.kind != kindBegin {
			err = fmt.Errorf("change %s in the feed: %w", c.ID, errDamaged)
		}
		if err != nil {
			return err
		}
		switch t.kind {
		case kindStored:
			if len(removed) > 0 {
				flush()
			}
			stored = append(stored, t.stored)
		case kindRemoved:
			if len(stored) > 0 {
				flush()
			}
			removed = append(removed, t.removed)
		}
		last = t.place
	}
	flush()
	f.at[partition] = last
	return nil
}
