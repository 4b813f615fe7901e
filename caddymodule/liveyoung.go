package caddymodule

import (
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// youngTick and youngTicks are after how long a request counts as one that lasts: when
	// as many ticks have come since it began, which is at most a second.
	youngTick  = 500 * time.Millisecond
	youngTicks = 2
	// youngShards divides the requests under way, so that they do not share one lock.
	youngShards = 16
)

// youngSet holds the requests that have begun a moment ago. Most are gone before anything
// has to be known about them: all that they cost is a place in a list.
type youngSet struct {
	tick   atomic.Uint32
	shards [youngShards]youngShard
}

// youngShard is a list, with what began first in front.
type youngShard struct {
	mu          sync.Mutex
	first, last *liveRequest
	closed      bool
	_           [64]byte // a cache line of its own
}

// youngPlace is the place of a request in a youngSet. The lock of its shard guards it.
type youngPlace struct {
	shard      *youngShard // nil: none yet; does not change
	prev, next *liveRequest
	in         bool
	tick       uint32
}

// add puts l into the set. It returns false if that is closed.
func (y *youngSet) add(l *liveRequest) bool {
	l.young.shard = &y.shards[rand.N(uint32(youngShards))] //nolint:gosec // any of them
	s := l.young.shard
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return false
	}
	l.young.in, l.young.tick, l.young.prev = true, y.tick.Load(), s.last
	if s.last == nil {
		s.first = l
	} else {
		s.last.young.next = l
	}
	s.last = l
	return true
}

// remove takes l out of the set, if it is in one.
func (p *youngPlace) remove(l *liveRequest) {
	if p.shard == nil {
		return
	}
	p.shard.mu.Lock()
	defer p.shard.mu.Unlock()
	p.shard.unlink(l)
}

// unlink takes l out of the list, if it is in there. The caller holds mu.
func (s *youngShard) unlink(l *liveRequest) {
	p := &l.young
	if !p.in {
		return
	}
	if p.prev == nil {
		s.first = p.next
	} else {
		p.prev.young.next = p.next
	}
	if p.next == nil {
		s.last = p.prev
	} else {
		p.next.young.prev = p.prev
	}
	p.prev, p.next, p.in = nil, nil, false
}

// grown goes on to the next tick and returns what is no longer young.
func (y *youngSet) grown() []*liveRequest {
	now := y.tick.Add(1)
	var grown []*liveRequest
	for i := range y.shards {
		s := &y.shards[i]
		s.mu.Lock()
		for s.first != nil && now-s.first.young.tick >= youngTicks {
			grown = append(grown, s.first)
			s.unlink(s.first)
		}
		s.mu.Unlock()
	}
	return grown
}

// close returns what is left, and lets nothing in any more.
func (y *youngSet) close() []*liveRequest {
	var left []*liveRequest
	for i := range y.shards {
		s := &y.shards[i]
		s.mu.Lock()
		for s.closed = true; s.first != nil; {
			left = append(left, s.first)
			s.unlink(s.first)
		}
		s.mu.Unlock()
	}
	return left
}
