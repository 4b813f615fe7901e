package localstore

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"go.etcd.io/bbolt"
	berrors "go.etcd.io/bbolt/errors"

	"example.com/caddy-token-auth/internal/durable"
	"example.com/caddy-token-auth/revocation"
	"example.com/caddy-token-auth/revocation/index"
)

// Open opens the list in dir, and creates dir and the list if there is none. It
// reads every record once, to check it and to build the index.
//
// A file of length zero is initialised: it holds nothing that could be lost. Any
// other file that is not a sound list of this format is refused, unchanged, with an
// error that wraps ErrForeign or ErrDamaged. A file that another process has open
// longer than Options.LockTimeout gives ErrLocked. When ctx ends, its error is
// returned.
func Open(ctx context.Context, dir string, opts Options) (*Store, error) {
	opts = opts.withDefaults()
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	path := filepath.Join(dir, FileName)
	if err := makeDir(dir); err != nil {
		return nil, fmt.Errorf("directory of the revocation list: %w", err)
	}
	if err := createFile(path); err != nil {
		return nil, fmt.Errorf("creating revocation list %s: %w", path, err)
	}
	if err := durable.SyncDir(dir); err != nil {
		return nil, fmt.Errorf("directory of the revocation list: %w", err)
	}
	s := &Store{
		now:      opts.Now,
		index:    index.New(),
		queue:    make(chan *request, queueLength),
		closing:  make(chan struct{}),
		finished: make(chan struct{}),
		hooks:    opts.hooks,
	}
	if err := s.openEngine(ctx, path, opts.LockTimeout); err != nil {
		return nil, err
	}
	if err := s.load(ctx, opts.Progress); err != nil {
		return nil, errors.Join(err, s.closeEngine())
	}
	if err := s.adopt(); err != nil {
		return nil, errors.Join(fmt.Errorf("opening revocation list %s: %w", path, err), s.closeEngine())
	}
	go s.commitAll(opts.PurgeInterval)
	return s, nil
}

// engineOptions are the options of every bbolt database of this package.
//
// The free list is kept in the file: rebuilding it, as NoFreelistSync asks for,
// reads all pages not only at every start but also after every failed commit, in a
// goroutine of bbolt's whose faults nobody can catch. Kept as a map in memory,
// because the array takes time in proportion to the free pages for each allocation.
// Files are grown with truncate and sync, as by default.
func engineOptions(timeout time.Duration, open func(string, int, os.FileMode) (*os.File, error)) *bbolt.Options {
	return &bbolt.Options{
		Timeout:      timeout,
		FreelistType: bbolt.FreelistMapType,
		OpenFile:     open,
		NoStatistics: true,
	}
}

// openEngine locks and checks the file, and lets bbolt open it.
func (s *Store) openEngine(ctx context.Context, path string, timeout time.Duration) error {
	started := time.Now()
	wait, cancel := context.WithTimeoutCause(ctx, timeout, berrors.ErrTimeout)
	defer cancel()
	var root meta
	open := func(name string, flag int, mode os.FileMode) (*os.File, error) {
		f, err := os.OpenFile(name, flag, mode)
		if err != nil {
			return nil, err
		}
		if err = lock(wait, f); err == nil {
			root, err = checkRoots(f)
		}
		if err == nil && locksFirst {
			err = checkTree(f, root)
		}
		if err != nil {
			return nil, errors.Join(err, f.Close())
		}
		s.file = f
		return f, nil
	}
	err := guarded(func() (err error) {
		if s.db, err = bbolt.Open(path, 0o600, engineOptions(timeout, open)); err != nil {
			return err
		}
		if !locksFirst {
			if err := checkTree(s.file, root); err != nil {
				return err
			}
		}
		empty, err := checkFormat(s.db)
		if err == nil && empty {
			err = initialize(s.db)
		}
		return err
	})
	switch {
	case err == nil:
		s.pageSize = int64(s.db.Info().PageSize)
		return nil
	case errors.Is(err, berrors.ErrTimeout):
		err = fmt.Errorf("%w: %s is locked, waited %s: %s",
			ErrLocked, path, time.Since(started).Round(time.Millisecond), adviceLocked)
	case ctx.Err() != nil:
		err = fmt.Errorf("opening revocation list %s: %w", path, ctx.Err())
	case isPanic(err):
		s.broken.Store(&err)
		err = fmt.Errorf("%s: %w; %s", path, err, adviceDamaged)
	case !errors.Is(err, ErrForeign) && !errors.Is(err, ErrDamaged):
		err = fmt.Errorf("opening revocation list %s: %w", path, err)
	}
	return errors.Join(err, s.closeEngine())
}

// closeEngine closes the file, through bbolt unless that has panicked and may never
// return its locks. The memory map then stays until the process ends.
func (s *Store) closeEngine() error {
	if s.db != nil && s.broken.Load() == nil {
		return s.db.Close()
	}
	if s.file == nil {
		return nil
	}
	if err := s.file.Close(); !errors.Is(err, os.ErrClosed) {
		return err
	}
	return nil
}

// progressInterval is the number of records between two calls of Options.Progress
// and two looks at the context.
const progressInterval = 1 << 16

// load reads every record into the index. Expired ones are included: they are in
// the file, and a new revocation of the same key has to find them.
func (s *Store) load(ctx context.Context, progress func(int)) error {
	err := guarded(func() error {
		return s.db.View(func(tx *bbolt.Tx) error {
			records := tx.Bucket(bucketRecords)
			// No more than the file has room for, whatever number stands in it.
			s.index.Reserve(int(min(records.Sequence(), uint64(tx.Size())/recordFixedSize)))
			var last recordKey
			cursor := records.Cursor()
			for k, v := cursor.First(); k != nil; k, v = cursor.Next() {
				expiry, key, err := parseRecordKey(k)
				if err != nil {
					return err
				}
				if _, err := readRecord(expiry, key, v); err != nil {
					return err
				}
				rk := makeRecordKey(expiry, key)
				if string(rk[:]) <= string(last[:]) {
					return fmt.Errorf("%w: record %x is out of order", ErrDamaged, rk)
				}
				last = rk
				s.index.Add(key, expiry)
				if n := s.index.Len(); n%progressInterval == 0 {
					if err := ctx.Err(); err != nil {
						return err
					}
					progress(n)
				}
			}
			if got, want := uint64(s.index.Len()), records.Sequence(); got != want {
				return fmt.Errorf("%w: %d records can be read of %d", ErrDamaged, got, want)
			}
			return nil
		})
	})
	if isPanic(err) {
		s.broken.Store(&err)
	}
	if errors.Is(err, ErrDamaged) {
		err = fmt.Errorf("%s: %w; %s", s.file.Name(), err, adviceDamaged)
	}
	if err != nil {
		return err
	}
	progress(s.index.Len())
	return nil
}

var (
	_ revocation.Store   = (*Store)(nil)
	_ revocation.Filter  = (*Store)(nil)
	_ revocation.Counter = (*Store)(nil)
)
