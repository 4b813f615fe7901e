// Command e2e compares the sidecar with plain Caddy over the network:
//
//	go run ./bench/e2e
//
// It builds Caddy with the plugin once and starts three servers from it in front of
// one small upstream: plain is a reverse_proxy and nothing else; twin is the same
// again, and shows how far apart two equal servers come out; sidecar has token_auth
// before its reverse_proxy, with a public key and an embedded store full of
// revocations. wrk sends the same requests, with the same bearer tokens, to one
// server after the other and again in the opposite order. The servers have a core of
// their own; wrk and the upstream have another.
//
// It prints requests per second and the CPU time that the kernel accounts to the
// server, and both as ratios to plain within one repetition. Then it logs clients out
// as fast as the sidecar makes it durable.
//
// It runs on Linux, and needs Go and wrk. It ends what it has started, and nothing
// else.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"runtime"
	"syscall"
	"time"
)

// settings are the command line.
type settings struct {
	caddy       string
	dir         string
	revocations int
	tokens      int
	connections int
	repetitions int
	maxOther    float64
	duration    time.Duration
	warmup      time.Duration
	logout      time.Duration
	profile     string
	options     string
	gomaxprocs  int
	serverCores string
	loadCores   string
}

func parse(args []string) (settings, error) {
	var s settings
	serverCores, loadCores := cores(runtime.NumCPU())
	flags := flag.NewFlagSet("e2e", flag.ContinueOnError)
	flags.StringVar(&s.caddy, "caddy", "", "use this `binary` and build none")
	flags.StringVar(&s.dir, "dir", "", "parent `directory` of the store and all else that is written; default: the system's for temporary files")
	flags.IntVar(&s.revocations, "revocations", 1_000_000, "live revocations in the sidecar's list")
	flags.IntVar(&s.tokens, "tokens", 10_000, "distinct RS256 tokens that take turns")
	flags.IntVar(&s.connections, "connections", 64, "keep-alive connections")
	flags.IntVar(&s.repetitions, "reps", 31, "repetitions for each server: many short ones even out a machine whose speed changes")
	flags.Float64Var(&s.maxOther, "max-other", 0.15, "repeat a round in which other programs used more than this `share` of one core")
	flags.DurationVar(&s.duration, "duration", time.Second, "length of a repetition, in whole seconds")
	flags.DurationVar(&s.warmup, "warmup", 3*time.Second, "load on each server before the first repetition")
	flags.DurationVar(&s.logout, "logout", 3*time.Second, "length of a measurement of logouts; 0 for none")
	flags.StringVar(&s.profile, "profile", "", "write CPU profiles of plain and sidecar under load into this `directory`")
	flags.StringVar(&s.options, "options", "", "more `lines` for the sidecar's token_auth, such as 'forward_identity X-Client-ID sub'")
	flags.IntVar(&s.gomaxprocs, "gomaxprocs", 0, "GOMAXPROCS of the servers; 0 leaves it to Go, which counts their cores")
	flags.StringVar(&s.serverCores, "server-cores", serverCores, "`cores` of the servers, as taskset takes them; empty for any")
	flags.StringVar(&s.loadCores, "load-cores", loadCores, "`cores` of wrk and the upstream")
	if err := flags.Parse(args); err != nil {
		return s, err
	}
	switch {
	case flags.NArg() > 0:
		return s, fmt.Errorf("unexpected argument %q", flags.Arg(0))
	case s.tokens < 1 || s.connections < 1 || s.repetitions < 1 || s.revocations < 0:
		return s, errors.New("-tokens, -connections and -reps must be positive, and -revocations not negative")
	case s.duration < time.Second:
		return s, errors.New("-duration must be at least 1s")
	}
	return s, nil
}

// cores divides n cores: the first for the servers, the others for the load.
func cores(n int) (server, load string) {
	switch {
	case n < 2:
		return "", ""
	case n == 2:
		return "0", "1"
	default:
		return "0", fmt.Sprintf("1-%d", n-1)
	}
}

func main() {
	if len(os.Args) == 2 && os.Args[1] == upstreamCommand {
		if err := serveUpstream(); err != nil {
			fmt.Fprintln(os.Stderr, "e2e:", err)
			os.Exit(1)
		}
		return
	}
	s, err := parse(os.Args[1:])
	if errors.Is(err, flag.ErrHelp) {
		return
	}
	if err == nil {
		err = runUntilSignal(s)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "e2e:", err)
		os.Exit(1)
	}
}

func runUntilSignal(s settings) error {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	err := run(ctx, s)
	if err != nil && ctx.Err() != nil {
		return errors.New("interrupted")
	}
	return err
}
