package localstore

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.etcd.io/bbolt"

	"example.com/caddy-token-auth/revocation"
	"example.com/caddy-token-auth/revocation/storetest"
)

func TestDirectoryAndFileArePrivate(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a", "b")
	s := open(t, dir, storetest.NewClock())
	for path, want := range map[string]fs.FileMode{dir: 0o700, filepath.Dir(dir): 0o700, filePath(dir): 0o600} {
		info, err := os.Stat(path)
		if err != nil || info.Mode().Perm() != want {
			t.Fatalf("%s has mode %v, %v; want %v", path, info.Mode(), err, want)
		}
	}
	s.Close()
	if files, err := os.ReadDir(dir); err != nil || len(files) != 1 {
		t.Fatalf("%v, %v: want %s alone", files, err, FileName)
	}
}

func TestSecondOpenNamesTheLikelyHolder(t *testing.T) {
	dir, clock := t.TempDir(), storetest.NewClock()
	open(t, dir, clock)
	_, err := Open(context.Background(), dir, Options{LockTimeout: time.Millisecond})
	if !errors.Is(err, ErrLocked) {
		t.Fatalf("Open gave %v", err)
	}
	for _, want := range []string{filePath(dir), "waited", "shutting down"} {
		if !strings.Contains(err.Error(), want) {
			t.Fatalf("%q does not say %q", err, want)
		}
	}
}

func TestOpenWaitsForTheLock(t *testing.T) {
	dir, clock := t.TempDir(), storetest.NewClock()
	first := open(t, dir, clock)
	mustRevoke(t, first, token(clock, 1))
	opened := make(chan error, 1)
	go func() {
		second, err := Open(context.Background(), dir, Options{LockTimeout: time.Minute, Now: clock.Now})
		if err == nil {
			defer second.Close()
			if second.Absent(token(clock, 1).Key()) {
				err = errors.New("the entry is missing")
			}
		}
		opened <- err
	}()
	first.Close()
	if err := <-opened; err != nil {
		t.Fatal(err)
	}
}

func TestOpenStopsWaitingWithTheContext(t *testing.T) {
	dir, clock := t.TempDir(), storetest.NewClock()
	open(t, dir, clock)
	ctx, cancel := context.WithDeadline(context.Background(), time.Now().Add(30*time.Millisecond))
	defer cancel()
	if _, err := Open(ctx, dir, Options{LockTimeout: time.Hour}); !errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("Open gave %v", err)
	}
	cancel()
	if _, err := Open(ctx, dir, Options{}); err == nil {
		t.Fatal("Open with an ended context gave no error")
	}
}

func TestProgressIsReported(t *testing.T) {
	dir, clock := t.TempDir(), storetest.NewClock()
	s := open(t, dir, clock)
	mustRevoke(t, s, tokens(clock, 0, 10)...)
	s.Close()
	var loaded []int
	s, err := Open(context.Background(), dir, Options{Progress: func(n int) { loaded = append(loaded, n) }})
	if err != nil || len(loaded) != 1 || loaded[0] != 10 {
		t.Fatalf("Progress was called with %v, %v", loaded, err)
	}
	s.Close()
}

// expectRefused opens the list in dir, wants the error, and the file unchanged.
func expectRefused(t *testing.T, dir string, want error) {
	t.Helper()
	before, err := os.ReadFile(filePath(dir))
	if err != nil {
		t.Fatal(err)
	}
	s, err := Open(context.Background(), dir, Options{LockTimeout: time.Second})
	if err == nil {
		s.Close()
	}
	if !errors.Is(err, want) || !strings.Contains(err.Error(), filePath(dir)) || !strings.Contains(err.Error(), "nothing was changed") {
		t.Fatalf("Open gave %v, want %v with file and advice", err, want)
	}
	after, err := os.ReadFile(filePath(dir))
	if err != nil || !bytes.Equal(before, after) {
		t.Fatalf("the file was changed (%v)", err)
	}
	// Nor is it locked any longer.
	if _, err := Open(context.Background(), dir, Options{LockTimeout: time.Second}); errors.Is(err, ErrLocked) {
		t.Fatal("the refused file stays locked")
	}
}

