package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"example.com/caddy-token-auth/bench/internal/process"
	"example.com/caddy-token-auth/bench/internal/workload"
)

// lab is what one measurement runs in: the upstream, the servers, the keys.
type lab struct {
	settings
	dir      string
	upstream string // address
	signer   *workload.Signer
	running  []*process.Process
}

// start starts the upstream.
func (l *lab) start(ctx context.Context) (err error) {
	if l.signer, err = workload.NewSigner("HS256"); err != nil {
		return err
	}
	if l.caddy == "" {
		l.caddy = filepath.Join(l.dir, "caddy")
		if _, err := os.Stat(l.caddy); err != nil {
			say("building Caddy with the plugin")
			if l.caddy, err = process.BuildCaddy(ctx, l.dir); err != nil {
				return err
			}
		}
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	reader, writer, err := os.Pipe()
	if err != nil {
		return err
	}
	defer reader.Close()
	p, err := l.run(ctx, "upstream", []string{self, upstreamCommand}, func(cmd *exec.Cmd) { cmd.Stdout = writer })
	if err := errors.Join(err, writer.Close()); err != nil {
		return err
	}
	line, err := bufio.NewReader(reader).ReadString('\n')
	if err != nil {
		return fmt.Errorf("upstream gave no address: %w\n%s", err, p.Log())
	}
	l.upstream = strings.TrimSpace(line)
	return nil
}

func (l *lab) run(ctx context.Context, name string, command []string, setUp func(*exec.Cmd)) (*process.Process, error) {
	p, err := process.Start(ctx, l.dir, name, command, setUp)
	if err == nil {
		l.running = append(l.running, p)
	}
	return p, err
}

// close ends everything that was started, the last first.
func (l *lab) close() {
	for _, p := range slices.Backward(l.running) {
		p.Stop()
	}
	l.running = nil
}

// A kind of server, and the lines of its token_auth; plain has none.
type kind struct {
	name string
	auth []string
}

var (
	plain     = kind{name: "plain"}
	followed  = kind{name: "followed", auth: []string{"api octopus_cards", "secret {env.JWT_SECRET}", "websocket /ws/api/v2 {\n\t\t\tmax_connections_per_client off\n\t\t\tmax_connections_per_token off\n\t\t}"}}
	inspected = kind{name: "inspected", auth: []string{"api deribit", "secret {env.JWT_SECRET}", "websocket /ws/api/v2 {\n\t\t\tprotocol jsonrpc\n\t\t\tmax_connections_per_client off\n\t\t\tmax_connections_per_token off\n\t\t}"}}
)

// server is a running Caddy.
type server struct {
	*process.Process
	kind
	address string
}

// serve starts a Caddy with a store of its own, or with the one that the option names.
func (l *lab) serve(ctx context.Context, name string, k kind, store string) (*server, error) {
	address, err := process.FreeAddress(ctx)
	if err != nil {
		return nil, err
	}
	home := filepath.Join(l.dir, name)
	if err := os.MkdirAll(home, 0o700); err != nil {
		return nil, err
	}
	if store == "" {
		store = "store local " + filepath.Join(home, "list")
	}
	var app, directive string
	if k.auth != nil {
		app = "\ttoken_auth {\n\t\t" + store + "\n\t}\n"
		directive = "\ttoken_auth {\n\t\t" + strings.Join(k.auth, "\n\t\t") + "\n\t}\n"
	}
	text := "{\n\tadmin off\n\tpersist_config off\n\tauto_https off\n" + app + "}\n\n" +
		"http://" + address + " {\n" + directive + "\treverse_proxy " + l.upstream + "\n}\n"
	config := filepath.Join(home, "Caddyfile")
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		return nil, err
	}
	secret, err := l.signer.VerificationKey()
	if err != nil {
		return nil, err
	}
	p, err := l.run(ctx, name, []string{l.caddy, "run", "--config", config, "--adapter", "caddyfile"}, func(cmd *exec.Cmd) {
		cmd.Env = append(os.Environ(), "HOME="+home, "XDG_DATA_HOME="+home, "XDG_CONFIG_HOME="+home, "JWT_SECRET="+secret)
	})
	if err != nil {
		return nil, err
	}
	s := &server{Process: p, kind: k, address: address}
	return s, p.WaitFor(ctx, "http://"+address+"/", "")
}

// redis starts a server and returns the line of the Caddyfile that names it. Without a
// program for it, the error wraps exec.ErrNotFound.
func (l *lab) redis(ctx context.Context) (string, error) {
	program, err := exec.LookPath("redis-server")
	if err != nil {
		return "", err
	}
	address, port, err := process.FreePort(ctx)
	if err != nil {
		return "", err
	}
	dir, err := os.MkdirTemp(l.dir, "redis-")
	if err != nil {
		return "", err
	}
	_, err = l.run(ctx, "redis", []string{
		program, "--bind", "127.0.0.1", "--port", port, "--dir", dir, "--save", "", "--appendonly", "yes",
		"--maxmemory-policy", "noeviction",
	}, nil)
	return "store redis redis://" + address, err
}

// logOut logs the client of a token out and returns when the answer had come.
func (s *server) logOut(ctx context.Context, token string) (time.Time, error) {
	got, err := process.Status(ctx, http.MethodPost, "http://"+s.address+"/auth/logout", token)
	acknowledged := time.Now()
	if err == nil && got != http.StatusOK {
		err = fmt.Errorf("logout: status %d", got)
	}
	return acknowledged, err
}
