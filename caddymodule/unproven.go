package caddymodule

import (
	"errors"
	"math"
	"net/netip"
	"sync"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"
)

// Limits of logouts with credentials of which only the API knows whether they are genuine.
// Anybody can make such a credential up, and each leaves a record that must be kept for as
// long as a genuine one could live. See docs/decisions/0025.
const (
	// unprovenRecords bounds the records that are kept of them: as many at once, and no more
	// than twice as many as long as each is kept.
	unprovenRecords = 1_000_000
	// networkShare is what part of the free room one network may take, and addressShare what
	// part of that one of its addresses may. So many have the same each, and some is left for
	// whoever comes next.
	networkShare = 1.0 / 64
	addressShare = 1.0 / 4

	// One address has so many at once, and so many a second.
	unprovenBurst     = 20
	unprovenPerSecond = 1

	// unprovenKept is how many addresses, and networks, are told apart at the same time.
	unprovenKept = 65_536
)

var errUnproven = errors.New("too many logouts from this address with credentials that only the API can judge")

// level is how many records somebody has. It sinks as they are forgotten: what is left of
// it after the time that a record is kept is 1/e. So the levels of all addresses of a network
// add up to that of the network, without a list of the records.
type level struct {
	n  float64
	at time.Time
}

func (l *level) sink(now time.Time, kept time.Duration) float64 {
	if passed := now.Sub(l.at); passed > 0 {
		l.n *= math.Exp(-float64(passed) / float64(kept))
		l.at = now
	}
	return l.n
}

// taken is sink in whole records: the last few of the room are for those who have none.
func (l *level) taken(now time.Time, kept time.Duration) float64 {
	if n := l.sink(now, kept); n > 1/math.E {
		return max(1, n)
	}
	return 0 // the last record is forgotten
}

// address is what is known of one address that has sent such logouts.
type address struct {
	level
	burst float64   // what it may send at once
	since time.Time // when burst was that
}

// refill returns what the address may send at once now.
func (a *address) refill(now time.Time) float64 {
	if passed := now.Sub(a.since); passed > 0 {
		a.burst = min(unprovenBurst, a.burst+unprovenPerSecond*passed.Seconds())
		a.since = now
	}
	return a.burst
}

// unprovenLimit bounds them. It belongs to the process.
type unprovenLimit struct {
	room float64
	now  func() time.Time

	mu        sync.Mutex // guards what follows
	all       level
	networks  *lru.Cache[netip.Prefix, *level]
	addresses *lru.Cache[netip.Prefix, *address]
}

var unprovenLogouts = newUnprovenLimit(unprovenRecords, time.Now)

func newUnprovenLimit(records int, now func() time.Time) *unprovenLimit {
	networks, err := lru.New[netip.Prefix, *level](unprovenKept)
	if err != nil {
		panic(err) // the size is a positive constant
	}
	addresses, err := lru.New[netip.Prefix, *address](unprovenKept)
	if err != nil {
		panic(err)
	}
	return &unprovenLimit{room: float64(records), now: now, networks: networks, addresses: addresses}
}

// allow reports whether one more is taken from this address, whose record will be kept for
// so long. The zero address is one too. What is refused leaves nothing behind: it cannot
// make the limit forget anybody.
func (u *unprovenLimit) allow(addr netip.Addr, kept time.Duration) bool {
	own, wider := ownNetwork(addr), widerNetwork(addr)
	u.mu.Lock()
	defer u.mu.Unlock()
	now := u.now()
	a, ok := u.addresses.Get(own)
	if !ok {
		a = &address{burst: unprovenBurst, since: now}
	}
	network, ok := u.networks.Get(wider)
	if !ok {
		network = new(level)
	}
	free := u.room - u.all.sink(now, kept)
	left := networkShare*free - network.taken(now, kept)
	if free < 1 || left <= 0 || a.taken(now, kept) >= addressShare*left || a.refill(now) < 1 {
		return false
	}
	a.burst--
	for _, l := range []*level{&u.all, network, &a.level} {
		l.n++
		l.at = now
	}
	u.networks.Add(wider, network)
	u.addresses.Add(own, a)
	return true
}

// widerNetwork returns what one party is often given at the most: a /24 of version 4, a
// /48 of version 6.
func widerNetwork(addr netip.Addr) netip.Prefix {
	bits := 24
	if addr.Is6() {
		bits = 48
	}
	prefix, err := addr.Prefix(bits)
	if err != nil {
		return netip.Prefix{} // of no address
	}
	return prefix
}
