package localstore

import (
	"context"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"go.etcd.io/bbolt"

	"example.com/caddy-token-auth/revocation"
	"example.com/caddy-token-auth/revocation/index"
)

// Store is an open list. Make it with Open.
type Store struct {
	now   func() time.Time
	db    *bbolt.DB
	file  *os.File // the one that bbolt uses
	index *index.Index
	// pageSize is the size in bytes of the file's pages.
	pageSize int64

	// gate is held for reading while a transaction reads, so that closing and
	// healing can wait until there is none.
	gate sync.RWMutex
	// broken holds the first panic of bbolt while it had a lock that it will never
	// give back.
	broken atomic.Pointer[error]

	// entrance is held for reading by those who hand in a request, so that Close can
	// wait for them. It guards the closing of queue.
	entrance sync.RWMutex
	queue    chan *request
	closing  chan struct{} // closed when Close begins
	closed   atomic.Bool
	finished chan struct{} // closed when the committer has ended

	// unhealed is the failed commit that has to be dealt with before the next write.
	// Only the committer uses it.
	unhealed *failedCommit

	hooks hooks
}

// hooks are points at which tests step in. All are nil outside of tests.
type hooks struct {
	// beforeRead runs between Lookup's look at the index and its transaction.
	beforeRead func()
	// beforeBatch runs in the committer before it looks at the queue once more.
	beforeBatch func()
	// rewritten runs in the committer when healing has written and synced a root.
	rewritten func(root []byte, offset int64)
}

// Revoke implements revocation.Store.
func (s *Store) Revoke(ctx context.Context, entries ...revocation.Entry) error {
	if err := s.usable(ctx); err != nil {
		return err
	}
	for i := range entries {
		if err := entries[i].Validate(); err != nil {
			return err
		}
	}
	for len(entries) > 0 {
		n := min(len(entries), maxBatch)
		if err := s.submit(ctx, &request{entries: entries[:n]}); err != nil {
			return err
		}
		entries = entries[n:]
	}
	return nil
}

// Restore implements revocation.Store.
func (s *Store) Restore(ctx context.Context, keys ...revocation.Key) error {
	if err := s.usable(ctx); err != nil {
		return err
	}
	for len(keys) > 0 {
		n := min(len(keys), maxBatch)
		if err := s.submit(ctx, &request{restore: keys[:n]}); err != nil {
			return err
		}
		keys = keys[n:]
	}
	return nil
}

// Absent implements revocation.Filter. It does no I/O and allocates nothing.
func (s *Store) Absent(key revocation.Key) bool {
	return !s.index.MayContain(key) && !s.closed.Load()
}

// Len implements revocation.Counter.
func (s *Store) Len() int { return s.index.Len() }

// Close implements revocation.Store. It finishes the writes that were accepted,
// and waits for transactions that read.
func (s *Store) Close() error {
	if s.closed.Swap(true) {
		<-s.finished
		return nil
	}
	close(s.closing) // nobody waits for a place in the queue any longer
	s.entrance.Lock()
	close(s.queue)
	s.entrance.Unlock()
	<-s.finished

	s.gate.Lock()
	defer s.gate.Unlock()
	if err := s.closeEngine(); err != nil {
		return fmt.Errorf("closing revocation list: %w", err)
	}
	return nil
}

// usable reports why a call cannot be answered.
func (s *Store) usable(ctx context.Context) error {
	if s.closed.Load() {
		return revocation.ErrClosed
	}
	return ctx.Err()
}
