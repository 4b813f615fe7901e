package caddymodule

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"text/tabwriter"
	"time"
	"unicode"

	caddycmd "github.com/caddyserver/caddy/v2/cmd"
	"github.com/spf13/cobra"
)

func revokeCommand() *cobra.Command {
	cmd := adminCommand(
		"revoke {--token-file <file> [--scope <scope>] | --scope <scope> --id <id> [--realm <realm>] [--kind <kind>]} [--site <site>] [--json]",
		"Revokes a token, a session or a client",
		`
Revokes a token, or every token of a session or client issued until now, on
the list of a running instance. When it has ended with the exit code 0, this
is durable and holds there for every request; on other instances that share
the store, within the delay of the store.

With --token-file (- for the standard input) a genuine token says what is
revoked; otherwise --scope and --id do. Where only the API knows whether a
token is genuine, any text is taken, and the answer says unproven.

A client that --id names may be whom tokens name (--kind subject) or an API
key (--kind api_key); without --kind, both are revoked.

Exit codes: 0 revoked, or expired already; 1 wrong usage; 4 no instance
answers; 5 refused, nothing was revoked; 6 it cannot be made durable at
present.`,
		runRevoke)
	cmd.Flags().String("token-file", "", "File that holds the token, - for the standard input")
	cmd.Flags().String("scope", "", "token, session or client (default with --token-file: token)")
	cmd.Flags().String("id", "", "Identifier of the token, session or client")
	cmd.Flags().String("realm", "", "Realm of the identifier (default: the only one that there is)")
	cmd.Flags().String("kind", "", "Kind of the client that --id names: subject or api_key (default: both)")
	cmd.Flags().String("site", "", "Number or host name of the site (default: all)")
	return cmd
}

func runRevoke(f caddycmd.Flags) error {
	request := revokeRequest{Scope: f.String("scope"), ID: f.String("id"), Kind: f.String("kind"), Site: f.String("site")}
	if f.Changed("realm") {
		request.Realm = new(f.String("realm"))
	}
	name := f.String("token-file")
	if (name == "") == (request.ID == "") {
		return errors.New("want --token-file, or --scope and --id")
	}
	if name != "" {
		raw, err := readInput(name)
		if err != nil {
			return err
		}
		request.Token = strings.TrimSpace(string(raw))
	}
	var answer revokeAnswer
	if err := askWhole(f, "revoke", request, &answer); err != nil || f.Bool("json") {
		return err
	}
	return answer.print(os.Stdout)
}

// print writes the answer for a person.
func (answer *revokeAnswer) print(to io.Writer) error {
	table := tabwriter.NewWriter(to, 0, 0, 2, ' ', 0)
	if answer.Expired {
		_, _ = fmt.Fprintln(table, "The token has expired: there is nothing to revoke.")
	}
	for i := range answer.Revoked {
		e := &answer.Revoked[i]
		_, _ = fmt.Fprintf(table, "revoked\t%s\n", e)
	}
	for _, site := range answer.Unproven {
		_, _ = fmt.Fprintf(table, "unproven at %s\t%s\n", site, "only the API knows whether the token is genuine: check that it is the right one")
	}
	for i := range answer.Unverified {
		site := &answer.Unverified[i]
		_, _ = fmt.Fprintf(table, "not taken by %s\t%s\n", site.siteName, printable(site.Detail))
	}
	return table.Flush()
}

// id and realm are quoted: identifiers come out of tokens, and a terminal obeys some
// characters.

func (e *entryAnswer) id() string { return fmt.Sprintf("%q", e.ID+string(e.IDBytes)) }

// named is id with the kind of a client that is an API key.
func (e *entryAnswer) named() string {
	if e.Kind == "" {
		return e.id()
	}
	return e.id() + " (" + printable(e.Kind) + ")"
}

func (e *entryAnswer) realm() string { return fmt.Sprintf("%q", e.Realm+string(e.RealmBytes)) }

// String describes the entry for a person.
func (e *entryAnswer) String() string {
	return fmt.Sprintf("%s %s, realm %s, at %s, kept until %s", e.Scope, e.named(), e.realm(), moment(e.At), moment(e.KeptUntil))
}

// printable takes what a terminal may obey out of a text that is not quoted.
func printable(text string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return '?'
	}, text)
}

func moment(t time.Time) string { return t.Format(time.RFC3339) }
