package caddymodule_test

import (
	"testing"
	"time"
)

const day = 24 * time.Hour

// presetLifetimes are sites that say nothing about the life of their tokens, and how long
// those live by the documentation.
var presetLifetimes = []struct {
	name, options string
	want          time.Duration
}{
	{"none", "secret " + testSecret, 7 * day},
	{"octopus_cards", "api octopus_cards\nsecret " + testSecret, 7 * day},
	{"ecgrid", "api ecgrid\nsecret " + testSecret, 7 * day},
	{"deribit", "api deribit", 365 * day},
	{"deribit_introspect", "api deribit\nopaque introspect http://127.0.0.1:1/introspect {\nbearer x\n}", 365 * day},
	{"oauth", "api oauth\nsecret " + testSecret, 90 * day},
	{"oauth_known", "api oauth\nopaque known", 90 * day},
	{"oauth_keys", "api oauth\nopaque pass\napi_key X-API-Key", 90 * day},
}

// keptFor revokes a client and returns how long that is remembered.
func (o *operated) keptFor() time.Duration {
	o.t.Helper()
	var done revoked
	o.asked("revoke", map[string]any{"scope": "client", "id": "42"}, &done)
	if len(done.Revoked) == 0 {
		o.t.Fatal("nothing was revoked")
	}
	return done.Revoked[0].KeptUntil.Sub(done.Revoked[0].At)
}

func wantKept(t *testing.T, what string, got, want time.Duration) {
	t.Helper()
	if got < want || got > want+5*time.Minute {
		t.Errorf("%s: a logout is kept for %s, want %s", what, got, want)
	}
}

// A logout is remembered for as long as the API documents that its tokens live, whichever
// way its tokens are judged, also where no other site needs that.
func TestLogoutIsKeptForTheDocumentedLifeOfTokens(t *testing.T) {
	for _, tc := range presetLifetimes {
		t.Run(tc.name, func(t *testing.T) {
			wantKept(t, tc.name, operate(t, [2]string{"", tc.options}).keptFor(), tc.want)
		})
	}
}

// A site that is added by a reload has the list remember for longer.
func TestReloadRaisesHowLongLogoutsAreKept(t *testing.T) {
	o := operate(t, [2]string{"", presetLifetimes[0].options})
	o.sites[0][1] = "api deribit"
	o.mustLoad()
	wantKept(t, "after the reload", o.keptFor(), 365*day)
}
