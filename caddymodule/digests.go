package caddymodule

import (
	"context"
	"errors"
	"fmt"
	"io"

	"example.com/caddy-token-auth/token/apikey"
	"example.com/caddy-token-auth/token/opaque"
)

// DigestKeeper is implemented by a StoreModule that keeps the key of digests itself, so
// that it need not be configured.
type DigestKeeper interface {
	// DigestKey returns the key: always the same one for the list that is open. It is
	// called after Open.
	DigestKey(ctx context.Context) ([]byte, error)
}

// digests make identifiers of credentials that have none which may be stored.
type digests struct {
	tokens   *opaque.Namer
	keys     *apikey.Digester
	sessions *apikey.Sessions
}

func newDigests(key []byte) (*digests, error) {
	var d digests
	var err error
	if d.tokens, err = opaque.NewNamer(key); err != nil {
		return nil, err
	}
	if d.keys, err = apikey.NewDigester(key); err != nil {
		return nil, err
	}
	if d.sessions, err = apikey.NewSessions(key, nil); err != nil {
		return nil, err
	}
	return &d, nil
}

// Format implements fmt.Formatter. It shows nothing of the key.
func (digests) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, "digests") }

// provisionDigests reads the configured key.
func (a *App) provisionDigests() error {
	if a.DigestKey == "" {
		return nil
	}
	key, err := readSecret(a.DigestKey)
	if err == nil {
		a.ownDigests, err = newDigests(key)
	}
	if err != nil {
		return fmt.Errorf("token_auth: digest_key: %w", err)
	}
	return nil
}

// needsDigests reports an error where there is neither a configured key nor a store that
// keeps one.
func (a *App) needsDigests() error {
	if _, ok := a.store.(DigestKeeper); ok || a.ownDigests != nil {
		return nil
	}
	return errors.New("all replicas need the same key for digests of credentials: add a line digest_key to the global option token_auth")
}

// digests returns those of the list, or nil if it is not open. It waits like list.
func (a *App) digests(ctx context.Context) *digests {
	if a.ownDigests != nil {
		return a.ownDigests
	}
	if a.list(ctx) == nil {
		return nil
	}
	return a.shared.digests.Load()
}
