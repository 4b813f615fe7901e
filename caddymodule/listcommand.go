package caddymodule

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"

	caddycmd "github.com/caddyserver/caddy/v2/cmd"
	"github.com/spf13/cobra"
)

// defaultPage is how many entries are shown unless told otherwise.
const defaultPage = 100

func listCommand() *cobra.Command {
	cmd := adminCommand(
		"list [--scope <scope>]... [--realm <realm>] [--client <id>] [--session <id>] [--token-id <id>] "+
			"[--limit <entries> [--after <next>] | --all] [--json]",
		"Shows the entries of the revocation list",
		`
Shows the live entries of the list of a running instance: pages in a fixed
order with --limit and --after, or with --all everything in no particular
order. Entries hold identifiers and nothing that could be presented.

--scope takes token, session and client, which are the revocations and the
default; rotated, for refresh tokens that were exchanged; issued, for tokens
that survive a cut-off; known, for tokens that were seen being issued.

With --json, a line for each entry and a last one with their number, and with
the --after of the next page where there is one.

Exit codes: 0 all shown; 1 wrong usage, or an answer that is cut off; 4 no
instance answers; 5 refused; 6 not at present.`,
		runList)
	cmd.Flags().StringSlice("scope", nil, "Scopes to show (default: token,session,client)")
	cmd.Flags().String("realm", "", "Only entries of this realm")
	cmd.Flags().String("client", "", "Only entries about this client")
	cmd.Flags().String("session", "", "Only entries about this session")
	cmd.Flags().String("token-id", "", "Only entries about the token with this identifier")
	cmd.Flags().Int("limit", defaultPage, "Entries of a page")
	cmd.Flags().String("after", "", "Where the page begins: what the page before has named")
	cmd.Flags().Bool("all", false, "Everything, in no particular order")
	cmd.MarkFlagsMutuallyExclusive("all", "limit")
	cmd.MarkFlagsMutuallyExclusive("all", "after")
	return cmd
}

func runList(f caddycmd.Flags) error {
	scopes, err := f.GetStringSlice("scope")
	if err != nil {
		return err
	}
	request := listRequest{
		Scopes: scopes, Client: f.String("client"), Session: f.String("session"), Token: f.String("token-id"),
		Limit: f.Int("limit"), After: f.String("after"),
	}
	if f.Changed("realm") {
		request.Realm = new(f.String("realm"))
	}
	switch {
	case f.Bool("all"):
		request.Limit = 0
	case request.Limit < 1:
		return errors.New("--limit: want 1 or more")
	}
	body, err := askAdmin(f, "list", request)
	if err != nil {
		return err
	}
	defer body.Close()
	return printList(body, os.Stdout, f.Bool("json"))
}

// maxListLine bounds a line of a list: an entry of the largest size, escaped.
const maxListLine = 16 << 10

var errListCut = errors.New("the list is cut off: its last line is missing")

// printList copies a list to a person or a program, line by line, and reports whether it
// came to its end.
func printList(from io.Reader, to io.Writer, asJSON bool) error {
	out := bufio.NewWriter(to)
	if !asJSON {
		printRow(out, "SCOPE", "AT", "KEPT UNTIL", "REALM", "ID")
	}
	last, err := copyList(from, out, asJSON)
	if err == nil && last.Next != "" && !asJSON {
		_, _ = fmt.Fprintf(out, "There are more: --after %s\n", last.Next)
	}
	if flushErr := out.Flush(); err == nil {
		err = flushErr
	}
	return err
}

func copyList(from io.Reader, out *bufio.Writer, asJSON bool) (listEnd, error) {
	scanner := bufio.NewScanner(from)
	scanner.Buffer(make([]byte, 0, maxListLine), maxListLine)
	for scanner.Scan() {
		var line struct {
			entryAnswer
			Entries *int   `json:"entries"`
			Next    string `json:"next"`
			Error   string `json:"error"`
		}
		if err := json.Unmarshal(scanner.Bytes(), &line); err != nil {
			return listEnd{}, fmt.Errorf("read the list: %w", err)
		}
		if asJSON {
			_, _ = out.Write(append(scanner.Bytes(), '\n'))
		}
		switch {
		case line.Error != "":
			return listEnd{}, commandError{exitNotNow, fmt.Errorf("the list is not complete: %s", line.Error)}
		case line.Entries != nil:
			return listEnd{Entries: *line.Entries, Next: line.Next}, nil
		case !asJSON:
			e := &line.entryAnswer
			id := e.named()
			if e.Session != "" || e.Client != "" {
				id += fmt.Sprintf(" (session %q, client %q)", e.Session, e.Client)
			}
			printRow(out, e.Scope, moment(e.At), moment(e.KeptUntil), e.realm(), id)
		}
	}
	return listEnd{}, errors.Join(errListCut, scanner.Err())
}

// printRow writes a row as it comes: a table that is measured first would have to be kept.
// Errors of out stay until it is flushed.
func printRow(out *bufio.Writer, scope, at, until, realm, id string) {
	_, _ = fmt.Fprintf(out, "%-7s  %-20s  %-20s  %-10s  %s\n", scope, at, until, realm, id)
}
