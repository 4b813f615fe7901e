package caddymodule

import (
	"io/fs"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"
)

// AllowIPs says from which addresses clients may call.
type AllowIPs struct {
	// Clients maps a client to address ranges in CIDR notation or single
	// addresses. A client that is in neither Clients nor a file may call from
	// anywhere.
	Clients map[string][]string `json:"clients,omitempty"`
	// Files are read besides Clients and again when they change. Each line is a
	// client and one or more ranges, separated by white space; # begins a comment.
	Files []string `json:"files,omitempty"`
}

// allowFileInterval is how often the files of an allow-list are looked at. They are
// polled because a mounted ConfigMap changes by renaming a directory, of which
// watching the file does not tell.
const allowFileInterval = time.Second

// allowLists is the present allow-list of a handler, kept up to date with its files.
type allowLists struct {
	inline  allowList
	files   []string
	current atomic.Pointer[allowList]
	log     *zap.Logger

	stop func()
}

// newAllowLists reads everything once and, where there are files, watches them
// until close is called.
func newAllowLists(config *AllowIPs, log *zap.Logger) (*allowLists, error) {
	a := &allowLists{log: log, stop: func() {}}
	if config == nil {
		return a, nil
	}
	var err error
	if a.inline, err = newAllowList(config.Clients); err != nil {
		return nil, err
	}
	a.files = config.Files
	states := a.stat()
	if err := a.load(); err != nil {
		return nil, err
	}
	if len(a.files) > 0 {
		a.watch(states)
	}
	return a, nil
}

// close stops watching.
func (a *allowLists) close() { a.stop() }

// get returns the present list, or nil if no client is limited.
func (a *allowLists) get() allowList {
	if list := a.current.Load(); list != nil {
		return *list
	}
	return nil
}

// load reads all files and puts the result in force, or none of it on an error.
func (a *allowLists) load() error {
	list := make(allowList)
	list.addAll(a.inline)
	for _, name := range a.files {
		fromFile, err := readAllowList(name)
		if err != nil {
			return err
		}
		list.addAll(fromFile)
	}
	if len(list) == 0 {
		list = nil
	}
	a.current.Store(&list)
	return nil
}

// fileState changes whenever a file is written or replaced.
type fileState struct {
	info fs.FileInfo // nil if the file is not there
}

func (s fileState) same(other fileState) bool {
	if s.info == nil || other.info == nil {
		return s.info == nil && other.info == nil
	}
	return os.SameFile(s.info, other.info) && s.info.Size() == other.info.Size() && s.info.ModTime().Equal(other.info.ModTime())
}

func (a *allowLists) stat() []fileState {
	states := make([]fileState, len(a.files))
	for i, name := range a.files {
		if info, err := os.Stat(name); err == nil {
			states[i].info = info
		}
	}
	return states
}

// watch reads the files again whenever one of them has changed from states. A file
// that cannot be read leaves the last good list in force.
func (a *allowLists) watch(states []fileState) {
	done, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		ticker := time.NewTicker(allowFileInterval)
		defer ticker.Stop()
		for {
			select {
			case <-done:
				return
			case <-ticker.C:
				now := a.stat()
				if a.reload(states, now) {
					states = now
				}
			}
		}
	}()
	a.stop = sync.OnceFunc(func() { close(done); <-ended })
}

// reload reads the files again if any has changed, and reports whether it did.
func (a *allowLists) reload(before, now []fileState) bool {
	changed := false
	for i := range now {
		changed = changed || !now[i].same(before[i])
	}
	if !changed {
		return false
	}
	if err := a.load(); err != nil {
		a.log.Error("allow-list not reloaded, the last good one stays in force", zap.Error(err))
	} else {
		a.log.Info("allow-list reloaded", zap.Strings("files", a.files), zap.Int("clients", len(a.get())))
	}
	return true
}
