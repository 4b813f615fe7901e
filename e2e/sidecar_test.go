package e2e

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

const (
	// startTimeout bounds every wait for a process to come up, stopTimeout to end.
	startTimeout = 30 * time.Second
	stopTimeout  = 20 * time.Second

	// shownLog is how much of a process's log is printed when its test fails.
	shownLog = 16 << 10
)

// running counts the processes that were started and have not ended.
var running atomic.Int32

// sidecar is a place for one process after another: its ports, its store and its
// configuration stay the same when it is started again.
type sidecar struct {
	t     *testing.T
	api   *api
	addr  string
	admin string
	store string // directory of the store
	home  string // of the process

	global   string   // lines of the global options
	options  string   // lines of the global option token_auth
	handler  string   // lines of the directive token_auth
	site     string   // lines of the site
	logLevel string   // INFO unless set
	wrapper  []string // command that the binary and its arguments are given to

	process *process // the present one, or the last
}

// process is one run of the binary.
type process struct {
	cmd *exec.Cmd
	log logBuffer
	// ended is closed once the process is gone; err is good from then on.
	ended chan struct{}
	err   error
}

// newSidecar returns a sidecar in front of a. It is not started.
func newSidecar(t *testing.T, a *api) *sidecar {
	t.Helper()
	home := t.TempDir()
	return &sidecar{
		t: t, api: a, home: home,
		addr: freeAddr(t), admin: freeAddr(t),
		store:    filepath.Join(home, "store"),
		logLevel: "INFO",
	}
}

// freeAddr returns a local address that nobody has. The port is below those that
// the system gives to outgoing connections, which could take it between two starts.
func freeAddr(t *testing.T) string {
	t.Helper()
	for range 100 {
		addr := fmt.Sprintf("127.0.0.1:%d", 20000+rand.IntN(12000))
		if _, taken := given.LoadOrStore(addr, true); taken {
			continue
		}
		if ln, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", addr); err == nil {
			ln.Close()
			return addr
		}
	}
	t.Fatal("no free port")
	return ""
}

// given are the addresses that freeAddr has returned.
var given sync.Map

// caddyfile returns the configuration.
func (s *sidecar) caddyfile() string {
	return fmt.Sprintf(`{
	admin %s
	persist_config off
	auto_https off
	log {
		level %s
	}
	%s
	token_auth {
		store local %q
		%s
	}
}

http://:%s {
	bind 127.0.0.1
	%s
	token_auth {
		api octopus_cards
		secret {env.JWT_SECRET}
		%s
	}
	reverse_proxy %s
}
`, s.admin, s.logLevel, s.global, s.store, s.options, s.addr[strings.LastIndex(s.addr, ":")+1:],
		s.site, s.handler, s.api.addr())
}

// launch starts the process and does not wait until it is ready.
func (s *sidecar) launch() *process {
	s.t.Helper()
	config := filepath.Join(s.home, "Caddyfile")
	if err := os.WriteFile(config, []byte(s.caddyfile()), 0o600); err != nil {
		s.t.Fatal(err)
	}
	args := append(append([]string(nil), s.wrapper...), binary(s.t), "run", "--config", config)
	p := &process{ended: make(chan struct{})}
	ctx := s.t.Context()
	if deadline, ok := s.t.Deadline(); ok {
		// go test ends a test that is out of time without its cleanup: the process
		// must not outlive it, and its log is wanted then.
		var cancel context.CancelFunc
		ctx, cancel = context.WithDeadline(ctx, deadline.Add(-10*time.Second))
		s.t.Cleanup(cancel)
	}
	p.cmd = exec.CommandContext(ctx, args[0], args[1:]...)
	p.cmd.Env = []string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + s.home, "XDG_DATA_HOME=" + s.home, "XDG_CONFIG_HOME=" + s.home,
		"JWT_SECRET=" + jwtSecret,
	}
	p.cmd.Stdout, p.cmd.Stderr = &p.log, &p.log
	if err := p.cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	running.Add(1)
	go func() {
		p.err = p.cmd.Wait()
		running.Add(-1)
		close(p.ended)
	}()
	s.process = p
	s.t.Cleanup(func() {
		_ = p.cmd.Process.Kill() // an error if it has ended, which is fine
		<-p.ended
		if s.t.Failed() {
			s.t.Logf("log of process %d:\n%s", p.cmd.Process.Pid, p.log.tail(shownLog))
		}
	})
	return p
}

