package storetest

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"example.com/caddy-token-auth/revocation"
)

// FeedSubject is a store with a feed to be tested.
type FeedSubject struct {
	// Stores are two clients of one store that holds no entry. Both are a
	// revocation.Feed, and their clock is time.Now. The suite closes them.
	Stores []revocation.Store
	// Forget makes the feed lose what it could tell so far, so that no position from
	// before can be resumed. The entries may stay. nil if that cannot be provoked.
	Forget func(t *testing.T)
}

// RunFeed tests a store against the contract of revocation.Feed. open is called for each
// test with its own t.
func RunFeed(t *testing.T, open func(t *testing.T) FeedSubject) {
	for _, c := range []struct {
		name string
		test func(*feedSuite)
	}{
		{"BeginningNowIsAGap", (*feedSuite).testBeginning},
		{"ChangesByAnotherClientAreReported", (*feedSuite).testOtherClient},
		{"OwnChangesAreReported", (*feedSuite).testOwnChanges},
		{"EntriesAreReportedAsMerged", (*feedSuite).testMerged},
		{"AnyBytesAndLengthsAreReported", (*feedSuite).testBytes},
		{"ManyEntriesOfOneCallAreReported", (*feedSuite).testManyEntries},
		{"RestoreIsReported", (*feedSuite).testRestore},
		{"ChangesOfOneKeyKeepTheirOrder", (*feedSuite).testOrder},
		{"ResumedWithoutAGap", (*feedSuite).testResume},
		{"EveryPositionCanBeResumed", (*feedSuite).testResumeAnywhere},
		{"ForgottenPositionIsAGap", (*feedSuite).testForgotten},
		{"InvalidPositionIsAGapOrAnError", (*feedSuite).testInvalidPosition},
		{"AliveAdvancesWhileIdle", (*feedSuite).testAliveIdle},
		{"AliveCoversAllThatWasAcknowledged", (*feedSuite).testAlivePromise},
		{"ConcurrentWritersEndInWhatLookupSays", (*feedSuite).testConcurrentWriters},
		{"EndOfContextEndsWatch", (*feedSuite).testContext},
		{"CloseEndsWatch", (*feedSuite).testClose},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := &feedSuite{T: t, ctx: t.Context(), FeedSubject: open(t), begun: time.Now()}
			if len(s.Stores) != 2 {
				t.Fatalf("%d stores, want 2", len(s.Stores))
			}
			t.Cleanup(func() {
				for _, store := range s.Stores {
					if err := store.Close(); err != nil {
						t.Errorf("Close: %v", err)
					}
				}
			})
			c.test(s)
		})
	}
}

// feedSuite is one test of a feed in progress.
type feedSuite struct {
	*testing.T
	FeedSubject
	ctx   context.Context
	begun time.Time
}

// on returns the suite for entries on the i-th client, for its short ways to use a
// store. An entry of the same number is the same one throughout a test.
func (s *feedSuite) on(i int) *suite {
	begun := func() time.Time { return s.begun }
	return &suite{T: s.T, ctx: s.ctx, Subject: Subject{Store: s.Stores[i], Now: begun}}
}

const (
	// feedDelay is how long a test waits for something that a feed has to report.
	feedDelay = 10 * time.Second
	// aliveDelay is how long Alive may take on an idle feed: two seconds, and one for a
	// busy machine.
	aliveDelay = 3 * time.Second
)

// watcher is a Watch under way and its Sink.
type watcher struct {
	*testing.T
	cancel context.CancelFunc
	ended  chan struct{}
	err    error // of Watch; after ended

	busy atomic.Bool // finds calls of the Sink that overlap

	mu        sync.Mutex // guards all below
	event     chan struct{}
	started   int
	gap       bool
	list      map[revocation.Key]revocation.Entry // what follows from all changes
	removed   map[revocation.Key]bool             // ever reported as removed
	positions []revocation.Position
	alive     time.Time // the latest
	onAlive   func(asOf time.Time, list map[revocation.Key]revocation.Entry)
}

// watch begins to watch by the i-th client and does not wait.
func (s *feedSuite) watch(i int, from revocation.Position) *watcher {
	s.Helper()
	feed, ok := s.Stores[i].(revocation.Feed)
	if !ok {
		s.Fatal("the store is no revocation.Feed")
	}
	ctx, cancel := context.WithCancel(s.ctx)
	w := &watcher{
		T: s.T, cancel: cancel, ended: make(chan struct{}), event: make(chan struct{}),
		list: make(map[revocation.Key]revocation.Entry), removed: make(map[revocation.Key]bool),
	}
	go func() {
		defer close(w.ended)
		w.err = feed.Watch(ctx, from, w)
	}()
	s.Cleanup(w.stop)
	return w
}

