package caddymodule

import (
	"context"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"example.com/caddy-token-auth/revocation"
)

func newDesc(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc(prometheus.BuildFQName(metricsNamespace, metricsSubsystem, name), help, labels, nil)
}

var (
	lookupsDesc     = newDesc("lookups_total", "Verified credentials whose verdict was not cached, by how it was found out.", "answer")
	revocationsDesc = newDesc("revocations_total", "Revocations, whatever asked for them.", "outcome", "scope")
	tokenMissesDesc = newDesc("token_cache_misses_total", "JSON Web Tokens that had not been verified before.")

	readyDesc   = newDesc("ready", "Whether credentials can be judged.")
	entriesDesc = newDesc("entries", "Entries of the list, as far as it is known how many there are.")
	feedDesc    = newDesc("feed_state", "1 for the state that the feed of the store is in. Without a feed there is none.", "state")
	lagDesc     = newDesc("feed_lag_seconds", "Age of what is known of other replicas. Without a feed there is none.")
	keySetsDesc = newDesc("key_sets", "Key sets by state.", "state")
	keysAgeDesc = newDesc("key_set_age_seconds", "Time since the last good fetch of the key set that was fetched longest ago. Files do not count.")

	countDescs = []*prometheus.Desc{lookupsDesc, revocationsDesc, tokenMissesDesc}
	stateDescs = []*prometheus.Desc{readyDesc, entriesDesc, feedDesc, lagDesc, keySetsDesc, keysAgeDesc}
)

// States of the feed, as the metric labels them.
const (
	feedLoading   = "loading"   // not all entries have been read yet: the store is asked for each request
	feedConnected = "connected" // what others revoke is known at once
	feedBroken    = "broken"    // it has failed, less than max_staleness ago
	feedStale     = "stale"     // what is known is too old: the store is asked for each request
)

// countsCollector reads what the libraries have counted.
type countsCollector struct{}

// Describe implements prometheus.Collector.
func (countsCollector) Describe(to chan<- *prometheus.Desc) { describe(to, countDescs) }

// Collect implements prometheus.Collector.
func (countsCollector) Collect(to chan<- prometheus.Metric) {
	count := func(desc *prometheus.Desc, n uint64, labels ...string) {
		to <- prometheus.MustNewConstMetric(desc, prometheus.CounterValue, float64(n), labels...)
	}
	lookups := listCounts.Lookups()
	count(lookupsDesc, lookups.Absent, "summary")
	count(lookupsDesc, lookups.Stored, "store")
	count(lookupsDesc, lookups.Aged, "age")
	count(lookupsDesc, lookups.Failed, "failed")
	for _, scope := range revocable {
		recorded, failed := listCounts.Revocations(scope)
		count(revocationsDesc, recorded, "done", scope.String())
		count(revocationsDesc, failed, "failed", scope.String())
	}
	count(tokenMissesDesc, tokenMisses.Load())
}

// stateCollector reads how the list of one configuration stands.
type stateCollector struct{ app *App }

// Describe implements prometheus.Collector.
func (stateCollector) Describe(to chan<- *prometheus.Desc) { describe(to, stateDescs) }

func describe(to chan<- *prometheus.Desc, descs []*prometheus.Desc) {
	for _, desc := range descs {
		to <- desc
	}
}

// Collect implements prometheus.Collector.
func (c stateCollector) Collect(to chan<- prometheus.Metric) {
	gauge := func(desc *prometheus.Desc, value float64, labels ...string) {
		to <- prometheus.MustNewConstMetric(desc, prometheus.GaugeValue, value, labels...)
	}
	if !c.app.started.Load() {
		gauge(readyDesc, 0) // what it takes to be ready is still being put together
		return
	}
	gauge(readyDesc, truth(c.app.ready(context.Background()) == nil))
	if list := c.app.shared.list.Load(); list != nil {
		collectList(gauge, list.Status())
	}
	collectKeySets(gauge)
}

func truth(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

// collectList reads how a list stands.
func collectList(gauge func(*prometheus.Desc, float64, ...string), s revocation.Status) {
	gauge(entriesDesc, float64(s.Entries))
	if !s.Followed {
		return
	}
	state := feedConnected
	switch {
	case !s.Loaded:
		state = feedLoading
	case !s.Trusted:
		state = feedStale
	case !s.Connected:
		state = feedBroken
	}
	for _, name := range []string{feedLoading, feedConnected, feedBroken, feedStale} {
		gauge(feedDesc, truth(name == state), name)
	}
	if !s.AsOf.IsZero() {
		gauge(lagDesc, time.Since(s.AsOf).Seconds())
	}
}

// States of key sets, as the metric labels them.
const (
	keysFresh   = "fresh"   // the last fetch was good
	keysFailing = "failing" // it was not; the keys of the one before are used
	keysMissing = "missing" // there are no keys
)

// collectKeySets reads how the key sets of the process stand.
func collectKeySets(gauge func(*prometheus.Desc, float64, ...string)) {
	states := map[string]int{keysFresh: 0, keysFailing: 0, keysMissing: 0}
	var oldest time.Time
	keySets.Range(func(key, value any) bool {
		status := value.(sharedKeySet).Status()
		switch {
		case status.Keys == 0:
			states[keysMissing]++
		case status.Err != nil:
			states[keysFailing]++
		default:
			states[keysFresh]++
		}
		if key.(keySetIdentity).isFile() || status.Fetched.IsZero() {
			return true
		}
		if oldest.IsZero() || status.Fetched.Before(oldest) {
			oldest = status.Fetched
		}
		return true
	})
	for state, n := range states {
		gauge(keySetsDesc, float64(n), state)
	}
	if !oldest.IsZero() {
		gauge(keysAgeDesc, time.Since(oldest).Seconds())
	}
}
