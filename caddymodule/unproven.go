package caddymodule

import (
	"errors"
	"net/netip"
	"sync"

	lru "github.com/hashicorp/golang-lru/v2"
	"golang.org/x/time/rate"
)

// Limits of logouts with credentials of which only the API knows whether they are genuine.
// Each leaves a record, and anybody can make such a credential up. They are counted for
// each address, for the networks that are given to one party, and over all.
const (
	unprovenPerSecond = 1
	unprovenBurst     = 20

	networkPerSecond = 5
	networkBurst     = 100

	allPerSecond = 20
	allBurst     = 1000

	// unprovenKept is how many addresses and networks are told apart at the same time.
	unprovenKept = 10_000
)

var errUnproven = errors.New("too many logouts from this address with credentials that only the API can judge")

// unprovenLimit bounds them. It belongs to the process.
type unprovenLimit struct {
	all *rate.Limiter

	mu       sync.Mutex // guards adding to limiters
	limiters *lru.Cache[netip.Prefix, *rate.Limiter]
}

var unprovenLogouts = newUnprovenLimit()

func newUnprovenLimit() *unprovenLimit {
	limiters, err := lru.New[netip.Prefix, *rate.Limiter](unprovenKept)
	if err != nil {
		panic(err) // the size is a positive constant
	}
	return &unprovenLimit{all: rate.NewLimiter(allPerSecond, allBurst), limiters: limiters}
}

// allow reports whether one more is taken from this address. The zero address is one too.
func (u *unprovenLimit) allow(addr netip.Addr) bool {
	// Addresses of version 6 are given to one party by the /64 or the /48.
	own, network := 32, 24
	if addr.Is6() {
		own, network = 64, 48
	}
	return u.limiter(addr, own, unprovenPerSecond, unprovenBurst).Allow() &&
		u.limiter(addr, network, networkPerSecond, networkBurst).Allow() && u.all.Allow()
}

func (u *unprovenLimit) limiter(addr netip.Addr, bits int, perSecond rate.Limit, burst int) *rate.Limiter {
	prefix, err := addr.Prefix(bits)
	if err != nil {
		prefix = netip.Prefix{} // of no address
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	limiter, ok := u.limiters.Get(prefix)
	if !ok {
		limiter = rate.NewLimiter(perSecond, burst)
		u.limiters.Add(prefix, limiter)
	}
	return limiter
}
