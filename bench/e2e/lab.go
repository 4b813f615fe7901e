package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"example.com/caddy-token-auth/bench/internal/process"
	"example.com/caddy-token-auth/bench/internal/workload"
	"example.com/caddy-token-auth/revocation/localstore"
)

// lab is what the measurements run in: a directory, a binary, the load generator, an
// upstream and the servers that were started.
type lab struct {
	settings
	dir      string
	wrk      *wrk
	upstream string // address
	running  []*process.Process
}

func newLab(ctx context.Context, s settings, dir string) (*lab, error) {
	l := &lab{settings: s, dir: dir}
	var err error
	if l.wrk, err = newWrk(dir, s.loadCores); err != nil {
		return nil, err
	}
	if l.caddy == "" {
		say("building Caddy with the plugin")
		if l.caddy, err = process.BuildCaddy(ctx, dir); err != nil {
			return nil, err
		}
	}
	return l, l.startUpstream(ctx)
}

// close ends everything that was started, the last first.
func (l *lab) close() {
	for _, p := range slices.Backward(l.running) {
		p.Stop()
	}
	l.running = nil
}

// say tells what is going on. The results go to standard output.
func say(format string, args ...any) { fmt.Fprintf(os.Stderr, "e2e: "+format+"\n", args...) }

func (l *lab) startUpstream(ctx context.Context) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	reader, writer, err := os.Pipe()
	if err != nil {
		return err
	}
	defer reader.Close()
	p, err := process.Start(ctx, l.dir, "upstream", process.Pinned(l.loadCores, self, upstreamCommand), func(cmd *exec.Cmd) { cmd.Stdout = writer })
	if err := errors.Join(err, writer.Close()); err != nil {
		return err
	}
	l.running = append(l.running, p)
	line, err := bufio.NewReader(reader).ReadString('\n')
	if err != nil {
		return fmt.Errorf("upstream gave no address: %w\n%s", err, p.Log())
	}
	l.upstream = strings.TrimSpace(line)
	return nil
}

// server is a running Caddy.
type server struct {
	*process.Process
	url   string
	admin string // address
}

// serve starts a Caddy that is configured by c, but for its addresses, and waits until
// it takes the token.
func (l *lab) serve(ctx context.Context, name string, gomaxprocs int, c caddyfile, token string) (*server, error) {
	c.upstream = l.upstream
	for _, address := range []*string{&c.listen, &c.admin} {
		var err error
		if *address, err = process.FreeAddress(ctx); err != nil {
			return nil, err
		}
	}
	home := filepath.Join(l.dir, name)
	if err := os.MkdirAll(home, 0o700); err != nil {
		return nil, err
	}
	config := filepath.Join(home, "Caddyfile")
	if err := os.WriteFile(config, []byte(c.String()), 0o600); err != nil {
		return nil, err
	}
	command := process.Pinned(l.serverCores, l.caddy, "run", "--config", config, "--adapter", "caddyfile")
	p, err := process.Start(ctx, l.dir, name, command, func(cmd *exec.Cmd) {
		cmd.Env = append(os.Environ(), "HOME="+home, "XDG_DATA_HOME="+home, "XDG_CONFIG_HOME="+home)
		if gomaxprocs > 0 {
			cmd.Env = append(cmd.Env, "GOMAXPROCS="+strconv.Itoa(gomaxprocs))
		}
	})
	if err != nil {
		return nil, err
	}
	l.running = append(l.running, p)
	s := &server{Process: p, url: "http://" + c.listen + "/v1/cards", admin: c.admin}
	return s, p.WaitFor(ctx, s.url, token)
}

// end ends one server before the others.
func (l *lab) end(s *server) {
	s.Stop()
	l.running = slices.DeleteFunc(l.running, func(p *process.Process) bool { return p == s.Process })
}

// tokenFile writes n tokens, numbered from first, to a file for wrk.
func (l *lab) tokenFile(name string, signer *workload.Signer, first, n int) (string, error) {
	say("signing %d tokens", n)
	tokens, err := signer.Tokens(first, n)
	if err != nil {
		return "", err
	}
	file := filepath.Join(l.dir, name)
	return file, os.WriteFile(file, []byte(strings.Join(tokens, "\n")+"\n"), 0o600)
}

// fillStore makes the embedded store that the sidecar opens.
func (l *lab) fillStore(ctx context.Context, dir string) error {
	say("writing %d revocations", l.revocations)
	store, err := localstore.Open(ctx, dir, localstore.Options{})
	if err != nil {
		return err
	}
	return errors.Join(workload.Fill(ctx, store, l.revocations), store.Close())
}
