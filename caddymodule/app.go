package caddymodule

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	"github.com/caddyserver/caddy/v2"
	"go.uber.org/zap"

	"example.com/caddy-token-auth/revocation"
	"example.com/caddy-token-auth/token"
)

func init() {
	caddy.RegisterModule(new(App))
}

// App owns the revocation list, which all token_auth handlers of the process share
// and which outlives reloads of the configuration. It need not be configured:
// without it the list is kept in the embedded store.
type App struct {
	// StoreRaw is the store that keeps the list, a module of the namespace
	// token_auth.stores. Default: local.
	StoreRaw json.RawMessage `json:"store,omitempty" caddy:"namespace=token_auth.stores inline_key=module"`
	// CacheSize is how many verdicts are cached, and how many verified tokens by
	// each handler, at least 16. Default: 100000.
	CacheSize int `json:"cache_size,omitempty"`
	// MaxTokenLifetime is the longest life of a token that the APIs issue. The
	// logout of a client or session is remembered for as long, and a token that
	// was issued longer ago is refused. Default: the longest that a preset in use documents,
	// at least 7d.
	MaxTokenLifetime caddy.Duration `json:"max_token_lifetime,omitempty"`
	// MaxStaleness is how long a replica goes on trusting what it knows while the feed of a
	// shared store is broken, at least 5s. After that it asks the store for each
	// request. Default: 30s.
	MaxStaleness caddy.Duration `json:"max_staleness,omitempty"`
	// OnStoreFailure is "reject" to answer 503 while nobody can tell whether a credential
	// was revoked, or "allow" to let it through unchecked. Default: reject.
	OnStoreFailure string `json:"on_store_failure,omitempty"`
	// DigestKey is the key of the digests by which opaque tokens and API keys are known:
	// at least 32 bytes, the same on all replicas and for good. With the prefix "base64:"
	// it is decoded first; placeholders are replaced. Default: with the local store,
	// one that is made and kept beside it.
	DigestKey string `json:"digest_key,omitempty"`

	ctx    caddy.Context
	log    *zap.Logger
	store  StoreModule
	shared *sharedList // nil until acquired
	// sharedBy is the identity by which shared was acquired.
	sharedBy string
	// ownDigests are those of DigestKey, nil if there is none.
	ownDigests *digests
	// lifetime is the longest that a handler needs where none is configured.
	lifetime time.Duration
	// allowsUnchecked is OnStoreFailure.
	allowsUnchecked bool
	// started says that all handlers of the configuration have been provisioned.
	started atomic.Bool
	// keys are what the handlers need to be ready.
	keys []func() error
	// handlers are those of the configuration that have been provisioned.
	handlers []*Handler
	// audit tells of revocations.
	audit *zap.Logger

	// implicitRealm holds the fingerprints of the keys of each handler that named
	// neither a realm nor an issuer.
	implicitRealm [][]string
}

// StoreModule is a module of the namespace token_auth.stores.
type StoreModule interface {
	caddy.Module
	// Identity says which list this is about, and nothing else: two stores with
	// the same identity share one list, whatever their options.
	Identity() string
	// Open opens the store. It may take as long as ctx permits.
	Open(ctx context.Context, log *zap.Logger) (revocation.Store, error)
}

// RemoteStore is implemented by a StoreModule whose store is reached over a network. It is
// opened when it can be: a configuration starts without it.
type RemoteStore interface {
	StoreModule
	// Remote tells it from other stores.
	Remote()
}

// CaddyModule implements caddy.Module.
func (*App) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{
		ID:  "token_auth",
		New: func() caddy.Module { return new(App) },
	}
}

// Provision implements caddy.Provisioner. At the first start it opens no file, so that
// a configuration can be validated beside a running instance. At a reload it opens
// the list, so that a store that cannot be opened is refused before a server of the
// new configuration has taken its first request.
func (a *App) Provision(ctx caddy.Context) error {
	a.ctx, a.log = ctx, ctx.Logger()
	a.audit = a.log.Named("audit")
	switch {
	case a.CacheSize != 0 && a.CacheSize < revocation.MinCacheSize:
		return fmt.Errorf("token_auth: cache_size %d: want at least %d", a.CacheSize, revocation.MinCacheSize)
	case a.MaxTokenLifetime != 0 && time.Duration(a.MaxTokenLifetime) < time.Second:
		return fmt.Errorf("token_auth: max_token_lifetime %s: want at least 1s", time.Duration(a.MaxTokenLifetime))
	case a.MaxStaleness != 0 && time.Duration(a.MaxStaleness) < revocation.MinMaxStaleness:
		return fmt.Errorf("token_auth: max_staleness %s: want at least %s", time.Duration(a.MaxStaleness), revocation.MinMaxStaleness)
	}
	var err error
	if a.allowsUnchecked, err = allowsUnchecked(a.OnStoreFailure); err != nil {
		return fmt.Errorf("token_auth: on_store_failure: %w", err)
	}
	if err := a.provisionDigests(); err != nil {
		return err
	}
	if err := registerMetrics(ctx, a); err != nil {
		return fmt.Errorf("token_auth: register metrics: %w", err)
	}
	if a.StoreRaw == nil {
		a.StoreRaw = json.RawMessage(`{"module":"local"}`)
	}
	module, err := ctx.LoadModule(a, "StoreRaw")
	if err != nil {
		return fmt.Errorf("token_auth: load store: %w", err)
	}
	store, ok := module.(StoreModule)
	if !ok {
		return fmt.Errorf("token_auth: %T is not a store", module)
	}
	a.store = store
	a.sharedBy = store.Identity()
	if a.shared, err = acquireList(a.sharedBy); err != nil {
		return err
	}
	if isReload := caddy.ActiveContext().Context != nil; !isReload {
		return nil
	}
	return a.open()
}