// start starts the process and waits until it answers.
func (s *sidecar) start() {
	s.t.Helper()
	s.launch()
	s.awaitReady()
}

// awaitReady waits until the process lets a good token through. Until the list is
// open, which may be later than the port, it answers 503.
func (s *sidecar) awaitReady() {
	s.t.Helper()
	c := s.client()
	defer c.close()
	good := mint(s.api.newClient())
	for deadline := time.Now().Add(startTimeout); ; {
		a, err := c.do(http.MethodGet, protectedPath, good.access, "")
		if err == nil && a.status == http.StatusOK {
			return
		}
		select {
		case <-s.process.ended:
			s.t.Fatalf("it ended instead of starting: %v", s.process.err)
		case <-time.After(5 * time.Millisecond):
		}
		if time.Now().After(deadline) {
			s.t.Fatalf("not ready after %s: %d, %v", startTimeout, a.status, err)
		}
	}
}

// awaitLog waits until the process has printed text.
func (s *sidecar) awaitLog(text string) {
	s.t.Helper()
	for deadline := time.Now().Add(startTimeout); !strings.Contains(s.process.log.String(), text); {
		if !s.alive() || time.Now().After(deadline) {
			s.t.Fatalf("it has not printed %q", text)
		}
		time.Sleep(time.Millisecond)
	}
}

// kill ends the process, if there is one, with SIGKILL.
func (s *sidecar) kill() {
	s.t.Helper()
	if s.process == nil {
		return
	}
	if err := s.process.cmd.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		s.t.Fatal(err)
	}
	<-s.process.ended
}

// terminate sends SIGTERM and does not wait.
func (s *sidecar) terminate() {
	s.t.Helper()
	if err := s.process.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		s.t.Fatal(err)
	}
}

// awaitEnd waits for the process to end and returns its exit code.
func (s *sidecar) awaitEnd(timeout time.Duration) int {
	s.t.Helper()
	select {
	case <-s.process.ended:
	case <-time.After(timeout):
		s.t.Fatalf("still running after %s", timeout)
	}
	return s.process.cmd.ProcessState.ExitCode()
}

// stop ends the process as a service manager does, and wants it to end well.
func (s *sidecar) stop() {
	s.t.Helper()
	s.terminate()
	if code := s.awaitEnd(stopTimeout); code != 0 {
		s.t.Fatalf("exit code %d after SIGTERM", code)
	}
}

// alive reports whether the process is still running.
func (s *sidecar) alive() bool {
	select {
	case <-s.process.ended:
		return false
	default:
		return true
	}
}

// load posts a Caddyfile to the admin API.
func (s *sidecar) load(caddyfile string) (status int, body string, err error) {
	status, body, err = s.tryLoad(caddyfile)
	if errors.Is(err, io.EOF) || errors.Is(err, syscall.ECONNRESET) {
		// The admin endpoint of a configuration that was refused had taken the connection.
		status, body, err = s.tryLoad(caddyfile)
	}
	return status, body, err
}

func (s *sidecar) tryLoad(caddyfile string) (status int, body string, err error) {
	ctx, cancel := context.WithTimeout(s.t.Context(), startTimeout)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+s.admin+"/load", strings.NewReader(caddyfile))
	if err != nil {
		return 0, "", err
	}
	r.Header.Set("Content-Type", "text/caddyfile")
	r.Close = true
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		return 0, "", err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	return resp.StatusCode, string(text), err
}

// logBuffer keeps what a process prints.
type logBuffer struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (b *logBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

func (b *logBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}

// tail returns the last bytes.
func (b *logBuffer) tail(size int) string {
	text := b.String()
	if len(text) > size {
		return "…" + text[len(text)-size:]
	}
	return text
}
