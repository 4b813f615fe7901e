package history

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"sync"
	"testing"
	"time"
)

const (
	// startTimeout bounds every wait for a process to answer.
	startTimeout = 30 * time.Second
	// shownLog is how much of a process's log is printed when its test fails.
	shownLog = 8 << 10
)

// process is a place for one process after another, with the same command line.
type process struct {
	t    *testing.T
	name string
	args []string
	env  []string
	// ready says whether it answers.
	ready func() bool
	log   logBuffer

	cmd   *exec.Cmd
	stdin io.Closer
	ended chan struct{}
}

// start starts the process and does not wait until it is ready.
func (p *process) start() error {
	ctx := context.Background()
	if deadline, ok := p.t.Deadline(); ok {
		// go test ends a test that is out of time without its cleanup.
		var cancel context.CancelFunc
		ctx, cancel = context.WithDeadline(ctx, deadline.Add(-5*time.Second))
		p.t.Cleanup(cancel)
	}
	p.cmd = exec.CommandContext(ctx, p.args[0], p.args[1:]...)
	p.cmd.Env = p.env
	p.cmd.Stdout, p.cmd.Stderr = &p.log, &p.log
	var err error
	if p.stdin, err = p.cmd.StdinPipe(); err != nil {
		return err
	}
	p.cmd.SysProcAttr = endWithUs()
	started := make(chan error)
	starts() <- func() { started <- p.cmd.Start() }
	if err := <-started; err != nil {
		return fmt.Errorf("start %s: %w", p.name, err)
	}
	p.ended = make(chan struct{})
	go func(cmd *exec.Cmd, ended chan struct{}) {
		_ = cmd.Wait() // it was killed, or its log says why
		close(ended)
	}(p.cmd, p.ended)
	return nil
}

// starts begins processes by a thread that never ends: what endWithUs says is about the
// thread that has started a process.
var starts = sync.OnceValue(func() chan<- func() {
	jobs := make(chan func())
	go func() {
		runtime.LockOSThread()
		for job := range jobs {
			job()
		}
	}()
	return jobs
})

// launch starts the process for the first time and ends it with the test.
func (p *process) launch() {
	p.t.Helper()
	if err := p.start(); err != nil {
		p.t.Fatal(err)
	}
	p.t.Cleanup(func() {
		p.kill()
		if p.t.Failed() {
			p.t.Logf("log of %s:\n%s", p.name, p.log.tail())
		}
	})
}

// kill ends the process with SIGKILL, if it runs.
func (p *process) kill() {
	_ = p.cmd.Process.Kill() // an error if it has ended, which is fine
	<-p.ended
	p.stdin.Close()
}

// awaitReady waits until the process answers.
func (p *process) awaitReady() error {
	for deadline := time.Now().Add(startTimeout); !p.ready(); time.Sleep(20 * time.Millisecond) {
		select {
		case <-p.ended:
			return fmt.Errorf("%s has ended", p.name)
		default:
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("%s is not ready after %s", p.name, startTimeout)
		}
	}
	return nil
}

// listens reports whether somebody accepts connections and, if prompt is not empty, begins
// with that.
func listens(addr, prompt string) bool {
	conn, err := (&net.Dialer{Timeout: time.Second}).DialContext(context.Background(), "tcp", addr)
	if err != nil {
		return false
	}
	defer conn.Close()
	begin := make([]byte, len(prompt))
	if conn.SetReadDeadline(time.Now().Add(time.Second)) != nil {
		return false
	}
	_, err = io.ReadFull(conn, begin)
	return err == nil && string(begin) == prompt
}

// freeAddr returns a local address that nobody has. The port is below those that the
// system gives to outgoing connections, which could take it between two starts.
func freeAddr(t *testing.T) string {
	t.Helper()
	for range 100 {
		addr := fmt.Sprintf("127.0.0.1:%d", 10000+rand.IntN(10000))
		if _, taken := given.LoadOrStore(addr, true); taken {
			continue
		}
		if l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", addr); err == nil {
			l.Close()
			return addr
		}
	}
	t.Fatal("no free port")
	return ""
}

// given are the addresses that freeAddr has returned.
var given sync.Map

// buildBinary builds Caddy with the plugin, without the race detector.
var buildBinary = sync.OnceValues(func() (string, error) {
	path := filepath.Join(scratch, "caddy")
	out, err := exec.CommandContext(context.Background(), "go", "build", "-buildvcs=false", "-o", path, "../../cmd/caddy").CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("go build: %w\n%s", err, out)
	}
	return path, nil
})

// scratch is a directory for what all tests of a run share.
var scratch string

func TestMain(m *testing.M) {
	if text := os.Getenv(natsVariable); text != "" {
		serveNATS(text)
		return
	}
	os.Exit(run(m))
}

func run(m *testing.M) int {
	var err error
	if scratch, err = os.MkdirTemp("", "caddy-token-auth-history-"); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(scratch)
	return m.Run()
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

// tail returns the end.
func (b *logBuffer) tail() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	text := b.text.String()
	if len(text) > shownLog {
		return "…" + text[len(text)-shownLog:]
	}
	return text
}
