package apikey

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"sync/atomic"

	"example.com/caddy-token-auth/internal/filewatch"
)

// Source is a set of keys that follows its files.
type Source struct {
	inline   *Keys
	files    []string
	onReload func(keys int, err error)

	current atomic.Pointer[Keys]
	stop    func()
}

// errChanging: what was read may be half of one version and half of another.
var errChanging = errors.New("the files of API keys changed while they were read")

// Open returns the keys of a map, as for NewKeys, and of files, as for ReadKeys, together,
// and reads all files again within a second or two when one of them changes. A mistake is
// an error here. Later it leaves the last good keys in force.
//
// onReload may be nil. It is called after every reading but the first, with the number of
// keys that are now in force and what was wrong; one call at a time, and none after
// Close. It must not call Close.
//
// Close must be called.
func Open(inline map[string]string, files []string, onReload func(keys int, err error)) (*Source, error) {
	keys, err := NewKeys(inline)
	if err != nil {
		return nil, err
	}
	s := &Source{inline: keys, files: slices.Clone(files), onReload: onReload}
	now := filewatch.Stat(s.files...)
	if err := s.load(now); err != nil {
		return nil, err
	}
	s.stop = filewatch.Watch(now, func(_, now filewatch.State) { s.reload(now) })
	return s, nil
}

// load puts the keys of the files, which looked like now, in force, or none of them on an
// error.
func (s *Source) load(now filewatch.State) error {
	keys := &Keys{names: maps.Clone(s.inline.names)}
	for _, file := range s.files {
		if err := keys.readFile(file); err != nil {
			return err
		}
	}
	if !filewatch.Stat(s.files...).Same(now) {
		return errChanging
	}
	s.current.Store(keys)
	return nil
}

func (s *Source) reload(now filewatch.State) {
	err := s.load(now)
	if s.onReload != nil {
		s.onReload(s.Len(), err)
	}
}

// Lookup returns the name of a key, as Keys.Lookup does. It takes no lock and does not
// allocate.
func (s *Source) Lookup(key string) (name string, ok bool) { return s.current.Load().Lookup(key) }

// Len returns how many keys are in force.
func (s *Source) Len() int { return s.current.Load().Len() }

// Close ends the watching of files and waits for a reading that is under way. The keys
// stay as they are for those who still look up. It may be called more than once.
func (s *Source) Close() error {
	s.stop()
	return nil
}

// Format implements fmt.Formatter for every verb.
func (s *Source) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, s.current.Load().String()) }
