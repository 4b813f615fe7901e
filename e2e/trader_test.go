package e2e

import (
	"encoding/json"
	"errors"

	"example.com/caddy-token-auth/internal/exchangeclient"
)

// connect opens a connection through a replica.
func (f *floor) connect(replica int) *trader {
	f.t.Helper()
	return f.connectWith(replica, nil)
}

// connectAfterReload is connect where there may have been a reload: a new connection that
// the kernel had given to the old listener is closed. See client.repeat.
func (f *floor) connectAfterReload() *trader {
	f.t.Helper()
	if c, err := exchangeclient.Dial(f.ctx, f.url(0), nil); err == nil {
		f.t.Cleanup(c.Drop)
		return &trader{c, f}
	}
	return f.connect(0)
}

// refused calls a method, whose answer is to be that the credential is not good.
func (c *trader) refused(method string, p params) {
	c.floor.t.Helper()
	result, err := c.Call(c.floor.ctx, method, p)
	failure, ok := errors.AsType[*exchangeclient.Error](err)
	if !ok || failure.Code != 13009 || failure.Message != "unauthorized" || string(failure.Data) != `{"reason":"invalid_token"}` {
		c.floor.t.Errorf("%s: %s, %v", method, result, err)
	}
}

// granted are tokens.
type granted struct {
	Access  string `json:"access_token"`
	Refresh string `json:"refresh_token"`
}

// authenticate logs in. scope names the session.
func (c *trader) authenticate(scope string) granted {
	c.floor.t.Helper()
	return c.granted("public/auth", params{
		"grant_type": "client_credentials", "client_id": traderID, "client_secret": traderSecret, "scope": scope,
	})
}

// granted calls a method that hands out tokens.
func (c *trader) granted(method string, p params) granted {
	c.floor.t.Helper()
	var g granted
	if err := json.Unmarshal(c.call(method, p), &g); err != nil || g.Access == "" {
		c.floor.t.Fatalf("%s: %v", method, err)
	}
	return g
}

// trade gives an order.
func (c *trader) trade() {
	c.floor.t.Helper()
	c.call("private/buy", params{"instrument_name": "BTC-PERPETUAL", "amount": 10, "price": 100})
}

// calls returns how often the exchange was asked for a method, whatever it has answered.
func (f *floor) calls(method string) int {
	n := 0
	for _, e := range f.exchange.Events() {
		if e.Method == method {
			n++
		}
	}
	return n
}
