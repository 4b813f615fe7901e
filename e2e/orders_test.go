package e2e

import (
	"syscall"
	"testing"
	"time"

	"example.com/caddy-token-auth/internal/fakeexchange"
)

// upstreamKind is a kind of exchange, and what the sidecar has to be told about it.
type upstreamKind struct {
	name    string
	options func(*fakeexchange.Options)
	// lines are of the block of websocket.
	lines string
}

const (
	// documented cancels orders by itself, unless it is told of a logout.
	documented = iota
	// lenient cancels orders by itself, and takes a close frame for a good end.
	lenient
	// helpless cancels nothing: the sidecar does it.
	helpless
)

var upstreamKinds = [...]upstreamKind{
	documented: {"the exchange is as documented", func(*fakeexchange.Options) {}, ""},
	lenient: {"the exchange cancels unless it gets a close frame", func(o *fakeexchange.Options) {
		o.CloseIsGraceful, o.NoLogout = true, true
	}, "logout close"},
	helpless: {"the sidecar cancels", func(o *fakeexchange.Options) {
		o.NoCancelOnDisconnect, o.NoLogout = true, true
	}, "logout close\n\t\t\ton_unexpected_close call private/cancel_all"},
}

// connectionEnd is a way in which a connection ends.
type connectionEnd struct {
	name string
	// lines are of the block of websocket, proxy of that of the proxy.
	lines, proxy string
	replicas     int
	options      fakeexchange.Options
	// calls are made before, of the methods that switch Cancel On Disconnect. Without any
	// it is switched on for the connection.
	calls []string
	scope string
	// end ends the connection, or has it ended. The tokens are those of the connection,
	// which has a session of its own.
	end func(f *floor, c *trader, g granted)
	// code and reason are of the close frame that the client gets; 0 if it has gone.
	code   int
	reason string
	// upstream is what the exchange sees; the documented one closes after a logout itself.
	upstream string
	// kept is whether the orders stay, by the kind of exchange.
	kept [len(upstreamKinds)]bool
	// works is whether the tokens work afterwards; ends says that the sidecar is gone.
	works, ends bool
}

var (
	always = [...]bool{documented: true, lenient: true, helpless: true}
	never  [len(upstreamKinds)]bool
)

const (
	enableCancel  = "private/enable_cancel_on_disconnect"
	disableCancel = "private/disable_cancel_on_disconnect"
	seenLogout    = string(fakeexchange.EndLogout)
	seenLost      = string(fakeexchange.EndLost)
)

