// Command quickstart runs the sidecar in front of a running example API, with
// caddyfile.example as the configuration, and says what to try:
//
//	go run ./cmd/quickstart [-port 8080] [-api-port 9000] [-admin-port 2019] [-data .quickstart]
//
// It is one process, needs no root and no other service, and writes nowhere but to
// the data directory: the list of logouts, what Caddy keeps, and jwt_secret. That
// file, readable by its owner only, holds the random secret which the API signs its
// tokens with. It is made at the first start and kept, so that tokens outlive a
// restart. JWT_SECRET in the environment is used in its place.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"net"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/caddyserver/caddy/v2"
	caddycmd "github.com/caddyserver/caddy/v2/cmd"

	_ "github.com/caddyserver/caddy/v2/modules/standard"

	_ "example.com/caddy-token-auth/caddymodule"
	"example.com/caddy-token-auth/internal/exampleapi"
)

// config is the configuration that is run, in the repository's root.
const config = "caddyfile.example"

func main() {
	opts, err := parse(os.Args[1:], os.Stderr)
	switch {
	case errors.Is(err, flag.ErrHelp):
		return
	case err != nil:
		os.Exit(2) // parse has said what is wrong
	}
	if err := start(opts); err != nil {
		fmt.Fprintln(os.Stderr, "quickstart:", err)
		os.Exit(1)
	}

	// Caddy takes over: it ends the process itself, also on SIGINT and SIGTERM.
	os.Args = []string{"caddy", "run", "--config", config}
	caddycmd.Main()
}

// start prepares everything that Caddy needs and starts the API.
func start(opts options) error {
	if err := inRoot(); err != nil {
		return err
	}
	secret, err := jwtSecret(opts.data, os.Getenv)
	if err != nil {
		return err
	}
	api, err := exampleapi.New(exampleapi.Options{Secret: []byte(secret), Clients: demoClients()})
	if err != nil {
		return err
	}

	// Caddy would share a port that another Caddy has, so look before.
	for _, p := range []port{opts.site, opts.admin} {
		ln, err := p.listen()
		if err != nil {
			return err
		}
		if err := ln.Close(); err != nil {
			return err
		}
	}
	ln, err := opts.api.listen()
	if err != nil {
		return err
	}
	if err := setEnvironment(opts, secret); err != nil {
		return errors.Join(err, ln.Close())
	}
	serve(ln, api)
	go announce(opts, os.Stdout)
	return nil
}

// inRoot says whether the working directory is the one to run in.
func inRoot() error {
	for _, name := range []string{"go.mod", config} {
		if _, err := os.Stat(name); err != nil {
			return fmt.Errorf("run it in the root of the repository, there is no %s here: go run ./cmd/quickstart", name)
		}
	}
	return nil
}

// demoClients are the documented ones: the environment of a demonstration may have
// an API_KEY that is meant for something else.
func demoClients() map[string]exampleapi.Client {
	clients, err := exampleapi.DemoClients(func(string) string { return "" })
	if err != nil {
		panic(err) // the defaults are constants
	}
	return clients
}

// setEnvironment sets what config reads, and keeps Caddy's files in the data directory.
func setEnvironment(opts options, secret string) error {
	for name, value := range map[string]string{
		"JWT_SECRET":      secret,
		"TOKEN_AUTH_DIR":  word(opts.path("revocations")),
		"SITE_ADDRESS":    opts.site.address(),
		"UPSTREAM":        opts.api.address(),
		"CADDY_ADMIN":     opts.admin.address(),
		"XDG_DATA_HOME":   opts.data,
		"XDG_CONFIG_HOME": opts.data,
	} {
		if err := os.Setenv(name, value); err != nil {
			return err
		}
	}
	caddy.DefaultStorage.Path = caddy.AppDataDir()
	caddy.ConfigAutosavePath = opts.path("caddy", "autosave.json")
	return nil
}

// word makes one word of a Caddyfile of a path that may have spaces.
func word(path string) string {
	if strings.ContainsAny(path, " \t\"{}#") {
		return "`" + path + "`"
	}
	return path
}

// serve runs the API until the process is told to end, and has Caddy wait for its
// end. A signal ends the API's streams at once: Caddy, which gets the same signal,
// would wait for them.
func serve(ln net.Listener, api *exampleapi.Handler) {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := exampleapi.Serve(ctx, ln, api); err != nil {
			fmt.Fprintln(os.Stderr, "quickstart: the example API:", err)
		}
	}()
	caddy.OnExit(func(context.Context) {
		stop()
		<-done
	})
}
