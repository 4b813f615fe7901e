package caddymodule

import (
	"container/list"
	"context"
	"sync"
	"time"

	"example.com/caddy-token-auth/revocation"
)

// checkLane says why something is checked. Each lane has a queue and workers of its own, so
// that checks which hang hold up nothing that is more urgent.
type checkLane uint8

const (
	laneNone  checkLane = iota
	laneTold            // the list has told of a change
	laneFresh           // it has just been taken in, or stays after all
	laneRetry           // the list could not answer about it
	laneSweep           // a general check
	laneCount
)

const (
	// slowCheck is how long a check takes that has hung, where it fails.
	slowCheck = toldTimeout
	// maxSlow bounds how many clients are remembered about whom checks have hung. Without
	// that, each of their checks would have to find out by itself.
	maxSlow = 10_000
	// checkWorkers bounds how many checks of each lane run at a time, and toldWorkers those
	// of laneTold: each client about whom the store does not answer takes one of them, or
	// more, for toldTimeout.
	checkWorkers = 8
	toldWorkers  = 32
)

// checkQueues are what is to be checked. The lock of the liveSet guards them.
type checkQueues struct {
	lanes [laneCount]struct {
		waiting list.List // of *dependency; that of laneSweep is in sweep
		working int
	}
	resting  list.List     // those of laneRetry whose pause is not over
	sweep    []*dependency // of a general check, those still to come
	sweepDue bool          // another general check is to begin after it
	swept    time.Time     // when the last one has begun
	stale    bool          // the list was, at the last tick

	// failures numbers the checks that have hung, and slow has that of the last one about
	// each client: what has entered before is not tried, but put off with it.
	failures, sweptAt uint64
	slow              map[revocation.Key]uint64
}

// enter has d wait in a lane, and in no other.
func (q *checkQueues) enter(d *dependency, in checkLane) {
	if d.lane == in {
		return
	}
	q.leave(d)
	waiting := &q.lanes[in].waiting
	if in == laneRetry {
		waiting = &q.resting
	}
	d.lane, d.waiter, d.entered = in, waiting.PushBack(d), q.failures
}

// leave takes d out of the lane that it waits in.
func (q *checkQueues) leave(d *dependency) {
	if d.lane == laneNone {
		return
	}
	// Each does nothing unless d is in that list.
	q.lanes[d.lane].waiting.Remove(d.waiter)
	q.resting.Remove(d.waiter)
	d.lane, d.waiter = laneNone, nil
}

// wake ends the pause of what is to be tried again.
func (q *checkQueues) wake() {
	retry := &q.lanes[laneRetry].waiting
	if retry.Len()+q.resting.Len() == 0 || len(q.slow) > maxSlow {
		clear(q.slow)
	}
	for e := q.resting.Front(); e != nil; e = q.resting.Front() {
		d := q.resting.Remove(e).(*dependency)
		d.waiter = retry.PushBack(d)
	}
}

// next takes what is to be checked next in a lane, nil if there is nothing.
func (q *checkQueues) next(of checkLane) *dependency {
	for d, entered := q.take(of); d != nil; d, entered = q.take(of) {
		if len(q.slow) == 0 || q.slow[ownerKey(d.identity)] <= entered {
			return d
		}
		q.enter(d, laneRetry)
	}
	return nil
}

// take takes the first one out of a lane, which may have to be put off.
func (q *checkQueues) take(of checkLane) (d *dependency, entered uint64) {
	if of == laneSweep {
		return q.takeSwept(), q.sweptAt
	}
	e := q.lanes[of].waiting.Front()
	if e == nil {
		return nil, 0
	}
	d = e.Value.(*dependency)
	q.leave(d)
	return d, d.entered
}

// takeSwept passes over what waits elsewhere, or is no longer there.
func (q *checkQueues) takeSwept() *dependency {
	for n := len(q.sweep) - 1; n >= 0; n-- {
		d := q.sweep[n]
		q.sweep[n], q.sweep = nil, q.sweep[:n]
		if d.lane == laneNone && !d.removed {
			return d
		}
	}
	q.sweep = nil
	return nil
}

// missing is how many workers a lane lacks.
func (q *checkQueues) missing(of checkLane) int {
	lane := &q.lanes[of]
	waiting, most := lane.waiting.Len(), checkWorkers
	if of == laneSweep {
		waiting = len(q.sweep)
	}
	if of == laneTold {
		most = toldWorkers
	}
	return max(0, min(most-lane.working, waiting))
}

// putOff has d tried again after a pause. If the check has hung, what waits for an answer
// about the same client is put off, too: that would most likely hang for nothing.
func (s *liveSet) putOff(d *dependency, hung bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if d.removed {
		return
	}
	q := &s.checks
	if hung {
		q.failures++
		q.slow[ownerKey(d.identity)] = q.failures
	}
	q.enter(d, laneRetry)
}

// ownerKey is the widest key of an identity: that of its client, where it has one.
func ownerKey(id *revocation.Identity) revocation.Key {
	keys := id.Keys()
	return keys[len(keys)-1]
}

func (s *liveSet) wakeUp() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// run has everything checked that is to be, until ctx ends.
func (s *liveSet) run(ctx context.Context) {
	ticker := time.NewTicker(recheckPause)
	defer ticker.Stop()
	var workers sync.WaitGroup
	defer workers.Wait()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			s.tick()
		case <-s.wake:
		}
		for of, n := range s.engage() {
			for range n {
				workers.Go(func() { s.work(ctx, checkLane(of)) })
			}
		}
	}
}

// tick begins what has its time: a general check also at the moment from which the list
// asks the store because its feed is broken.
func (s *liveSet) tick() {
	stale := s.isStale()
	s.mu.Lock()
	defer s.mu.Unlock()
	q, interval := &s.checks, recheckInterval
	if stale {
		interval = staleInterval
	}
	q.wake()
	if stale && !q.stale || time.Since(q.swept) >= interval {
		q.sweepDue = true
	}
	q.stale = stale
}

// isStale reports whether the list no longer trusts what it was told.
func (s *liveSet) isStale() bool {
	list := s.list()
	if list == nil {
		return false
	}
	status := list.Status()
	return status.Followed && !status.Trusted
}

// engage returns how many workers each lane needs more, and counts them in. It begins the
// next general check once the one before has been through.
func (s *liveSet) engage() (more [laneCount]int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	q := &s.checks
	if q.sweepDue && len(q.sweep) == 0 {
		q.sweepDue, q.swept, q.sweptAt = false, time.Now(), q.failures
		q.sweep = make([]*dependency, 0, len(s.all))
		for d := range s.all {
			q.sweep = append(q.sweep, d)
		}
	}
	for of := laneTold; of < laneCount; of++ {
		more[of] = q.missing(of)
		q.lanes[of].working += more[of]
	}
	return more
}

// work checks what waits in a lane until nothing does.
func (s *liveSet) work(ctx context.Context, of checkLane) {
	timeout := recheckTimeout
	if of == laneTold {
		timeout = toldTimeout
	}
	for d := s.next(ctx, of); d != nil; d = s.next(ctx, of) {
		try, cancel := context.WithTimeout(ctx, timeout)
		s.check(try, d)
		cancel()
	}
}

// next returns what a worker of a lane checks next, nil if it is no longer needed.
func (s *liveSet) next(ctx context.Context, of checkLane) *dependency {
	s.mu.Lock()
	defer s.mu.Unlock()
	if ctx.Err() == nil {
		if d := s.checks.next(of); d != nil {
			return d
		}
	}
	s.checks.lanes[of].working--
	if s.checks.sweepDue {
		s.wakeUp()
	}
	return nil
}
