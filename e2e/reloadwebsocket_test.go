package e2e

import (
	"fmt"
	"net/http"
	"testing"

	"example.com/caddy-token-auth/internal/fakeexchange"
)

// reloadedConnections are open when the configuration is loaded again: enough to see all
// that the order in which Caddy closes them can lead to.
const reloadedConnections = 20

// TestReloadIsSeenByBothEnds loads the configuration again while connections of each kind
// are open. Caddy closes them with 1001, at both ends, and so it is with the sidecar.
func TestReloadIsSeenByBothEnds(t *testing.T) {
	m := newMirror(t)
	g := newGateway(t, m.addr(), transparentSite)
	g.start()
	header := map[string]http.Header{"ignored": good(), "followed": good(), "inspected": nil}
	open := make(map[string][]*ends)
	for path := range header {
		for range reloadedConnections {
			e, err := m.dial("ws://"+g.addr+"/"+path, header[path])
			if err != nil {
				t.Fatal(err)
			}
			defer e.close()
			exchange(e.client, e.server, 1, frames(1, message(100))...)
			open[path] = append(open[path], e)
		}
	}
	g.site += "\n\theader X-Reloaded yes"
	g.reload()
	for path, all := range open {
		seen := make(map[string]int)
		for _, e := range all {
			e.awaitEnds()
			seen[fmt.Sprintf("the client %v; the server %v", e.client.controls, e.server.controls)]++
		}
		const want = `the client [close 1001 ""]; the server [close 1001 ""]`
		if seen[want] != len(all) {
			t.Errorf("%s: %v", path, seen)
		}
	}
}

// TestReloadCancelsNoOrders loads the configuration again in front of an exchange on whose
// behalf the sidecar cancels orders: connections that Caddy ends are not lost ones.
func TestReloadCancelsNoOrders(t *testing.T) {
	f := newFloor(t, fakeexchange.Options{NoCancelOnDisconnect: true}, 1, "api deribit\n\t\twebsocket {\n\t\t\ton_unexpected_close call private/cancel_all\n\t\t}")
	for i := range reloadedConnections {
		c := f.connect(0)
		c.authenticate(fmt.Sprintf("session:%d", i))
		c.call(enableCancel, nil)
		c.trade()
	}
	f.replicas[0].site += "\n\theader X-Reloaded yes"
	f.replicas[0].reload()
	for i := range reloadedConnections {
		if seen := f.sawEnd(int64(i + 1)); seen != "close 1001" {
			t.Errorf("the exchange sees %q", seen)
		}
	}
	if n, left := f.calls("private/cancel_all"), len(f.exchange.OpenOrders(traderAccount)); n != 0 || left != reloadedConnections {
		t.Errorf("private/cancel_all was called %d times, %d of %d orders are left", n, left, reloadedConnections)
	}
}
