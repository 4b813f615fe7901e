package caddymodule

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"time"

	"github.com/caddyserver/caddy/v2"
	caddycmd "github.com/caddyserver/caddy/v2/cmd"
	"github.com/spf13/cobra"

	"example.com/caddy-token-auth/internal/durable"
	"example.com/caddy-token-auth/revocation"
	"example.com/caddy-token-auth/revocation/ndjson"
)

func init() {
	caddycmd.RegisterCommand(caddycmd.Command{
		Name:  "token-auth",
		Usage: "revoke|list|explain|mint|export|import",
		Short: "Revokes tokens, and shows and moves the revocation list",
		Long: `
revoke, list and explain ask a running instance through its admin endpoint.
mint makes a token with a key that is at hand here, and needs no instance.

export and import move the revocation list from one store to another.
The store is the one that the configuration names. The embedded store is open
to one process at a time: stop the sidecar that uses it first. Shared stores
may be in use.

To move without losing a logout: stop the sidecars, export with the old
configuration, import with the new one, and start them with the new one.

Tokens and keys are read from files or the standard input, never from the
command line, which other users of the machine can see.`,
		CobraFunc: func(cmd *cobra.Command) {
			cmd.AddCommand(revokeCommand(), listCommand(), explainCommand(), mintCommand(), exportCommand(), importCommand())
		},
	})
}

func exportCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "export --config <path> [--adapter <name>] [--output <file>]",
		Short: "Writes all live entries as lines of JSON",
		Long: `
Writes all live entries of the list as lines of JSON, with their number as the
last line: to --output, which appears when it is complete, or to the standard
output. The lines have identifiers and nothing that could be presented.`,
		Args: cobra.NoArgs,
		RunE: caddycmd.WrapCommandFuncForCobra(func(f caddycmd.Flags) (int, error) {
			return exitCode(withStore(f, func(ctx context.Context, store revocation.Store) error {
				return exportList(ctx, store, f.String("output"))
			}))
		}),
	}
	addConfigFlags(cmd)
	cmd.Flags().StringP("output", "o", "", "File to write (default: the standard output)")
	return cmd
}

func importCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "import --config <path> [--adapter <name>] [--input <file>] [--skip <entries>]",
		Short: "Adds exported entries to the list",
		Long: `
Adds the entries of an export to the list, from --input or the standard input.
It takes nothing away from the list, and may be repeated. After an error it
says how many entries are stored; go on behind them with --skip.`,
		Args: cobra.NoArgs,
		RunE: caddycmd.WrapCommandFuncForCobra(func(f caddycmd.Flags) (int, error) {
			skip := f.Int("skip")
			if skip < 0 {
				return caddy.ExitCodeFailedStartup, errors.New("--skip: want 0 or more")
			}
			return exitCode(withStore(f, func(ctx context.Context, store revocation.Store) error {
				return importList(ctx, store, f.String("input"), skip)
			}))
		}),
	}
	addConfigFlags(cmd)
	cmd.Flags().StringP("input", "i", "", "File to read (default: the standard input)")
	cmd.Flags().Int("skip", 0, "How many entries are stored already")
	return cmd
}

func addConfigFlags(cmd *cobra.Command) {
	cmd.Flags().StringP("config", "c", "", "Configuration that names the store (default: the Caddyfile here)")
	cmd.Flags().StringP("adapter", "a", "", "Name of the config adapter to apply")
}

func exitCode(err error) (int, error) {
	if err != nil {
		return caddy.ExitCodeFailedStartup, err
	}
	return caddy.ExitCodeSuccess, nil
}

// withStore opens the store that a configuration names, for use.
func withStore(f caddycmd.Flags, use func(context.Context, revocation.Store) error) (err error) {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	config, _, _, err := caddycmd.LoadConfig(f.String("config"), f.String("adapter"))
	if err != nil {
		return err
	}
	app, err := appOf(config)
	if err != nil {
		return err
	}
	caddyContext, cancel := caddy.NewContext(caddy.Context{Context: ctx})
	defer cancel()
	if err := app.Provision(caddyContext); err != nil {
		return errors.Join(err, app.Cleanup())
	}
	defer func() { err = errors.Join(err, app.Cleanup()) }()
	opening, done := context.WithTimeout(ctx, openTimeout)
	defer done()
	store, err := app.store.Open(opening, caddy.Log())
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, store.Close()) }()
	return use(ctx, store)
}

// appOf returns the app of a configuration, or the default one where it has none.
func appOf(config []byte) (*App, error) {
	var parsed struct {
		Apps struct {
			TokenAuth *App `json:"token_auth"`
		} `json:"apps"`
	}
	if err := json.Unmarshal(config, &parsed); err != nil {
		return nil, fmt.Errorf("read the configuration: %w", err)
	}
	if parsed.Apps.TokenAuth == nil {
		return new(App), nil
	}
	return parsed.Apps.TokenAuth, nil
}

// exportList writes the list to a file, whole or not at all, or to the standard output.
func exportList(ctx context.Context, store revocation.Store, name string) error {
	report := reporter("exported")
	if name == "" {
		n, err := ndjson.Export(ctx, store, os.Stdout, report.progress)
		return report.end(n, err)
	}
	var n int
	err := durable.WriteFile(name, func(w io.Writer) (err error) {
		n, err = ndjson.Export(ctx, store, w, report.progress)
		return err
	})
	return report.end(n, err)
}

func importList(ctx context.Context, store revocation.Store, name string, skip int) error {
	var from io.Reader = os.Stdin
	if name != "" {
		file, err := os.Open(name)
		if err != nil {
			return err
		}
		defer file.Close()
		from = file
	}
	report := reporter("imported")
	n, err := ndjson.Import(ctx, store, from, skip, report.progress)
	if err != nil && n > 0 {
		err = fmt.Errorf("%w; %d entries are stored: go on with --skip %d", err, n, n)
	}
	return report.end(n, err)
}

// progressReport tells on the standard error how far a long work is, once a second.
type progressReport struct {
	verb string
	last time.Time
}

func reporter(verb string) *progressReport { return &progressReport{verb: verb, last: time.Now()} }

func (p *progressReport) progress(n int) {
	if time.Since(p.last) >= time.Second {
		p.last = time.Now()
		_, _ = fmt.Fprintf(os.Stderr, "%d entries %s\n", n, p.verb)
	}
}

func (p *progressReport) end(n int, err error) error {
	if err == nil {
		_, _ = fmt.Fprintf(os.Stderr, "%d entries %s, done\n", n, p.verb)
	}
	return err
}
