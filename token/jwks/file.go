package jwks

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"sync"
	"time"
)

// fileInterval is how often a file is looked at. It is polled because a mounted volume
// changes by renaming a directory, of which watching the file does not tell.
const fileInterval = time.Second

// FromFile returns a Source for a JWK set in a file, which is read again within a
// second when it has changed. A file that is missing or bad leaves the last good keys in
// use. Of o only OnEvent, Cooldown and Now matter.
//
// Close must be called. The file need not be there yet; Status tells after the first
// event, or after Keys has keys.
func FromFile(path string, o Options) (*Source, error) {
	if path == "" {
		return nil, errors.New("the name of the key set's file is empty")
	}
	return start(&file{path: path}, o)
}

// file is the origin of a set in a file.
type file struct {
	path string

	mu   sync.Mutex  // guards last
	last fs.FileInfo // of the file that was read last; nil if it was not there
	read bool
}

func (f *file) String() string { return f.path }

// interval implements polled.
func (*file) interval() time.Duration { return fileInterval }

// changed implements polled.
func (f *file) changed() bool {
	now, err := os.Stat(f.path)
	if err != nil {
		now = nil
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.read || now == nil || f.last == nil {
		return !f.read || (now == nil) != (f.last == nil)
	}
	return !os.SameFile(now, f.last) || now.Size() != f.last.Size() || !now.ModTime().Equal(f.last.ModTime())
}

// fetch implements origin.
func (f *file) fetch(context.Context, bool) ([]byte, time.Duration, error) {
	// What is looked at before reading may be older than what is read, never newer.
	info, err := os.Stat(f.path)
	if err != nil {
		info = nil
	}
	f.mu.Lock()
	f.last, f.read = info, true
	f.mu.Unlock()
	if err != nil {
		return nil, 0, err
	}
	if !info.Mode().IsRegular() {
		return nil, 0, fmt.Errorf("%s: not a regular file", f.path)
	}
	opened, err := os.Open(f.path)
	if err != nil {
		return nil, 0, err
	}
	defer opened.Close()
	doc, err := io.ReadAll(io.LimitReader(opened, maxSize+1))
	if err != nil {
		return nil, 0, fmt.Errorf("read %s: %w", f.path, err)
	}
	return doc, 0, nil
}
