// Command websockets measures what following WebSocket connections costs, and how fast a
// logout reaches those that are open: memory for each of many connections, the time
// until the last connection of a client that has logged out is closed, and the
// throughput of an echo, each beside plain Caddy.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"example.com/caddy-token-auth/bench/internal/report"
)

// settings are the command line.
type settings struct {
	caddy       string
	dir         string
	connections int
	perClient   int
	messages    int
	size        int
	duration    time.Duration
	rounds      int
	only        string
}

func parse(args []string) (settings, error) {
	var s settings
	flags := flag.NewFlagSet("websockets", flag.ContinueOnError)
	flags.StringVar(&s.caddy, "caddy", "", "use this `binary` and build none")
	flags.StringVar(&s.dir, "dir", "", "parent `directory` of what is written; default: the system's for temporary files")
	flags.IntVar(&s.connections, "connections", 10_000, "connections that are open at a time")
	flags.IntVar(&s.perClient, "per-client", 100, "connections of each client")
	flags.IntVar(&s.messages, "window", 16, "messages of an echo that are under way on each of its connections")
	flags.IntVar(&s.size, "size", 1024, "bytes of each message of an echo")
	flags.DurationVar(&s.duration, "duration", time.Second, "length of each round of an echo")
	flags.IntVar(&s.rounds, "rounds", 9, "rounds of an echo")
	flags.StringVar(&s.only, "only", "", "measure this alone: "+strings.Join(names(), ", "))
	if err := flags.Parse(args); err != nil {
		return s, err
	}
	switch {
	case flags.NArg() > 0:
		return s, fmt.Errorf("unexpected argument %q", flags.Arg(0))
	case s.perClient < 1 || s.connections < s.perClient || s.messages < 1 || s.rounds < 1 || s.duration <= 0:
		return s, errors.New("want numbers above zero, and at least as many connections as a client has")
	case s.size < minMessage || s.size > maxMessage:
		return s, fmt.Errorf("size: want %d to %d bytes", minMessage, maxMessage)
	}
	return s, nil
}

// measurements are what is printed, in this order.
var measurements = []struct {
	name string
	run  func(context.Context, *lab) (report.Table, error)
}{
	{"memory", measureMemory},
	{"cuts", measureCuts},
	{"echo", measureEcho},
}

func names() []string {
	all := make([]string, 0, len(measurements))
	for _, m := range measurements {
		all = append(all, m.name)
	}
	return all
}

func main() {
	var err error
	if len(os.Args) == 2 && os.Args[1] == upstreamCommand {
		err = serveUpstream()
	} else {
		var s settings
		if s, err = parse(os.Args[1:]); err == nil {
			err = runUntilSignal(s)
		}
	}
	if err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "websockets:", err)
		os.Exit(1)
	}
}

func runUntilSignal(s settings) (err error) {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := allowFiles(s.connections); err != nil {
		return err
	}
	dir, err := os.MkdirTemp(s.dir, "websockets-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	report.DescribeMachine(os.Stdout)
	found := false
	for _, m := range measurements {
		if s.only != "" && s.only != m.name {
			continue
		}
		found = true
		say("measuring %s", m.name)
		t, err := measure(ctx, s, dir, m.run)
		if err != nil {
			return fmt.Errorf("%s: %w", m.name, err)
		}
		t.Print(os.Stdout)
	}
	if !found {
		return fmt.Errorf("unknown measurement %q: want one of %s", s.only, strings.Join(names(), ", "))
	}
	return nil
}

// measure runs one measurement and ends what it has started.
func measure(ctx context.Context, s settings, dir string, run func(context.Context, *lab) (report.Table, error)) (report.Table, error) {
	l := &lab{settings: s, dir: dir}
	defer l.close()
	if err := l.start(ctx); err != nil {
		return report.Table{}, err
	}
	return run(ctx, l)
}

// allowFiles raises the limit of open files for this process and those that it starts: a
// proxy has two for each connection.
func allowFiles(connections int) error {
	want := uint64(2*connections + 100)
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return err
	}
	limit.Cur, limit.Max = max(limit.Cur, want), max(limit.Max, want)
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return fmt.Errorf("allow %d open files, or measure with fewer -connections: %w", want, err)
	}
	return nil
}

// say tells what is going on. The results go to standard output.
func say(format string, args ...any) { fmt.Fprintf(os.Stderr, "websockets: "+format+"\n", args...) }
