package caddymodule

import (
	"context"
	"path/filepath"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"go.uber.org/zap"

	"example.com/caddy-token-auth/revocation"
	"example.com/caddy-token-auth/revocation/localstore"
)

func init() {
	caddy.RegisterModule(new(LocalStore))
}

// LocalStore keeps the list in a file on this machine, which one process at a time
// may have open.
type LocalStore struct {
	// Dir is the directory of the file. It is created if need be. Placeholders are
	// replaced. Default: token_auth in Caddy's data directory.
	Dir string `json:"dir,omitempty"`

	path string
}

// CaddyModule implements caddy.Module.
func (*LocalStore) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{
		ID:  "token_auth.stores.local",
		New: func() caddy.Module { return new(LocalStore) },
	}
}

// Provision implements caddy.Provisioner.
func (s *LocalStore) Provision(caddy.Context) error {
	s.path = filepath.Join(caddy.AppDataDir(), "token_auth")
	if s.Dir != "" {
		dir, err := replace(s.Dir)
		if err != nil {
			return fieldError("store local", err)
		}
		s.path = dir
	}
	var err error
	if s.path, err = filepath.Abs(s.path); err != nil {
		return fieldError("store local", err)
	}
	return nil
}

// Identity implements StoreModule.
func (s *LocalStore) Identity() string { return "local:" + s.path }

// Open implements StoreModule.
func (s *LocalStore) Open(ctx context.Context, log *zap.Logger) (revocation.Store, error) {
	store, err := localstore.Open(ctx, s.path, localstore.Options{})
	if err != nil {
		return nil, err
	}
	log.Info("revocation list opened", zap.String("dir", s.path), zap.Int("entries", store.Len()))
	return store, nil
}

// DigestKey implements DigestKeeper: the key is in a file beside the list.
func (s *LocalStore) DigestKey(context.Context) ([]byte, error) { return readDigestKey(s.path) }

// UnmarshalCaddyfile sets up the store from Caddyfile tokens:
//
//	store local [<dir>]
func (s *LocalStore) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next() // the module's name
	if d.NextArg() {
		s.Dir = d.Val()
	}
	if d.NextArg() {
		return d.ArgErr()
	}
	if d.NextBlock(d.Nesting()) {
		return d.Errf("store local has no options")
	}
	return nil
}

var (
	_ StoreModule           = (*LocalStore)(nil)
	_ DigestKeeper          = (*LocalStore)(nil)
	_ caddy.Provisioner     = (*LocalStore)(nil)
	_ caddyfile.Unmarshaler = (*LocalStore)(nil)
)
