package caddymodule

import (
	"container/heap"
	"container/list"
	"context"
	"maps"
	"slices"
	"sync"
	"time"

	"example.com/caddy-token-auth/revocation"
)

// liveSet holds what the connections and long responses depend on that were let through by
// one list, whatever configuration let them through, as long as any has that list. It ends
// those of which an identity is revoked or expires. That a revocation was told says only
// what to check again: the list decides.
type liveSet struct {
	list func() *revocation.List // nil while it is not open

	young   youngSet
	sockets socketCounts

	mu     sync.Mutex
	closed bool
	held   map[*liveRequest]struct{} // what is to end with the set
	all    map[*dependency]struct{}
	byKey  map[revocation.Key]map[*dependency]struct{}
	expiry expiryHeap
	timer  *time.Timer // calls expire
	checks checkQueues

	wake chan struct{} // has room for one
	end  context.CancelFunc
	task sync.WaitGroup
}

// dependency is one identity with which a request ends.
type dependency struct {
	live     *liveRequest
	identity *revocation.Identity
	// others is for how many other reasons the request depends on it. The lock of the
	// request guards it.
	others int

	// The lock of the liveSet guards these.
	place   int           // in its heap
	removed bool          // it was in the set, and no longer is
	lane    checkLane     // the queue that it waits in, or laneNone
	waiter  *list.Element // of that queue
	entered uint64        // number of checks that had hung before
}

func newLiveSet(list func() *revocation.List) *liveSet {
	s := &liveSet{
		list: list, held: make(map[*liveRequest]struct{}),
		all: make(map[*dependency]struct{}), byKey: make(map[revocation.Key]map[*dependency]struct{}),
		checks: checkQueues{slow: make(map[revocation.Key]uint64)}, wake: make(chan struct{}, 1),
	}
	s.timer = time.AfterFunc(time.Hour, s.expire)
	s.timer.Stop()
	ctx, end := context.WithCancel(context.Background())
	s.end = end
	s.task.Go(func() { s.run(ctx) })
	s.task.Go(func() { s.grow(ctx) })
	return s
}

// close ends the checks, and with them all that is still under way: it has outlived the
// last configuration with this list, and nobody would tell of a revocation. It does not wait
// for the end of that.
func (s *liveSet) close() {
	s.mu.Lock()
	s.closed = true
	s.timer.Stop()
	left := slices.Collect(maps.Keys(s.held))
	s.mu.Unlock()
	for _, l := range append(left, s.young.close()...) {
		l.cut(cutUnavailable)
	}
	s.end()
	s.task.Wait()
}

// hold has l end with the set. It returns false if the set is closed.
func (s *liveSet) hold(l *liveRequest) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return false
	}
	s.held[l] = struct{}{}
	return true
}

// giveUp is the opposite of hold.
func (s *liveSet) giveUp(l *liveRequest) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.held, l)
}

// grow takes in what is no longer young, until ctx ends.
func (s *liveSet) grow(ctx context.Context) {
	ticker := time.NewTicker(youngTick)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			for _, l := range s.young.grown() {
				for _, d := range l.hold() {
					if !s.checkHere(d) {
						s.recheckSoon(d)
					}
				}
			}
		}
	}
}

// add puts d into the set. The caller checks it afterwards: it may have been revoked
// since it was found good.
func (s *liveSet) add(d *dependency) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.all[d] = struct{}{}
	for _, k := range d.identity.Keys() {
		if s.byKey[k] == nil {
			s.byKey[k] = make(map[*dependency]struct{})
		}
		s.byKey[k][d] = struct{}{}
	}
	if !d.identity.Expires().IsZero() {
		heap.Push(&s.expiry, d)
		if !s.closed {
			s.setTimer()
		}
	}
}

// remove is the opposite of add.
func (s *liveSet) remove(d *dependency) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.all, d)
	s.checks.leave(d)
	d.removed = true
	for _, k := range d.identity.Keys() {
		if delete(s.byKey[k], d); len(s.byKey[k]) == 0 {
			delete(s.byKey, k)
		}
	}
	if d.place > 0 {
		heap.Remove(&s.expiry, d.place-1)
	}
}

// changed is told by the list what may have been revoked.
func (s *liveSet) changed(c revocation.Change) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if c.Any() {
		s.checks.sweepDue = true
	}
	for d := range s.byKey[c.Key] {
		s.checks.enter(d, laneTold)
	}
	s.wakeUp()
}

// readdress cuts what the clients of an allow-list may no longer have open. That takes no
// store, and so waits for nothing.
func (s *liveSet) readdress(lists *allowLists) {
	s.recheckHere(func(of *Handler) bool { return of.allowed == lists })
}

// recheckHere checks what some handlers have let through, as far as that takes no store.
func (s *liveSet) recheckHere(affects func(*Handler) bool) {
	var affected []*dependency
	s.mu.Lock()
	for d := range s.all {
		if affects(d.live.handler) {
			affected = append(affected, d)
		}
	}
	s.mu.Unlock()
	for _, d := range affected {
		s.checkHere(d)
	}
}

// recheckSoon has d checked, if it is in the set.
func (s *liveSet) recheckSoon(d *dependency) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, ok := s.all[d]; ok {
		s.checks.enter(d, laneFresh)
		s.wakeUp()
	}
}
