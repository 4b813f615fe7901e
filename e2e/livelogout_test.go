package e2e

import (
	"context"
	"io"
	"net/http"
	"testing"

	"example.com/caddy-token-auth/internal/fakeexchange"
)

// TestLogoutEndsWhatTheSessionHasOpen logs a session out of which several connections
// know, beside others of the same client.
func TestLogoutEndsWhatTheSessionHasOpen(t *testing.T) {
	for _, replicas := range []int{1, 2} {
		f := newFloor(t, fakeexchange.Options{}, replicas, "api deribit")
		last := replicas - 1
		desk, same, foreign, nobody := f.connect(0), f.connect(last), f.connect(last), f.connect(last)
		g := desk.authenticate("session:desk")
		same.call("private/get_open_orders", params{"access_token": g.Access})
		other := foreign.authenticate("session:other")
		nobody.call("public/test", nil)
		f.wantOverHTTP(last, g.Access, http.StatusOK)

		if err := desk.Send("private/logout", nil); err != nil {
			t.Fatal(err)
		}
		desk.wantEnd(1000, "")
		same.wantEnd(4001, "revoked")
		for _, c := range []*trader{foreign, nobody} {
			c.call("public/test", nil)
			c.refused("private/get_open_orders", params{"access_token": g.Access})
		}
		foreign.call("private/get_open_orders", nil)
		nobody.refused("private/get_open_orders", nil)
		f.wantOverHTTP(last, g.Access, http.StatusBadRequest)
		f.wantOverHTTP(last, other.Access, http.StatusOK)
		for _, c := range []*trader{f.connect(0), f.connect(last)} {
			if _, err := c.Call(f.ctx, "public/auth", params{"grant_type": "refresh_token", "refresh_token": g.Refresh}); err == nil {
				t.Error("the refresh token still works")
			}
		}
		if again := f.connect(0).authenticate("session:desk"); again.Access == g.Access {
			t.Error("the same token again")
		}
	}
}

// wantOverHTTP makes a private call over HTTP.
func (f *floor) wantOverHTTP(replica int, token string, status int) {
	f.t.Helper()
	ctx, cancel := context.WithTimeout(f.ctx, exchangeTimeout)
	defer cancel()
	url := "http://" + f.replicas[replica].addr + fakeexchange.HTTPPath + "/private/get_account_summary?currency=BTC"
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
	if err != nil {
		f.t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+token)
	r.Close = true
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		f.t.Fatal(err)
	}
	defer resp.Body.Close()
	if body, err := io.ReadAll(resp.Body); err != nil || resp.StatusCode != status {
		f.t.Errorf("over HTTP: %d %s, %v; want %d", resp.StatusCode, body, err, status)
	}
}

// TestTokensOfASessionEndWithIt logs out a connection that has got tokens in each way.
func TestTokensOfASessionEndWithIt(t *testing.T) {
	f := newFloor(t, fakeexchange.Options{}, 1, "api deribit")
	c, other := f.connect(0), f.connect(0)
	first := c.authenticate("session:desk")
	second := c.granted("public/auth", params{"grant_type": "refresh_token", "refresh_token": first.Refresh})
	forked := c.granted("public/fork_token", params{"refresh_token": first.Refresh, "session_name": "forked"})
	exchanged := c.granted("public/exchange_token", params{"refresh_token": first.Refresh, "subject_id": traderAccount})
	all := []granted{first, second, forked, exchanged}
	for _, g := range all {
		if _, err := other.Call(f.ctx, "private/get_open_orders", params{"access_token": g.Access}); err != nil {
			t.Fatalf("before the logout: %v", err)
		}
	}
	if err := c.Send("private/logout", params{"access_token": second.Access}); err != nil {
		t.Fatal(err)
	}
	c.wantEnd(1000, "")
	other.wantEnd(4001, "revoked")
	again := f.connect(0)
	for _, g := range all {
		again.refused("private/get_open_orders", params{"access_token": g.Access})
	}
}

// TestLogoutIsForwarded stands in front of the documented exchange, for which nothing but a
// logout is graceful.
func TestLogoutIsForwarded(t *testing.T) {
	f := newFloor(t, fakeexchange.Options{}, 1, "api deribit")
	c := f.connect(0)
	g := c.authenticate("session:desk")
	c.call("private/enable_cancel_on_disconnect", nil)
	c.trade()
	if err := c.Send("private/logout", nil); err != nil {
		t.Fatal(err)
	}
	c.wantEnd(1000, "")
	if seen := f.sawEnd(1); seen != string(fakeexchange.EndLogout) || len(f.exchange.OpenOrders(traderAccount)) != 1 {
		t.Errorf("the exchange sees %q, %d orders are left", seen, len(f.exchange.OpenOrders(traderAccount)))
	}
	f.connect(0).refused("private/get_open_orders", params{"access_token": g.Access})
}
