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
func (s *liveSet) take() []*dependency {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.due) > 0 {
		batch := make([]*dependency, 0, len(s.due))
		for d := range s.due {
			batch = append(batch, d)
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
func (s *liveSet) recheck(ctx context.Context, batch []*dependency) bool {
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

// check asks the list about d and cuts its request if it is revoked. Where the list cannot
// answer it returns false, and d stays as it is and is due again.
func (s *liveSet) check(ctx context.Context, d *dependency) bool {
	if expires := d.identity.Expires(); !expires.IsZero() && !time.Now().Before(expires) {
		d.live.cutFor(d, cutExpired)
		return true
	}
	if !d.live.addressAllowed(d.identity) {
		d.live.cutFor(d, cutAddress)
		return true
	}
	list := s.list()
	if list == nil {
		return true // everything is checked when it opens
	}
	ctx, cancel := context.WithTimeout(ctx, recheckTimeout)
	defer cancel()
	verdict, err := list.Check(ctx, d.identity)
	switch {
	case err != nil:
		s.recheckSoon(d)
		return false
	case verdict == revocation.Live, verdict == revocation.RotatedToken:
	case verdict == revocation.TooOld:
		d.live.cutFor(d, cutExpired)
	default:
		d.live.cutFor(d, cutRevoked)
	}
	return true
}

// expire cuts what has expired.
func (s *liveSet) expire() {
	now := time.Now()
	var expired []*dependency
	s.mu.Lock()
	for len(s.expiry) > 0 && !s.expiry[0].identity.Expires().After(now) {
		expired = append(expired, heap.Pop(&s.expiry).(*dependency))
	}
	s.setTimer()
	s.mu.Unlock()
	for _, d := range expired {
		d.live.cutFor(d, cutExpired)
	}
}

// setTimer sets the timer to the next expiry. The caller holds mu.
func (s *liveSet) setTimer() {
	if len(s.expiry) > 0 {
		s.timer.Reset(max(0, time.Until(s.expiry[0].identity.Expires())))
	}
}

// expiryHeap has what expires first in front. Each knows its place, counted from 1.
type expiryHeap []*dependency

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
	d := x.(*dependency)
	*h = append(*h, d)
	d.place = len(*h)
}

// Pop implements heap.Interface.
func (h *expiryHeap) Pop() any {
	last := len(*h) - 1
	d := (*h)[last]
	(*h)[last], d.place = nil, 0
	*h = (*h)[:last]
	return d
}
