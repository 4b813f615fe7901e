package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strconv"
	"syscall"

	"github.com/nats-io/nats-server/v2/server"

	"example.com/caddy-token-auth/bench/internal/process"
	"example.com/caddy-token-auth/revocation"
	"example.com/caddy-token-auth/revocation/natsstore"
)

// In a process that is to be a NATS server and nothing else, the directory of its files, its
// port, and whether it syncs each write.
const (
	natsDir    = "PROPAGATION_NATS_DIR"
	natsPort   = "PROPAGATION_NATS_PORT"
	natsAlways = "PROPAGATION_NATS_ALWAYS"
)

// init turns a process that was started by lab.nats into that server. In the process that
// measures, it would share the garbage collector and the processors of Go with the callers.
func init() {
	dir := os.Getenv(natsDir)
	if dir == "" {
		return
	}
	if err := serveNATS(dir); err != nil {
		fmt.Fprintln(os.Stderr, "NATS server:", err)
		os.Exit(1)
	}
	os.Exit(0)
}

// serveNATS runs a server until a signal ends it.
func serveNATS(dir string) error {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	port, err := strconv.Atoi(os.Getenv(natsPort))
	if err != nil {
		return err
	}
	s, err := server.NewServer(&server.Options{
		ServerName: "bench", Host: "127.0.0.1", Port: port, JetStream: true, StoreDir: dir,
		SyncAlways: os.Getenv(natsAlways) != "", NoLog: true, NoSigs: true,
	})
	if err != nil {
		return err
	}
	s.Start()
	<-ctx.Done()
	s.Shutdown()
	s.WaitForShutdown()
	return nil
}

// nats starts a server in a process of its own.
func (l *lab) nats(ctx context.Context, always bool) (engine, error) {
	dir, err := os.MkdirTemp(l.dir, "nats-")
	if err != nil {
		return engine{}, err
	}
	addr, port, err := process.FreePort(ctx)
	if err != nil {
		return engine{}, err
	}
	self, err := os.Executable()
	if err != nil {
		return engine{}, err
	}
	name := "nats, 1 server, default sync_interval"
	env := []string{natsDir + "=" + filepath.Join(dir, "js"), natsPort + "=" + port}
	if always {
		name = "nats, 1 server, sync_interval always"
		env = append(env, natsAlways+"=1")
	}
	if err := l.run("nats", env, self); err != nil {
		return engine{}, err
	}
	open := func(ctx context.Context) (revocation.Store, error) {
		return natsstore.Open(ctx, natsstore.Options{URLs: []string{"nats://" + addr}, Timeout: storeTimeout})
	}
	if err := waitUntil(ctx, "NATS server", func() error {
		store, err := open(ctx)
		if err != nil {
			return err
		}
		return store.Close()
	}); err != nil {
		return engine{}, err
	}
	return engine{name: name, option: "store nats nats://" + addr, open: open}, nil
}
