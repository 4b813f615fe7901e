package revocation_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"example.com/caddy-token-auth/revocation"
)

// fedStore is a fakeStore with a feed whose every word a test says.
type fedStore struct {
	*fakeStore
	watches chan watch
	onScan  func() error
}

// watch is one call of Watch in progress.
type watch struct {
	from revocation.Position
	sink revocation.Sink
	end  chan error
}

func newFedStore() *fedStore {
	return &fedStore{fakeStore: newFakeStore(), watches: make(chan watch)}
}

func (s *fedStore) Watch(ctx context.Context, from revocation.Position, sink revocation.Sink) error {
	w := watch{from: from, sink: sink, end: make(chan error)}
	select {
	case s.watches <- w:
	case <-ctx.Done():
		return ctx.Err()
	}
	select {
	case err := <-w.end:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (s *fedStore) Scan(ctx context.Context, fn func(revocation.Entry) error) error {
	if s.onScan != nil {
		if err := s.onScan(); err != nil {
			return err
		}
	}
	return s.fakeStore.Scan(ctx, fn)
}

// elsewhere stores an entry as another replica does, and returns it.
func (s *fedStore) elsewhere(t *testing.T, c *clock, id *revocation.Identity, scope revocation.Scope) revocation.Entry {
	t.Helper()
	name := map[revocation.Scope]string{
		revocation.ScopeToken: id.Token(), revocation.ScopeSession: id.Session(), revocation.ScopeClient: id.Client(),
	}[scope]
	e := revocation.Entry{Scope: scope, Realm: id.Realm(), ID: name, At: c.Now(), Expires: c.Now().Add(time.Hour)}
	if err := s.Revoke(t.Context(), e); err != nil {
		t.Fatal(err)
	}
	return e
}

// fed is a list on a fedStore, with what its feed has told.
type fed struct {
	*revocation.List
	store  *fedStore
	clock  *clock
	events chan revocation.FeedEvent
	watch  watch
}

// openFed opens a list and waits until its feed is watched.
func openFed(t *testing.T, store *fedStore) *fed {
	t.Helper()
	f := &fed{store: store, clock: newClock(), events: make(chan revocation.FeedEvent, 100)}
	f.List = openList(t, store, f.clock, revocation.Options{
		MaxStaleness: 10 * time.Second, OnFeed: func(e revocation.FeedEvent) { f.events <- e },
	})
	f.watch = <-store.watches
	return f
}

// await returns once the given event has come.
func (f *fed) await(t *testing.T, kind revocation.FeedEventKind) revocation.FeedEvent {
	t.Helper()
	timeout := time.After(10 * time.Second)
	for {
		select {
		case e := <-f.events:
			if e.Kind == kind {
				return e
			}
		case <-timeout:
			t.Fatalf("event %d does not come", kind)
		}
	}
}

// follow has the feed begin, and the list be up to date.
func (f *fed) follow(t *testing.T) {
	t.Helper()
	f.watch.sink.Started(true)
	f.await(t, revocation.FeedLoaded)
	f.watch.sink.Alive(f.clock.Now())
}

func TestFirstSightNeedsNoStoreOnceTheListIsLoaded(t *testing.T) {
	store := newFedStore()
	f := openFed(t, store)
	revokedBefore := f.clock.issue("r", "", "alice")
	store.elsewhere(t, f.clock, revokedBefore, revocation.ScopeToken)
	if err := f.Ready(t.Context()); err == nil {
		t.Error("ready before the list is loaded")
	}
	before := store.lookupCount()
	check(t, f.List, f.clock.issue("a", "s", "bob"), revocation.Live)
	if store.lookupCount() == before {
		t.Error("answered without the store before the list is loaded")
	}
	f.follow(t)
	if err := f.Ready(t.Context()); err != nil {
		t.Errorf("not ready: %v", err)
	}
	before = store.lookupCount()
	for _, token := range []string{"b", "c", "d"} {
		check(t, f.List, f.clock.issue(token, "s", "bob"), revocation.Live)
	}
	if n := store.lookupCount() - before; n != 0 {
		t.Errorf("the store was asked %d times", n)
	}
	check(t, f.List, revokedBefore, revocation.RevokedToken)
	if got := f.Status(); !got.Connected || !got.Loaded || !got.Trusted || !got.Followed || got.Entries == 0 || !got.AsOf.Equal(f.clock.Now()) {
		t.Errorf("status %+v", got)
	}
}

func TestRevocationElsewhereHoldsOnceItIsReported(t *testing.T) {
	for name, scope := range map[string]revocation.Scope{
		"token": revocation.ScopeToken, "session": revocation.ScopeSession, "client": revocation.ScopeClient,
	} {
		t.Run(name, func(t *testing.T) {
			f := openFed(t, newFedStore())
			f.follow(t)
			id := f.clock.issue("a", "s", "alice")
			check(t, f.List, id, revocation.Live) // cached
			e := f.store.elsewhere(t, f.clock, id, scope)
			f.watch.sink.Changed([]revocation.Entry{e}, nil, "1")
			if v, err := f.Check(t.Context(), id); err != nil || v == revocation.Live {
				t.Errorf("verdict %s, %v", v, err)
			}
			// Taken back elsewhere.
			if err := f.store.Restore(t.Context(), e.Key()); err != nil {
				t.Fatal(err)
			}
			f.watch.sink.Changed(nil, []revocation.Key{e.Key()}, "2")
			check(t, f.List, id, revocation.Live)
		})
	}
}

func TestLookupThatRacesARevocationElsewhereIsNotCached(t *testing.T) {
	f := openFed(t, newFedStore())
	f.follow(t)
	// Something must be known under one of its keys, or the store is not asked.
	fresh := f.clock.issue("b", "s2", "alice")
	old := f.store.elsewhere(t, f.clock, f.clock.issue("b", "", ""), revocation.ScopeToken)
	if err := f.store.Restore(t.Context(), old.Key()); err != nil {
		t.Fatal(err)
	}
	f.watch.sink.Changed([]revocation.Entry{old}, nil, "2") // the summary says "maybe" about b
	f.store.onLookup = func() {
		// The answer "nothing" is on its way; now the revocation lands and is reported.
		f.store.onLookup = nil
		e := f.store.elsewhere(t, f.clock, fresh, revocation.ScopeToken)
		f.watch.sink.Changed([]revocation.Entry{e}, nil, "3")
	}
	check(t, f.List, fresh, revocation.Live) // it began before
	check(t, f.List, fresh, revocation.RevokedToken)
}

// Invariant: a check that has found the summary complete, and then overlaps with a gap in
// the feed, caches nothing that outlives the gap. The order is forced: Check reads the clock
// between the summary's state and its contents.
func TestCheckThatRacesAGapIsNotCached(t *testing.T) {
	f := openFed(t, newFedStore())
	f.follow(t)
	read := make(chan struct{})
	f.store.onScan = func() error { <-read; return nil }
	id := f.clock.issue("a", "s", "alice")
	f.clock.onNow = func() {
		f.clock.onNow = nil
		f.store.elsewhere(t, f.clock, id, revocation.ScopeToken) // the feed loses it
		f.watch.sink.Started(true)
	}
	check(t, f.List, id, revocation.Live) // it began before
	close(read)
	f.await(t, revocation.FeedLoaded)
	check(t, f.List, id, revocation.RevokedToken)
}

// Anybody may ask whether a replica is ready: that must not become load on a store in trouble.
func TestManyWhoAskForReadinessShareOneLookUp(t *testing.T) {
	f := openFed(t, newFedStore())
	f.follow(t)
	f.clock.advance(time.Minute) // the feed is stale
	before := f.store.lookupCount()
	asked, answer := make(chan struct{}), make(chan struct{})
	f.store.onLookup = func() { close(asked); <-answer }
	gone, leave := context.WithCancel(t.Context())
	var all sync.WaitGroup
	all.Go(func() { _ = f.Ready(gone) })
	<-asked
	leave() // whoever asked first takes nobody's answer along
	for range 20 {
		all.Go(func() {
			if err := f.Ready(t.Context()); err != nil {
				t.Errorf("not ready: %v", err)
			}
		})
	}
	impatient, end := context.WithCancel(t.Context())
	end()
	if err := f.Ready(impatient); !errors.Is(err, context.Canceled) {
		t.Errorf("who does not wait gets %v", err)
	}
	close(answer)
	all.Wait()
	if n := f.store.lookupCount() - before; n != 1 {
		t.Errorf("the store was asked %d times", n)
	}
	f.store.onLookup = nil
	f.clock.advance(time.Second)
	if err := f.Ready(t.Context()); err != nil || f.store.lookupCount()-before != 2 {
		t.Errorf("a second later: %v, asked %d times", err, f.store.lookupCount()-before)
	}
}

func TestOwnRevocationHoldsBeforeTheFeedReportsIt(t *testing.T) {
	f := openFed(t, newFedStore())
	f.follow(t)
	id := f.clock.issue("a", "s", "alice")
	check(t, f.List, id, revocation.Live)
	revoke(t, f.List, id, revocation.ScopeSession)
	check(t, f.List, id, revocation.RevokedSession)
	check(t, f.List, f.clock.issue("b", "s", "alice"), revocation.RevokedSession)
}

func TestSilentFeedIsTrustedForItsStalenessAndTheStoreIsAskedThen(t *testing.T) {
	f := openFed(t, newFedStore())
	f.follow(t)
	id := f.clock.issue("a", "s", "alice")
	check(t, f.List, id, revocation.Live)
	f.store.elsewhere(t, f.clock, id, revocation.ScopeToken) // never reported
	f.clock.advance(10 * time.Second)
	check(t, f.List, id, revocation.Live)
	f.clock.advance(time.Nanosecond)
	check(t, f.List, id, revocation.RevokedToken)
	if err := f.Ready(t.Context()); err != nil {
		t.Errorf("the store answers, but the list is not ready: %v", err)
	}

	failure := errors.New("store is gone")
	f.store.mu.Lock()
	f.store.fail = failure
	f.store.mu.Unlock()
	if v, err := f.Check(t.Context(), id); v != revocation.Unknown || !errors.Is(err, failure) {
		t.Errorf("without feed and store: %s, %v", v, err)
	}
	f.clock.advance(time.Second) // the last answer is old
	if err := f.Ready(t.Context()); !errors.Is(err, failure) {
		t.Errorf("ready without feed and store: %v", err)
	}
	f.watch.sink.Alive(f.clock.Now())
	if err := f.Ready(t.Context()); err != nil {
		t.Errorf("the feed is back, but the list is not ready: %v", err)
	}
}

func TestBrokenFeedIsResumedWhereItEnded(t *testing.T) {
	f := openFed(t, newFedStore())
	f.follow(t)
	id := f.clock.issue("a", "s", "alice")
	check(t, f.List, id, revocation.Live)
	f.watch.sink.Changed(nil, nil, "7")
	f.watch.end <- errors.New("connection lost")
	f.await(t, revocation.FeedBroken)
	if f.Status().Connected {
		t.Error("a broken feed counts as followed")
	}
	e := f.store.elsewhere(t, f.clock, id, revocation.ScopeToken)
	next := <-f.store.watches
	if next.from != "7" {
		t.Fatalf("resumed from %q", next.from)
	}
	next.sink.Started(false)
	check(t, f.List, id, revocation.Live) // trusted still, and not told
	next.sink.Changed([]revocation.Entry{e}, nil, "8")
	check(t, f.List, id, revocation.RevokedToken)
}

func TestGapForgetsWhatWasTrusted(t *testing.T) {
	f := openFed(t, newFedStore())
	f.follow(t)
	id, other := f.clock.issue("a", "s", "alice"), f.clock.issue("b", "s2", "bob")
	check(t, f.List, id, revocation.Live)
	check(t, f.List, other, revocation.Live)
	f.watch.end <- errors.New("connection lost")
	f.store.elsewhere(t, f.clock, id, revocation.ScopeToken)
	next := <-f.store.watches

	attempts := 0
	f.store.onScan = func() error {
		if attempts++; attempts == 1 {
			return errors.New("not yet")
		}
		return nil
	}
	next.sink.Started(true)
	check(t, f.List, id, revocation.RevokedToken) // before all is read anew
	f.await(t, revocation.FeedLoadFailed)
	f.await(t, revocation.FeedLoaded)
	check(t, f.List, id, revocation.RevokedToken)
	before := f.store.lookupCount()
	check(t, f.List, f.clock.issue("c", "s3", "bob"), revocation.Live)
	if f.store.lookupCount() != before {
		t.Error("the store is asked although all was read anew")
	}
}

func TestWhatWasIssuedElsewhereIsKnownBeforeTheFeedReportsIt(t *testing.T) {
	f := openFed(t, newFedStore())
	f.follow(t)
	if known(t, f.List, "opaque:a") != nil {
		t.Fatal("known before it was issued")
	}
	other := openList(t, f.store.fakeStore, f.clock, revocation.Options{})
	learn(t, other, revocation.Issuance{Token: "opaque:b", Client: "alice"})
	if known(t, f.List, "opaque:b") == nil {
		t.Error("not known: a login on one replica would be refused on the next")
	}
}

func TestLongerLifetimeOfAnotherReplicaIsAdopted(t *testing.T) {
	f := openFed(t, newFedStore())
	f.follow(t)
	old := longLived(f.clock, "old")
	f.clock.advance(8 * day)
	f.watch.sink.Alive(f.clock.Now())
	check(t, f.List, old, revocation.TooOld)
	openList(t, f.store.fakeStore, f.clock, revocation.Options{MaxTokenLifetime: 30 * day})
	var retention revocation.Entry
	f.store.mu.Lock()
	for _, e := range f.store.entries {
		if e.Scope == revocation.ScopeRetention {
			retention = e
		}
	}
	f.store.mu.Unlock()
	f.watch.sink.Changed([]revocation.Entry{retention}, nil, "1")
	entry := revoke(t, f.List, longLived(f.clock, "new"), revocation.ScopeClient)
	if kept := entry.Expires.Sub(f.clock.Now()); kept < 30*day {
		t.Errorf("a cut-off is kept for %s, although tokens live for 30 days on another replica", kept)
	}
	check(t, f.List, old, revocation.TooOld) // its revocation may be forgotten
}

func TestClosingEndsTheFeed(t *testing.T) {
	f := openFed(t, newFedStore())
	f.follow(t)
	var wg sync.WaitGroup
	for range 3 {
		wg.Go(func() {
			if err := f.Close(); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	select {
	case <-f.store.watches:
		t.Error("the feed is watched after the list was closed")
	default:
	}
	if err := f.Ready(t.Context()); !errors.Is(err, revocation.ErrClosed) {
		t.Errorf("ready after it was closed: %v", err)
	}
}
