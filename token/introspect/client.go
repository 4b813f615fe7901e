package introspect

import (
	"context"
	"fmt"
	"io"
	"net/netip"
	"slices"
	"sync"
	"time"

	"example.com/caddy-token-auth/token"
	"example.com/caddy-token-auth/token/internal/serverurl"
)

// Client asks one introspection endpoint.
type Client struct {
	options  Options
	endpoint *endpoint
	cache    *cache

	ctx     context.Context // ends with Close
	cancel  context.CancelFunc
	running sync.WaitGroup // the flights

	mu      sync.Mutex // guards what follows
	closed  bool
	flights map[key]*flight
	queue   *queue
	circuit circuit
}

// New returns a Client for the introspection endpoint at an https URL. Plain http needs
// Options.AllowHTTP, unless the host is loopback. It asks nothing yet. Close must be
// called. An error says what is wrong with the URL or the options, without quoting them.
func New(address string, o Options) (*Client, error) {
	u, err := serverurl.Parse(address, o.AllowHTTP, danger)
	if err != nil {
		return nil, fmt.Errorf("address of the introspection endpoint: %w", err)
	}
	if o, err = o.withDefaults(); err != nil {
		return nil, err
	}
	verdicts, err := newCache(o.CacheSize)
	if err != nil {
		return nil, err
	}
	turns, err := newQueue(o.MaxConcurrent)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(context.Background())
	c := &Client{
		options: o, endpoint: newEndpoint(u, o), cache: verdicts,
		ctx: ctx, cancel: cancel, flights: make(map[key]*flight), queue: turns,
	}
	// What has been put into the requests is not needed here.
	c.options.ClientSecret, c.options.BearerToken = "", ""
	return c, nil
}

// Introspect returns what the server says about an active token, or nil and an error
// that wraps either ErrInactive or ErrUnavailable. ctx bounds how long it waits.
func (c *Client) Introspect(ctx context.Context, raw string) (*Answer, error) {
	return c.IntrospectFor(ctx, netip.Prefix{}, raw)
}

// IntrospectFor is Introspect for a token that was presented from a network. Where there
// are more questions than may be asked at the same time, the networks take turns. The zero
// Prefix says that it is not known from where.
func (c *Client) IntrospectFor(ctx context.Context, from netip.Prefix, raw string) (*Answer, error) {
	// What no server can have issued is not sent to one (RFC 6749 appendix A.12).
	switch {
	case raw == "":
		return nil, inactive(token.ErrMissing)
	case len(raw) > token.DefaultMaxLength:
		return nil, inactive(token.ErrTooLarge)
	case !isVisible(raw):
		return nil, inactive(token.ErrMalformed)
	}
	k := c.cache.key(raw)
	if v, ok := c.cache.get(k, c.options.Now()); ok {
		return v.answer, v.err
	}
	if err := ctx.Err(); err != nil {
		return nil, unavailable(err)
	}
	v, err := c.await(ctx, k, from, raw)
	if err != nil {
		return nil, unavailable(err)
	}
	return v.answer, v.err
}

// Close ends all requests and idle connections, and waits for the goroutines of c. What
// is in the cache is used on; everything else becomes ErrUnavailable.
func (c *Client) Close() error {
	c.mu.Lock()
	c.closed = true
	c.mu.Unlock()
	c.cancel()
	c.running.Wait()
	c.endpoint.client.CloseIdleConnections()
	return nil
}

// String names the endpoint, without the URL's query.
func (c *Client) String() string { return serverurl.Name(c.endpoint.address) }

// Format implements fmt.Formatter. A Client holds secrets and shows only String.
func (c *Client) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, c.String()) }

// judge turns an answer that was asked for at the given time into a verdict.
func (c *Client) judge(a *Answer, asked time.Time) verdict {
	now := c.options.Now()
	if err := c.contradiction(a, now); err != nil {
		v := verdict{err: inactive(err), until: asked.Add(c.options.RejectTTL)}
		// A token that is refused because it is early is not refused any longer.
		for _, begin := range []time.Time{a.notBefore.Add(-c.options.Leeway), a.issuedAt.Add(-c.options.IssuedAtLeeway)} {
			if now.Before(begin) {
				v.until = earlier(v.until, begin)
			}
		}
		return v
	}
	v := verdict{answer: a, until: asked.Add(c.options.CacheTTL)}
	if !a.expires.IsZero() {
		v.until = earlier(v.until, a.expires)
	}
	if c.options.MaxAge > 0 && !a.issuedAt.IsZero() {
		v.until = earlier(v.until, a.issuedAt.Add(c.options.MaxAge))
	}
	return v
}

// contradiction says what refuses a token that the server calls active. As for JWTs,
// token.ErrExpired is said only if nothing else is wrong.
func (c *Client) contradiction(a *Answer, now time.Time) error {
	o := &c.options
	accepted := func(audience string) bool { return slices.Contains(o.Audiences, audience) }
	switch {
	case len(o.Issuers) > 0 && !slices.Contains(o.Issuers, a.issuer):
		return token.ErrIssuer
	case len(o.Audiences) > 0 && !slices.ContainsFunc(a.audience, accepted):
		return token.ErrAudience
	case a.notBefore.After(now.Add(o.Leeway)):
		return token.ErrNotYetValid
	case a.issuedAt.After(now.Add(o.IssuedAtLeeway)):
		return token.ErrIssuedInFuture
	case !a.expires.IsZero() && !a.expires.After(now.Add(-o.Leeway)):
		return token.ErrExpired
	case o.MaxAge > 0 && !a.issuedAt.IsZero() && a.issuedAt.Before(now.Add(-o.MaxAge)):
		return token.ErrTooOld
	}
	return nil
}

func earlier(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}
