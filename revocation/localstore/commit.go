package localstore

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync/atomic"
	"time"

	"go.etcd.io/bbolt"

	"example.com/caddy-token-auth/revocation"
)

const (
	// maxBatch bounds the entries of one request, and those that make a transaction
	// large enough to stop collecting requests for it. It bounds the memory of a
	// transaction and the time that its first caller waits for the others.
	maxBatch = 1024
	// queueLength bounds the requests that wait. Further callers wait for a place
	// until their context ends.
	queueLength = 1024
)

// request is one call that writes. Only one of its kinds of work is set.
type request struct {
	entries []revocation.Entry
	restore []revocation.Key
	purge   bool // asks for a round of purging; used by tests

	state atomic.Int32 // waiting, begun or abandoned
	err   error        // what is wrong with this request alone; set by the committer
	done  chan error   // receives the result once, if begun
}

const (
	waiting = iota
	begun
	abandoned
)

// submit queues r and waits for its result, or until ctx ends before it has begun.
func (s *Store) submit(ctx context.Context, r *request) error {
	r.done = make(chan error, 1)
	if err := s.enqueue(ctx, r); err != nil {
		return err
	}
	select {
	case err := <-r.done:
		return err
	case <-ctx.Done():
		if r.state.CompareAndSwap(waiting, abandoned) {
			return ctx.Err()
		}
		return <-r.done
	}
}

func (s *Store) enqueue(ctx context.Context, r *request) error {
	s.entrance.RLock()
	defer s.entrance.RUnlock()
	if s.closed.Load() {
		return revocation.ErrClosed
	}
	select {
	case s.queue <- r:
		return nil
	case <-s.closing:
		return revocation.ErrClosed
	case <-ctx.Done():
		return ctx.Err()
	}
}

// commitAll is the committer: the only goroutine that writes. It ends when the
// queue is closed and empty.
//
// A transaction takes all requests that wait when it begins, so the more callers
// there are, the fewer syncs each costs, and a lone caller waits for nobody. Records
// to be purged go along; with nobody waiting they are committed by themselves.
func (s *Store) commitAll(purgeInterval time.Duration) {
	defer close(s.finished)
	tick := time.NewTicker(purgeInterval)
	defer tick.Stop()
	purge, open := true, true
	for {
		var first *request
		if purge {
			select {
			case first, open = <-s.queue:
			default:
			}
		} else {
			select {
			case first, open = <-s.queue:
			case <-tick.C:
				purge = true
			}
		}
		if !open {
			return
		}
		b := s.collect(first)
		b.purge = b.purge || purge
		purge = s.commit(b) && purge
	}
}

// collect begins first, which may be nil, and what else is waiting. Callers who were
// answered a moment ago and come back with their next request get on if they are
// quick: before it goes without them, collect yields to runnable goroutines as long
// as that brings new requests. For a lone caller this takes less than a microsecond.
func (s *Store) collect(first *request) *batch {
	if s.hooks.beforeBatch != nil {
		s.hooks.beforeBatch()
	}
	b := newBatch(s.index, s.now())
	yielded := first == nil
	for r := first; ; {
		if r != nil && r.state.CompareAndSwap(waiting, begun) {
			b.add(r)
			yielded = false
		}
		if b.size >= maxBatch {
			return b
		}
		select {
		case r = <-s.queue: // nil when it is closed and empty
			if r == nil {
				return b
			}
		default:
			if yielded {
				return b
			}
			r, yielded = nil, true
			runtime.Gosched()
		}
	}
}

// commit makes b durable and tells those who wait for it. It reports whether there
// is more to purge at once.
func (s *Store) commit(b *batch) (more bool) {
	err := s.heal()
	if err == nil {
		err = s.ready()
	}
	if err == nil {
		err = s.update(b)
	}
	if err != nil {
		err = fmt.Errorf("writing revocation list %s: %w", s.file.Name(), err)
	}
	for _, r := range b.requests {
		if err != nil {
			r.done <- err
		} else {
			r.done <- r.err
		}
	}
	return err == nil && len(b.purged) == maxPurge
}

// errUnchanged ends a transaction that has nothing to write: all of it is stored, and
// durably so, since a commit that failed is healed before the next one begins.
var errUnchanged = errors.New("nothing to write")

// update runs b in one transaction and keeps the index true to the outcome. The
// index is a superset of the file throughout: see Lookup.
func (s *Store) update(b *batch) error {
	txid, attempted := 0, false
	err := guarded(func() error {
		return s.db.Update(func(tx *bbolt.Tx) error {
			txid = tx.ID()
			if err := b.apply(tx.Bucket(bucketRecords)); err != nil {
				return err
			}
			b.announce()
			attempted = true
			return nil
		})
	})
	switch {
	case err == nil:
		b.settle()
		return nil
	case errors.Is(err, errUnchanged):
		return nil
	case isPanic(err):
		return s.breakDown(err)
	case !attempted:
		return err
	}
	// The commit failed. Its root may be what bbolt goes on with nevertheless.
	visible, visibleErr := s.lastTransaction()
	if visibleErr != nil {
		return s.breakDown(errors.Join(err, visibleErr))
	}
	if visible == txid {
		b.settle()
	} else {
		b.withdraw()
	}
	s.unhealed = s.inspectFailure(txid, visible)
	return err
}

// breakDown makes err the reason for which the store refuses to go on.
func (s *Store) breakDown(err error) error {
	s.broken.CompareAndSwap(nil, &err)
	return fmt.Errorf("%w: %w", ErrBroken, err)
}

// lastTransaction returns the number of the transaction whose tree bbolt reads now.
func (s *Store) lastTransaction() (txid int, err error) {
	err = guarded(func() error {
		return s.db.View(func(tx *bbolt.Tx) error {
			txid = tx.ID()
			return nil
		})
	})
	return txid, err
}
