package main

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"example.com/caddy-token-auth/bench/internal/process"
	"example.com/caddy-token-auth/bench/internal/workload"
)

// contestant is a server and what was measured of it, by repetition.
type contestant struct {
	*server
	samples []sample
}

// comparison is the three servers and the load for all of them.
type comparison struct {
	*lab
	plain, twin, sidecar *contestant
	load                 load
	store                string
}

func run(ctx context.Context, s settings) error {
	dir, err := os.MkdirTemp(s.dir, "e2e-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	if dir, err = filepath.Abs(dir); err != nil {
		return err
	}
	l, err := newLab(ctx, s, dir)
	if err != nil {
		if l != nil {
			l.close()
		}
		return err
	}
	defer l.close()

	c, err := newComparison(ctx, l)
	if err != nil {
		return err
	}
	if err := c.measure(ctx); err != nil {
		return err
	}
	c.report(os.Stdout)
	if s.profile != "" {
		if err := c.profiles(ctx, s.profile); err != nil {
			return err
		}
	}
	if s.logout > 0 {
		return c.logouts(ctx, os.Stdout)
	}
	return nil
}

// newComparison starts the servers and sees that each does what it should.
func newComparison(ctx context.Context, l *lab) (*comparison, error) {
	c := &comparison{lab: l, store: filepath.Join(l.dir, "store")}
	if err := l.fillStore(ctx, c.store); err != nil {
		return nil, err
	}
	signer, err := workload.NewSigner("RS256")
	if err != nil {
		return nil, err
	}
	key, err := signer.VerificationKey()
	if err != nil {
		return nil, err
	}
	keyFile := filepath.Join(l.dir, "key.pem")
	if err := os.WriteFile(keyFile, []byte(key), 0o600); err != nil {
		return nil, err
	}
	c.load = load{method: http.MethodGet, connections: l.connections, duration: l.duration}
	if c.load.tokens, err = l.tokenFile("tokens", signer, 0, l.tokens); err != nil {
		return nil, err
	}

	// One token more, of a client that has no part in the load.
	spare, err := signer.Tokens(l.tokens, 1)
	if err != nil {
		return nil, err
	}
	auth := []string{"api octopus_cards", "public_key " + keyFile}
	if l.options != "" {
		auth = append(auth, strings.Split(l.options, "\n")...)
	}
	for _, b := range []struct {
		name   string
		config caddyfile
		to     **contestant
	}{
		{"plain", caddyfile{}, &c.plain},
		{"sidecar", caddyfile{auth: auth, store: c.store}, &c.sidecar},
		{"twin", caddyfile{}, &c.twin},
	} {
		say("starting %s", b.name)
		s, err := l.serve(ctx, b.name, l.gomaxprocs, b.config, spare[0])
		if err != nil {
			return nil, err
		}
		*b.to = &contestant{server: s}
	}
	return c, c.checkServers(ctx, spare[0])
}

func (c *comparison) contestants() []*contestant {
	return []*contestant{c.plain, c.sidecar, c.twin}
}

// checkServers sees that the servers do what their names say: what is compared must
// not be an error page.
func (c *comparison) checkServers(ctx context.Context, spare string) error {
	logout := strings.TrimSuffix(c.sidecar.url, "/v1/cards") + "/auth/logout"
	for _, check := range []struct {
		what, method, url, token string
		want                     int
	}{
		{"plain without a token", http.MethodGet, c.plain.url, "", http.StatusOK},
		{"plain", http.MethodGet, c.plain.url, spare, http.StatusOK},
		{"twin", http.MethodGet, c.twin.url, spare, http.StatusOK},
		{"sidecar without a token", http.MethodGet, c.sidecar.url, "", http.StatusUnauthorized},
		{"sidecar", http.MethodGet, c.sidecar.url, spare, http.StatusOK},
		{"logout at the sidecar", http.MethodPost, logout, spare, http.StatusOK},
		{"sidecar after logout", http.MethodGet, c.sidecar.url, spare, http.StatusUnauthorized},
	} {
		got, err := process.Status(ctx, check.method, check.url, check.token)
		if err != nil {
			return fmt.Errorf("%s: %w", check.what, err)
		}
		if got != check.want {
			return fmt.Errorf("%s: status %d, want %d", check.what, got, check.want)
		}
	}
	return nil
}

// measure warms all servers up, then loads them in rounds, every second time in the
// opposite order.
func (c *comparison) measure(ctx context.Context) error {
	for _, s := range c.contestants() {
		say("warming up %s", s.Name)
		if err := c.warmUp(ctx, s); err != nil {
			return err
		}
	}
	order := c.contestants()
	for spoilt := 0; len(c.plain.samples) < c.repetitions; slices.Reverse(order) {
		say("repetition %d of %d", len(c.plain.samples)+1, c.repetitions)
		round, err := c.round(ctx, order)
		if err != nil {
			return err
		}
		// What other programs do to one server, they do not do to the next.
		if other := worst(round); other > c.maxOther && spoilt < maxSpoilt*c.repetitions {
			say("again: other programs used %.0f %% of a core", 100*other)
			spoilt++
			if err := c.waitForQuiet(ctx); err != nil {
				return err
			}
			continue
		}
		for i, s := range order {
			s.samples = append(s.samples, round[i])
		}
	}
	return nil
}

// maxSpoilt is how many rounds, for each repetition, are given up before those on a
// busy machine are taken as they are.
const maxSpoilt = 3

// waitForQuiet waits until other programs leave the machine alone for a while, but not
// for ever.
func (c *comparison) waitForQuiet(ctx context.Context) error {
	const window, patience = 3 * time.Second, time.Minute
	for end := time.Now().Add(patience); time.Now().Before(end); {
		before, err := process.MachineTime()
		if err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(window):
		}
		after, err := process.MachineTime()
		if err != nil || (after-before).Seconds() <= c.maxOther*window.Seconds() {
			return err
		}
	}
	return nil
}

// round measures each server once.
func (c *comparison) round(ctx context.Context, order []*contestant) ([]sample, error) {
	var samples []sample
	for _, s := range order {
		next, err := c.sample(ctx, s.server)
		if err != nil {
			return nil, err
		}
		samples = append(samples, next)
	}
	return samples, nil
}

// warmUp loads a server until it has seen each token at least twice.
func (c *comparison) warmUp(ctx context.Context, s *contestant) error {
	l := c.load
	l.url, l.duration = s.url, c.warmup
	for seen := 0; seen < 2*c.tokens; {
		o, err := c.wrk.run(ctx, l)
		if err != nil {
			return err
		}
		// Each run begins with the first token again.
		if seen += o.requests; o.requests < c.tokens {
			l.duration *= 2
		}
	}
	return nil
}
