package caddymodule

import (
	"container/heap"
	"context"
	"time"

	"example.com/caddy-token-auth/revocation"
)

const (
	// recheckInterval is how often everything that lasts is checked again. What is told
	// needs no waiting; this is for what is not, such as a token that ends by its age.
	recheckInterval = 30 * time.Second
	// staleInterval is how often it is while nothing can be told, because the feed of the
	// store is broken.
	staleInterval = 5 * time.Second
	// recheckTimeout is the time that a check has, and toldTimeout that of the first one
	// after a change was told, so that one which hangs soon makes room for others.
	recheckTimeout = 5 * time.Second
	toldTimeout    = time.Second
	// recheckPause is how often what could not be checked is tried again.
	recheckPause = time.Second
)

// checkHere cuts the request of d if that can be told without the list, and reports
// whether it is over with d.
func (s *liveSet) checkHere(d *dependency) bool {
	if expires := d.identity.Expires(); !expires.IsZero() && !time.Now().Before(expires) {
		d.live.cutFor(d, cutExpired)
		return true
	}
	if ages := d.live.ages; !ages.IsZero() && time.Now().After(ages) {
		d.live.cutFor(d, cutExpired)
		return true
	}
	if d.live.withdrawn != nil && d.live.withdrawn() {
		d.live.cutFor(d, cutRevoked)
		return true
	}
	if !d.live.addressAllowed(d.identity) {
		d.live.cutFor(d, cutAddress)
		return true
	}
	return false
}

// check asks the list about d and cuts its request if it is revoked. Where the list cannot
// answer, d stays as it is, and is tried again.
func (s *liveSet) check(ctx context.Context, d *dependency) {
	if s.checkHere(d) {
		return
	}
	list := s.list()
	if list == nil {
		return // everything is checked when it opens
	}
	ctx, cancel := context.WithTimeout(ctx, recheckTimeout)
	defer cancel()
	begun := time.Now()
	verdict, err := revocation.Unknown, d.live.resolveCaller(ctx)
	if err == nil {
		verdict, err = list.Check(ctx, d.identity)
	}
	switch {
	case err != nil:
		s.putOff(d, time.Since(begun) >= slowCheck)
	case verdict == revocation.Live, verdict == revocation.RotatedToken:
	case verdict == revocation.TooOld:
		d.live.cutFor(d, cutExpired)
	default:
		d.live.cutFor(d, cutRevoked)
	}
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
