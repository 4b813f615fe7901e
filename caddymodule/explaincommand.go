package caddymodule

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"text/tabwriter"

	caddycmd "github.com/caddyserver/caddy/v2/cmd"
	"github.com/spf13/cobra"
)

func explainCommand() *cobra.Command {
	cmd := adminCommand(
		"explain {--token-file <file> | --header-file <file>} [--site <site>] [--json]",
		"Tells how a credential is judged, and why",
		`
Tells how each site of a running instance would judge a credential: whether it
is genuine and if not, which check fails; what it is known by; and whether it
is revoked, and by which entry.

The file holds a token, or lines of header fields such as
"Authorization: Bearer …", "Cookie: …" or "X-API-Key: …"; - is the standard
input. Addresses (allow_ips) are not judged.

Exit codes: 0 a site would let it through; 1 wrong usage; 4 no instance
answers; 5 refused; 6 a site cannot tell at present, and no other would let it
through; 7 no site would let it through.`,
		runExplain)
	cmd.Flags().String("token-file", "", "File that holds the token, - for the standard input")
	cmd.Flags().String("header-file", "", "File that holds header fields, - for the standard input")
	cmd.Flags().String("site", "", "Number or host name of the site (default: all)")
	cmd.MarkFlagsOneRequired("token-file", "header-file")
	cmd.MarkFlagsMutuallyExclusive("token-file", "header-file")
	return cmd
}

func runExplain(f caddycmd.Flags) error {
	request := explainRequest{Site: f.String("site")}
	if name := f.String("token-file"); name != "" {
		raw, err := readInput(name)
		if err != nil {
			return err
		}
		request.Token = strings.TrimSpace(string(raw))
	} else {
		text, err := readInput(f.String("header-file"))
		if err != nil {
			return err
		}
		if request.Headers, err = parseHeaders(text); err != nil {
			return err
		}
	}
	var answer explainAnswer
	if err := askWhole(f, "explain", request, &answer); err != nil {
		return err
	}
	if !f.Bool("json") {
		for i := range answer.Sites {
			if err := answer.Sites[i].print(os.Stdout); err != nil {
				return err
			}
		}
	}
	return answer.outcome()
}

// outcome is nil if a site would let the credential through, and otherwise has an exit code.
func (answer *explainAnswer) outcome() error {
	switch {
	case slices.ContainsFunc(answer.Sites, func(e explanation) bool { return e.Allowed }):
		return nil
	case slices.ContainsFunc(answer.Sites, func(e explanation) bool { return e.Check == checkUnavailable }):
		return commandError{exitNotNow, errors.New("no site would let it through, and one cannot tell at present")}
	default:
		return commandError{exitNotAllowed, errors.New("no site would let it through")}
	}
}

// parseHeaders reads header fields, one a line.
func parseHeaders(text []byte) (map[string]string, error) {
	headers := make(map[string]string)
	lines := bufio.NewScanner(bytes.NewReader(text))
	lines.Buffer(nil, maxInput+1)
	for lines.Scan() {
		line := strings.TrimSpace(lines.Text())
		if line == "" {
			continue
		}
		name, value, ok := strings.Cut(line, ":")
		name = strings.TrimSpace(name)
		if _, twice := headers[name]; !ok || twice {
			return nil, errors.New("want lines of header fields, <name>: <value>, each name once")
		}
		headers[name] = strings.TrimSpace(value)
	}
	return headers, lines.Err()
}

// print writes the explanation for a person.
func (e *explanation) print(to io.Writer) error {
	table := tabwriter.NewWriter(to, 0, 0, 2, ' ', 0)
	row := func(name, format string, args ...any) {
		_, _ = fmt.Fprintf(table, "  %s\t"+format+"\n", append([]any{name}, args...)...)
	}
	outcome := "refused: " + e.Reason
	if e.Allowed {
		outcome = "allowed"
	}
	if e.DryRun {
		outcome += " (dry run: everything is let through)"
	}
	_, _ = fmt.Fprintf(table, "%s: %s\n", e.siteName, outcome)
	if e.Check != "" {
		row("check", "%s", strings.TrimSuffix(e.Check+": "+printable(e.Detail), ": "))
	}
	if e.Credential != "" {
		genuine := "not verified"
		switch {
		case e.Verified:
			genuine = "genuine"
		case e.Unproven:
			genuine = "only the API knows whether it is genuine"
		}
		row("credential", "%s, %s", e.Credential, genuine)
	}
	if id := e.Identity; id != nil {
		row("identity", "realm %q, token %q, session %q, client %q", id.Realm, id.Token, id.Session, id.Client)
		if !id.IssuedAt.IsZero() {
			row("issued", "%s", moment(id.IssuedAt))
		}
		if !id.Expires.IsZero() {
			row("refused from", "%s", moment(id.Expires))
		}
	}
	if e.Verdict != "" {
		row("verdict", "%s, from %s; stored: %s", e.Verdict, orDefault(e.From, "nowhere"), e.Stored)
	}
	if e.Entry != nil {
		row("entry", "%s", e.Entry)
	}
	if e.Survives != nil {
		row("survives", "%s", e.Survives)
	}
	return table.Flush()
}
