package localstore

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"sync"
	"testing"
	"time"

	"example.com/caddy-token-auth/revocation"
	"example.com/caddy-token-auth/revocation/storetest"
)

// An entry moves to another place in the file just after Lookup has learnt from the
// index where it was.
func TestLookupFindsAnEntryThatMovesMeanwhile(t *testing.T) {
	checkLeaks(t)
	clock := storetest.NewClock()
	s := open(t, t.TempDir(), clock)
	e, absent := token(clock, 1), token(clock, 2)
	mustRevoke(t, s, e, absent)
	moves := 0
	s.hooks.beforeRead = func() {
		if moves++; moves > 3 {
			return
		}
		e.Expires = e.Expires.Add(time.Minute)
		mustRevoke(t, s, e)
	}
	mustRevoke(t, s, token(clock, 3))
	found, err := s.Lookup(context.Background(), e.Key(), absent.Key())
	if err != nil || found[0].ID != e.ID || found[1].ID != absent.ID {
		t.Fatalf("Lookup gave %+v, %v", found, err)
	}
	if moves != 4 {
		t.Fatalf("Lookup took %d attempts, want 4", moves)
	}
}

// An entry that is restored between the index and the file is not looked for again.
func TestLookupOfAnEntryThatIsRestoredMeanwhile(t *testing.T) {
	clock := storetest.NewClock()
	s := open(t, t.TempDir(), clock)
	e := token(clock, 1)
	mustRevoke(t, s, e)
	s.hooks.beforeRead = func() {
		if err := s.Restore(context.Background(), e.Key()); err != nil {
			t.Error(err)
		}
	}
	found, err := s.Lookup(context.Background(), e.Key())
	if err != nil || found[0] != (revocation.Entry{}) {
		t.Fatalf("Lookup gave %+v, %v", found, err)
	}
}

// held is a store whose committer stands still while it has a batch to collect.
type held struct {
	*Store
	arrived, release chan struct{}
}

func holdCommitter(s *Store) *held {
	h := &held{s, make(chan struct{}), make(chan struct{})}
	var once sync.Once
	s.hooks.beforeBatch = func() {
		once.Do(func() {
			close(h.arrived)
			<-h.release
		})
	}
	return h
}

// openIdle opens a store and waits until its committer has nothing to do, so that
// hooks can be set.
func openIdle(t *testing.T, dir string, clock *storetest.Clock) *Store {
	s := open(t, dir, clock)
	mustRevoke(t, s, revocation.Entry{
		Scope: revocation.ScopeClient, ID: "first", At: clock.Now(), Expires: clock.Now().Add(time.Hour),
	})
	return s
}

func TestContextThatEndsInTheQueue(t *testing.T) {
	checkLeaks(t)
	clock := storetest.NewClock()
	h := holdCommitter(openIdle(t, t.TempDir(), clock))
	first := make(chan error, 1)
	go func() { first <- h.Revoke(context.Background(), token(clock, 1)) }()
	<-h.arrived

	ctx, cancel := context.WithCancel(context.Background())
	second := make(chan error, 1)
	go func() { second <- h.Revoke(ctx, token(clock, 2)) }()
	cancel()
	if err := <-second; !errors.Is(err, context.Canceled) {
		t.Fatalf("Revoke gave %v", err)
	}
	close(h.release)
	if err := <-first; err != nil {
		t.Fatal(err)
	}
	mustHold(t, h.Store, token(clock, 1))
}

func TestFullQueueRespectsContextAndClose(t *testing.T) {
	checkLeaks(t)
	clock := storetest.NewClock()
	h := holdCommitter(openIdle(t, t.TempDir(), clock))
	errs := make(chan error, queueLength+1)
	for n := range queueLength + 1 { // one is in the committer's hands
		go func() { errs <- h.Revoke(context.Background(), token(clock, n)) }()
	}
	<-h.arrived
	for len(h.queue) < queueLength {
		// Only callers that are runnable already are waited for.
	}
	ctx, cancel := context.WithDeadline(context.Background(), time.Now().Add(time.Millisecond))
	defer cancel()
	if err := h.Revoke(ctx, token(clock, -1)); !errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("Revoke with a full queue gave %v", err)
	}
	late := make(chan error, 1)
	go func() { late <- h.Revoke(context.Background(), token(clock, -2)) }()
	closed := make(chan error, 1)
	go func() { closed <- h.Close() }()
	if err := <-late; !errors.Is(err, revocation.ErrClosed) {
		t.Fatalf("Revoke that waits for a place gave %v after Close", err)
	}
	close(h.release)
	if err := <-closed; err != nil {
		t.Fatal(err)
	}
	for range queueLength + 1 {
		if err := <-errs; err != nil {
			t.Fatalf("Revoke that was accepted before Close gave %v", err)
		}
	}
}

// Callers who wait together share one transaction.
func TestWaitingCallersShareATransaction(t *testing.T) {
	clock := storetest.NewClock()
	h := holdCommitter(openIdle(t, t.TempDir(), clock))
	before, err := h.lastTransaction()
	if err != nil {
		t.Fatal(err)
	}
	const callers = 200
	var group sync.WaitGroup
	for n := range callers {
		group.Go(func() {
			if err := h.Revoke(context.Background(), token(clock, n)); err != nil {
				t.Error(err)
			}
		})
	}
	<-h.arrived
	for len(h.queue) < callers-1 {
		// They are all on their way into the queue.
	}
	close(h.release)
	group.Wait()
	after, err := h.lastTransaction()
	if err != nil || after != before+1 {
		t.Fatalf("%d transactions, %v; want 1", after-before, err)
	}
	mustHold(t, h.Store, tokens(clock, 0, callers)...)
}

