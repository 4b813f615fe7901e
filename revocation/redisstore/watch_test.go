package redisstore

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"example.com/caddy-token-auth/revocation"
)

// watcher follows a store as a List does: it watches again whenever a Watch ends, from
// where that had come to.
type watcher struct {
	mu      sync.Mutex // guards all below
	list    map[revocation.Key]revocation.Entry
	at      revocation.Position
	gaps    int // Started with a gap
	resumed int // Started without
	alive   time.Time
	errs    []error
	toldYet int // entries in list at the first Alive
}

func (w *watcher) Started(gap bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if gap {
		w.gaps++
	} else {
		w.resumed++
	}
}

func (w *watcher) Changed(stored []revocation.Entry, removed []revocation.Key, at revocation.Position) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, e := range stored {
		w.list[e.Key()] = e
	}
	for _, key := range removed {
		delete(w.list, key)
	}
	w.at = at
}

func (w *watcher) Alive(asOf time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.alive.IsZero() {
		w.toldYet = len(w.list)
	}
	w.alive = asOf
}

// once watches once from the position that w has, until ctx ends or Watch fails.
func (w *watcher) once(ctx context.Context, s *Store) error {
	w.mu.Lock()
	from := w.at
	w.mu.Unlock()
	return s.Watch(ctx, from, w)
}

func (w *watcher) has(e revocation.Entry) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.list[e.Key()].ID == e.ID
}

// counts returns how often Watch was started with and without a gap.
func (w *watcher) counts() (gaps, resumed int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.gaps, w.resumed
}

func (w *watcher) aliveAfter(t time.Time) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.alive.After(t)
}

// watchOnce begins a Watch from w's position and waits for its start. What it returns
// has the error that ends it.
func watchOnce(t testing.TB, s *Store, w *watcher) (ended <-chan error, stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done, before := make(chan error, 1), 0
	gaps, resumed := w.counts()
	before = gaps + resumed
	go func() { done <- w.once(ctx, s) }()
	await(t, "start of Watch", 10*time.Second, func() bool {
		gaps, resumed := w.counts()
		return gaps+resumed > before
	})
	t.Cleanup(cancel)
	return done, cancel
}

func newWatcher() *watcher {
	return &watcher{list: make(map[revocation.Key]revocation.Entry)}
}

// keepWatching watches until the test ends.
func keepWatching(t testing.TB, s *Store) *watcher {
	t.Helper()
	w := newWatcher()
	ctx, cancel := context.WithCancel(context.Background())
	var group sync.WaitGroup
	group.Go(func() {
		for ctx.Err() == nil {
			err := w.once(ctx, s)
			w.mu.Lock()
			w.errs = append(w.errs, err)
			w.mu.Unlock()
			select {
			case <-ctx.Done():
			case <-time.After(50 * time.Millisecond):
			}
		}
	})
	t.Cleanup(func() {
		cancel()
		group.Wait()
	})
	await(t, "start of Watch", 10*time.Second, func() bool {
		gaps, resumed := w.counts()
		return gaps+resumed > 0
	})
	return w
}

// mustEnd waits for the end of a Watch, which must give an error that wraps want.
func mustEnd(t testing.TB, ended <-chan error, limit time.Duration, want error) {
	t.Helper()
	select {
	case err := <-ended:
		if want != nil && !errors.Is(err, want) || err == nil {
			t.Fatalf("Watch gave %v, want %v", err, want)
		}
	case <-time.After(limit):
		t.Fatalf("Watch goes on after %s", limit)
	}
}

// A quiet feed can be resumed, too.
func TestPositionIsToldBeforeTheFirstChange(t *testing.T) {
	_, o := sharedServer(t)
	s := open(t, o)
	w := newWatcher()
	ended, stop := watchOnce(t, s, w)
	await(t, "position", time.Second, func() bool { w.mu.Lock(); defer w.mu.Unlock(); return w.at != "" })
	stop()
	mustEnd(t, ended, time.Second, context.Canceled)
	mustRevoke(t, s, token(1))
	watchOnce(t, s, w)
	await(t, "change from meanwhile", 3*time.Second, func() bool { return w.has(token(1)) })
	if gaps, resumed := w.counts(); gaps != 1 || resumed != 1 {
		t.Errorf("%d gaps, %d times resumed", gaps, resumed)
	}
}

