package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"testing"
	"time"

	"example.com/caddy-token-auth/internal/exchangeclient"
	"example.com/caddy-token-auth/internal/fakeexchange"
)

const (
	// floorTimeout bounds what one connection to an exchange is tested with.
	floorTimeout = 60 * time.Second

	traderID, traderSecret = "trader", "the trader's secret"
	traderAccount          = 7

	digestKey = "e2e-digest-key-0123456789abcdefghijklmnop"
)

// floor is an exchange, with replicas of the sidecar in front of it.
type floor struct {
	t        *testing.T
	ctx      context.Context
	exchange *fakeexchange.Exchange
	upstream string
	replicas []*gateway
}

// newFloor starts an exchange and so many replicas. lines are those of token_auth.
func newFloor(t *testing.T, o fakeexchange.Options, replicas int, lines string) *floor {
	t.Helper()
	return newFloorBehind(t, o, replicas, lines, "")
}

// newFloorBehind is newFloor with lines of the proxy.
func newFloorBehind(t *testing.T, o fakeexchange.Options, replicas int, lines, proxy string) *floor {
	t.Helper()
	o.Clients = map[string]fakeexchange.Client{traderID: {Secret: traderSecret, Account: traderAccount}}
	x, err := fakeexchange.New(o)
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(x)
	t.Cleanup(func() { x.Close(); server.Close() })
	ctx, cancel := context.WithTimeout(context.Background(), floorTimeout)
	t.Cleanup(cancel)
	f := &floor{t: t, ctx: ctx, exchange: x, upstream: server.Listener.Addr().String()}
	var shared string
	if replicas > 1 {
		shared = startRedis(t)
	}
	for range replicas {
		g := newGateway(t, f.upstream, "token_auth {\n\t\tready /ready\n\t\t"+lines+"\n\t}")
		g.options, g.proxy = "digest_key "+digestKey, proxy
		if shared != "" {
			g.store = "store redis redis://" + shared
		}
		g.start()
		f.replicas = append(f.replicas, g)
	}
	return f
}

// startRedis runs a Redis server that keeps nothing after its end, and returns its
// address. Without one installed the test is skipped, or fails with CI=true.
func startRedis(t *testing.T) string {
	t.Helper()
	addr := freeAddr(t)
	runProgram(t, "redis-server", nil, needProgram(t, "redis-server"), "--bind", "127.0.0.1", "--port", port(t, addr),
		"--dir", t.TempDir(), "--save", "", "--maxmemory-policy", "noeviction")
	awaitPort(t, addr)
	return addr
}

// needProgram returns where a program is. Without it the test is skipped, or fails with
// CI=true.
func needProgram(t *testing.T, name string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	switch {
	case err == nil:
	case os.Getenv("CI") == "true":
		t.Fatalf("%s is not installed", name)
	default:
		t.Skipf("%s is not installed", name)
	}
	return path
}

// url is where a replica takes WebSockets.
func (f *floor) url(replica int) string {
	return "ws://" + f.replicas[replica].addr + fakeexchange.WebSocketPath
}

// connectWith opens a connection with these header fields.
func (f *floor) connectWith(replica int, header http.Header) *trader {
	f.t.Helper()
	c, err := exchangeclient.Dial(f.ctx, f.url(replica), header)
	if err != nil {
		f.t.Fatal(err)
	}
	f.t.Cleanup(c.Drop)
	return &trader{c, f}
}

// trader is one connection of the client.
type trader struct {
	*exchangeclient.Client
	floor *floor
}

type params map[string]any

// call calls a method, which is to succeed, and returns its result.
func (c *trader) call(method string, p params) json.RawMessage {
	c.floor.t.Helper()
	result, err := c.Call(c.floor.ctx, method, p)
	if err != nil {
		c.floor.t.Fatalf("%s: %v", method, err)
	}
	return result
}

// wantEnd waits until the client's connection has ended with this close frame.
func (c *trader) wantEnd(code int, reason string) {
	c.floor.t.Helper()
	end, err := c.AwaitEnd(c.floor.ctx)
	if err != nil {
		c.floor.t.Fatal(err)
	}
	if end.Code != code || end.Reason != reason {
		c.floor.t.Errorf("the client sees %v, want %d %q", end, code, reason)
	}
}

// wantLogout waits until the client's connection has ended after its logout: with the close
// frame of the exchange, which gives no reason, or with that of the sidecar.
func (c *trader) wantLogout() {
	c.floor.t.Helper()
	end, err := c.AwaitEnd(c.floor.ctx)
	if err != nil {
		c.floor.t.Fatal(err)
	}
	if end.Code != 1000 || end.Reason != "" && end.Reason != "logout" {
		c.floor.t.Errorf("the client sees %v, want the end of a logout", end)
	}
}

// sawEnd waits until the exchange has seen the end of a connection, and returns how.
func (f *floor) sawEnd(connection int64) string {
	f.t.Helper()
	e, err := f.exchange.AwaitEnd(f.ctx, connection)
	if err != nil {
		f.t.Fatal(err)
	}
	if e.Code == 0 {
		return string(e.End)
	}
	return fmt.Sprintf("%s %d", e.End, e.Code)
}
