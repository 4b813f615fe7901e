package e2e

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// nginx is an nginx, and the sidecar that it asks, in front of an API: by the recipe, with
// the addresses of one test.
type nginx struct {
	t         *testing.T
	binary    string
	addr      string
	home      string
	api       *recordingAPI
	caddyfile string
	sidecar   *process
}

// elsewhere is a client that may call from other addresses only.
const elsewhere = maxClients

// newNginx returns an nginx that is not started.
func newNginx(t *testing.T) *nginx {
	t.Helper()
	n := &nginx{t: t, binary: nginxBinary(t), addr: freeAddr(t), home: t.TempDir(), api: newRecordingAPI(t)}
	sidecar, verdict := freeAddr(t), freeAddr(t)
	n.caddyfile = substitute(t, recipe(t, "nginx", "caddyfile"), map[string]string{
		"http://:8080":       "http://:" + port(t, sidecar),
		"http://:8081":       "http://:" + port(t, verdict),
		"127.0.0.1:9000":     n.api.addr(),
		"\tforward_identity": fmt.Sprintf("\tallow_ips %d 203.0.113.0/24\n\tforward_identity", elsewhere),
		// Nothing of the example, but a place of its own.
		"\tservers {\n": fmt.Sprintf("\tadmin off\n\tpersist_config off\n\ttoken_auth {\n\t\tstore local %q\n\t}\n\tservers {\n",
			filepath.Join(n.home, "store")),
	})
	n.write("recipe.conf", substitute(t, recipe(t, "nginx", "nginx"), map[string]string{
		"listen 80;":     "listen " + n.addr + ";",
		"127.0.0.1:8080": sidecar,
		"127.0.0.1:8081": verdict,
		"127.0.0.1:9000": n.api.addr(),
	}))
	// One process, which needs no user of its own and leaves no other behind.
	n.write("nginx.conf", `daemon off;
master_process off;
pid nginx.pid;
error_log stderr;
events {}
http {
	access_log off;
	client_body_temp_path body;
	proxy_temp_path proxy;
	fastcgi_temp_path fastcgi;
	uwsgi_temp_path uwsgi;
	scgi_temp_path scgi;
	include recipe.conf;
}
`)
	return n
}

// nginxBinary returns the path of nginx. Without one the test is skipped, or fails with
// CI=true.
func nginxBinary(t *testing.T) string {
	t.Helper()
	for _, name := range []string{"nginx", "/usr/sbin/nginx"} {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	const missing = "nginx is not installed: the recipe for it is not tested"
	if os.Getenv("CI") == "true" {
		t.Fatal(missing)
	}
	t.Skip(missing)
	return ""
}

// start starts both and waits until they answer.
func (n *nginx) start() {
	n.t.Helper()
	n.startSidecar()
	runProgram(n.t, "nginx", nil, n.binary, "-p", n.home, "-c", filepath.Join(n.home, "nginx.conf"))
	n.awaitStatus(http.StatusUnauthorized, "")
}

func (n *nginx) startSidecar() {
	n.t.Helper()
	n.write("Caddyfile", n.caddyfile)
	env := []string{"HOME=" + n.home, "XDG_DATA_HOME=" + n.home, "XDG_CONFIG_HOME=" + n.home, "JWT_SECRET=" + jwtSecret}
	n.sidecar = runProgram(n.t, "the sidecar", env, binary(n.t), "run", "--config", filepath.Join(n.home, "Caddyfile"))
}

// killSidecar ends the sidecar with SIGKILL.
func (n *nginx) killSidecar() {
	n.t.Helper()
	if err := n.sidecar.cmd.Process.Kill(); err != nil {
		n.t.Fatal(err)
	}
	<-n.sidecar.ended
}

// awaitStatus waits until a request with these header fields is answered so.
func (n *nginx) awaitStatus(status int, header string) {
	n.t.Helper()
	c := n.client()
	defer c.close()
	for deadline := time.Now().Add(startTimeout); ; time.Sleep(5 * time.Millisecond) {
		a, err := c.exchange(http.MethodGet, protectedPath, header, "")
		if err == nil && a.status == status {
			return
		}
		if time.Now().After(deadline) {
			n.t.Fatalf("no %d after %s: %s, %v", status, startTimeout, a, err)
		}
	}
}

func (n *nginx) client() *client { return &client{addr: n.addr} }

func (n *nginx) write(name, text string) {
	n.t.Helper()
	if err := os.WriteFile(filepath.Join(n.home, name), []byte(text), 0o600); err != nil {
		n.t.Fatal(err)
	}
}

// runProgram starts a program, which ends with the test at the latest.
func runProgram(t *testing.T, what string, env []string, path string, args ...string) *process {
	t.Helper()
	ctx := t.Context()
	if deadline, ok := t.Deadline(); ok {
		// go test ends a test that is out of time without its cleanup.
		var cancel context.CancelFunc
		ctx, cancel = context.WithDeadline(ctx, deadline.Add(-10*time.Second))
		t.Cleanup(cancel)
	}
	p := &process{cmd: exec.CommandContext(ctx, path, args...), ended: make(chan struct{})}
	p.cmd.Env = append(env, "PATH="+os.Getenv("PATH"))
	p.cmd.Stdout, p.cmd.Stderr = &p.log, &p.log
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	running.Add(1)
	go func() {
		p.err = p.cmd.Wait()
		running.Add(-1)
		close(p.ended)
	}()
	t.Cleanup(func() {
		_ = p.cmd.Process.Kill() // an error if it has ended, which is fine
		<-p.ended
		if t.Failed() {
			t.Logf("log of %s:\n%s", what, p.log.tail(shownLog))
		}
	})
	return p
}

// recordingAPI is the example API. It remembers what it was asked last.
type recordingAPI struct {
	api
	served atomic.Int64
	last   atomic.Pointer[http.Header]
}

func newRecordingAPI(t *testing.T) *recordingAPI {
	t.Helper()
	handler, err := apiHandler()
	if err != nil {
		t.Fatal(err)
	}
	a := new(recordingAPI)
	a.server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		header := r.Header.Clone()
		a.last.Store(&header)
		a.served.Add(1)
		handler.ServeHTTP(w, r)
	}))
	t.Cleanup(a.server.Close)
	return a
}

// recipe returns the first block in this language under a heading of docs/recipes.md.
func recipe(t *testing.T, heading, language string) string {
	t.Helper()
	doc, err := os.ReadFile("../docs/recipes.md")
	if err != nil {
		t.Fatal(err)
	}
	_, section, found := strings.Cut(string(doc), "\n### "+heading+"\n")
	section, _, _ = strings.Cut(section, "\n### ")
	_, block, opened := strings.Cut(section, "\n```"+language+"\n")
	block, _, closed := strings.Cut(block, "\n```\n")
	if !found || !opened || !closed {
		t.Fatalf("docs/recipes.md has no block of %s under %q", language, heading)
	}
	return block + "\n"
}

// substitute replaces example values. One that is not there any more is an error.
func substitute(t *testing.T, text string, values map[string]string) string {
	t.Helper()
	pairs := make([]string, 0, 2*len(values))
	for example, value := range values {
		if !strings.Contains(text, example) {
			t.Fatalf("there is no %q any more in:\n%s", example, text)
		}
		pairs = append(pairs, example, value)
	}
	return strings.NewReplacer(pairs...).Replace(text)
}

func port(t *testing.T, addr string) string {
	t.Helper()
	_, port, err := net.SplitHostPort(addr)
	if err != nil {
		t.Fatal(err)
	}
	return port
}
