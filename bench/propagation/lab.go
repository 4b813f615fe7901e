package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"syscall"
	"time"

	"example.com/caddy-token-auth/bench/internal/process"
	"example.com/caddy-token-auth/revocation"
	"example.com/caddy-token-auth/revocation/localstore"
	"example.com/caddy-token-auth/revocation/redisstore"
)

// lab is what the measurements run in, and what they have started.
type lab struct {
	settings
	dir     string
	cleanup []func()
}

// close ends everything that was started, the last first.
func (l *lab) close() {
	for _, end := range slices.Backward(l.cleanup) {
		end()
	}
	l.cleanup = nil
}

// engine is a store that can be opened several times, but for the local one.
type engine struct {
	name string
	// open opens the store, as another process does that shares it.
	open func(context.Context) (revocation.Store, error)
	// option is the line of the Caddyfile.
	option string
}

// shared starts one of each kind of shared store.
func (l *lab) shared(ctx context.Context) ([]engine, error) {
	return l.start(ctx,
		func(ctx context.Context) (engine, error) { return l.redis(ctx, "everysec") },
		func(ctx context.Context) (engine, error) { return l.nats(ctx, false) },
	)
}

// start starts stores; those that cannot be had here are left out.
func (l *lab) start(ctx context.Context, starts ...func(context.Context) (engine, error)) ([]engine, error) {
	var all []engine
	for _, start := range starts {
		e, err := start(ctx)
		switch {
		case errors.Is(err, exec.ErrNotFound):
			say("left out: %v", err)
		case err != nil:
			return nil, err
		default:
			all = append(all, e)
		}
	}
	return all, nil
}

// local makes an embedded store.
func (l *lab) local(context.Context) (engine, error) {
	dir, err := os.MkdirTemp(l.dir, "local-")
	if err != nil {
		return engine{}, err
	}
	return engine{name: "local", open: func(ctx context.Context) (revocation.Store, error) {
		return localstore.Open(ctx, dir, localstore.Options{})
	}}, nil
}

// redis starts a server. Without a program for it, the error wraps exec.ErrNotFound.
func (l *lab) redis(ctx context.Context, fsync string) (engine, error) {
	program, err := exec.LookPath("redis-server")
	if err != nil {
		return engine{}, err
	}
	dir, err := os.MkdirTemp(l.dir, "redis-")
	if err != nil {
		return engine{}, err
	}
	addr, port, err := process.FreePort(ctx)
	if err != nil {
		return engine{}, err
	}
	if err := l.run("redis", nil, program, "--bind", "127.0.0.1", "--port", port, "--dir", dir, "--save", "",
		"--appendonly", "yes", "--appendfsync", fsync, "--maxmemory-policy", "noeviction"); err != nil {
		return engine{}, err
	}
	if err := waitUntil(ctx, "redis-server", func() error { return dial(ctx, addr) }); err != nil {
		return engine{}, err
	}
	return engine{
		name: "redis, appendfsync " + fsync, option: "store redis redis://" + addr,
		open: func(ctx context.Context) (revocation.Store, error) {
			return redisstore.Open(ctx, redisstore.Options{Addresses: []string{addr}, Timeout: storeTimeout})
		},
	}, nil
}

// storeTimeout is generous: many callers share two cores.
const storeTimeout = 10 * time.Second

// startTimeout bounds every wait for a server.
const startTimeout = 30 * time.Second

// run starts a program that is ended by close. Its output is in a file of its own.
func (l *lab) run(name string, env []string, command ...string) error {
	log, err := os.Create(filepath.Join(l.dir, name+"-"+strconv.Itoa(len(l.cleanup))+".log"))
	if err != nil {
		return err
	}
	defer log.Close()                               // the program has its own
	cmd := exec.Command(command[0], command[1:]...) //nolint:noctx // our own programs, ended by close
	cmd.Env, cmd.Stdout, cmd.Stderr = env, log, log
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("start %s: %w", name, err)
	}
	l.cleanup = append(l.cleanup, func() {
		_ = cmd.Process.Signal(syscall.SIGTERM) // fails if it has ended already
		_ = cmd.Wait()                          // it was told to end
	})
	return nil
}

// waitUntil tries until there is no error.
func waitUntil(ctx context.Context, what string, try func() error) error {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	for {
		err := try()
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%s is not ready: %w", what, err)
		case <-time.After(10 * time.Millisecond):
		}
	}
}

func dial(ctx context.Context, addr string) error {
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", addr)
	if err != nil {
		return err
	}
	defer conn.Close()
	if _, err := io.WriteString(conn, "PING\r\n"); err != nil {
		return err
	}
	_, err = io.ReadFull(conn, make([]byte, len("+PONG")))
	return err
}
