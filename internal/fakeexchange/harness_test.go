package fakeexchange_test

import (
	"context"
	"encoding/json"
	"errors"
	"net/http/httptest"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"

	"example.com/caddy-token-auth/internal/exchangeclient"
	"example.com/caddy-token-auth/internal/fakeexchange"
)

func TestMain(m *testing.M) {
	before := runtime.NumGoroutine()
	code := m.Run()
	for deadline := time.Now().Add(5 * time.Second); code == 0 && runtime.NumGoroutine() > before; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			_, _ = os.Stderr.WriteString("goroutines are left\n")
			code = 1
		}
	}
	os.Exit(code)
}

// exchange is a running exchange with two clients.
type exchange struct {
	t      *testing.T
	ctx    context.Context
	server *httptest.Server
	*fakeexchange.Exchange
}

// start starts an exchange that lives for the test.
func start(t *testing.T, o fakeexchange.Options) *exchange {
	t.Helper()
	o.Clients = map[string]fakeexchange.Client{
		"alice": {Secret: "alice's secret", Account: 1, Subaccounts: []int64{11}},
		"bob":   {Secret: "bob's secret", Account: 2},
	}
	x, err := fakeexchange.New(o)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	server := httptest.NewServer(x)
	t.Cleanup(func() { x.Close(); server.Close(); cancel() })
	return &exchange{t, ctx, server, x}
}

// client is a connection to it.
type client struct {
	*exchange
	*exchangeclient.Client
}

func (x *exchange) connect() *client {
	x.t.Helper()
	c, err := exchangeclient.Dial(x.ctx, "ws"+strings.TrimPrefix(x.server.URL, "http")+fakeexchange.WebSocketPath, nil)
	if err != nil {
		x.t.Fatal(err)
	}
	x.t.Cleanup(c.Drop)
	return &client{x, c}
}

type params map[string]any

// call calls a method, which is to succeed, and returns its result.
func (c *client) call(method string, p params) json.RawMessage {
	c.t.Helper()
	result, err := c.Call(c.ctx, method, p)
	if err != nil {
		c.t.Fatalf("%s: %v", method, err)
	}
	return result
}

// fails calls a method, whose answer is to be this error.
func (c *client) fails(method string, p params, code int) {
	c.t.Helper()
	result, err := c.Call(c.ctx, method, p)
	if failure, ok := errors.AsType[*exchangeclient.Error](err); !ok || failure.Code != code {
		c.t.Errorf("%s: %s, %v, want %d", method, result, err, code)
	}
}

type tokens struct {
	Access  string `json:"access_token"`
	Refresh string `json:"refresh_token"`
	Scope   string `json:"scope"`
	SID     string `json:"sid"`
}

// authenticate returns tokens of a client.
func (c *client) authenticate(name, scope string) tokens {
	c.t.Helper()
	return c.granted("public/auth", params{
		"grant_type": "client_credentials", "client_id": name, "client_secret": name + "'s secret", "scope": scope,
	})
}

func (c *client) granted(method string, p params) tokens {
	c.t.Helper()
	var g tokens
	if err := json.Unmarshal(c.call(method, p), &g); err != nil {
		c.t.Fatal(err)
	}
	return g
}

func (c *client) buy() {
	c.t.Helper()
	c.call("private/buy", params{"instrument_name": "BTC-PERPETUAL", "amount": 10, "price": 100})
}

// wantEnd waits until the exchange has seen a connection end in this way.
func (x *exchange) wantEnd(connection int64, end fakeexchange.End, code int) {
	x.t.Helper()
	if e, err := x.AwaitEnd(x.ctx, connection); err != nil || e.End != end || e.Code != code {
		x.t.Errorf("connection %d: %q %d, %v; want %q %d", connection, e.End, e.Code, err, end, code)
	}
}
