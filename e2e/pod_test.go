package e2e

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// pod is the sidecar of a pod as deploy/kubernetes describes it: its Caddyfile, command,
// probes, preStop hook and signal. What is different is where things are, and how long
// its end may take.
type pod struct {
	t           *testing.T
	container   container
	addr, probe string // of the site, and of what is for probes
	caddyfile   string
	places      *strings.Replacer // where what the manifests name really is
	dir         string
	process     *process // the present one, or the last
}

// How long the end of a pod takes in these tests: shutdown_delay and grace_period.
const (
	podDelay = 5 * time.Second
	podGrace = 4 * time.Second
)

// newPod returns a pod of an overlay in front of an API. Further substitutions are made in its
// Caddyfile. It is not started.
func newPod(t *testing.T, overlay, upstream string, substitutions map[string]string) *pod {
	t.Helper()
	// Not t.TempDir, whose path is too long for a socket.
	dir, err := os.MkdirTemp("", "pod-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	p := &pod{t: t, container: sidecarManifest(t), addr: freeAddr(t), probe: freeAddr(t), dir: dir}
	p.places = strings.NewReplacer(
		"/run/caddy/", dir+"/run/", "/etc/caddy/", dir+"/", "/etc/token-auth/", dir+"/secrets/", "/data", dir+"/data",
	)
	p.caddyfile = substitute(t, overlayCaddyfile(t, overlay), map[string]string{
		fmt.Sprintf(":%d {\n", sitePort):  ":" + port(t, p.addr) + " {\n\tbind 127.0.0.1\n",
		fmt.Sprintf(":%d {\n", probePort): ":" + port(t, p.probe) + " {\n\tbind 127.0.0.1\n",
		"reverse_proxy 127.0.0.1:9000":    "reverse_proxy " + upstream,
		"shutdown_delay 10s":              "shutdown_delay " + podDelay.String(),
		"grace_period 30s":                "grace_period " + podGrace.String(),
	})
	p.caddyfile = p.places.Replace(substitute(t, p.caddyfile, substitutions))
	for _, name := range []string{"run", "data", "secrets/keys", "secrets/store"} {
		if err := os.MkdirAll(filepath.Join(dir, name), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	p.write("Caddyfile", p.caddyfile)
	p.write("secrets/keys/jwt_secret", jwtSecret+"\n")
	return p
}

func (p *pod) write(name, text string) {
	p.t.Helper()
	if err := os.WriteFile(filepath.Join(p.dir, name), []byte(text), 0o600); err != nil {
		p.t.Fatal(err)
	}
}

// command is one of the manifest's, to be run here.
func (p *pod) command(of []string) []string {
	args := []string{binary(p.t)}
	if of[0] != "caddy" {
		p.t.Fatalf("%q does not run caddy", of)
	}
	for _, arg := range of[1:] {
		args = append(args, p.places.Replace(arg))
	}
	return args
}

// launch starts the container and does not wait for it.
func (p *pod) launch() {
	p.t.Helper()
	args := p.command(p.container.Command)
	env := []string{"HOME=" + p.dir}
	for _, variable := range p.container.Env {
		env = append(env, variable.Name+"="+p.places.Replace(variable.Value))
	}
	p.process = runProgram(p.t, "the pod at "+p.addr, env, args[0], args[1:]...)
}

// start starts the container and waits until its startup and readiness probes succeed.
func (p *pod) start() {
	p.t.Helper()
	p.launch()
	p.await("started", p.container.StartupProbe, true)
	p.await("ready", p.container.ReadinessProbe, true)
}

// asks makes a probe as the kubelet does, and reports whether it succeeds.
func (p *pod) asks(of probe) bool {
	ctx, cancel := context.WithTimeout(context.Background(), time.Duration(of.TimeoutSeconds)*time.Second)
	defer cancel()
	addr, ok := map[int]string{sitePort: p.addr, probePort: p.probe}[of.HTTPGet.Port]
	if !ok {
		p.t.Errorf("a probe asks port %d", of.HTTPGet.Port)
		return false
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+addr+of.HTTPGet.Path, http.NoBody)
	if err != nil {
		p.t.Error(err)
		return false
	}
	r.Close = true
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		return false
	}
	defer response.Body.Close()
	_, err = io.Copy(io.Discard, response.Body)
	return err == nil && response.StatusCode >= 200 && response.StatusCode < 400
}

func (p *pod) ready() bool { return p.asks(p.container.ReadinessProbe) }
func (p *pod) live() bool  { return p.asks(p.container.LivenessProbe) }

// await waits until a probe succeeds, or fails.
func (p *pod) await(what string, of probe, want bool) {
	p.t.Helper()
	for deadline := time.Now().Add(startTimeout); p.asks(of) != want; time.Sleep(20 * time.Millisecond) {
		select {
		case <-p.process.ended:
			p.t.Fatalf("it has ended, %s is not %t: %v", what, want, p.process.err)
		default:
		}
		if time.Now().After(deadline) {
			p.t.Fatalf("%s is not %t after %s", what, want, startTimeout)
		}
	}
}

// ending is the end of a pod, under way.
type ending struct {
	p     *pod
	begun time.Time
	hook  chan error
}

// delete begins the end of the pod: Kubernetes runs its preStop hook first.
func (p *pod) delete() *ending {
	p.t.Helper()
	args := p.command(p.container.Lifecycle.PreStop.Exec.Command)
	e := &ending{p: p, begun: time.Now(), hook: make(chan error, 1)}
	cmd := exec.CommandContext(p.t.Context(), args[0], args[1:]...)
	cmd.Env = []string{"HOME=" + p.dir}
	if err := cmd.Start(); err != nil {
		p.t.Fatal(err)
	}
	running.Add(1)
	go func() {
		err := cmd.Wait()
		running.Add(-1)
		e.hook <- err
	}()
	return e
}

// wait waits for the hook, sends SIGTERM, as Kubernetes does once the API has ended, and
// returns how long the end took. The process must end well.
func (e *ending) wait() time.Duration {
	e.p.t.Helper()
	const slack = 5 * time.Second
	select {
	case err := <-e.hook:
		if err != nil {
			e.p.t.Errorf("the preStop hook: %v", err)
		}
	case <-time.After(podDelay + podGrace + slack):
		e.p.t.Error("the preStop hook does not return")
	}
	if err := e.p.process.cmd.Process.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
		e.p.t.Error(err)
	}
	select {
	case <-e.p.process.ended:
	case <-time.After(slack):
		e.p.t.Fatal("it does not end")
	}
	took := time.Since(e.begun)
	if code := e.p.process.cmd.ProcessState.ExitCode(); code != 0 {
		e.p.t.Errorf("exit code %d", code)
	}
	if took > podDelay+podGrace+slack {
		e.p.t.Errorf("its end took %s", took)
	}
	return took
}

func (p *pod) client() *client { return &client{addr: p.addr} }

// sidecar is the pod as other tests see it, for their checks.
func (p *pod) sidecar() *sidecar { return &sidecar{t: p.t, addr: p.addr, process: p.process} }
