package fakeexchange_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"example.com/caddy-token-auth/internal/fakeexchange"
)

func TestGrantsHandOutTokensThatWork(t *testing.T) {
	x := start(t, fakeexchange.Options{})
	c := x.connect()
	c.fails("private/get_open_orders", nil, 13009)
	first := c.authenticate("alice", "session:desk")
	if first.SID != "desk" || !strings.Contains(first.Scope, "session:desk") || strings.Count(first.Access, ".") != 2 {
		t.Errorf("scope %q, session %q", first.Scope, first.SID)
	}
	now := time.Now().UnixMilli()
	for name, g := range map[string]tokens{
		"client_credentials": first,
		"refresh_token":      c.granted("public/auth", params{"grant_type": "refresh_token", "refresh_token": first.Refresh}),
		"fork_token":         c.granted("public/fork_token", params{"refresh_token": first.Refresh, "session_name": "other"}),
		"exchange_token":     c.granted("public/exchange_token", params{"refresh_token": first.Refresh, "subject_id": 11}),
		"client_signature": c.granted("public/auth", params{
			"grant_type": "client_signature", "client_id": "alice", "timestamp": now, "nonce": "n", "data": "d",
			"signature": sign("alice's secret", strconv.FormatInt(now, 10)+"\nn\nd"),
		}),
	} {
		fresh := x.connect()
		if _, err := fresh.Call(x.ctx, "private/get_open_orders", params{"access_token": g.Access}); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		fresh.fails("private/get_open_orders", params{"access_token": g.Refresh}, 13009)
	}
	for _, p := range []params{
		{"grant_type": "client_credentials", "client_id": "alice", "client_secret": "bob's secret"},
		{"grant_type": "client_signature", "client_id": "alice", "timestamp": now, "nonce": "n", "data": "", "signature": sign("x", "x")},
		{"grant_type": "client_signature", "client_id": "alice", "timestamp": 1, "nonce": "n", "signature": sign("alice's secret", "1\nn\n")},
		{"grant_type": "refresh_token", "refresh_token": first.Access},
	} {
		c.fails("public/auth", p, 13004)
	}
	c.fails("public/auth", params{"grant_type": "password"}, -32602)
	c.fails("public/exchange_token", params{"refresh_token": first.Refresh, "subject_id": 2}, -32602)
}

func sign(secret, text string) string {
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write([]byte(text))
	return hex.EncodeToString(mac.Sum(nil))
}

func TestLogoutEndsTheTokensOfTheSession(t *testing.T) {
	for _, invalidate := range []bool{true, false} {
		x := start(t, fakeexchange.Options{})
		c, other := x.connect(), x.connect()
		desk := c.authenticate("alice", "session:desk")
		own := c.authenticate("alice", "")
		elsewhere := other.authenticate("alice", "session:elsewhere")
		if err := c.Send("private/logout", params{"access_token": desk.Access, "invalidate_token": invalidate}); err != nil {
			t.Fatal(err)
		}
		if end, err := c.AwaitEnd(x.ctx); err != nil || end.Code != 1000 {
			t.Errorf("%v, %v", end, err)
		}
		for _, token := range []string{desk.Access, own.Access} {
			if p := (params{"access_token": token}); invalidate {
				other.fails("private/get_open_orders", p, 13009)
			} else {
				other.call("private/get_open_orders", p)
			}
		}
		other.call("private/get_open_orders", params{"access_token": elsewhere.Access})
	}
	without := start(t, fakeexchange.Options{NoLogout: true}).connect()
	without.authenticate("alice", "")
	without.fails("private/logout", nil, -32601)
}

func TestTokensOfAConnectionEndWithIt(t *testing.T) {
	x := start(t, fakeexchange.Options{})
	c, other := x.connect(), x.connect()
	own, named := c.authenticate("alice", "connection"), c.authenticate("alice", "session:desk")
	other.call("private/get_open_orders", params{"access_token": own.Access})
	_ = c.Close(x.ctx, 1000)
	x.wantEnd(1, fakeexchange.EndClose, 1000)
	other.fails("private/get_open_orders", params{"access_token": own.Access}, 13009)
	other.call("private/get_open_orders", params{"access_token": named.Access})
}

func TestTokensExpire(t *testing.T) {
	var ahead atomic.Int64
	x := start(t, fakeexchange.Options{TokenLifetime: time.Minute, Now: func() time.Time {
		return time.Unix(1_700_000_000, 0).Add(time.Duration(ahead.Load()))
	}})
	c := x.connect()
	c.authenticate("alice", "")
	c.buy()
	ahead.Store(int64(time.Minute))
	c.fails("private/get_open_orders", nil, 13009)
}

