package e2e

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"example.com/caddy-token-auth/internal/fakeexchange"
)

// installClients installs the programs in clients, with the packages that they need.
var installClients = sync.OnceValues(func() (dir string, err error) {
	dir = filepath.Join(scratch, "clients")
	if err := os.CopyFS(dir, os.DirFS("clients")); err != nil {
		return "", err
	}
	cmd := exec.Command("npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--prefix", dir)
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("npm ci: %w\n%s", err, out)
	}
	return dir, nil
})

// program is a client that runs in a process of its own and prints JSON documents.
type program struct {
	t     *testing.T
	input io.Writer
	lines *bufio.Scanner
}

// startClient starts one of the programs in clients. Without Node.js, or where its packages
// cannot be had, the test is skipped, or fails with CI=true.
func startClient(t *testing.T, name string, env ...string) *program {
	t.Helper()
	node := needProgram(t, "node")
	needProgram(t, "npm")
	dir, err := installClients()
	switch {
	case err == nil:
	case os.Getenv("CI") == "true":
		t.Fatal(err)
	default:
		t.Skip(err)
	}
	r, w := io.Pipe()
	p := &process{cmd: exec.CommandContext(t.Context(), node, filepath.Join(dir, name)), ended: make(chan struct{})}
	p.cmd.Env = append(env, "PATH="+os.Getenv("PATH"), "CLIENT_ID="+traderID, "CLIENT_SECRET="+traderSecret)
	p.cmd.Stdout, p.cmd.Stderr = w, &p.log
	input, err := p.cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	running.Add(1)
	go func() {
		p.err = p.cmd.Wait()
		_ = w.Close() // never fails; the reader gets an EOF
		running.Add(-1)
		close(p.ended)
	}()
	t.Cleanup(func() {
		_ = r.Close() // never fails; what is still printed is lost
		_ = p.cmd.Process.Kill()
		<-p.ended
		if t.Failed() {
			t.Logf("errors of %s:\n%s", name, p.log.tail(shownLog))
		}
	})
	return &program{t, input, bufio.NewScanner(r)}
}

// next reads the next document.
func (p *program) next(to any) {
	p.t.Helper()
	if !p.lines.Scan() {
		p.t.Fatal("it ended too early")
	}
	if err := json.Unmarshal(p.lines.Bytes(), to); err != nil {
		p.t.Fatalf("%s: %v", p.lines.Text(), err)
	}
}

// greeting is what ws.mjs prints once it has made its call, closing what it prints at the
// end.
type (
	greeting struct {
		Token   string
		Account int
	}
	closing struct {
		Code   int
		Reason string
	}
)

// greeted reads the first document of ws.mjs.
func greeted(p *program) greeting {
	p.t.Helper()
	var g greeting
	if p.next(&g); g.Account != traderAccount || g.Token == "" {
		p.t.Fatalf("account %d, a token of %d bytes", g.Account, len(g.Token))
	}
	return g
}

func (p *program) wantClosing(code int, reason string) {
	p.t.Helper()
	var c closing
	p.next(&c)
	if (c != closing{code, reason}) {
		p.t.Errorf("closed with %d %q, want %d %q", c.Code, c.Reason, code, reason)
	}
}

// TestNodeClient connects with the npm package ws.
func TestNodeClient(t *testing.T) {
	f := newFloor(t, fakeexchange.Options{}, 1, "api deribit")
	url := func(addr string) string { return "EXCHANGE_URL=ws://" + addr + fakeexchange.WebSocketPath }
	through := f.replicas[0].addr
	p := startClient(t, "ws.mjs", url(f.upstream), "LOGOUT=1")
	greeted(p)
	p.wantClosing(1000, "") // what the exchange does, without the sidecar

	p = startClient(t, "ws.mjs", url(through), "LOGOUT=1")
	g := greeted(p)
	p.wantClosing(1000, "")
	f.connect(0).refused("private/get_account_summary", params{"access_token": g.Token})

	p = startClient(t, "ws.mjs", url(through))
	g = greeted(p)
	other := f.connect(0)
	if err := other.Send("private/logout", params{"access_token": g.Token}); err != nil {
		t.Fatal(err)
	}
	other.wantEnd(1000, "")
	p.wantClosing(4001, "revoked")
}

// TestCCXT trades with the npm package ccxt, pointed at the sidecar, over HTTP, where it
// signs each request, and on a WebSocket.
func TestCCXT(t *testing.T) {
	f := newFloor(t, fakeexchange.Options{}, 1, "api deribit")
	p := startClient(t, "ccxt.mjs", "EXCHANGE_HOST="+f.replicas[0].addr)
	first := f.trade(p, 1)
	other := f.connect(0)
	if err := other.Send("private/logout", params{"access_token": first}); err != nil {
		t.Fatal(err)
	}
	other.wantEnd(1000, "")
	var end struct{ Error, Message string }
	if p.next(&end); end.Error != "NetworkError" || !strings.HasSuffix(end.Message, "closing code 4001") {
		t.Errorf("%s: %s", end.Error, end.Message)
	}
	f.connect(0).refused("private/get_open_orders", params{"access_token": first})
	if second := f.trade(p, 2); second == first {
		t.Error("the same token after the logout")
	}
}

// trade follows one round of ccxt.mjs, the n-th. It returns the token of the WebSocket.
func (f *floor) trade(p *program, n int) string {
	f.t.Helper()
	var authenticated struct{ Token string }
	p.next(&authenticated)
	subscribed := 0
	if _, err := f.exchange.Await(f.ctx, func(e fakeexchange.Event) bool {
		if e.Method == "private/subscribe" && e.Error == 0 {
			subscribed++
		}
		return subscribed == n
	}); err != nil {
		f.t.Fatal(err)
	}
	if _, err := io.WriteString(p.input, "go on\n"); err != nil {
		f.t.Fatal(err)
	}
	var orders struct {
		Told string
		Open int
	}
	if p.next(&orders); orders.Told != "open" || orders.Open != n {
		f.t.Errorf("told of an order that is %q, %d are open, want %d", orders.Told, orders.Open, n)
	}
	return authenticated.Token
}