func TestForeignFilesAreRefusedUnchanged(t *testing.T) {
	foreign := func(t *testing.T, options *bbolt.Options, fill func(tx *bbolt.Tx) error) string {
		dir := t.TempDir()
		db, err := bbolt.Open(filePath(dir), 0o600, options)
		if err == nil {
			err = errors.Join(db.Update(fill), db.Close())
		}
		if err != nil {
			t.Fatal(err)
		}
		return dir
	}
	other := func(tx *bbolt.Tx) error {
		b, err := tx.CreateBucket([]byte("other"))
		if err != nil {
			return err
		}
		return b.Put([]byte("key"), make([]byte, 10_000))
	}
	t.Run("bbolt file of another program", func(t *testing.T) {
		expectRefused(t, foreign(t, nil, other), ErrForeign)
	})
	t.Run("bbolt file without a free list", func(t *testing.T) {
		expectRefused(t, foreign(t, &bbolt.Options{NoFreelistSync: true}, other), ErrForeign)
	})
	t.Run("same buckets", func(t *testing.T) {
		expectRefused(t, foreign(t, nil, func(tx *bbolt.Tx) error {
			_, err := tx.CreateBucket(bucketRecords)
			return err
		}), ErrForeign)
	})
	t.Run("other version", func(t *testing.T) {
		expectRefused(t, foreign(t, nil, func(tx *bbolt.Tx) error {
			b, err := tx.CreateBucket(bucketAbout)
			return errors.Join(err, b.Put(keyApp, []byte(application)), b.Put(keyVersion, []byte("2")))
		}), ErrForeign)
	})
	for name, content := range map[string]string{
		"text":   "revoked: none\n",
		"sqlite": "SQLite format 3\x00" + strings.Repeat("\x00", 8192),
		"zeros":  strings.Repeat("\x00", 32768),
		"byte":   "\x00",
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			if err := os.WriteFile(filePath(dir), []byte(content), 0o600); err != nil {
				t.Fatal(err)
			}
			expectRefused(t, dir, ErrForeign)
		})
	}
}

