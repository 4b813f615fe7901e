package natsstore

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"example.com/caddy-token-auth/revocation"
)

// More entries than are ever under way, and a caller who takes longer over one of them
// than the servers' patience with a silent reader.
func TestScanWaitsForItsCaller(t *testing.T) {
	t.Parallel()
	s := open(t, Options{URLs: []string{singleServer(t).ClientURL()}, Bucket: newBucket()})
	dropBucket(t, s)
	entries := make([]revocation.Entry, 5*tailBuffer)
	for i := range entries {
		entries[i] = token(i)
	}
	mustRevoke(t, s, entries...)
	seen := make(map[revocation.Key]bool)
	err := s.Scan(t.Context(), func(e revocation.Entry) error {
		if len(seen) == tailBuffer/2 {
			<-time.After(3 * tailHeartbeat)
		}
		seen[e.Key()] = true
		return nil
	})
	if err != nil || len(seen) != len(entries) {
		t.Fatalf("Scan saw %d entries of %d: %v", len(seen), len(entries), err)
	}
}

// An entry that is written again before it was reached moves to the end of the stream,
// behind the barrier that was sent when the Scan began.
func TestScanFollowsEntriesThatMove(t *testing.T) {
	t.Parallel()
	s := open(t, Options{URLs: []string{singleServer(t).ClientURL()}, Bucket: newBucket()})
	dropBucket(t, s)
	entries := make([]revocation.Entry, 5*tailBuffer) // more than is sent ahead
	for i := range entries {
		entries[i] = token(i)
	}
	mustRevoke(t, s, entries...)
	moving := token(len(entries))
	mustRevoke(t, s, moving)
	calls, found := 0, false
	err := s.Scan(t.Context(), func(e revocation.Entry) error {
		if calls++; calls == 1 {
			moving.Expires = moving.Expires.Add(time.Hour)
			mustRevoke(t, s, moving)
		}
		found = found || e.ID == moving.ID
		return nil
	})
	if err != nil || !found {
		t.Fatalf("Scan missed an entry that was there all the time: %v", err)
	}
}

func TestScanEndsWithItsContext(t *testing.T) {
	opts := Options{URLs: []string{singleServer(t).ClientURL()}, Bucket: newBucket()}
	dropBucket(t, open(t, opts))
	s := open(t, opts)
	entries := make([]revocation.Entry, 2*tailBuffer)
	for i := range entries {
		entries[i] = token(i)
	}
	mustRevoke(t, s, entries...)
	ctx, cancel := context.WithCancel(t.Context())
	seen := 0
	err := s.Scan(ctx, func(revocation.Entry) error {
		if seen++; seen == 10 {
			cancel()
		}
		return nil
	})
	if !errors.Is(err, context.Canceled) || seen != 10 {
		t.Fatalf("Scan gave %v after %d entries, want context.Canceled after 10", err, seen)
	}
	var closing sync.WaitGroup
	seen = 0
	err = s.Scan(t.Context(), func(revocation.Entry) error {
		if seen++; seen == 10 {
			closing.Go(func() { s.Close() })
			<-s.closing.Done()
		}
		return nil
	})
	closing.Wait()
	if !errors.Is(err, revocation.ErrClosed) || seen != 10 {
		t.Fatalf("Scan gave %v after %d entries, want ErrClosed after 10", err, seen)
	}
}