// follow is watch that waits for Started, which must report gap.
func (s *feedSuite) follow(i int, from revocation.Position, gap bool) *watcher {
	s.Helper()
	w := s.watch(i, from)
	w.await("Started", feedDelay, func() bool { return w.started > 0 })
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.gap != gap {
		s.Fatalf("Started(gap %t) from position %q, want %t", w.gap, from, gap)
	}
	return w
}

// stop ends the Watch.
func (w *watcher) stop() {
	w.cancel()
	<-w.ended
}

// await waits until condition, which may use what mu guards, holds.
func (w *watcher) await(what string, limit time.Duration, condition func() bool) {
	w.Helper()
	deadline := time.NewTimer(limit)
	defer deadline.Stop()
	for {
		w.mu.Lock()
		ok, event := condition(), w.event
		w.mu.Unlock()
		if ok {
			return
		}
		select {
		case <-event:
		case <-w.ended:
			w.Fatalf("Watch ended while %s was awaited: %v", what, w.err)
		case <-deadline.C:
			w.Fatalf("no %s within %s", what, limit)
		}
	}
}

// settle waits until Alive says that everything so far was reported.
func (w *watcher) settle() {
	w.Helper()
	now := time.Now()
	w.await("Alive", feedDelay, func() bool { return w.alive.After(now) })
}

// holds reports whether the changes so far lead to e. The caller holds mu.
func (w *watcher) holds(e revocation.Entry) bool { return same(w.list[e.Key()], e) }

// expect waits until the changes have led to the entries.
func (w *watcher) expect(entries ...revocation.Entry) {
	w.Helper()
	next := 0
	w.await("report of all entries", feedDelay, func() bool {
		for next < len(entries) && w.holds(entries[next]) {
			next++
		}
		return next == len(entries)
	})
}

// expectAbsent settles and then wants the changes to have led to no entry.
func (w *watcher) expectAbsent(key revocation.Key) {
	w.Helper()
	w.settle()
	w.mu.Lock()
	defer w.mu.Unlock()
	if e, ok := w.list[key]; ok {
		w.Fatalf("the feed leads to %+v, want no entry", e)
	}
}

// positionAfter waits for the entries and returns the position after them.
func (w *watcher) positionAfter(entries ...revocation.Entry) revocation.Position {
	w.Helper()
	w.expect(entries...)
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.positions[len(w.positions)-1]
}

// enter begins a call of the Sink; the function it returns ends it.
func (w *watcher) enter() func() {
	if !w.busy.CompareAndSwap(false, true) {
		w.Error("the Sink is called by two goroutines at a time")
	}
	w.mu.Lock()
	return func() {
		close(w.event)
		w.event = make(chan struct{})
		w.mu.Unlock()
		w.busy.Store(false)
	}
}

// Started implements revocation.Sink.
func (w *watcher) Started(gap bool) {
	defer w.enter()()
	w.started++
	w.gap = gap
	if w.started > 1 {
		w.Error("Started is called twice")
	}
}

// Changed implements revocation.Sink.
func (w *watcher) Changed(stored []revocation.Entry, removed []revocation.Key, at revocation.Position) {
	defer w.enter()()
	if at == "" {
		w.Error("Changed without a position")
	}
	w.positions = append(w.positions, at)
	for _, e := range stored {
		if old, ok := w.list[e.Key()]; ok {
			e = revocation.Merge(old, e)
		}
		w.list[e.Key()] = e
	}
	for _, key := range removed {
		for _, e := range stored {
			if e.Key() == key {
				w.Errorf("Changed stores and removes %q: which came first?", e.ID)
			}
		}
		w.removed[key] = true
		delete(w.list, key)
	}
}

// Alive implements revocation.Sink.
func (w *watcher) Alive(asOf time.Time) {
	defer w.enter()()
	if w.started == 0 {
		w.Error("Alive before Started")
	}
	if asOf.After(time.Now()) {
		w.Errorf("Alive(%s) speaks of the future", asOf)
	}
	if asOf.After(w.alive) {
		w.alive = asOf
	}
	if w.onAlive != nil {
		w.onAlive(asOf, w.list)
	}
}

// mustEnd waits for the end of Watch and wants its error to wrap want.
func (w *watcher) mustEnd(want error) {
	w.Helper()
	select {
	case <-w.ended:
	case <-time.After(aliveDelay):
		w.Fatalf("Watch goes on after %s", aliveDelay)
	}
	if !errors.Is(w.err, want) {
		w.Fatalf("Watch gave %v, want %v", w.err, want)
	}
}
