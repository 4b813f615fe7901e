package process

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"
)

// Pinned returns the command line for running a program on the given cores: through
// taskset, which replaces itself with the program. Without taskset, or with no cores
// given, it runs on any.
func Pinned(cores string, command ...string) []string {
	taskset, err := exec.LookPath("taskset")
	if err != nil || cores == "" {
		return command
	}
	return append([]string{taskset, "-c", cores}, command...)
}

// Process is a program that was started here and is ended here.
type Process struct {
	Name string
	cmd  *exec.Cmd
	log  string // the file that has its standard error
	done chan struct{}
	err  error // how it ended; read after done is closed
}

// Start runs a program in the background. setUp may change the command before.
func Start(ctx context.Context, dir, name string, command []string, setUp func(*exec.Cmd)) (*Process, error) {
	p := &Process{Name: name, log: filepath.Join(dir, name+".log"), done: make(chan struct{})}
	log, err := os.Create(p.log)
	if err != nil {
		return nil, err
	}
	defer log.Close() // the process has its own
	// Not CommandContext: Stop ends the process, and gives it time to do so.
	p.cmd = exec.Command(command[0], command[1:]...) //nolint:noctx // our own programs, ended by Stop
	p.cmd.Stderr = log
	if setUp != nil {
		setUp(p.cmd)
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if err := p.cmd.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	go func() {
		p.err = p.cmd.Wait()
		close(p.done)
	}()
	return p, nil
}

// PID is the program's own: taskset does not stay.
func (p *Process) PID() int { return p.cmd.Process.Pid }

// Stop ends the process and waits for it.
func (p *Process) Stop() {
	const patience = 20 * time.Second
	_ = p.cmd.Process.Signal(syscall.SIGTERM) // fails if it has ended already
	select {
	case <-p.done:
	case <-time.After(patience):
		_ = p.cmd.Process.Kill()
		<-p.done
	}
}

// WaitFor waits until the server answers a request with this token, and with something
// else than 503: the sidecar may listen before it has loaded its list.
func (p *Process) WaitFor(ctx context.Context, url, token string) error {
	const patience = 2 * time.Minute
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for {
		got, err := Status(ctx, http.MethodGet, url, token)
		if err == nil && got != http.StatusServiceUnavailable {
			return nil
		}
		select {
		case <-p.done:
			return fmt.Errorf("%s ended: %w\n%s", p.Name, errors.Join(p.err, err), p.Log())
		case <-ctx.Done():
			return fmt.Errorf("%s does not answer: %w\n%s", p.Name, errors.Join(ctx.Err(), err), p.Log())
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// Log returns the end of what the process has written to its standard error.
func (p *Process) Log() string {
	text, err := os.ReadFile(p.log)
	if err != nil {
		return err.Error()
	}
	const most = 2000
	if len(text) > most {
		text = text[len(text)-most:]
	}
	return string(text)
}
