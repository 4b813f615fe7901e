package jwks

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"time"
)

const (
	// DefaultRefresh is how often a set is fetched again if the issuer does not say.
	DefaultRefresh = time.Hour
	// DefaultMaxStale is how long keys stay in use when they cannot be fetched again.
	DefaultMaxStale = 24 * time.Hour
	// DefaultTimeout of one fetch.
	DefaultTimeout = 10 * time.Second
	// DefaultCooldown is the least time between two fetches that tokens ask for.
	DefaultCooldown = 10 * time.Second

	// What an issuer can ask for with max-age lies between these two: less would be
	// load without use, with more a removed key would be accepted for too long.
	minFresh = 5 * time.Minute
	maxFresh = 24 * time.Hour

	// Retries after a failure double their distance from the one to the other.
	minRetry = time.Second
	maxRetry = time.Minute
)

// Options of a Source. The zero value has the defaults.
type Options struct {
	// Refresh is how often the set is fetched, at least 1 s. Default: what the answer's
	// Cache-Control max-age says, between 5 min and 24 h, or DefaultRefresh. In either
	// case up to a tenth less, so that replicas do not fetch all at once, and at most
	// half of MaxStale.
	Refresh time.Duration
	// MaxStale is how long after the last good fetch its keys stay in use, at least
	// 1 s. Default: DefaultMaxStale. Keys of a file stay for as long as there is no
	// better file.
	MaxStale time.Duration
	// Timeout of one fetch, discovery included. Default: DefaultTimeout.
	Timeout time.Duration
	// Cooldown after a fetch that a token with an unknown kid asked for, until the next
	// one. Kids that were looked for before have one of their own. Default:
	// DefaultCooldown.
	Cooldown time.Duration

	// AllowHTTP permits http URLs of hosts that are not loopback.
	AllowHTTP bool
	// Client fetches. Its Timeout, Jar and CheckRedirect are not used. Default: a client
	// with the proxies of the environment, that keeps no connection.
	Client *http.Client

	// OnEvent, if set, is called after every fetch and when the keys have become too
	// old: one call at a time, from a goroutine of the Source. It must not call Close.
	OnEvent func(Event)

	// Now is the clock. Default: time.Now.
	Now func() time.Time
	// Random returns numbers from 0 to less than 1. Default: that of math/rand/v2.
	Random func() float64
}

// withDefaults checks o and returns it with the defaults filled in.
func (o Options) withDefaults() (Options, error) {
	switch {
	case o.Refresh < 0 || o.Refresh > 0 && o.Refresh < time.Second:
		return o, fmt.Errorf("refresh interval %s: want at least 1s", o.Refresh)
	case o.MaxStale < 0 || o.MaxStale > 0 && o.MaxStale < time.Second:
		return o, fmt.Errorf("keys are in use for %s after a failure: want at least 1s", o.MaxStale)
	case o.Timeout < 0:
		return o, errors.New("the timeout is negative")
	case o.Cooldown < 0:
		return o, errors.New("the cooldown is negative")
	}
	if o.MaxStale == 0 {
		o.MaxStale = DefaultMaxStale
	}
	if o.Timeout == 0 {
		o.Timeout = DefaultTimeout
	}
	if o.Cooldown == 0 {
		o.Cooldown = DefaultCooldown
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Random == nil {
		o.Random = rand.Float64
	}
	return o, nil
}

// refreshIn returns when to fetch again after a success; fresh is what the answer said,
// or negative.
func (o *Options) refreshIn(fresh time.Duration) time.Duration {
	interval := o.Refresh
	switch {
	case interval > 0:
	case fresh >= 0:
		interval = min(max(fresh, minFresh), maxFresh)
	default:
		interval = DefaultRefresh
	}
	interval = min(interval, o.MaxStale/2)
	return interval - time.Duration(o.Random()*float64(interval)/10)
}

// retryIn returns when to fetch again after that many failures in a row.
func (o *Options) retryIn(failures int) time.Duration {
	wait := minRetry
	for range failures - 1 {
		if wait *= 2; wait >= maxRetry {
			wait = maxRetry
			break
		}
	}
	return wait - time.Duration(o.Random()*float64(wait)/4)
}
