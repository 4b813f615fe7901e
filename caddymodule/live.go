package caddymodule

import (
	"container/heap"
	"context"
	"sync"
	"sync/atomic"
	"time"

	"example.com/caddy-token-auth/revocation"
)

const (
	// recheckInterval is how often everything that lasts is checked again. What is told
	// needs no waiting; this is for what is not: a token that ends by its age, and
	// revocations while the feed is broken.
	recheckInterval = 30 * time.Second
	// recheckers is how many checks run at a time, recheckChunk how many of a general
	// check begin before one that was told about is looked for, recheckTimeout the time
	// that each has, and recheckPause the wait after a store has failed.
	recheckers     = 8
	recheckChunk   = 256
	recheckTimeout = 5 * time.Second
	recheckPause   = time.Second
)

// liveSet holds the connections and long responses that were let through by one list,
// whatever configuration let them through. It ends those whose identity is revoked or
// expires. That a revocation was told says only whom to check again: the list decides.
type liveSet struct {
	list func() *revocation.List // nil while it is not open

	mu     sync.Mutex
	all    map[*liveRequest]struct{}
	byKey  map[revocation.Key]map[*liveRequest]struct{}
	expiry expiryHeap
	timer  *time.Timer // calls expire
	due    map[*liveRequest]struct{}
	sweep  []*liveRequest // of a general check, those still to come

	wake chan struct{} // has room for one
	end  context.CancelFunc
	task sync.WaitGroup
}

func newLiveSet(list func() *revocation.List) *liveSet {
	s := &liveSet{
		list: list,
		all:  make(map[*liveRequest]struct{}), byKey: make(map[revocation.Key]map[*liveRequest]struct{}),
		due: make(map[*liveRequest]struct{}), wake: make(chan struct{}, 1),
	}
	s.timer = time.AfterFunc(time.Hour, s.expire)
	s.timer.Stop()
	ctx, end := context.WithCancel(context.Background())
	s.end = end
	s.task.Go(func() { s.run(ctx) })
	return s
}

// close ends the checks. Nothing may be in the set that is to be cut later.
func (s *liveSet) close() {
	s.end()
	s.task.Wait()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.timer.Stop()
}

// add puts l into the set. The caller checks it afterwards: it may have been revoked
// since it was let through.
func (s *liveSet) add(l *liveRequest) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.all[l] = struct{}{}
	lives.Inc()
	for _, k := range l.identity.Keys() {
		if s.byKey[k] == nil {
			s.byKey[k] = make(map[*liveRequest]struct{})
		}
		s.byKey[k][l] = struct{}{}
	}
	if !l.identity.Expires().IsZero() {
		heap.Push(&s.expiry, l)
		s.setTimer()
	}
}

// remove is the opposite of add.
func (s *liveSet) remove(l *liveRequest) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.all, l)
	lives.Dec()
	delete(s.due, l)
	for _, k := range l.identity.Keys() {
		if delete(s.byKey[k], l); len(s.byKey[k]) == 0 {
			delete(s.byKey, k)
		}
	}
	if l.place > 0 {
		heap.Remove(&s.expiry, l.place-1)
	}
}

// changed is told by the list what may have been revoked.
func (s *liveSet) changed(c revocation.Change) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if c.Any() {
		s.sweep = s.sweep[:0]
		for l := range s.all {
			s.sweep = append(s.sweep, l)
		}
	}
	for l := range s.byKey[c.Key] {
		s.due[l] = struct{}{}
	}
	if len(s.due)+len(s.sweep) > 0 {
		s.wakeUp()
	}
}

func (s *liveSet) wakeUp() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// run checks what is due until ctx ends.
func (s *liveSet) run(ctx context.Context) {
	ticker := time.NewTicker(recheckInterval)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			s.changed(revocation.Change{})
		case <-s.wake:
			for batch := s.take(); len(batch) > 0 && ctx.Err() == nil; batch = s.take() {
				if s.recheck(ctx, batch) {
					continue
				}
				select {
				case <-time.After(recheckPause):
				case <-ctx.Done():
				}
			}
		}
	}
}

// take returns what is to be checked next, what was told about before the rest.
func (s *liveSet) take() []*liveRequest {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.due) > 0 {
		batch := make([]*liveRequest, 0, len(s.due))
		for l := range s.due {
			batch = append(batch, l)
		}
		clear(s.due)
		return batch
	}
	n := max(0, len(s.sweep)-recheckChunk)
	batch := s.sweep[n:]
	if s.sweep = s.sweep[:n:n]; n == 0 {
		s.sweep = nil // nothing is to be kept alive by it
	}
	return batch
}

// recheck checks a batch. It returns false if the list could not answer for some, which
// are due again then.
func (s *liveSet) recheck(ctx context.Context, batch []*liveRequest) bool {
	var next atomic.Int64
	var failed atomic.Bool
	var tasks sync.WaitGroup
	for range min(recheckers, len(batch)) {
		tasks.Go(func() {
			for i := int(next.Add(1)) - 1; i < len(batch) && ctx.Err() == nil; i = int(next.Add(1)) - 1 {
				if !s.check(ctx, batch[i]) {
					failed.Store(true)
				}
			}
		})
	}
	tasks.Wait()
	return !failed.Load()
}

// check asks the list about l and cuts it if it is revoked. Where the list cannot answer
// it returns false, and l stays as it is and is due again.
func (s *liveSet) check(ctx context.Context, l *liveRequest) bool {
	list := s.list()
	if list == nil {
		return true // everything is checked when it opens
	}
	ctx, cancel := context.WithTimeout(ctx, recheckTimeout)
	defer cancel()
	verdict, err := list.Check(ctx, l.identity)
	switch {
	case err != nil:
		s.mu.Lock()
		defer s.mu.Unlock()
		if _, ok := s.all[l]; ok {
			s.due[l] = struct{}{}
			s.wakeUp()
		}
		return false
	case verdict == revocation.Live, verdict == revocation.RotatedToken:
	case verdict == revocation.TooOld:
		l.cut(cutExpired)
	default:
		l.cut(cutRevoked)
	}
	return true
}

// expire cuts what has expired.
func (s *liveSet) expire() {
	now := time.Now()
	var expired []*liveRequest
	s.mu.Lock()
	for len(s.expiry) > 0 && !s.expiry[0].identity.Expires().After(now) {
		expired = append(expired, heap.Pop(&s.expiry).(*liveRequest))
	}
	s.setTimer()
	s.mu.Unlock()
	for _, l := range expired {
		l.cut(cutExpired)
	}
}

// setTimer sets the timer to the next expiry. The caller holds mu.
func (s *liveSet) setTimer() {
	if len(s.expiry) > 0 {
		s.timer.Reset(max(0, time.Until(s.expiry[0].identity.Expires())))
	}
}

// expiryHeap has what expires first in front. Each knows its place, counted from 1.
type expiryHeap []*liveRequest

func (h expiryHeap) Len() int { return len(h) }

func (h expiryHeap) Less(i, j int) bool {
	return h[i].identity.Expires().Before(h[j].identity.Expires())
}

func (h expiryHeap) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].place, h[j].place = i+1, j+1
}

// Push implements heap.Interface.
func (h *expiryHeap) Push(x any) {
	l := x.(*liveRequest)
	*h = append(*h, l)
	l.place = len(*h)
}

// Pop implements heap.Interface.
func (h *expiryHeap) Pop() any {
	last := len(*h) - 1
	l := (*h)[last]
	(*h)[last], l.place = nil, 0
	*h = (*h)[:last]
	return l
}
