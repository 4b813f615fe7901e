//go:build darwin || dragonfly || freebsd || linux || netbsd || openbsd

package localstore

import (
	"context"
	"errors"
	"os"
	"syscall"
	"time"
)

// locksFirst says that lock takes the lock.
const locksFirst = true

// lockRetry is the time between two attempts to lock the file.
const lockRetry = 20 * time.Millisecond

// lock takes the lock that bbolt uses too, on the same open file, so that bbolt then
// has it at once. It gives up when ctx ends. The lock ends with the file.
func lock(ctx context.Context, f *os.File) error {
	retry := time.NewTicker(lockRetry)
	defer retry.Stop()
	for {
		err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if err == nil || !errors.Is(err, syscall.EWOULDBLOCK) && !errors.Is(err, syscall.EINTR) {
			return err
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-retry.C:
		}
	}
}
