package caddymodule

import (
	"sync"
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
	// reloaded is called when another list is in force.
	reloaded func(*allowLists)

	mu    sync.Mutex // guards stop and users
	stop  func()
	users int // the configuration, and what outlives it

	loading sync.Mutex      // guards seen and serialises reload
	seen    filewatch.State // what the files looked like when they were read last
}

// newAllowLists reads everything once and, where there are files, watches them
// until close is called. reloaded is told of another list that is in force.
func newAllowLists(config *AllowIPs, log *zap.Logger, reloaded func(*allowLists)) (*allowLists, error) {
	a := &allowLists{log: log, reloaded: reloaded, stop: func() {}, users: 1}
	if config == nil {
		return a, nil
	}
	var err error
	if a.inline, err = newAllowList(config.Clients); err != nil {
		return nil, err
	}
	a.files = config.Files
	a.seen = a.stat()
	if err := a.load(); err != nil {
		return nil, err
	}
	a.stop = a.watch()
	return a, nil
}

// watch has the files read again whenever they change from what was read last.
func (a *allowLists) watch() (stop func()) {
	a.loading.Lock()
	defer a.loading.Unlock()
	return filewatch.Watch(a.seen, func(_, _ filewatch.State) { a.reload() })
}

// retain has the files watched until close is called once more, also if nobody did any
// more: a request may turn out to last after its configuration has ended. A nil list has
// no files.
func (a *allowLists) retain() {
	if a == nil {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.users == 0 {
		a.stop = a.watch()
	}
	a.users++
}

// close stops watching when it has been called for each user.
func (a *allowLists) close() {
	if a == nil {
		return
	}
	a.mu.Lock()
	a.users--
	last, stop := a.users == 0, a.stop
	a.mu.Unlock()
	if last {
		stop() // without the lock: it waits for whom reload tells
	}
}

// get returns the present list, or nil if no client is limited.
func (a *allowLists) get() allowList {
	if a == nil {
		return nil
	}
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
func (a *allowLists) reload() bool {
	changed, err := a.loadChanged()
	switch {
	case !changed:
	case err != nil:
		a.log.Error("allow-list not reloaded, the last good one stays in force", zap.Error(err))
	default:
		a.log.Info("allow-list reloaded", zap.Strings("files", a.files), zap.Int("clients", len(a.get())))
		a.reloaded(a)
	}
	return changed
}

func (a *allowLists) loadChanged() (changed bool, err error) {
	a.loading.Lock()
	defer a.loading.Unlock()
	now := a.stat()
	if now.Same(a.seen) {
		return false, nil
	}
	a.seen = now
	return true, a.load()
}
