package revocation

import "sync"

// Change is what a subscriber of a List is told.
type Change struct {
	// Key is that of the entry which was written or removed. The zero Key says that any
	// may have been, or that the age has changed at which tokens are refused: changes were
	// missed, and all entries have been read anew since.
	Key Key
}

// Any reports whether any entry may have changed.
func (c Change) Any() bool { return c.Key.IsZero() }

// subscribers are who is told of changes.
type subscribers struct {
	mu   sync.RWMutex
	next uint64
	fns  map[uint64]func(Change)
}

// Subscribe has fn called after every change of the list that this process learns of, be
// it made by this process or told by the feed of the store: a Check that begins in fn, or
// later, takes it into account. A write that has failed counts as a change, and a change
// may be told more than once.
//
// fn is called by several goroutines, and for a change of this process before the call that
// makes it returns. A Check in fn may wait for other revocations that are under way, and
// keeps the feed waiting for that long: who has much to check wakes another goroutine. fn
// neither changes the list nor subscribes. After cancel has returned it is not called any
// more.
func (l *List) Subscribe(fn func(Change)) (cancel func()) {
	s := &l.subscribers
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.fns == nil {
		s.fns = make(map[uint64]func(Change))
	}
	s.next++
	id := s.next
	s.fns[id] = fn
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		delete(s.fns, id)
	}
}

func (s *subscribers) tell(c Change) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	for _, fn := range s.fns {
		fn(c)
	}
}

// changed outdates what is cached about a key, and tells of it.
func (l *List) changed(k Key) {
	l.seq.touch(k)
	l.subscribers.tell(Change{Key: k})
}