func TestEmptyFileIsInitialised(t *testing.T) {
	dir, clock := t.TempDir(), storetest.NewClock()
	if err := os.WriteFile(filePath(dir), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	s := open(t, dir, clock)
	mustRevoke(t, s, token(clock, 1))
	s.Close()
	mustHold(t, open(t, dir, clock), token(clock, 1))
}

// sample returns the bytes of a list with the given number of tokens, free pages,
// and two roots under which they all are.
func sample(t testing.TB, clock *storetest.Clock, n int) []byte {
	dir := t.TempDir()
	s := open(t, dir, clock)
	brief := tokens(clock, n, 2*n)
	for i := range brief {
		brief[i].Expires = clock.Now().Add(time.Second)
	}
	mustRevoke(t, s, brief...)
	mustRevoke(t, s, tokens(clock, 0, n)...)
	clock.Advance(10 * time.Second)
	purge(t, s)
	for i := range 2 {
		mustRevoke(t, s, token(clock, 5*n+i))
	}
	s.Close()
	b, err := os.ReadFile(filePath(dir))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// inUse returns the size of image without the empty pages at its end.
func inUse(image []byte) int {
	page := os.Getpagesize()
	used := len(image)
	for bytes.Equal(image[used-page:used], make([]byte, page)) {
		used -= page
	}
	return used
}

func TestTruncatedFileIsRefusedUnchanged(t *testing.T) {
	image := sample(t, storetest.NewClock(), 2000)
	page := os.Getpagesize()
	used := inUse(image)
	for _, size := range []int{used - page, used / 2, 10 * page, 4 * page, 2 * page} {
		dir := t.TempDir()
		if err := os.WriteFile(filePath(dir), image[:size], 0o600); err != nil {
			t.Fatal(err)
		}
		expectRefused(t, dir, ErrDamaged)
	}
}

// Whatever is changed in the file, it is refused, unchanged, or nothing is missing,
// also after writing to it.
func TestDamageIsFoundOrHarmless(t *testing.T) {
	clock := storetest.NewClock()
	const n = 600
	image := sample(t, clock, n)
	stored := tokens(storetest.NewClock(), 0, n)
	page := os.Getpagesize()
	damage := []func(rng *rand.Rand, b []byte){
		func(rng *rand.Rand, b []byte) { b[rng.IntN(len(b))] ^= 1 << rng.IntN(8) },
		func(rng *rand.Rand, b []byte) { // a bit in a page's header or elements
			b[rng.IntN(len(b)/page)*page+rng.IntN(64)] ^= 1 << rng.IntN(8)
		},
		func(rng *rand.Rand, b []byte) { clear(b[rng.IntN(len(b)/page)*page:][:page]) },
		func(rng *rand.Rand, b []byte) { clear(b[rng.IntN(len(b)/512)*512:][:512]) },
		func(rng *rand.Rand, b []byte) { // one page in the place of another
			copy(b[rng.IntN(len(b)/page)*page:][:page], b[rng.IntN(len(b)/page)*page:][:page])
		},
		func(rng *rand.Rand, b []byte) {
			for i := range b[rng.IntN(len(b)/page)*page:][:page] {
				b[i] = byte(rng.Uint32())
			}
		},
	}
	rounds := 40
	if testing.Short() {
		rounds = 10
	}
	dir := memoryDir(t)
	refused, harmless := 0, 0
	for kind, change := range damage {
		for seed := range rounds {
			b := bytes.Clone(image)
			change(rand.New(rand.NewPCG(uint64(seed), uint64(kind))), b[:inUse(image)])
			name := fmt.Sprintf("damage %d, seed %d", kind, seed)
			if err := os.WriteFile(filePath(dir), b, 0o600); err != nil {
				t.Fatal(err)
			}
			s, err := Open(context.Background(), dir, Options{Now: clock.Now})
			if err != nil {
				refused++
				if after, _ := os.ReadFile(filePath(dir)); !bytes.Equal(after, b) {
					t.Fatalf("%s: the file was changed", name)
				}
				if !errors.Is(err, ErrDamaged) && !errors.Is(err, ErrForeign) {
					t.Fatalf("%s: Open gave %v", name, err)
				}
				continue
			}
			harmless++
			mustHold(t, s, stored...)
			for i := range 20 {
				mustRevoke(t, s, tokens(clock, 10_000+i*20, 10_020+i*20)...)
			}
			s.Close()
			s, err = Open(context.Background(), dir, Options{Now: clock.Now})
			if err != nil {
				t.Fatalf("%s: opened once, then %v", name, err)
			}
			mustHold(t, s, stored...)
			mustHold(t, s, tokens(clock, 10_000, 10_400)...)
			s.Close()
		}
	}
	t.Logf("%d refused, %d harmless", refused, harmless)
}

// A record that is damaged later is an error for its key, and for no other.
func TestDamagedRecordIsAnErrorForItsKeyAlone(t *testing.T) {
	clock := storetest.NewClock()
	s := open(t, t.TempDir(), clock)
	mustRevoke(t, s, tokens(clock, 0, 10)...)
	bad := token(clock, 3)
	err := s.db.Update(func(tx *bbolt.Tx) error {
		rk := makeRecordKey(bad.ExpirySecond(), bad.Key())
		return tx.Bucket(bucketRecords).Put(rk[:], encodeRecord(token(clock, 4)))
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx := context.Background()
	if _, err := s.Lookup(ctx, bad.Key()); !errors.Is(err, ErrDamaged) || !strings.Contains(err.Error(), fmt.Sprintf("%x", bad.Key())) {
		t.Fatalf("Lookup gave %v", err)
	}
	if err := s.Revoke(ctx, bad); !errors.Is(err, ErrDamaged) {
		t.Fatalf("Revoke gave %v", err)
	}
	if err := s.Scan(ctx, func(revocation.Entry) error { return nil }); !errors.Is(err, ErrDamaged) {
		t.Fatalf("Scan gave %v", err)
	}
	mustHold(t, s, tokens(clock, 4, 10)...)
	if err := s.Restore(ctx, bad.Key()); err != nil {
		t.Fatal(err)
	}
	mustRevoke(t, s, bad)
	mustHold(t, s, tokens(clock, 0, 10)...)
}
