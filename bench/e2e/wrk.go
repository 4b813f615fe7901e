package main

import (
	"bytes"
	"context"
	_ "embed"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"example.com/caddy-token-auth/bench/internal/process"
)

//go:embed requests.lua
var script []byte

// wrk runs the load generator wrk.
type wrk struct {
	program string
	script  string
	cores   string
}

func newWrk(dir, cores string) (*wrk, error) {
	program, err := exec.LookPath("wrk")
	if err != nil {
		return nil, errors.New("wrk is not installed: apt-get install wrk, or https://github.com/wg/wrk")
	}
	w := &wrk{program: program, script: filepath.Join(dir, "requests.lua"), cores: cores}
	return w, os.WriteFile(w.script, script, 0o600)
}

// load says what wrk is to send.
type load struct {
	url         string
	method      string
	tokens      string // the file that has them, one in each line
	once        bool   // each token once, and then end
	connections int
	duration    time.Duration
}

// outcome is what wrk has counted.
type outcome struct {
	requests int           // answers received
	passed   int           // those with status 200, where each token is sent once
	duration time.Duration // of the whole run
	p50, p99 time.Duration // latency
	failed   int           // connections and requests without an answer
	refused  int           // answers with a status above 399
	cpu      time.Duration // used by wrk itself
}

// perSecond is the rate of n.
func (o outcome) perSecond(n int) float64 { return float64(n) / o.duration.Seconds() }

func (w *wrk) run(ctx context.Context, l load) (outcome, error) {
	// wrk wants whole seconds.
	seconds := strconv.Itoa(int(max(l.duration, time.Second).Round(time.Second) / time.Second))
	command := process.Pinned(w.cores, w.program,
		"--threads", "1", "--connections", strconv.Itoa(l.connections), "--duration", seconds+"s",
		"--timeout", "10s", "--script", w.script, l.url, "--", l.tokens, l.method)
	if l.once {
		command = append(command, "once")
	}
	cmd := exec.CommandContext(ctx, command[0], command[1:]...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return outcome{}, fmt.Errorf("wrk: %w\n%s%s", err, out, &stderr)
	}
	o, err := parseOutcome(string(out))
	o.cpu = cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()
	switch {
	case err != nil:
		return outcome{}, fmt.Errorf("%w\n%s%s", err, out, &stderr)
	case o.failed > 0:
		return outcome{}, fmt.Errorf("%d requests to %s got no answer", o.failed, l.url)
	case o.refused > 0 && !l.once:
		return outcome{}, fmt.Errorf("%d of %d requests to %s were refused", o.refused, o.requests, l.url)
	}
	return o, nil
}

// parseOutcome reads the line that the script writes at the end.
func parseOutcome(out string) (outcome, error) {
	var o outcome
	_, line, found := strings.Cut("\n"+out, "\nresult ")
	if !found {
		return o, errors.New("wrk printed no result")
	}
	line, _, _ = strings.Cut(line, "\n")
	var duration, p50, p99 int64
	_, err := fmt.Sscanf(line, "requests=%d passed=%d duration=%d p50=%d p99=%d failed=%d refused=%d",
		&o.requests, &o.passed, &duration, &p50, &p99, &o.failed, &o.refused)
	switch {
	case err != nil:
		return outcome{}, fmt.Errorf("result of wrk %q: %w", line, err)
	case duration <= 0 || o.requests <= 0:
		return outcome{}, fmt.Errorf("result of wrk %q: nothing was answered", line)
	}
	o.duration = time.Duration(duration) * time.Microsecond
	o.p50, o.p99 = time.Duration(p50)*time.Microsecond, time.Duration(p99)*time.Microsecond
	return o, nil
}
