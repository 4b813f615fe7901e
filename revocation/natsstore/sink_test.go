package natsstore

import (
	"context"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"example.com/caddy-token-auth/revocation"
)

// sink is what a feed leads to.
type sink struct {
	cancel context.CancelFunc
	ended  chan struct{}
	err    error // of Watch; after ended

	mu      sync.Mutex // guards all below
	event   chan struct{}
	started bool
	gap     bool
	gaps    int
	list    map[revocation.Key]revocation.Entry
	removed int
	at      revocation.Position
	alive   time.Time
}

func newSink() *sink {
	return &sink{ended: make(chan struct{}), event: make(chan struct{}), list: make(map[revocation.Key]revocation.Entry)}
}

// follow begins to watch and waits until Watch has started.
func follow(t testing.TB, s *Store, from revocation.Position) *sink {
	t.Helper()
	k := newSink()
	k.follow(t, s, from)
	return k
}

func (k *sink) follow(t testing.TB, s *Store, from revocation.Position) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	k.cancel = cancel
	go func() {
		defer close(k.ended)
		k.err = s.Watch(ctx, from, k)
	}()
	t.Cleanup(func() {
		cancel()
		<-k.ended
	})
	k.await(t, "start", func() bool { return k.started })
}

// keepFollowing begins to watch, and goes on from where Watch ended each time that it does.
func keepFollowing(t testing.TB, s *Store) *sink {
	t.Helper()
	k := newSink()
	ctx, cancel := context.WithCancel(context.Background())
	go func() {
		defer close(k.ended)
		for ctx.Err() == nil {
			k.err = s.Watch(ctx, k.position(), k)
		}
	}()
	t.Cleanup(func() {
		cancel()
		<-k.ended
	})
	k.await(t, "start", func() bool { return k.started })
	return k
}

// await waits until condition, which may use what mu guards, holds.
func (k *sink) await(t testing.TB, what string, condition func() bool) {
	t.Helper()
	deadline := time.After(20 * time.Second)
	for {
		k.mu.Lock()
		ok, event := condition(), k.event
		k.mu.Unlock()
		if ok {
			return
		}
		select {
		case <-event:
		case <-k.ended:
			t.Fatalf("Watch ended while %s was awaited: %v", what, k.err)
		case <-deadline:
			t.Fatalf("no %s", what)
		}
	}
}

// end waits for the end of Watch and returns its error.
func (k *sink) end(t testing.TB) error {
	t.Helper()
	select {
	case <-k.ended:
		return k.err
	case <-time.After(20 * time.Second):
		t.Fatal("Watch does not end")
		return nil
	}
}

func (k *sink) position() revocation.Position {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.at
}

func (k *sink) change(change func()) {
	k.mu.Lock()
	defer k.mu.Unlock()
	change()
	close(k.event)
	k.event = make(chan struct{})
}

// Started implements revocation.Sink.
func (k *sink) Started(gap bool) {
	k.change(func() {
		k.started, k.gap = true, gap
		if gap {
			k.gaps++
		}
	})
}

// Alive implements revocation.Sink.
func (k *sink) Alive(asOf time.Time) { k.change(func() { k.alive = asOf }) }

// Changed implements revocation.Sink. It merges, so that only the order of removals
// and entries makes the list right.
func (k *sink) Changed(stored []revocation.Entry, removed []revocation.Key, at revocation.Position) {
	k.change(func() {
		for _, e := range stored {
			if old, ok := k.list[e.Key()]; ok {
				e = revocation.Merge(old, e)
			}
			k.list[e.Key()] = e
		}
		for _, key := range removed {
			delete(k.list, key)
			k.removed++
		}
		k.at = at
	})
}

// copyDir copies a directory with all that is in it.
func copyDir(t testing.TB, to, from string) {
	t.Helper()
	err := filepath.WalkDir(from, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name, err := filepath.Rel(from, path)
		if err != nil {
			return err
		}
		target := filepath.Join(to, name)
		if d.IsDir() {
			return os.MkdirAll(target, 0o700)
		}
		data, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		return os.WriteFile(target, data, 0o600)
	})
	if err != nil {
		t.Fatal(err)
	}
}
