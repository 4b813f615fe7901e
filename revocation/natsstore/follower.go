package natsstore

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"example.com/caddy-token-auth/revocation"
)

const (
	// roundInterval is the least time between the beginnings of two rounds, if the first
	// is clean.
	roundInterval = 500 * time.Millisecond
	// tick is how often a follower looks at the time.
	tick = 50 * time.Millisecond
	// maxChanges is how many changes are reported at a time.
	maxChanges = 256
)

// follower is one Watch.
//
// That the feed works is shown by rounds. Each sends a barrier and waits for it to come
// out of the stream. All that was acknowledged before the round began has a lower
// sequence, so by then it has been reported, unless it left a hole. What left a hole
// before the barrier was sent was replaced by a message before the barrier, which has
// been reported or has left a hole in turn. So a round in which no hole was seen is
// clean, and shows that all has been reported; after another one the next begins soon.
//
// A removal is reported when its marker comes. If the marker was replaced by a new entry
// before it was read, that entry's record names it (record.removal), and the removal is
// reported before the entry. Those up to the last clean round need no more care, and of
// later ones the follower remembers which it has reported.
type follower struct {
	store *Store
	sink  revocation.Sink
	tail  *tail
	// gap says that the tail begins anywhere, with whatever went before unknown.
	gap bool

	// stored and removed are not reported yet. One of them is empty, so that their
	// order is clear.
	stored  []revocation.Entry
	removed []revocation.Key
	// at is the place after them, and told says that one has been reported.
	at   position
	told bool

	clean    uint64
	removals map[uint64]struct{} // reported ones after clean, by their markers' sequences

	round    round
	barriers chan barrierResult
	// moved is when a message came last.
	moved time.Time
}

// round is one attempt to show that all has been reported.
type round struct {
	running bool
	begun   time.Time
	asOf    time.Time // begun, by the Store's clock
	holes   int       // that the tail had seen by then
	barrier uint64    // its sequence, or 0 while that is not known
}

type barrierResult struct {
	sequence uint64
	err      error
}

// run reports changes until something ends it.
func (f *follower) run(ctx context.Context) error {
	var barriers sync.WaitGroup
	defer barriers.Wait()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	f.removals = make(map[uint64]struct{})
	f.barriers = make(chan barrierResult, 1)
	ticker := time.NewTicker(tick)
	defer ticker.Stop()
	f.beginRound(ctx, &barriers)
	for {
		select {
		case msg := <-f.tail.messages:
			if err := f.take(msg); err != nil {
				return err
			}
		case result := <-f.barriers:
			if result.err != nil {
				return broken(result.err)
			}
			f.round.barrier = result.sequence
		case <-ticker.C:
			f.beginRound(ctx, &barriers)
		case err := <-f.tail.failure:
			if err = f.tail.mend(err); err != nil {
				return err
			}
		case <-f.tail.status:
			return broken(nats.ErrDisconnected)
		case <-ctx.Done():
			return ctx.Err()
		}
		if err := f.endRound(); err != nil {
			return err
		}
	}
}

// take takes up a message, and what waits behind it, and reports the changes.
func (f *follower) take(msg jetstream.Msg) error {
	f.moved = time.Now()
	for n := 1; ; n++ {
		c, err := f.tail.take(msg)
		if err != nil {
			return err
		}
		f.add(c)
		if n == maxChanges || len(f.tail.messages) == 0 {
			f.report()
			return nil
		}
		msg = <-f.tail.messages
	}
}

// beginRound begins a round if it is time to.
func (f *follower) beginRound(ctx context.Context, group *sync.WaitGroup) {
	now := time.Now()
	if f.round.running || now.Sub(f.round.begun) < roundInterval {
		return
	}
	f.round = round{running: true, begun: now, asOf: f.store.now(), holes: f.tail.holes}
	group.Go(func() {
		ctx, cancel := context.WithTimeoutCause(ctx, stallLimit, errNoAnswer)
		defer cancel()
		sequence, err := f.store.barrier(ctx)
		if err != nil && ctx.Err() != nil {
			err = context.Cause(ctx)
		}
		f.barriers <- barrierResult{sequence, err}
	})
}

// endRound ends the round whose barrier was passed.
func (f *follower) endRound() error {
	r := &f.round
	switch {
	case !r.running, r.barrier == 0:
	case f.tail.last < r.barrier:
		// While others keep coming, the barrier may be far behind them.
		if time.Since(r.begun) > stallLimit && time.Since(f.moved) > stallLimit {
			return broken(errors.New("a message that was stored does not arrive"))
		}
	case f.tail.holes != r.holes:
		f.round = round{}
	default:
		r.running = false
		f.clean = r.barrier
		for marker := range f.removals {
			if marker <= f.clean {
				delete(f.removals, marker)
			}
		}
		if !f.told {
			f.tell()
		}
		f.sink.Alive(r.asOf)
	}
	return nil
}

// add takes up a change to be reported.
func (f *follower) add(c change) {
	if f.gap {
		f.gap, f.clean = false, f.tail.last-1
	}
	switch {
	case !c.ours:
	case !c.stored:
		f.remove(c.key, c.sequence)
	default:
		if _, reported := f.removals[c.removal]; c.removal > f.clean && !reported {
			f.remove(c.key, c.removal)
		}
		if len(f.removed) > 0 {
			f.report()
		}
		f.stored = append(f.stored, c.entry)
	}
	f.at = position{created: f.at.created, sequence: f.tail.last, stored: f.tail.lastTime.UnixNano(), clean: f.clean}
}

// remove takes up a removal that the marker with the given sequence stands for.
func (f *follower) remove(key revocation.Key, marker uint64) {
	f.removals[marker] = struct{}{}
	if len(f.stored) > 0 {
		f.report()
	}
	f.removed = append(f.removed, key)
}

// report hands the changes over, if there are any.
func (f *follower) report() {
	if len(f.stored)+len(f.removed) > 0 {
		f.tell()
	}
}

func (f *follower) tell() {
	f.sink.Changed(f.stored, f.removed, f.at.encode())
	f.stored, f.removed, f.told = f.stored[:0], f.removed[:0], true
}