func TestLostFeedIsNoticedAndAGap(t *testing.T) {
	t.Parallel()
	for what, lose := range map[string]func(t *testing.T, server *server, s *Store){
		"all data is deleted": func(t *testing.T, server *server, s *Store) { server.call("FLUSHALL") },
		"one feed is deleted": func(t *testing.T, server *server, s *Store) { server.call("DEL", s.layout.feeds[5]) },
		"all data is deleted and written anew": func(t *testing.T, server *server, s *Store) {
			server.call("FLUSHALL")
			mustRevoke(t, s, tokens(0, 100)...)
		},
		"another change has the id": func(t *testing.T, server *server, s *Store) {
			for _, feed := range s.layout.feeds {
				id, _, _ := strings.Cut(server.call("XREVRANGE", feed, "+", "-", "COUNT", "1"), "\n")
				server.call("DEL", feed)
				server.call("XADD", feed, id, "c", kindBegin+"otherone")
			}
		},
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			server := newServer(t)
			s := open(t, Options{Addresses: []string{server.address}})
			w := newWatcher()
			ended, _ := watchOnce(t, s, w)
			mustRevoke(t, s, tokens(0, 100)...)
			await(t, "report", 3*time.Second, func() bool { return w.has(token(99)) && w.has(token(0)) })
			lose(t, server, s)
			mustEnd(t, ended, 3*time.Second, ErrFeedLost)
			watchOnce(t, s, w)
			if gaps, _ := w.counts(); gaps != 2 {
				t.Errorf("%d gaps, want 2", gaps)
			}
			mustRevoke(t, s, token(1000))
			await(t, "report after the gap", 3*time.Second, func() bool { return w.has(token(1000)) })
		})
	}
}

func TestFeedIsBoundedAndTooOldAPlaceIsAGap(t *testing.T) {
	server, o := sharedServer(t)
	o.FeedLength = MinFeedLength
	s := open(t, o)
	w := newWatcher()
	ended, stop := watchOnce(t, s, w)
	stop()
	mustEnd(t, ended, time.Second, context.Canceled)
	for round := range 8 {
		mustRevoke(t, s, tokens(0, 1000+round)...)
	}
	for _, feed := range s.layout.feeds {
		// Trimming leaves up to one node of the stream more, 100 entries by default.
		if n := server.call("XLEN", feed); len(n) > 3 || n > fmt.Sprint(MinFeedLength/partitions+100) {
			t.Errorf("feed %s has %s changes", feed, n)
		}
	}
	watchOnce(t, s, w)
	if gaps, resumed := w.counts(); gaps != 2 || resumed != 0 {
		t.Errorf("%d gaps, %d times resumed", gaps, resumed)
	}
}

// Writes that were executed, but not yet acknowledged when following began, are told.
func TestLatestChangesAreToldWhereFollowingBegins(t *testing.T) {
	_, o := sharedServer(t)
	s := open(t, o)
	mustRevoke(t, s, tokens(0, 100)...)
	w := newWatcher()
	watchOnce(t, s, w)
	await(t, "report of what came before", 3*time.Second, func() bool { return w.has(token(0)) && w.has(token(99)) })
}

func TestForeignChangeInTheFeedEndsWatch(t *testing.T) {
	server, o := sharedServer(t)
	s := open(t, o)
	w := newWatcher()
	ended, _ := watchOnce(t, s, w)
	server.call("XADD", s.layout.feeds[3], "*", "x", "y")
	mustEnd(t, ended, 3*time.Second, errDamaged)
}

// With the settings that are in force outside of tests.
func TestAliveIsCalledAtLeastEveryTwoSeconds(t *testing.T) {
	t.Parallel()
	_, o := sharedServer(t)
	s := open(t, o)
	w := newWatcher()
	watchOnce(t, s, w)
	last, lastCall := time.Time{}, time.Now()
	for end := time.Now().Add(3500 * time.Millisecond); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		w.mu.Lock()
		alive := w.alive
		w.mu.Unlock()
		if alive.After(last) {
			if d := time.Since(alive); d > 1500*time.Millisecond {
				t.Errorf("Alive says what was %s ago", d)
			}
			last, lastCall = alive, time.Now()
		}
		if d := time.Since(lastCall); d > 2*time.Second {
			t.Fatalf("Alive was not called for %s", d)
		}
	}
}
