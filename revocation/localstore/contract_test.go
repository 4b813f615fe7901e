package localstore

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"example.com/caddy-token-auth/revocation"
	"example.com/caddy-token-auth/revocation/storetest"
)

func TestContract(t *testing.T) {
	checkLeaks(t)
	storetest.Run(t, func(t *testing.T) storetest.Subject {
		dir, clock := t.TempDir(), storetest.NewClock()
		return storetest.Subject{
			Store:   open(t, dir, clock),
			Now:     clock.Now,
			Advance: clock.Advance,
			Reopen:  func(t *testing.T) revocation.Store { return open(t, dir, clock) },
		}
	})
}

// open opens the list in dir and closes it at the end of the test.
func open(t testing.TB, dir string, clock *storetest.Clock) *Store {
	t.Helper()
	s, err := Open(context.Background(), dir, Options{Now: clock.Now})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func token(clock *storetest.Clock, n int) revocation.Entry {
	return revocation.Entry{
		Scope: revocation.ScopeToken, Realm: "https://id.example.com", ID: fmt.Sprintf("token-%d", n),
		At: clock.Now(), Expires: clock.Now().Truncate(time.Second).Add(time.Hour),
	}
}

func tokens(clock *storetest.Clock, from, to int) (entries []revocation.Entry) {
	for n := from; n < to; n++ {
		entries = append(entries, token(clock, n))
	}
	return entries
}

func mustRevoke(t testing.TB, s *Store, entries ...revocation.Entry) {
	t.Helper()
	if err := s.Revoke(context.Background(), entries...); err != nil {
		t.Fatalf("Revoke: %v", err)
	}
}

// mustHold fails the test unless s has all entries, by Absent and by Lookup.
func mustHold(t testing.TB, s *Store, entries ...revocation.Entry) {
	t.Helper()
	keys := make([]revocation.Key, len(entries))
	for i, e := range entries {
		keys[i] = e.Key()
	}
	found, err := s.Lookup(context.Background(), keys...)
	if err != nil {
		t.Fatal(err)
	}
	for i, e := range entries {
		if found[i].ID != e.ID || found[i].At.Before(e.At) || found[i].Expires.Before(e.Expires) {
			t.Fatalf("Lookup gave %+v, want %+v", found[i], e)
		}
		if s.Absent(keys[i]) {
			t.Fatalf("Absent hides %q", e.ID)
		}
	}
}

func filePath(dir string) string { return filepath.Join(dir, FileName) }

// checkLeaks fails the test if a goroutine of this package is left when it has ended.
// Goroutines end a little after what they announce, so it looks more than once.
func checkLeaks(t testing.TB) {
	t.Cleanup(func() {
		var left []string
		for range 1000 {
			left = left[:0]
			stacks := make([]byte, 1<<20)
			stacks = stacks[:runtime.Stack(stacks, true)]
			for g := range strings.SplitSeq(string(stacks), "\n\n") {
				if strings.Contains(g, "localstore.(*Store)") {
					left = append(left, g)
				}
			}
			if len(left) == 0 {
				return
			}
			runtime.Gosched()
		}
		t.Errorf("%d goroutines are left:\n%s", len(left), strings.Join(left, "\n\n"))
	})
}

// memoryDir returns a directory whose syncs cost nothing, where there is one.
func memoryDir(t testing.TB) string {
	dir, err := os.MkdirTemp("/dev/shm", "localstore")
	if err != nil {
		return t.TempDir()
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}
