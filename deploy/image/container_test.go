package image

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"
)

const (
	// startTimeout bounds the wait for a container to answer, commandTimeout that for
	// one command of the engine.
	startTimeout   = 30 * time.Second
	commandTimeout = 60 * time.Second
)

// engine is podman, with the runtime of which its Debian package also works where
// cgroups are set up in the old way. PODMAN names another command.
func engine() []string {
	return strings.Fields(cmp.Or(os.Getenv("PODMAN"), "podman --runtime runc --cgroup-manager cgroupfs"))
}

// podman runs the engine and returns what it prints.
func podman(ctx context.Context, args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, commandTimeout)
	defer cancel()
	command := append(engine(), args...)
	var stdout, stderr bytes.Buffer
	cmd := exec.CommandContext(ctx, command[0], command[1:]...)
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		return stdout.String(), fmt.Errorf("%s: %w\n%s", strings.Join(command, " "), err, &stderr)
	}
	return strings.TrimSpace(stdout.String()), nil
}

func mustPodman(t *testing.T, args ...string) string {
	t.Helper()
	out, err := podman(t.Context(), args...)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// imageName is the image under test. Without one, the test is skipped.
func imageName(t *testing.T) string {
	t.Helper()
	name := os.Getenv("IMAGE")
	if name == "" {
		t.Skip("IMAGE names no image: make image-test")
	}
	return name
}

// place is where one container after another runs: its volume and its ports stay.
type place struct {
	t           *testing.T
	image       string
	volume      string
	addr, admin string
	environment []string
	container   string // the present one, or ""
}

// newPlace returns one with a new volume, in front of the API at upstream.
func newPlace(t *testing.T, upstream string) *place {
	t.Helper()
	p := &place{t: t, image: imageName(t), addr: freeAddr(t), admin: freeAddr(t)}
	p.environment = []string{
		"JWT_SECRET=" + jwtSecret, "UPSTREAM=" + upstream,
		"SITE_ADDRESS=http://" + p.addr, "CADDY_ADMIN=" + p.admin,
	}
	p.volume = mustPodman(t, "volume", "create")
	t.Cleanup(func() {
		p.clean("volume", "rm", p.volume)
	})
	t.Cleanup(func() {
		if t.Failed() && p.container != "" {
			t.Logf("log:\n%s", p.log())
		}
		p.remove()
	})
	return p
}

// clean runs the engine when the test's context has ended.
func (p *place) clean(args ...string) {
	if _, err := podman(context.WithoutCancel(p.t.Context()), args...); err != nil {
		p.t.Error(err)
	}
}

// create starts a container and does not wait until it answers.
func (p *place) create() {
	p.t.Helper()
	args := []string{
		"run", "--detach", "--read-only", "--read-only-tmpfs=false", "--cap-drop", "all",
		"--security-opt", "no-new-privileges", "--network", "host", "--volume", p.volume + ":/data",
		// Not more than an engine without rights of its own may grant.
		"--ulimit", "nofile=4096:4096", "--ulimit", "nproc=4096:4096",
	}
	for _, variable := range p.environment {
		args = append(args, "--env", variable)
	}
	p.container = mustPodman(p.t, append(args, p.image)...)
}

// start starts a container and waits until its health check passes.
func (p *place) start() {
	p.t.Helper()
	p.create()
	for deadline := time.Now().Add(startTimeout); ; {
		_, err := podman(p.t.Context(), "healthcheck", "run", p.container)
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			p.t.Fatalf("not healthy after %s: %v", startTimeout, err)
		}
		time.Sleep(100 * time.Millisecond)
	}
}

// exec runs a command in the container, as its user.
func (p *place) exec(args ...string) (string, error) {
	return podman(p.t.Context(), append([]string{"exec", p.container}, args...)...)
}

// log returns what the container has printed.
func (p *place) log() string {
	command := append(engine(), "logs", p.container)
	out, err := exec.CommandContext(context.WithoutCancel(p.t.Context()), command[0], command[1:]...).CombinedOutput()
	if err != nil {
		p.t.Error(err)
	}
	return string(out)
}

// exitCode waits for the container's end.
func (p *place) exitCode() string {
	p.t.Helper()
	return mustPodman(p.t, "wait", p.container)
}

// remove takes the container away, killing it if it runs. The volume stays.
func (p *place) remove() {
	if p.container == "" {
		return
	}
	p.clean("rm", "--force", "--time", "0", p.container)
	p.container = ""
}

// freeAddr returns a local address that nobody has, below the ports that the system
// gives to outgoing connections.
func freeAddr(t *testing.T) string {
	t.Helper()
	for range 100 {
		addr := fmt.Sprintf("127.0.0.1:%d", 20000+rand.IntN(12000))
		if ln, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", addr); err == nil {
			ln.Close()
			return addr
		}
	}
	t.Fatal("no free port")
	return ""
}

// url is one of the site.
func (p *place) url(path string) string { return "http://" + p.addr + path }

// status makes a request with a token and returns the status of the answer.
func (p *place) status(method, path, token string) int {
	p.t.Helper()
	r, err := http.NewRequestWithContext(p.t.Context(), method, p.url(path), http.NoBody)
	if err != nil {
		p.t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+token)
	r.Close = true
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		p.t.Fatal(err)
	}
	resp.Body.Close()
	return resp.StatusCode
}
