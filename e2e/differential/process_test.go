package differential

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"runtime"
	"sync"
	"testing"
	"time"
)

const (
	// startTimeout bounds every wait for a process to answer.
	startTimeout = 60 * time.Second
	// shownLog is how much of a process's log is printed when its test fails.
	shownLog = 4 << 10
)

// process is an upstream, or the sidecar.
type process struct {
	name  string
	cmd   *exec.Cmd
	log   logBuffer
	ended chan struct{}
}

// launch starts a process and ends it with the test.
func launch(t *testing.T, name, dir string, env []string, args ...string) (*process, error) {
	t.Helper()
	p := &process{name: name, ended: make(chan struct{})}
	ctx := context.Background()
	if deadline, ok := t.Deadline(); ok {
		// go test ends a test that is out of time without its cleanup.
		var cancel context.CancelFunc
		ctx, cancel = context.WithDeadline(ctx, deadline.Add(-5*time.Second))
		t.Cleanup(cancel)
	}
	p.cmd = exec.CommandContext(ctx, args[0], args[1:]...)
	p.cmd.Dir = dir
	p.cmd.Env = append(env, "PATH="+os.Getenv("PATH"), "PYTHONDONTWRITEBYTECODE=1")
	p.cmd.Stdout, p.cmd.Stderr = &p.log, &p.log
	p.cmd.SysProcAttr = endWithUs()
	started := make(chan error)
	starts() <- func() { started <- p.cmd.Start() }
	if err := <-started; err != nil {
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	go func() {
		_ = p.cmd.Wait() // it was killed, or its log says why
		close(p.ended)
	}()
	t.Cleanup(func() {
		_ = p.cmd.Process.Kill() // an error if it has ended, which is fine
		<-p.ended
		if t.Failed() {
			t.Logf("log of %s:\n%s", name, p.log.tail())
		}
	})
	return p, nil
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

// awaitReady waits until the process is.
func (p *process) awaitReady(ready func() bool) error {
	for deadline := time.Now().Add(startTimeout); !ready(); time.Sleep(20 * time.Millisecond) {
		select {
		case <-p.ended:
			return fmt.Errorf("%s has ended: %s", p.name, p.log.tail())
		default:
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("%s is not ready after %s", p.name, startTimeout)
		}
	}
	return nil
}

// listens reports whether somebody accepts connections.
func listens(addr string) bool {
	conn, err := (&net.Dialer{Timeout: time.Second}).DialContext(context.Background(), "tcp", addr)
	if err == nil {
		conn.Close()
	}
	return err == nil
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

// logBuffer keeps the end of what a process prints.
type logBuffer struct {
	mu   sync.Mutex
	text bytes.Buffer
}

var _ io.Writer = (*logBuffer)(nil)

func (b *logBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.text.Len() > 16*shownLog {
		b.text.Next(b.text.Len() - shownLog)
	}
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