var endings = []connectionEnd{
	{
		name: "logout", code: 1000, reason: "logout", upstream: "close 1000", kept: always,
		end: func(_ *floor, c *trader, _ granted) { _ = c.Send("private/logout", nil) },
	},
	{
		name: "logout that keeps the tokens", code: 1000, reason: "logout", upstream: "close 1000", kept: always, works: true,
		end: func(_ *floor, c *trader, _ granted) {
			_ = c.Send("private/logout", params{"invalidate_token": false})
		},
	},
	{
		// What it means is up to the exchange. Where that does not say, only a logout is a
		// good end.
		name: "close frame without a logout", upstream: "close 1000", kept: [...]bool{documented: false, lenient: true, helpless: false}, works: true,
		end: func(f *floor, c *trader, _ granted) { _ = c.Close(f.ctx, 1000) },
	},
	{
		name: "reset", upstream: seenLost, kept: never, works: true,
		end: func(_ *floor, c *trader, _ granted) { _ = c.Reset() },
	},
	{
		name: "reset with cancelling switched on for the account", calls: []string{enableCancel}, scope: "account",
		upstream: seenLost, kept: never, works: true,
		end: func(_ *floor, c *trader, _ granted) { _ = c.Reset() },
	},
	{
		name: "reset with cancelling switched off again", calls: []string{enableCancel, disableCancel},
		upstream: seenLost, kept: always, works: true,
		end: func(_ *floor, c *trader, _ granted) { _ = c.Reset() },
	},
	{
		name: "end without a close frame", upstream: seenLost, kept: never, works: true,
		end: func(_ *floor, c *trader, _ granted) { c.Drop() },
	},
	{
		name: "idle", lines: "idle_timeout 1s", code: 1008, reason: "idle timeout", upstream: seenLost, works: true,
		end: func(*floor, *trader, granted) {},
	},
	{
		// The exchange asks soon and waits for long: it is the sidecar that finds the client
		// silent, after the ten seconds that the API gives it.
		name: "heartbeat", options: fakeexchange.Options{Second: 10 * time.Millisecond, Patience: 1 << 30},
		code: 1008, reason: "heartbeat failed", upstream: seenLost, works: true,
		end: func(_ *floor, c *trader, _ granted) {
			c.IgnoreHeartbeats()
			c.call("public/set_heartbeat", params{"interval": 10})
		},
	},
	{
		name: "revocation from another replica", replicas: 2, code: 4001, reason: "revoked", upstream: seenLost,
		end: func(f *floor, _ *trader, g granted) {
			other := f.connect(1)
			_ = other.Send("private/logout", params{"access_token": g.Access})
			other.wantLogout()
		},
	},
	{
		// The exchange no longer takes a call from a client whose token has expired.
		name: "expiry", options: fakeexchange.Options{TokenLifetime: 2 * time.Second},
		code: 4001, reason: "expired", upstream: seenLost, kept: [...]bool{documented: false, lenient: false, helpless: true},
		end: func(*floor, *trader, granted) {},
	},
	{
		// Caddy closes the connections at both ends. See TestReloadIsSeenByBothEnds.
		name: "reload", code: 1001, upstream: "close 1001", kept: [...]bool{documented: false, lenient: true, helpless: true}, works: true,
		end: func(f *floor, _ *trader, _ granted) {
			f.replicas[0].site += "\n\theader X-Reloaded yes"
			f.replicas[0].reload()
		},
	},
	{
		name: "revocation after a reload that spares connections", proxy: "stream_close_delay 1m",
		code: 4001, reason: "revoked", upstream: seenLost, kept: never,
		end: func(f *floor, c *trader, g granted) {
			f.replicas[0].site += "\n\theader X-Reloaded yes"
			f.replicas[0].reload()
			c.call("private/get_open_orders", nil)
			other := f.connectAfterReload()
			_ = other.Send("private/logout", params{"access_token": g.Access})
			other.wantLogout()
		},
	},
	{
		name: "shutdown", code: 1001, upstream: "close 1001", kept: [...]bool{documented: false, lenient: true, helpless: true}, ends: true,
		end: func(f *floor, _ *trader, _ granted) {
			if err := f.replicas[0].process.cmd.Process.Signal(syscall.SIGTERM); err != nil {
				f.t.Fatal(err)
			}
		},
	},
}

// TestOrdersAfterEachEndOfAConnection checks, for exchanges with and without Cancel On
// Disconnect of their own, which ends of a connection cancel its orders.
func TestOrdersAfterEachEndOfAConnection(t *testing.T) {
	t.Parallel()
	for _, e := range endings {
		for kind := range upstreamKinds {
			t.Run(e.name+"/"+upstreamKinds[kind].name, func(t *testing.T) {
				t.Parallel()
				e.try(t, kind)
			})
		}
	}
}

func (e connectionEnd) try(t *testing.T, kind int) {
	o, of := e.options, upstreamKinds[kind]
	of.options(&o)
	block := "websocket {\n\t\t\t" + of.lines + "\n\t\t\t" + e.lines + "\n\t\t}"
	f := newFloorBehind(t, o, max(e.replicas, 1), "api deribit\n\t\tleeway 0s\n\t\t"+block, e.proxy)
	c := f.connect(0)
	g := c.authenticate("session:desk")
	if e.calls == nil {
		e.calls = []string{enableCancel}
	}
	for _, method := range e.calls {
		c.call(method, params{"scope": e.scope})
	}
	c.trade()
	c.trade()
	e.end(f, c, g)
	reason, want := e.reason, e.upstream
	if kind == documented && reason == "logout" {
		reason, want = "", seenLogout // the close frame is the exchange's own
	}
	if e.code != 0 {
		c.wantEnd(e.code, reason)
	}
	if seen := f.sawEnd(1); seen != want {
		t.Errorf("the exchange sees %q, want %q", seen, want)
	}
	orders := 0
	if e.kept[kind] {
		orders = 2
	}
	if left := len(f.exchange.OpenOrders(traderAccount)); left != orders {
		t.Errorf("%d of 2 orders are left, want %d", left, orders)
	}
	if n := f.calls("private/cancel_all"); n > 1 || n == 1 && kind != helpless {
		t.Errorf("private/cancel_all was called %d times", n)
	}
	if e.ends {
		return
	}
	again := f.connectAfterReload()
	if e.works {
		again.call("private/get_open_orders", params{"access_token": g.Access})
	} else {
		again.refused("private/get_open_orders", params{"access_token": g.Access})
	}
	again.authenticate("session:desk")
	again.trade()
}