// allowsUnchecked reads the option on_store_failure.
func allowsUnchecked(option string) (bool, error) {
	switch option {
	case "", "reject":
		return false, nil
	case "allow":
		return true, nil
	default:
		return false, fmt.Errorf("%q: want reject or allow", option)
	}
}

const (
	// openTimeout bounds how long the store is waited for, its file lock included.
	openTimeout = 30 * time.Second
	// remoteTimeout bounds how long the start waits for a store that may come later.
	remoteTimeout = 3 * time.Second
)

// open opens the list, unless it is open already.
func (a *App) open() error {
	if remote, ok := a.store.(RemoteStore); ok {
		if a.shared.wanted.Load() == nil {
			a.shared.wanted.Store(new(a.options()))
		}
		ctx, cancel := context.WithTimeout(a.ctx, remoteTimeout)
		defer cancel()
		a.shared.openLater(ctx, remote)
		return nil
	}
	ctx, cancel := context.WithTimeout(a.ctx, openTimeout)
	defer cancel()
	if err := a.shared.open(ctx, a.store, a.log, a.options()); err != nil {
		return fmt.Errorf("token_auth: open the revocation list: %w", err)
	}
	return nil
}

// raiseLifetime has the list remember logouts for as long as the tokens of one more API live by
// its documentation; 0 if that says nothing. Each handler calls it once, before the list is
// opened or its options are applied.
func (a *App) raiseLifetime(lifetime time.Duration) { a.lifetime = max(a.lifetime, lifetime) }

// tokenLifetime is how long a token of an API lives at most, whose tokens live as long as
// lifetime by its documentation, 0 if that says nothing. A configured lifetime counts for all
// APIs.
func (a *App) tokenLifetime(lifetime time.Duration) time.Duration {
	if a.MaxTokenLifetime != 0 {
		return time.Duration(a.MaxTokenLifetime)
	}
	return cmp.Or(lifetime, revocation.DefaultMaxTokenLifetime)
}

// listLifetime is for how long the list remembers a logout.
func (a *App) listLifetime() time.Duration {
	return a.tokenLifetime(max(a.lifetime, revocation.DefaultMaxTokenLifetime))
}

func (a *App) options() revocation.Options {
	return revocation.Options{
		CacheSize: a.CacheSize, MaxTokenLifetime: a.listLifetime(),
		MaxStaleness: time.Duration(a.MaxStaleness), OnFeed: countFeed(logFeed(caddy.Log().Named("token_auth.feed"))),
		OnStore: storeCalls.observe, Counters: listCounts,
	}
}

// cacheSize is how many tokens each handler remembers.
func (a *App) cacheSize() int {
	if a.CacheSize == 0 {
		return token.DefaultCacheSize
	}
	return a.CacheSize
}

// Start implements caddy.App. It opens the list at the first start, and applies the
// options to a list that the configuration before had open.
func (a *App) Start() error {
	if err := a.open(); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(a.ctx, openTimeout)
	defer cancel()
	if err := a.shared.configure(ctx, a.options()); err != nil {
		return fmt.Errorf("token_auth: %w", err)
	}
	a.started.Store(true)
	return nil
}

// Stop implements caddy.App. The list is released by Cleanup, once no handler of
// this configuration is left.
func (*App) Stop() error { return nil }

// Cleanup implements caddy.CleanerUpper.
func (a *App) Cleanup() error {
	if a.shared == nil {
		return nil
	}
	return releaseList(a.sharedBy)
}

// list returns the list. While the process starts, and servers may run before the store
// is open, it waits for that, until ctx ends or for startWait. nil means that the list
// is not open.
func (a *App) list(ctx context.Context) *revocation.List {
	if list := a.shared.list.Load(); list != nil {
		return list
	}
	timeout := time.NewTimer(startWait)
	defer timeout.Stop()
	select {
	case <-a.shared.opened:
	case <-timeout.C:
	case <-ctx.Done():
	}
	return a.shared.list.Load()
}

// startWait bounds how long a request waits for the list to be opened. A list of some
// million entries is read in this time.
const startWait = 5 * time.Second

// share checks that handlers which share the list mean the same by an identifier:
// with neither a realm nor an issuer of their own, they must have a key in common.
func (a *App) share(realm string, hasIssuer bool, keys []token.VerificationKey, sets []KeySet) error {
	if realm != "" || hasIssuer {
		return nil
	}
	prints := make([]string, 0, len(keys)+len(sets))
	for _, key := range keys {
		prints = append(prints, key.Fingerprint())
	}
	for _, set := range sets {
		prints = append(prints, "jwks "+set.Source)
	}
	for _, other := range a.implicitRealm {
		if !slices.ContainsFunc(prints, func(p string) bool { return slices.Contains(other, p) }) {
			return errors.New("token_auth: two handlers with different keys share the list and neither names a realm: " +
				"client 42 of one API would be client 42 of the other; add a line realm <name> to one of them")
		}
	}
	a.implicitRealm = append(a.implicitRealm, prints)
	return nil
}

var (
	_ caddy.App          = (*App)(nil)
	_ caddy.Provisioner  = (*App)(nil)
	_ caddy.CleanerUpper = (*App)(nil)
)
