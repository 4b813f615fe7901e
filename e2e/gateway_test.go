package e2e

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// gateway is a sidecar whose site a test writes by itself. It has to have ready /ready.
type gateway struct {
	t     *testing.T
	addr  string
	admin string
	home  string
	// store is the line of the global option token_auth that names the store, and options
	// are its other lines.
	store, options string
	site           string // lines of the site, but for the proxy
	upstream       string
	proxy          string // lines of the proxy

	process *process
}

// newGateway returns a sidecar in front of an upstream. It is not started.
func newGateway(t *testing.T, upstream, site string) *gateway {
	t.Helper()
	home := t.TempDir()
	return &gateway{
		t: t, addr: freeAddr(t), admin: freeAddr(t), home: home,
		store: fmt.Sprintf("store local %q", filepath.Join(home, "store")), site: site, upstream: upstream,
	}
}

func (g *gateway) caddyfile() string {
	return fmt.Sprintf(`{
	admin %s
	persist_config off
	auto_https off
	token_auth {
		%s
		%s
	}
}

http://:%s {
	bind 127.0.0.1
	%s
	reverse_proxy %s {
		%s
	}
}
`, g.admin, g.store, g.options, port(g.t, g.addr), g.site, g.upstream, g.proxy)
}

// start starts the process and waits until it is ready.
func (g *gateway) start() {
	g.t.Helper()
	config := filepath.Join(g.home, "Caddyfile")
	if err := os.WriteFile(config, []byte(g.caddyfile()), 0o600); err != nil {
		g.t.Fatal(err)
	}
	env := []string{"HOME=" + g.home, "XDG_DATA_HOME=" + g.home, "XDG_CONFIG_HOME=" + g.home, "JWT_SECRET=" + jwtSecret}
	g.process = runProgram(g.t, "the sidecar", env, binary(g.t), "run", "--config", config)
	for deadline := time.Now().Add(startTimeout); ; time.Sleep(5 * time.Millisecond) {
		status, _, err := g.request(http.MethodGet, "http://"+g.addr+"/ready", "", "")
		if err == nil && status == http.StatusOK {
			return
		}
		select {
		case <-g.process.ended:
			g.t.Fatalf("it ended instead of starting: %v", g.process.err)
		default:
		}
		if time.Now().After(deadline) {
			g.t.Fatalf("not ready after %s: %d, %v", startTimeout, status, err)
		}
	}
}

// reload loads the configuration again; something in it has to have changed.
func (g *gateway) reload() {
	g.t.Helper()
	status, body, err := g.request(http.MethodPost, "http://"+g.admin+"/load", "text/caddyfile", g.caddyfile())
	if err != nil || status != http.StatusOK {
		g.t.Fatalf("reload: %d %s, %v", status, body, err)
	}
}

// request sends one request on a connection of its own.
func (g *gateway) request(method, url, contentType, body string) (status int, text string, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), exchangeTimeout)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, method, url, strings.NewReader(body))
	if err != nil {
		return 0, "", err
	}
	r.Close = true
	if contentType != "" {
		r.Header.Set("Content-Type", contentType)
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		return 0, "", err
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	return resp.StatusCode, string(answer), err
}