func TestReplayedRevocationWritesNothing(t *testing.T) {
	clock := storetest.NewClock()
	s := open(t, t.TempDir(), clock)
	mustRevoke(t, s, tokens(clock, 0, 10)...)
	before, _ := s.lastTransaction()
	mustRevoke(t, s, tokens(clock, 0, 10)...)
	if after, err := s.lastTransaction(); err != nil || after != before {
		t.Fatalf("%d transactions, %v; want none", after-before, err)
	}
}

func TestPurgeRemovesExpiredRecordsOnly(t *testing.T) {
	clock := storetest.NewClock()
	s := open(t, t.TempDir(), clock)
	brief := tokens(clock, 0, 3*maxPurge)
	for i := range brief {
		brief[i].Expires = clock.Now().Add(time.Minute)
	}
	mustRevoke(t, s, brief...)
	lasting := tokens(clock, 100_000, 100_100)
	mustRevoke(t, s, lasting...)
	clock.Advance(2 * time.Minute)
	purge(t, s)
	if got := s.Len(); got != len(lasting) {
		t.Fatalf("%d entries are left, want %d", got, len(lasting))
	}
	mustHold(t, s, lasting...)
}

// purge has the committer remove what has expired.
func purge(t testing.TB, s *Store) {
	t.Helper()
	for before := -1; s.Len() != before; {
		before = s.Len()
		if err := s.submit(context.Background(), &request{purge: true}); err != nil {
			t.Fatal(err)
		}
	}
}

func TestFileDoesNotGrowWithoutEnd(t *testing.T) {
	clock := storetest.NewClock()
	dir := memoryDir(t)
	s := open(t, dir, clock)
	var sizes []int64
	for round := range 30 {
		for part := range 8 {
			mustRevoke(t, s, tokens(clock, (8*round+part)*250, (8*round+part+1)*250)...)
			clock.Advance(10 * time.Minute)
			purge(t, s)
		}
		info, err := os.Stat(filePath(dir))
		if err != nil {
			t.Fatal(err)
		}
		sizes = append(sizes, info.Size())
	}
	if settled, last := sizes[5], sizes[len(sizes)-1]; last > settled {
		t.Fatalf("the file grows at a constant number of live entries: %v", sizes)
	}
}

func TestConcurrentUseOfEverything(t *testing.T) {
	checkLeaks(t)
	clock := storetest.NewClock()
	s := open(t, t.TempDir(), clock)
	ctx := context.Background()
	var group sync.WaitGroup
	for w := range 8 {
		group.Go(func() {
			for n := range 40 {
				e := token(clock, w*1000+n)
				e.Expires = clock.Now().Add(time.Duration(n%5) * time.Minute)
				if err := s.Revoke(ctx, e); err != nil {
					t.Error(err)
				}
				if n%7 == 0 {
					clock.Advance(time.Second)
				}
				if n%10 == 0 {
					if err := s.Restore(ctx, e.Key()); err != nil {
						t.Error(err)
					}
				}
				if err := s.submit(ctx, &request{purge: n%3 == 0}); err != nil {
					t.Error(err)
				}
				if _, err := s.Lookup(ctx, e.Key(), token(clock, n).Key()); err != nil {
					t.Error(err)
				}
				if err := s.Scan(ctx, func(revocation.Entry) error { return nil }); err != nil {
					t.Error(err)
				}
			}
		})
	}
	group.Wait()
	checkIndex(t, s)
}

// checkIndex removes what has expired, so that the committer has nothing left to do,
// and fails the test unless index and file agree to the record.
func checkIndex(t testing.TB, s *Store) {
	t.Helper()
	purge(t, s)
	stored := 0
	tx, err := s.db.Begin(true) // Check is for a time without commits
	if err != nil {
		t.Fatal(err)
	}
	defer tx.Rollback()
	records := tx.Bucket(bucketRecords)
	err = records.ForEach(func(k, v []byte) error {
		stored++
		expiry, key, err := parseRecordKey(k)
		if err != nil {
			return err
		}
		if !slices.Contains(s.index.Candidates(nil, key), expiry) {
			return fmt.Errorf("record %x is not in the index", k)
		}
		_, err = readRecord(expiry, key, v)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if stored != s.Len() || uint64(stored) != records.Sequence() {
		t.Fatalf("%d records, %d in the index, counted %d", stored, s.Len(), records.Sequence())
	}
	for err := range tx.Check() {
		t.Error(err)
	}
}

func TestAbsentDoesNotAllocate(t *testing.T) {
	clock := storetest.NewClock()
	s := open(t, t.TempDir(), clock)
	mustRevoke(t, s, token(clock, 1))
	hit, miss := token(clock, 1).Key(), token(clock, 2).Key()
	if n := testing.AllocsPerRun(1000, func() { s.Absent(hit); s.Absent(miss) }); n != 0 {
		t.Fatalf("%v allocations", n)
	}
}
