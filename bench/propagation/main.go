// Command propagation measures what a shared store costs, and what it brings:
//
//	go run ./bench/propagation
//
// It starts a redis-server, if there is one, and a NATS server with JetStream, each in a
// process of its own, and prints tables in Markdown: how long after the acknowledgement of a logout
// another replica refuses the token, between two lists in one process and between two
// sidecars over HTTP; how many logouts a second become durable, by a single caller and by
// many; what a login waits for whose tokens are recorded; what a follower's summary of the
// entries takes in memory, and what it costs to ask; how long after its start a replica is
// ready; and what is held up while expired entries are removed.
//
// Everything is on one machine, over loopback, and takes its time from the others: read the
// figures as orders of magnitude, and run it while nothing else does.
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
	caddy    string
	dir      string
	logouts  int
	duration time.Duration
	callers  int
	rate     int
	entries  int
	ready    int
	purge    int
	only     string
}

func parse(args []string) (settings, error) {
	var s settings
	flags := flag.NewFlagSet("propagation", flag.ContinueOnError)
	flags.StringVar(&s.caddy, "caddy", "", "use this `binary` and build none")
	flags.StringVar(&s.dir, "dir", "", "parent `directory` of all stores; default: the system's for temporary files")
	flags.IntVar(&s.logouts, "logouts", 200, "logouts whose way to the other replica is timed")
	flags.DurationVar(&s.duration, "duration", 3*time.Second, "length of each measurement of logouts a second")
	flags.IntVar(&s.callers, "callers", 64, "how many callers log out at a time, besides one alone")
	flags.IntVar(&s.rate, "rate", 5_000, "tokens issued a second")
	flags.IntVar(&s.entries, "entries", 10_000_000, "the largest number of entries whose summary is measured")
	flags.IntVar(&s.ready, "ready", 1_000_000, "entries in the stores whose replicas' start is timed; 10000000 takes many minutes")
	flags.IntVar(&s.purge, "purge", 1_000_000, "entries in the local store from which most are purged; 10000000 takes some minutes")
	flags.StringVar(&s.only, "only", "", "measure this alone: "+strings.Join(names(), ", "))
	if err := flags.Parse(args); err != nil {
		return s, err
	}
	switch {
	case flags.NArg() > 0:
		return s, fmt.Errorf("unexpected argument %q", flags.Arg(0))
	case s.logouts < 1 || s.callers < 1 || s.rate < 1 || s.entries < 1 || s.ready < 1 || s.purge < 10 || s.duration <= 0:
		return s, errors.New("want numbers above zero")
	}
	return s, nil
}

// measurements are what is printed, in this order.
var measurements = []struct {
	name string
	run  func(context.Context, *lab) (report.Table, error)
}{
	{"lists", measureLists},
	{"sidecars", measureSidecars},
	{"logouts", measureLogouts},
	{"issued", measureIssued},
	{"summary", measureSummary},
	{"ready", measureReady},
	{"purge", measurePurge},
}

func names() []string {
	all := make([]string, 0, len(measurements))
	for _, m := range measurements {
		all = append(all, m.name)
	}
	return all
}

func main() {
	s, err := parse(os.Args[1:])
	if errors.Is(err, flag.ErrHelp) {
		return
	}
	if err == nil {
		err = runUntilSignal(s)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "propagation:", err)
		os.Exit(1)
	}
}

func runUntilSignal(s settings) (err error) {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	dir, err := os.MkdirTemp(s.dir, "propagation-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	l := &lab{settings: s, dir: dir}
	defer l.close()
	report.DescribeMachine(os.Stdout)
	found := false
	for _, m := range measurements {
		if s.only != "" && s.only != m.name {
			continue
		}
		found = true
		say("measuring %s", m.name)
		t, err := m.run(ctx, l)
		if err != nil {
			return fmt.Errorf("%s: %w", m.name, err)
		}
		t.Print(os.Stdout)
		l.close() // what one has started does not take time from the next
	}
	if !found {
		return fmt.Errorf("unknown measurement %q: want one of %s", s.only, strings.Join(names(), ", "))
	}
	return nil
}

// say tells what is going on. The results go to standard output.
func say(format string, args ...any) { fmt.Fprintf(os.Stderr, "propagation: "+format+"\n", args...) }
