package caddymodule

import (
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"

	"example.com/caddy-token-auth/dialect"
	"example.com/caddy-token-auth/revocation"
	"example.com/caddy-token-auth/token/jwks"
)

const (
	metricsNamespace = "caddy"
	metricsSubsystem = "token_auth"
)

// What is counted belongs to the process, which has one list at a time: a reload sets
// nothing back. All labels are from closed sets.
var (
	listCounts  = new(revocation.Counters)
	tokenMisses = new(atomic.Uint64)

	// checkSeconds has one check in checkSampling.
	checkSeconds = prometheus.NewHistogram(prometheus.HistogramOpts{
		Namespace: metricsNamespace, Subsystem: metricsSubsystem, Name: "check_duration_seconds",
		Help:    "How long it takes to judge the credential of a request; of one request in 64.",
		Buckets: []float64{1e-6, 2e-6, 5e-6, 1e-5, 1e-4, 1e-3, 5e-3, 0.025, 0.1, 0.5, 1, 5},
	})
	storeSeconds = prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Namespace: metricsNamespace, Subsystem: metricsSubsystem, Name: "store_duration_seconds",
		Help:    "How long the store takes, failures included.",
		Buckets: []float64{1e-5, 5e-5, 1e-4, 5e-4, 1e-3, 2.5e-3, 5e-3, 0.01, 0.025, 0.1, 0.5, 1, 5, 10},
	}, []string{"operation"})
	storeErrors = newCounterVec("store_errors_total", "What the store was asked for and has not done.", "operation")
	feedEvents  = newCounterVec("feed_events_total", "What has happened to the feed of the store.", "event")
	keyFetches  = newCounterVec("key_fetches_total", "Fetches of key sets, and key sets that were given up.", "outcome")
	logouts     = newCounterVec("logouts_total", "Logouts by what became of them, but for those whose credential was refused.", "outcome", "scope")

	storeCalls = newStoreObserver()
)

func newCounterVec(name, help string, labels ...string) *prometheus.CounterVec {
	return prometheus.NewCounterVec(prometheus.CounterOpts{
		Namespace: metricsNamespace, Subsystem: metricsSubsystem, Name: name, Help: help,
	}, labels)
}

// opening is the operation that is not one of an open store.
const opening = "open"

// Outcomes of logouts, as the metric labels them.
const (
	logoutDone     = "done"
	logoutUnproven = "unproven" // recorded, of a credential that only the API can judge
	logoutNothing  = "nothing"  // there was no session yet
	logoutFailed   = "failed"   // not known to be recorded
	logoutLimited  = "limited"  // of too many credentials that only the API can judge
)

// revocable are the scopes that a logout can have.
var revocable = []revocation.Scope{revocation.ScopeToken, revocation.ScopeSession, revocation.ScopeClient}

// feedEventNames names what can happen to a feed, but for the progress of loading it.
var feedEventNames = map[revocation.FeedEventKind]string{
	revocation.FeedLoaded: "loaded", revocation.FeedLoadFailed: "load_failed", revocation.FeedFollowed: "followed",
	revocation.FeedGap: "gap", revocation.FeedBroken: "broken",
}

// Outcomes of fetches.
const (
	fetchDone    = "done"
	fetchFailed  = "failed"
	fetchExpired = "given_up"
)

// A counter that has never been touched is there all the same: what has not happened yet is
// 0, and not unknown.
func init() {
	for _, scope := range revocable {
		for _, outcome := range []string{logoutDone, logoutUnproven, logoutNothing, logoutFailed, logoutLimited} {
			logouts.WithLabelValues(outcome, scope.String())
		}
	}
	for _, name := range feedEventNames {
		feedEvents.WithLabelValues(name)
	}
	for _, outcome := range []string{fetchDone, fetchFailed, fetchExpired} {
		keyFetches.WithLabelValues(outcome)
	}
	storeErrors.WithLabelValues(opening)
}

// listCollectors are the metrics of the process, and those of the list that a uses.
func listCollectors(a *App) []prometheus.Collector {
	return []prometheus.Collector{
		checkSeconds,
		storeSeconds,
		storeErrors,
		feedEvents,
		keyFetches,
		logouts,
		countsCollector{},
		stateCollector{a},
	}
}

// storeObserver has the metrics of the store's operations at hand.
type storeObserver struct {
	took   [revocation.StoreOperations]prometheus.Observer
	errors [revocation.StoreOperations]prometheus.Counter
}

func newStoreObserver() *storeObserver {
	o := new(storeObserver)
	for i := range o.took {
		name := revocation.StoreOperation(i).String()
		o.took[i], o.errors[i] = storeSeconds.WithLabelValues(name), storeErrors.WithLabelValues(name)
	}
	return o
}

// observe accounts for one call.
func (o *storeObserver) observe(call revocation.StoreCall) {
	if call.Abandoned {
		return
	}
	o.took[call.Operation].Observe(call.Took.Seconds())
	if call.Err != nil {
		o.errors[call.Operation].Inc()
	}
}

// countFeed is tell, and counts.
func countFeed(tell func(revocation.FeedEvent)) func(revocation.FeedEvent) {
	return func(e revocation.FeedEvent) {
		if name, ok := feedEventNames[e.Kind]; ok {
			feedEvents.WithLabelValues(name).Inc()
		}
		tell(e)
	}
}

// countFetch accounts for what a key set tells.
func countFetch(e jwks.Event) {
	switch {
	case e.Expired:
		keyFetches.WithLabelValues(fetchExpired).Inc()
	case e.Err != nil:
		keyFetches.WithLabelValues(fetchFailed).Inc()
	default:
		keyFetches.WithLabelValues(fetchDone).Inc()
	}
}

// countRefusedLogout accounts for a logout that has failed although nothing is known against
// its credential.
func countRefusedLogout(scope revocation.Scope, refused *refusal) {
	if refused.reason == dialect.Unavailable {
		logouts.WithLabelValues(logoutFailed, scope.String()).Inc()
	}
}

// countLogout accounts for the logout of one caller.
func countLogout(c *caller, scope revocation.Scope, refused *refusal) {
	outcome := logoutDone
	switch {
	case refused != nil && refused.err == errUnproven: //nolint:errorlint // it is never wrapped
		outcome = logoutLimited
	case refused != nil:
		outcome = logoutFailed
	case c.begun:
		outcome = logoutNothing
	case c.unproven:
		outcome = logoutUnproven
	}
	logouts.WithLabelValues(outcome, scopeFor(c, scope).String()).Inc()
}
