package filewatch

import (
	"io/fs"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// moment is the time of modification of every file that a test writes, unless it says
// otherwise: nothing here depends on how fine the clock of the file system is.
var moment = time.Date(2026, time.May, 7, 18, 30, 0, 0, time.UTC)

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func write(t *testing.T, name, content string, at time.Time) {
	t.Helper()
	must(t, os.WriteFile(name, []byte(content), 0o600))
	must(t, os.Chtimes(name, at, at))
}

func TestEveryKindOfChangeIsSeen(t *testing.T) {
	for name, change := range map[string]func(t *testing.T, file string){
		"another size":  func(t *testing.T, file string) { write(t, file, "longer", moment) },
		"a later time":  func(t *testing.T, file string) { write(t, file, "text", moment.Add(time.Nanosecond)) },
		"an older time": func(t *testing.T, file string) { write(t, file, "text", moment.Add(-time.Hour)) },
		"replaced by a like one": func(t *testing.T, file string) {
			write(t, file+".new", "text", moment)
			must(t, os.Rename(file+".new", file))
		},
		"removed":            func(t *testing.T, file string) { must(t, os.Remove(file)) },
		"replaced by folder": func(t *testing.T, file string) { must(t, os.Remove(file)); must(t, os.Mkdir(file, 0o700)) },
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			file, other := filepath.Join(dir, "file"), filepath.Join(dir, "other")
			write(t, file, "text", moment)
			write(t, other, "text", moment)
			before := Stat(other, file)
			if !Stat(other, file).Same(before) {
				t.Fatal("nothing happened, and yet it is not the same")
			}
			change(t, file)
			if Stat(other, file).Same(before) || before.Same(Stat(other, file)) {
				t.Error("not seen")
			}
		})
	}
}

func TestAMissingFileIsAStateOfItsOwn(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	missing := Stat(file)
	if !missing.Same(Stat(file)) {
		t.Error("missing twice is not the same")
	}
	if missing.Same(Stat(file + "2")) {
		t.Error("another missing file is the same")
	}
	if missing.Same(State{}) {
		t.Error("a missing file is the same as no file at all")
	}
	write(t, file, "", moment)
	if missing.Same(Stat(file)) {
		t.Error("the file came unseen")
	}
}

// A mounted volume is a directory behind two symbolic links, of which the second is
// replaced.
func TestAMountedVolumeIsFollowed(t *testing.T) {
	dir := t.TempDir()
	for _, version := range []string{"1", "2"} {
		must(t, os.Mkdir(filepath.Join(dir, version), 0o700))
		write(t, filepath.Join(dir, version, "file"), "text", moment)
	}
	file := filepath.Join(dir, "file")
	must(t, os.Symlink(filepath.Join("current", "file"), file))
	must(t, os.Symlink("1", filepath.Join(dir, "current")))
	before := Stat(file)
	must(t, os.Symlink("2", filepath.Join(dir, "next")))
	must(t, os.Rename(filepath.Join(dir, "next"), filepath.Join(dir, "current")))
	if Stat(file).Same(before) {
		t.Error("not seen")
	}
}

// settle lets Watch look at least once.
func settle() {
	time.Sleep(Interval + time.Millisecond)
	synctest.Wait()
}

func TestWatchTellsOfEachChangeOnce(t *testing.T) {
	dir := t.TempDir()
	one, two := filepath.Join(dir, "one"), filepath.Join(dir, "two")
	write(t, one, "a", moment)
	synctest.Test(t, func(t *testing.T) {
		last := Stat(one, two)
		var told atomic.Int32
		stop := Watch(last, func(before, now State) {
			told.Add(1)
			if !before.Same(last) || now.Same(last) {
				t.Error("told of something else than what happened")
			}
			last = now
		})
		expect := func(want int32, when string) {
			t.Helper()
			settle()
			settle()
			if got := told.Load(); got != want {
				t.Errorf("%s: told %d times, want %d", when, got, want)
			}
		}
		expect(0, "nothing happened")
		write(t, two, "b", moment)
		expect(1, "the second came")
		write(t, one, "ab", moment)
		write(t, two, "ab", moment)
		expect(2, "both changed")
		must(t, os.Remove(one))
		expect(3, "the first is gone")
		stop()
		write(t, one, "c", moment)
		expect(3, "after stop")
		stop()
	})
}

// Otherwise the last of two quick changes would stay unread.
func TestAChangeDuringTheCallLeadsToAnother(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	synctest.Test(t, func(t *testing.T) {
		var told atomic.Int32
		stop := Watch(Stat(file), func(_, _ State) {
			if told.Add(1) == 1 {
				write(t, file, "second", moment)
			}
		})
		defer stop()
		write(t, file, "1", moment)
		for range 3 {
			settle()
		}
		if got := told.Load(); got != 2 {
			t.Errorf("told %d times", got)
		}
	})
}

func TestStopWaitsForTheCallUnderWay(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	synctest.Test(t, func(t *testing.T) {
		entered, leave := make(chan struct{}), make(chan struct{})
		stop := Watch(Stat(file), func(_, _ State) { close(entered); <-leave })
		write(t, file, "text", moment)
		<-entered
		stopped := make(chan struct{})
		go func() { stop(); close(stopped) }()
		synctest.Wait()
		select {
		case <-stopped:
			t.Error("stop did not wait")
		default:
		}
		close(leave)
		stop()
		<-stopped // synctest fails if a goroutine is left now
	})
}

func TestNoFilesNeedNoGoroutine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		stop := Watch(Stat(), func(_, _ State) { t.Error("called") })
		settle()
		stop()
		stop()
	})
}

func TestOnlyRegularFilesAreOpened(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{dir, os.DevNull} {
		if f, err := Open(name); err == nil {
			f.Close()
			t.Errorf("%s was opened", name)
		}
	}
	if _, err := Open(filepath.Join(dir, "none")); !os.IsNotExist(err) {
		t.Errorf("no file: %v", err)
	}
	file := filepath.Join(dir, "file")
	write(t, file, "text", moment)
	f, err := Open(file)
	must(t, err)
	defer f.Close()
	if content, err := fs.ReadFile(os.DirFS(dir), "file"); err != nil || string(content) != "text" {
		t.Errorf("%q, %v", content, err)
	}
}
