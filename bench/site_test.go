package bench

import (
	"context"
	"encoding/json"
	"maps"
	"net/http"
	"net/http/httptest"
	"testing"
	"unsafe"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	_ "github.com/caddyserver/caddy/v2/modules/standard"

	"example.com/caddy-token-auth/bench/internal/workload"
	"example.com/caddy-token-auth/caddymodule"
)

// site is a provisioned handler, as Caddy has it in a running server, without the server.
type site struct {
	handler caddyhttp.MiddlewareHandler
	server  *caddyhttp.Server
}

// newSite provisions a handler that takes the tokens of signer, with n revocations.
func newSite(tb testing.TB, n int, signer *workload.Signer, alg string, more map[string]any) *site {
	tb.Helper()
	key, err := signer.VerificationKey()
	if err != nil {
		tb.Fatal(err)
	}
	config := map[string]any{"handler": "token_auth", "api": "octopus_cards"}
	if alg == "HS256" {
		config["secrets"] = []string{key}
	} else {
		config["public_keys"] = []string{key}
	}
	maps.Copy(config, more)
	ctx, err := caddy.ProvisionContext(&caddy.Config{
		AppsRaw: caddy.ModuleMap{
			"token_auth": raw(tb, map[string]any{"store": map[string]any{"module": "local", "dir": filled(tb, n)}}),
			"http": raw(tb, map[string]any{"servers": map[string]any{"bench": map[string]any{
				"listen": []string{"127.0.0.1:0"}, // never opened: the app is not started
				"routes": []any{map[string]any{"handle": []any{config}}},
			}}}),
		},
		Logging: &caddy.Logging{Logs: map[string]*caddy.CustomLog{
			"default": {BaseLog: caddy.BaseLog{Level: "ERROR"}},
		}},
	})
	if err != nil {
		tb.Fatal(err)
	}
	app := module[*caddymodule.App](tb, ctx, "token_auth")
	tb.Cleanup(func() {
		if err := app.Cleanup(); err != nil {
			tb.Error(err)
		}
	})
	if err := app.Start(); err != nil {
		tb.Fatal(err)
	}
	server := module[*caddyhttp.App](tb, ctx, "http").Servers["bench"]
	return &site{handler: server.Routes[0].Handlers[0], server: server}
}

// module returns an app of the configuration.
func module[T any](tb testing.TB, ctx caddy.Context, name string) T {
	tb.Helper()
	app, err := ctx.App(name)
	if err != nil {
		tb.Fatal(err)
	}
	return app.(T)
}

func raw(tb testing.TB, config any) json.RawMessage {
	tb.Helper()
	text, err := json.Marshal(config)
	if err != nil {
		tb.Fatal(err)
	}
	return text
}

// client sends one request after the other through a handler. Each looks to the
// handler as it would in a server, and what makes it so allocates nothing. Not safe
// for concurrent use.
type client struct {
	w       http.ResponseWriter
	request *http.Request
	// authorization is the one value of the request's Authorization field. Its bytes
	// are in text, and overwritten for each request: a server, too, has just written
	// them, and never to where a cache has its copy.
	authorization []string
	text          []byte
	// repl is the request's replacer, and prepared its state before the handler,
	// which adds to it.
	repl     *caddy.Replacer
	prepared caddy.Replacer
}

func (s *site) newClient() *client {
	c := &client{w: httptest.NewRecorder(), authorization: []string{""}, repl: caddy.NewReplacer()}
	request := httptest.NewRequestWithContext(context.Background(), http.MethodGet, "http://api.example.com/v1/cards?limit=20", http.NoBody)
	request.Header = http.Header{
		"Accept":        {"application/json"},
		"Authorization": c.authorization,
		"User-Agent":    {"bench/1.0"},
	}
	c.request = caddyhttp.PrepareRequest(request, c.repl, c.w, s.server)
	c.prepared = *c.repl
	return c
}

const scheme = "Bearer "

// send runs a request with the given token through handler, and then next.
func (c *client) send(handler caddyhttp.MiddlewareHandler, token string, next caddyhttp.Handler) error {
	c.text = append(append(c.text[:0], scheme...), token...)
	c.authorization[0] = unsafe.String(unsafe.SliceData(c.text), len(c.text))
	*c.repl = c.prepared
	return handler.ServeHTTP(c.w, c.request, next)
}

// counter is a next handler that does nothing, and a middleware that does nothing
// but call it: what is left of a benchmark without the plugin.
type counter struct{ calls int }

func (c *counter) ServeHTTP(http.ResponseWriter, *http.Request) error {
	c.calls++
	return nil
}

type nothing struct{}

func (nothing) ServeHTTP(w http.ResponseWriter, r *http.Request, next caddyhttp.Handler) error {
	return next.ServeHTTP(w, r)
}
