// Command example-api serves the API of internal/exampleapi: one that logs in,
// renews tokens and has no logout, to try the sidecar with.
//
//	JWT_SECRET=<at least 32 bytes> example-api [-listen 127.0.0.1:9000]
//
// JWT_SECRET is required and must be the one that the sidecar is given. The
// clients are demo-key with demo-secret (client 42) and other-key with
// other-secret (client 43), unless API_KEY with API_SECRET (client 42) or
// API_KEY_2 with API_SECRET_2 (client 43) name others. SIGTERM and SIGINT end it
// when the requests under way are answered.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"os"
	"os/signal"
	"syscall"

	"example.com/caddy-token-auth/internal/exampleapi"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:], os.Getenv, os.Stderr)
	stop()
	switch {
	case errors.Is(err, flag.ErrHelp):
	case errors.Is(err, errUsage): // flag has printed what is wrong
		os.Exit(2)
	case err != nil:
		fmt.Fprintln(os.Stderr, "example-api:", err)
		os.Exit(1)
	}
}

// errUsage stands for a command line that could not be understood.
var errUsage = errors.New("usage")

// run serves until ctx is done. It writes where it listens, then nothing more.
func run(ctx context.Context, args []string, getenv func(string) string, out io.Writer) error {
	flags := flag.NewFlagSet("example-api", flag.ContinueOnError)
	flags.SetOutput(out)
	listen := flags.String("listen", "127.0.0.1:9000", "the `address` to listen on")
	switch err := flags.Parse(args); {
	case errors.Is(err, flag.ErrHelp):
		return err
	case err != nil:
		return errUsage
	case flags.NArg() > 0:
		return fmt.Errorf("unexpected argument %q", flags.Arg(0))
	}

	secret := getenv("JWT_SECRET")
	if len(secret) < exampleapi.MinSecretBytes {
		return fmt.Errorf("the environment variable JWT_SECRET must have at least %d bytes, and has %d", exampleapi.MinSecretBytes, len(secret))
	}
	clients, err := exampleapi.DemoClients(getenv)
	if err != nil {
		return err
	}
	api, err := exampleapi.New(exampleapi.Options{Secret: []byte(secret), Clients: clients})
	if err != nil {
		return err
	}

	ln, err := (&net.ListenConfig{}).Listen(ctx, "tcp", *listen)
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "example-api: listening on http://%s\n", ln.Addr())
	return exampleapi.Serve(ctx, ln, api)
}
