// Package filewatch tells when files have changed, by looking at them again and again.
//
// Files are polled because a mounted ConfigMap changes by renaming a directory, of which
// watching the file does not tell, and because notifications do not cross network file
// systems. What counts is which file a name leads to, its size and its time of
// modification; that there is no file is a state like any other.
//
// Whoever looks first and reads then misses no change: what was looked at may be older
// than what is read, never newer.
package filewatch

import (
	"fmt"
	"io/fs"
	"os"
	"slices"
	"sync"
	"time"
)

// Interval is how often Watch looks: seldom enough to cost nothing, and often enough for
// a person who waits.
const Interval = time.Second

// State is what some files looked like at one time. The zero State is that of no files.
// It is immutable.
type State struct {
	names []string
	infos []fs.FileInfo // nil where there was no file, or none that could be looked at
}

// Stat looks at the named files.
func Stat(names ...string) State {
	s := State{names: slices.Clone(names), infos: make([]fs.FileInfo, len(names))}
	for i, name := range names {
		if info, err := os.Stat(name); err == nil {
			s.infos[i] = info
		}
	}
	return s
}

// Same reports whether s and o are of the same names, in the same order, and none of the
// files was written, replaced, made or removed from the one to the other.
func (s State) Same(o State) bool {
	return slices.Equal(s.names, o.names) && slices.EqualFunc(s.infos, o.infos, same)
}

func same(a, b fs.FileInfo) bool {
	if a == nil || b == nil {
		return a == nil && b == nil
	}
	return os.SameFile(a, b) && a.Size() == b.Size() && a.ModTime().Equal(b.ModTime())
}

// Watch looks at the files of from every Interval and calls changed whenever they are
// not as they were: before is from or what changed was last told, now is what they are.
// Calls do not overlap. What happens to the files during a call leads to another one.
//
// stop ends this and waits for a call that is under way, so that changed must not call
// it. It may be called more than once.
func Watch(from State, changed func(before, now State)) (stop func()) {
	if len(from.names) == 0 {
		return func() {}
	}
	done, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		ticker := time.NewTicker(Interval)
		defer ticker.Stop()
		for {
			select {
			case <-done:
				return
			case <-ticker.C:
				if now := Stat(from.names...); !now.Same(from) {
					changed(from, now)
					from = now
				}
			}
		}
	}()
	return sync.OnceFunc(func() { close(done); <-ended })
}

// Open opens a regular file for reading. Anything else is an error: a pipe would wait for
// somebody to write, and a device may have no end.
func Open(name string) (*os.File, error) {
	info, err := os.Stat(name)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s: not a regular file", name)
	}
	return os.Open(name)
}
