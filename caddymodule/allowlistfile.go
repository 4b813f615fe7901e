package caddymodule

import (
	"sync/atomic"

	"go.uber.org/zap"

	"example.com/caddy-token-auth/internal/filewatch"
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
	read := a.stat()
	if err := a.load(); err != nil {
		return nil, err
	}
	a.stop = filewatch.Watch(read, func(before, now filewatch.State) { a.reload(before, now) })
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

func (a *allowLists) stat() filewatch.State { return filewatch.Stat(a.files...) }

// reload reads the files again if any has changed, and reports whether it did. Files that
// cannot be read leave the last good list in force.
func (a *allowLists) reload(before, now filewatch.State) bool {
	if now.Same(before) {
		return false
	}
	if err := a.load(); err != nil {
		a.log.Error("allow-list not reloaded, the last good one stays in force", zap.Error(err))
	} else {
		a.log.Info("allow-list reloaded", zap.Strings("files", a.files), zap.Int("clients", len(a.get())))
	}
	return true
}
