package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"text/tabwriter"
	"time"

	"example.com/caddy-token-auth/bench/internal/workload"
)

// logoutClients are the numbers of connections that log clients out, and how many
// tokens are made for each second: more than a disk takes.
var logoutClients = []struct{ connections, perSecond int }{
	{1, 15_000},
	{64, 60_000},
}

// logouts measures how many clients can log out in a second, each with a token of its
// own that was not seen before, and each logout on disk before it is answered. The
// embedded store is the one that the sidecar had, with all its revocations.
func (c *comparison) logouts(ctx context.Context, to io.Writer) error {
	c.end(c.sidecar.server)
	signer, err := workload.NewSigner("HS256")
	if err != nil {
		return err
	}
	secret, err := signer.VerificationKey()
	if err != nil {
		return err
	}
	// Token 0 is not logged out: it shows that a server is ready.
	ready, err := signer.Tokens(0, 1)
	if err != nil {
		return err
	}
	next := 1 // number of the next token
	table := tabwriter.NewWriter(to, 0, 0, 3, ' ', 0)
	fmt.Fprintf(table, "\nDurable logouts over HTTP, each with a new HS256 token; %d live revocations before\n\n", c.revocations)
	fmt.Fprintln(table, "GOMAXPROCS\tclients\tlogouts/s\tp50 ms\tp99 ms")
	for _, gomaxprocs := range []int{1, 2} {
		s, err := c.serve(ctx, fmt.Sprintf("logout-%d", gomaxprocs), gomaxprocs, caddyfile{
			auth:  []string{"api octopus_cards", "secret " + secret},
			store: c.store,
		}, ready[0])
		if err != nil {
			return err
		}
		for _, clients := range logoutClients {
			n := int(c.logout/time.Second+1) * clients.perSecond
			file, err := c.tokenFile("logout-tokens", signer, next, n)
			if err != nil {
				return err
			}
			next += n
			say("logging out with %d clients, GOMAXPROCS=%d", clients.connections, gomaxprocs)
			o, err := c.wrk.run(ctx, load{
				url:    strings.TrimSuffix(s.url, "/v1/cards") + "/auth/logout",
				method: http.MethodPost, tokens: file, once: true,
				connections: clients.connections, duration: c.logout,
			})
			if err != nil {
				return err
			}
			// After the last token the run ends, but not before each connection has
			// sent the first one again.
			if o.refused > clients.connections {
				return fmt.Errorf("%d of %d logouts were refused\n%s", o.refused, o.requests, s.Log())
			}
			fmt.Fprintf(table, "%d\t%d\t%.0f\t%.2f\t%.2f\n", gomaxprocs, clients.connections,
				o.perSecond(o.passed), milliseconds(o.p50), milliseconds(o.p99))
		}
		c.end(s)
	}
	return table.Flush()
}
