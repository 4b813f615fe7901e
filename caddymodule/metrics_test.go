package caddymodule_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	dto "github.com/prometheus/client_model/go"
	"go.uber.org/zap"

	"example.com/caddy-token-auth/revocation"
	"example.com/caddy-token-auth/revocation/memstore"
)

func init() { caddy.RegisterModule(new(fedModule)) }

// fedModule is a store in memory with a feed whose every word a test says.
type fedModule struct{}

// fedSinks has the sink of each Watch that has begun, and fedEnds ends one.
var (
	fedSinks = make(chan revocation.Sink)
	fedEnds  = make(chan error)
)

func (*fedModule) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "token_auth.stores.test_feed", New: func() caddy.Module { return new(fedModule) }}
}

func (*fedModule) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next()
	return nil
}

func (*fedModule) Identity() string { return "test_feed" }

func (*fedModule) Open(context.Context, *zap.Logger) (revocation.Store, error) {
	return &fedStore{memstore.New()}, nil
}

type fedStore struct{ *memstore.Store }

func (*fedStore) Watch(ctx context.Context, _ revocation.Position, sink revocation.Sink) error {
	select {
	case fedSinks <- sink:
	case <-ctx.Done():
		return ctx.Err()
	}
	select {
	case err := <-fedEnds:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// metricFamilies returns the metrics of the running configuration by name.
func metricFamilies(t *testing.T) map[string]*dto.MetricFamily {
	t.Helper()
	ctx := caddy.ActiveContext()
	families, err := ctx.GetMetricsRegistry().Gather()
	if err != nil {
		t.Fatal(err)
	}
	named := make(map[string]*dto.MetricFamily)
	for _, family := range families {
		named[family.GetName()] = family
	}
	return named
}

// metric returns the value of one of our metrics.
func metric(t *testing.T, name, labels string) float64 {
	t.Helper()
	return gathered(t, "caddy_token_auth_"+name, labels)
}

func TestMetricsCountWhatHappensAndSurviveReloads(t *testing.T) {
	s := start(t, new(echo), "api octopus_cards\nsecret "+testSecret)
	type sample struct{ name, labels string }
	want := map[sample]float64{
		{"lookups_total", "answer=summary"}:                 1,
		{"lookups_total", "answer=store"}:                   1,
		{"lookups_total", "answer=failed"}:                  0,
		{"token_cache_misses_total", ""}:                    2,
		{"logouts_total", "outcome=done scope=client"}:      1,
		{"logouts_total", "outcome=failed scope=client"}:    0,
		{"revocations_total", "outcome=done scope=client"}:  1,
		{"revocations_total", "outcome=failed scope=token"}: 0,
		{"store_errors_total", "operation=revoke"}:          0,
		{"decisions_total", "outcome=allowed reason="}:      1,
	}
	before := make(map[sample]float64)
	for m := range want {
		before[m] = metric(t, m.name, m.labels)
	}
	raw := sign(t, claimsAt(time.Now()))
	if a := s.do("GET", "/v1/cards", "", bearer(raw)); a.status != 200 {
		t.Fatalf("%d %s", a.status, a.body)
	}
	s.do("POST", "/auth/logout", "", bearer(raw)).want(t, "logout", 200, bodyLoggedOut)
	s.do("GET", "/v1/cards", "", bearer(raw)).want(t, "after the logout", 401, bodyInvalid)
	s.do("GET", "/v1/cards", "", bearer(raw)).want(t, "after the logout, from the cache", 401, bodyInvalid)
	s.do("GET", "/v1/cards", "", bearer(raw[:len(raw)-4]+"AAAA")).want(t, "forged", 401, bodyInvalid)
	s.options += "\nleeway 1s"
	s.mustLoad()
	for m, n := range want {
		if got := metric(t, m.name, m.labels) - before[m]; got != n {
			t.Errorf("%s{%s} has grown by %v, want %v", m.name, m.labels, got, n)
		}
	}
	if got := metric(t, "ready", ""); got != 1 {
		t.Errorf("ready is %v", got)
	}
	if got := metric(t, "entries", ""); got < 1 {
		t.Errorf("%v entries", got)
	}
	families := metricFamilies(t)
	if families["caddy_token_auth_feed_state"] != nil {
		t.Error("a store without a feed has a state of the feed")
	}
	for _, m := range families["caddy_token_auth_store_duration_seconds"].GetMetric() {
		if name := m.GetLabel()[0].GetValue(); name == "revoke" && m.GetHistogram().GetSampleCount() == 0 {
			t.Error("no time that the store took")
		}
	}
}

// One check in 64 is timed, by chance: that none of these is takes a chance of one in 10^10.
func TestSomeChecksAreTimed(t *testing.T) {
	s, _ := startEcho(t, "")
	timed := func() uint64 {
		return metricFamilies(t)["caddy_token_auth_check_duration_seconds"].GetMetric()[0].GetHistogram().GetSampleCount()
	}
	before := timed()
	const n = 1500
	for range n {
		s.do("GET", "/x", "")
	}
	if got := timed() - before; got == 0 || got > n/16 {
		t.Errorf("%d of %d checks were timed", got, n)
	}
}

func TestFailedStoreIsVisibleInMetrics(t *testing.T) {
	s := prepare(t, new(echo), "api octopus_cards\nsecret "+testSecret)
	s.store = "store redis redis://" + freeAddr(t)
	s.mustLoad()
	s.eventually(func() bool { return metric(t, "store_errors_total", "operation=open") > 0 })
	before := metric(t, "logouts_total", "outcome=failed scope=client")
	s.do("POST", "/auth/logout", "", bearer(sign(t, claimsAt(time.Now())))).want(t, "logout", 503, bodyUnavailable)
	if got := metric(t, "logouts_total", "outcome=failed scope=client") - before; got != 1 {
		t.Errorf("%v failed logouts were counted, want 1", got)
	}
	if got := metric(t, "ready", ""); got != 0 {
		t.Errorf("ready is %v", got)
	}
}

func TestStateOfTheFeedIsVisibleInMetrics(t *testing.T) {
	s := prepare(t, new(echo), "secret "+testSecret)
	s.store = "store test_feed"
	s.mustLoad()
	wantState := func(want string) {
		t.Helper()
		s.eventually(func() bool { return metric(t, "feed_state", "state="+want) == 1 })
		for _, state := range []string{"loading", "connected", "broken", "stale"} {
			if got := metric(t, "feed_state", "state="+state); (got == 1) != (state == want) {
				t.Errorf("%s is %v while the feed is %s", state, got, want)
			}
		}
	}
	broken := metric(t, "feed_events_total", "event=broken")
	sink := <-fedSinks
	wantState("loading")
	if got := metric(t, "ready", ""); got != 0 {
		t.Errorf("ready is %v while the list is read", got)
	}
	sink.Started(true)
	sink.Alive(time.Now().Add(-2 * time.Second))
	wantState("connected")
	if got := metric(t, "feed_lag_seconds", ""); got < 2 || got > 20 {
		t.Errorf("the lag is %v", got)
	}
	fedEnds <- errors.New("connection lost")
	wantState("broken")
	if got := metric(t, "feed_events_total", "event=broken") - broken; got != 1 {
		t.Errorf("%v breaks were counted", got)
	}
	sink = <-fedSinks
	sink.Started(false)
	wantState("connected")
	sink.Alive(time.Now().Add(-time.Hour))
	wantState("stale")
	if got := metric(t, "ready", ""); got != 1 {
		t.Errorf("ready is %v although the store answers", got)
	}
}

func TestStateOfKeySetsIsVisibleInMetrics(t *testing.T) {
	i := newIssuer(t, "one")
	i.down = true
	s := start(t, new(echo), "api octopus_cards\njwks "+i.URL+"/keys")
	s.eventually(func() bool { return metric(t, "key_fetches_total", "outcome=failed") > 0 })
	if got := metric(t, "key_sets", "state=missing"); got != 1 {
		t.Errorf("%v key sets are missing", got)
	}
	i.set(func() { i.down = false })
	s.eventually(func() bool { return metric(t, "key_sets", "state=fresh") == 1 })
	if got := metric(t, "key_set_age_seconds", ""); got < 0 || got > 60 {
		t.Errorf("the keys are %v seconds old", got)
	}
}
