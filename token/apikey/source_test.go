package apikey

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"example.com/caddy-token-auth/internal/filewatch"
)

// settle lets the files be looked at.
func settle() {
	time.Sleep(filewatch.Interval + time.Millisecond)
	synctest.Wait()
}

// replace writes a file as a whole, as deployments do.
func replace(t *testing.T, path, content string) {
	t.Helper()
	write(t, path+".new", content)
	must(0, os.Rename(path+".new", path))
}

// reports are what a Source says of its readings.
type reports struct {
	mu    sync.Mutex // guards what follows
	count int
	keys  int
	err   error
}

func (r *reports) add(keys int, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.count, r.keys, r.err = r.count+1, keys, err
}

func (r *reports) last() (count, keys int, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.count, r.keys, r.err
}

func TestReloadKeepsTheLastGoodKeys(t *testing.T) {
	dir := t.TempDir()
	one, two := filepath.Join(dir, "one"), filepath.Join(dir, "two")
	write(t, one, line("alice", "key-a"))
	write(t, two, line("bob", "key-b"))
	synctest.Test(t, func(t *testing.T) {
		var told reports
		s := must(Open(map[string]string{"inline": Hash("key-i")}, []string{one, two}, told.add))
		defer s.Close()
		expect := func(when string, wantReloads int, wantErr string, keys ...string) {
			t.Helper()
			settle()
			settle()
			reloads, count, err := told.last()
			if reloads != wantReloads || (err == nil) != (wantErr == "") || err != nil && !strings.Contains(err.Error(), wantErr) {
				t.Errorf("%s: %d reloads, %v", when, reloads, err)
			}
			if s.Len() != len(keys) || reloads > 0 && count != len(keys) {
				t.Errorf("%s: %d keys, %d told, want %d", when, s.Len(), count, len(keys))
			}
			for _, key := range keys {
				if _, ok := s.Lookup(key); !ok {
					t.Errorf("%s: %s is gone", when, key)
				}
			}
		}
		expect("at first", 0, "", "key-i", "key-a", "key-b")
		replace(t, one, line("alice", "key-a2"))
		expect("after a change", 1, "", "key-i", "key-a2", "key-b")
		replace(t, two, line("bob", "key-b2")+"oops\n")
		expect("after a mistake", 2, two+":2: only one word", "key-i", "key-a2", "key-b")
		replace(t, one, line("alice", "key-a3"))
		expect("a change beside the mistake", 3, two+":2: ", "key-i", "key-a2", "key-b")
		replace(t, two, line("bob", "key-i"))
		expect("a hash of the map", 4, `two:1: "inline" and "bob" have the same hash`, "key-i", "key-a2", "key-b")
		must(0, os.Remove(two))
		expect("a file is gone", 5, two, "key-i", "key-a2", "key-b")
		replace(t, two, "")
		expect("the file is back, empty", 6, "", "key-i", "key-a3")
		must(0, s.Close())
		replace(t, two, line("bob", "key-b"))
		expect("after Close", 6, "", "key-i", "key-a3")
		must(0, s.Close())
	})
}

func TestTheFirstMistakeIsReturned(t *testing.T) {
	dir := t.TempDir()
	good, bad := filepath.Join(dir, "good"), filepath.Join(dir, "bad")
	write(t, good, line("alice", "key-a"))
	write(t, bad, "oops")
	for name, tc := range map[string]struct {
		inline map[string]string
		files  []string
		want   string
	}{
		"in the map":         {map[string]string{"bob": "x"}, []string{good}, `key "bob": `},
		"in a file":          {nil, []string{good, bad}, bad + ":1: "},
		"no file":            {nil, []string{good, filepath.Join(dir, "none")}, "none"},
		"the same file":      {nil, []string{good, good}, good + `:1: this key of "alice" is there twice`},
		"both":               {map[string]string{"bob": Hash("key-a")}, []string{good}, good + `:1: "bob" and "alice" have the same hash`},
		"an empty file name": {nil, []string{""}, "no such file"},
	} {
		s, err := Open(tc.inline, tc.files, func(int, error) { t.Error("reported as well") })
		if err == nil {
			s.Close()
			t.Errorf("%s: accepted", name)
		} else if !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s: %q, want %q", name, err, tc.want)
		}
	}
}

// What was read may then be neither the old nor the new version.
func TestAFileThatChangesWhileItIsReadIsNotPutInForce(t *testing.T) {
	path := filepath.Join(t.TempDir(), "keys")
	write(t, path, line("alice", "key-a"))
	synctest.Test(t, func(t *testing.T) {
		var told reports
		s := must(Open(nil, []string{path}, told.add))
		defer s.Close()
		before := filewatch.Stat(path)
		replace(t, path, line("bob", "key-b"))
		s.reload(before)
		if _, ok := s.Lookup("key-a"); !ok {
			t.Error("put in force")
		}
		if count, keys, err := told.last(); count != 1 || keys != 1 || !errors.Is(err, errChanging) {
			t.Errorf("told %d times, %d keys, %v", count, keys, err)
		}
		settle()
		if _, ok := s.Lookup("key-b"); !ok {
			t.Error("not read again")
		}
	})
}

func TestLookupsDuringReloadsFindEverythingThatStays(t *testing.T) {
	path := filepath.Join(t.TempDir(), "keys")
	write(t, path, line("alice", "key-a"))
	s := must(Open(nil, []string{path}, nil))
	defer s.Close()
	var ended atomic.Bool
	var all sync.WaitGroup
	for range 2 {
		all.Go(func() {
			for !ended.Load() {
				if name, ok := s.Lookup("key-a"); !ok || name != "alice" {
					t.Error("lost")
					return
				}
			}
		})
	}
	for range 50 {
		s.reload(filewatch.Stat(path))
	}
	ended.Store(true)
	all.Wait()
}

func TestSourcesDoNotPrint(t *testing.T) {
	s := must(Open(map[string]string{"alice": Hash("key-a")}, nil, nil))
	defer s.Close()
	hides(t, s, "key-a", Hash("key-a")[7:], "alice")
}
