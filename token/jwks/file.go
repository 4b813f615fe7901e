package jwks

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"example.com/caddy-token-auth/internal/filewatch"
)

// fileInterval is how often a file is looked at.
const fileInterval = filewatch.Interval

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

	mu   sync.Mutex      // guards last
	last filewatch.State // of the file when it was read last; the zero State if it never was
}

func (f *file) String() string { return f.path }

// interval implements polled.
func (*file) interval() time.Duration { return fileInterval }

// changed implements polled.
func (f *file) changed() bool {
	now := filewatch.Stat(f.path)
	f.mu.Lock()
	defer f.mu.Unlock()
	return !now.Same(f.last)
}

// fetch implements origin.
func (f *file) fetch(context.Context, bool) ([]byte, time.Duration, error) {
	// What is looked at before reading may be older than what is read, never newer.
	now := filewatch.Stat(f.path)
	f.mu.Lock()
	f.last = now
	f.mu.Unlock()
	opened, err := filewatch.Open(f.path)
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