func TestCallsOverHTTP(t *testing.T) {
	x := start(t, fakeexchange.Options{})
	token := x.connect().authenticate("alice", "session:desk").Access
	now := strconv.FormatInt(time.Now().UnixMilli(), 10)
	const order = "/api/v2/private/buy?amount=10&instrument_name=BTC-PERPETUAL&price=100.5"
	signed := "deri-hmac-sha256 id=bob,ts=" + now + ",nonce=n,sig=" + sign("bob's secret", now+"\nn\nGET\n"+order+"\n\n")
	for _, tc := range []struct {
		method, path, authorization, body string
		status                            int
		want                              string
	}{
		{"GET", "/api/v2/public/test", "", "", 200, `"result":{`},
		{"GET", order, "Bearer " + token, "", 200, `"order_state":"open"`},
		{"GET", order, signed, "", 200, `"order_state":"open"`},
		{"GET", order + "0", signed, "", 400, `"code":13009`},
		{"GET", order, "", "", 400, `"code":13009`},
		{"GET", order, "Bearer x", "", 400, `"code":13009`},
		{"POST", "/api/v2", "Bearer " + token, `{"id":7,"method":"private/get_open_orders"}`, 200, `"id":7,`},
		{"POST", "/api/v2/private/get_open_orders", "Bearer " + token, `{`, 400, `"code":-32700`},
		{"GET", "/api/v2/private/logout", "Bearer " + token, "", 400, `"code":10030,"message":"must_be_websocket_request"`},
		{"GET", "/api/v2/private/nothing", "Bearer " + token, "", 400, `"code":-32601`},
		{"GET", "/api/v20", "", "", 404, ""},
	} {
		r, err := http.NewRequestWithContext(x.ctx, tc.method, x.server.URL+tc.path, strings.NewReader(tc.body))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Authorization", tc.authorization)
		resp, err := x.server.Client().Do(r)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		if err != nil || resp.StatusCode != tc.status || !strings.Contains(string(body), tc.want) {
			t.Errorf("%s %s: %d %s, %v", tc.method, tc.path, resp.StatusCode, body, err)
		}
	}
	if a, b := x.OpenOrders(1), x.OpenOrders(2); len(a) != 1 || len(b) != 1 || a[0].Price != 100.5 {
		t.Errorf("orders %v and %v", a, b)
	}
}

func TestSubscribersAreTold(t *testing.T) {
	x := start(t, fakeexchange.Options{})
	alice, bob := x.connect(), x.connect()
	alice.authenticate("alice", "")
	bob.authenticate("bob", "")
	if got := string(bob.call("public/subscribe", params{"channels": []string{"ticker.BTC-PERPETUAL.raw", "user.orders.any.any.raw"}})); got != `["ticker.BTC-PERPETUAL.raw"]` {
		t.Errorf("public/subscribe: %s", got)
	}
	for _, c := range []*client{alice, bob} {
		c.call("private/subscribe", params{"channels": []string{"user.orders.any.any.raw"}})
	}
	alice.buy()
	alice.call("private/cancel_all", nil)
	for _, state := range []string{"open", "cancelled"} {
		if n, err := alice.Notification(x.ctx); err != nil || n.Method != "subscription" || !strings.Contains(string(n.Params), `"order_state":"`+state+`"`) {
			t.Errorf("%s, %v", n.Params, err)
		}
	}
	if n := x.Publish("ticker.BTC-PERPETUAL.raw", 1); n != 1 {
		t.Errorf("%d subscribers", n)
	}
	// The first that bob gets: nothing of alice's orders.
	if n, err := bob.Notification(x.ctx); err != nil || string(n.Params) != `{"channel":"ticker.BTC-PERPETUAL.raw","data":1}` {
		t.Errorf("%s, %v", n.Params, err)
	}
}

func TestOptionsThatMakeNoSense(t *testing.T) {
	client := map[string]fakeexchange.Client{"a": {Secret: "s", Account: 1}}
	for _, o := range []fakeexchange.Options{
		{},
		{Clients: map[string]fakeexchange.Client{"a": {Account: 1}}},
		{Clients: map[string]fakeexchange.Client{"a": {Secret: "s"}}},
		{Clients: client, TokenLifetime: time.Millisecond},
		{Clients: client, Second: -1},
		{Clients: map[string]fakeexchange.Client{"a": {Secret: "s", Account: 1}, "b": {Secret: "s", Account: 1}}},
	} {
		if _, err := fakeexchange.New(o); err == nil {
			t.Errorf("%+v", o)
		}
	}
}
