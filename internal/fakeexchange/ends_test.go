package fakeexchange_test

import (
	"testing"
	"time"

	"example.com/caddy-token-auth/internal/fakeexchange"
)

// TestOrdersAfterEachEnd is the rule that tests of what stands in front rely on.
func TestOrdersAfterEachEnd(t *testing.T) {
	documented := fakeexchange.Options{Second: time.Millisecond}
	none, lenient := documented, documented
	none.NoCancelOnDisconnect = true
	lenient.CloseIsGraceful = true
	for _, tc := range []struct {
		name string
		end  func(*client)
		want fakeexchange.End
		code int
		// kept is whether the orders stay, keptLenient where a close frame is graceful.
		kept, keptLenient bool
	}{
		{"logout", func(c *client) { _ = c.Send("private/logout", nil) }, fakeexchange.EndLogout, 0, true, true},
		{"logout that keeps the tokens", func(c *client) {
			_ = c.Send("private/logout", params{"invalidate_token": false})
		}, fakeexchange.EndLogout, 0, true, true},
		{"close frame", func(c *client) { _ = c.Close(c.ctx, 1000) }, fakeexchange.EndClose, 1000, false, true},
		{"close frame with another code", func(c *client) { _ = c.Close(c.ctx, 1001) }, fakeexchange.EndClose, 1001, false, true},
		{"no close frame", func(c *client) { c.Drop() }, fakeexchange.EndLost, 0, false, false},
		{"reset", func(c *client) { _ = c.Reset() }, fakeexchange.EndLost, 0, false, false},
		{"heartbeat", func(c *client) {
			c.IgnoreHeartbeats()
			c.call("public/set_heartbeat", params{"interval": 10})
		}, fakeexchange.EndHeartbeat, 0, false, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			for _, o := range []struct {
				fakeexchange.Options
				kept bool
			}{{documented, tc.kept}, {none, true}, {lenient, tc.keptLenient}} {
				x := start(t, o.Options)
				trader, other := x.connect(), x.connect()
				for _, c := range []*client{trader, other} {
					c.authenticate("alice", "")
					c.call("private/enable_cancel_on_disconnect", nil)
					c.buy()
				}
				tc.end(trader)
				x.wantEnd(1, tc.want, tc.code)
				want := 1
				if o.kept {
					want = 2
				}
				if got := x.OpenOrders(1); len(got) != want {
					t.Errorf("%d orders, want %d", len(got), want)
				}
				other.call("public/test", nil)
			}
		})
	}
}

func TestScopesOfCancelOnDisconnect(t *testing.T) {
	type step struct{ verb, scope string }
	for _, tc := range []struct {
		name    string
		steps   []step
		another []step // on another connection, afterwards
		want    bool
	}{
		{"nothing was said", nil, nil, false},
		{"the connection", []step{{"enable", "connection"}}, nil, true},
		{"by default the connection", []step{{"enable", ""}}, nil, true},
		{"the account", []step{{"enable", "account"}}, nil, true},
		{"the account, from another connection", nil, []step{{"enable", "account"}}, true},
		{"another connection", nil, []step{{"enable", "connection"}}, false},
		{"off again", []step{{"enable", ""}, {"disable", ""}}, nil, false},
		{"the connection counts before the account", []step{{"disable", "connection"}}, []step{{"enable", "account"}}, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			x := start(t, fakeexchange.Options{})
			c, other := x.connect(), x.connect()
			for who, steps := range map[*client][]step{c: tc.steps, other: tc.another} {
				who.authenticate("alice", "")
				for _, s := range steps {
					who.call("private/"+s.verb+"_cancel_on_disconnect", params{"scope": s.scope})
				}
			}
			c.buy()
			got := string(c.call("private/get_cancel_on_disconnect", nil))
			if want := map[bool]string{true: `{"enabled":true,"scope":"connection"}`, false: `{"enabled":false,"scope":"connection"}`}[tc.want]; got != want {
				t.Errorf("%s, want %s", got, want)
			}
			c.Drop()
			x.wantEnd(1, fakeexchange.EndLost, 0)
			if orders := x.OpenOrders(1); (len(orders) == 0) != tc.want {
				t.Errorf("%d orders", len(orders))
			}
		})
	}
}

func TestHeartbeatThatIsAnsweredGoesOn(t *testing.T) {
	x := start(t, fakeexchange.Options{Second: 2 * time.Millisecond})
	c := x.connect()
	c.call("public/set_heartbeat", params{"interval": 10})
	for seen := map[string]int{}; seen[`{"type":"test_request"}`] < 3 || seen[`{"type":"heartbeat"}`] < 3; {
		n, err := c.Notification(x.ctx)
		if err != nil {
			t.Fatal(err)
		}
		seen[string(n.Params)]++
	}
	c.call("public/disable_heartbeat", nil)
	c.fails("public/set_heartbeat", params{"interval": 9}, -32602)
}

func TestCloseEndsEveryConnection(t *testing.T) {
	x := start(t, fakeexchange.Options{})
	c := x.connect()
	c.authenticate("alice", "")
	c.call("private/enable_cancel_on_disconnect", nil)
	c.buy()
	x.Close()
	x.wantEnd(1, fakeexchange.EndStopped, 0)
	if end, err := c.AwaitEnd(x.ctx); err != nil || end.Code != 1006 {
		t.Errorf("%v, %v", end, err)
	}
	if orders := x.OpenOrders(1); len(orders) != 1 {
		t.Errorf("%d orders: an exchange that stops is no lost connection", len(orders))
	}
}
