package e2e

import (
	"strings"
	"testing"
	"time"
)

// TestSecondProcessOnOneStore starts two processes with the same directory.
func TestSecondProcessOnOneStore(t *testing.T) {
	api := newAPI(t)
	first, second := newSidecar(t, api), newSidecar(t, api)
	second.store = first.store
	first.start()
	p := mint(api.newClient())
	c := first.client()
	defer c.close()
	c.logout(t, p)

	began := time.Now()
	second.launch()
	if code := second.awaitEnd(15 * time.Second); code == 0 {
		t.Error("the second process ended with exit code 0")
	}
	t.Logf("gave up after %s", time.Since(began).Round(time.Millisecond))
	log := second.process.log.String()
	last := log[strings.LastIndex(strings.TrimSpace(log), "\n")+1:]
	for _, want := range []string{first.store, "in use", "another Caddy"} {
		if !strings.Contains(last, want) {
			t.Errorf("the last line does not say %q: %s", want, last)
		}
	}

	// It did no harm, and a third that is started just before the first ends, as by a
	// service manager that overlaps them, takes over.
	c.wantRevoked(t, p)
	second.launch()
	second.awaitLog("admin endpoint started") // before it opens the list
	first.stop()
	second.awaitReady()
	c2 := second.client()
	defer c2.close()
	c2.wantRevoked(t, p)
	second.stop()
}
