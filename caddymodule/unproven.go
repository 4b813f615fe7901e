package caddymodule

import (
	"errors"
	"net/netip"
	"sync"

	lru "github.com/hashicorp/golang-lru/v2"
	"golang.org/x/time/rate"
)

// Limits of logouts with credentials of which only the API knows whether they are genuine.
// Each leaves a record, and anybody can make such a credential up.
const (
	unprovenPerSecond = 1
	unprovenBurst     = 20
	// unprovenAddresses is how many addresses are told apart at the same time.
	unprovenAddresses = 10_000
	// Addresses of version 6 are given to one party by the /64.
	unprovenBits = 64
)

var errUnproven = errors.New("too many logouts from this address with credentials that only the API can judge")

// unprovenLimit bounds them for each client address. It belongs to the process.
type unprovenLimit struct {
	mu       sync.Mutex // guards adding to limiters
	limiters *lru.Cache[netip.Addr, *rate.Limiter]
}

var unprovenLogouts = newUnprovenLimit()

func newUnprovenLimit() *unprovenLimit {
	limiters, err := lru.New[netip.Addr, *rate.Limiter](unprovenAddresses)
	if err != nil {
		panic(err) // the size is a positive constant
	}
	return &unprovenLimit{limiters: limiters}
}

// allow reports whether one more is taken from this address. The zero address is one too.
func (u *unprovenLimit) allow(addr netip.Addr) bool {
	if addr.Is6() {
		if prefix, err := addr.Prefix(unprovenBits); err == nil {
			addr = prefix.Addr()
		}
	}
	u.mu.Lock()
	limiter, ok := u.limiters.Get(addr)
	if !ok {
		limiter = rate.NewLimiter(unprovenPerSecond, unprovenBurst)
		u.limiters.Add(addr, limiter)
	}
	u.mu.Unlock()
	return limiter.Allow()
}
