package caddymodule

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"go.uber.org/zap"

	"example.com/caddy-token-auth/revocation"
	"example.com/caddy-token-auth/revocation/redisstore"
)

func init() {
	caddy.RegisterModule(new(RedisStore))
}

// RedisStore keeps the list in Redis or Valkey, for all replicas that name the same
// servers, database and key prefix.
type RedisStore struct {
	// URL names the servers: redis://[[user]:password@]host[:port][,host...][/db], with
	// rediss for TLS; ?master=name makes the hosts Sentinels, ?cluster=true nodes of a
	// cluster. Placeholders are replaced.
	URL string `json:"url"`
	// Username and Password are the servers' credentials, in place of those of the URL.
	// Placeholders are replaced.
	Username string `json:"username,omitempty"`
	Password string `json:"password,omitempty"`
	// SentinelUsername and SentinelPassword are those of the Sentinels.
	SentinelUsername string `json:"sentinel_username,omitempty"`
	SentinelPassword string `json:"sentinel_password,omitempty"`
	// KeyPrefix begins the name of every key. Default: token_auth:
	KeyPrefix string `json:"key_prefix,omitempty"`
	// Timeout bounds every operation. Default: 2s.
	Timeout caddy.Duration `json:"timeout,omitempty"`
	// Wait is how many replicas of the server must have a write before it is acknowledged,
	// and WaitTimeout how long that may take. Default: 0, and 1s.
	Wait        int            `json:"wait,omitempty"`
	WaitTimeout caddy.Duration `json:"wait_timeout,omitempty"`
	// FeedLength is about how many changes can be told to a replica that was away; one that
	// has missed more reads the list anew. Default: 100000.
	FeedLength int `json:"feed_length,omitempty"`
	// TLS has the certificates.
	TLS StoreTLS `json:"tls,omitzero"`

	options redisstore.Options
}

// StoreTLS has the files of a store's certificates, in PEM.
type StoreTLS struct {
	// CAFile is who signed the servers' certificates. Default: the system's roots.
	CAFile string `json:"ca_file,omitempty"`
	// CertFile and KeyFile are our own certificate. They are read at every handshake.
	CertFile string `json:"cert_file,omitempty"`
	KeyFile  string `json:"key_file,omitempty"`
	// ServerName is what the servers' certificates must name. Default: the host.
	ServerName string `json:"server_name,omitempty"`
}

// CaddyModule implements caddy.Module.
func (*RedisStore) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{
		ID:  "token_auth.stores.redis",
		New: func() caddy.Module { return new(RedisStore) },
	}
}

// Provision implements caddy.Provisioner. It does not connect.
func (s *RedisStore) Provision(caddy.Context) error {
	var texts [5]string
	for i, text := range []string{s.URL, s.Username, s.Password, s.SentinelUsername, s.SentinelPassword} {
		if text == "" {
			continue
		}
		var err error
		if texts[i], err = replace(text); err != nil {
			return fieldError("store redis", err)
		}
	}
	o, err := redisstore.ParseURL(texts[0])
	if err != nil {
		return fieldError("store redis", err)
	}
	overrideAny(&o.Username, texts[1])
	overrideAny(&o.Password, texts[2])
	o.SentinelUsername, o.SentinelPassword = texts[3], texts[4]
	o.KeyPrefix, o.Timeout, o.FeedLength = s.KeyPrefix, time.Duration(s.Timeout), s.FeedLength
	o.Wait = redisstore.Wait{Replicas: s.Wait, Timeout: time.Duration(s.WaitTimeout)}
	if s.TLS != (StoreTLS{}) {
		o.TLS = &redisstore.TLS{CAFile: s.TLS.CAFile, CertFile: s.TLS.CertFile, KeyFile: s.TLS.KeyFile, ServerName: s.TLS.ServerName}
	}
	if err := o.Validate(); err != nil {
		return fieldError("store redis", err)
	}
	s.options = o
	return nil
}

// Identity implements StoreModule.
func (s *RedisStore) Identity() string {
	o := s.options
	addresses := slices.Clone(o.Addresses)
	slices.Sort(addresses)
	return fmt.Sprintf("redis:%s %s/%d %s", strings.Join(addresses, ","), o.MasterName, o.DB, orDefault(o.KeyPrefix, redisstore.DefaultKeyPrefix))
}

// Remote implements RemoteStore.
func (*RedisStore) Remote() {}

// Open implements StoreModule.
func (s *RedisStore) Open(ctx context.Context, log *zap.Logger) (revocation.Store, error) {
	o := s.options
	o.OnWarning = func(warning string) { log.Warn("revocation list in danger: " + warning) }
	store, err := redisstore.Open(ctx, o)
	if err != nil {
		return nil, err
	}
	log.Info("revocation list opened", zap.Stringer("store", o))
	return store, nil
}

// UnmarshalCaddyfile sets up the store from Caddyfile tokens:
//
//	store redis <url> {
//		username          <name>
//		password          <password>
//		sentinel_username <name>
//		sentinel_password <password>
//		key_prefix        <prefix>
//		timeout           <duration>
//		wait              <replicas> [<timeout>]
//		feed_length       <changes>
//		tls_ca            <file>
//		tls_cert          <file> <key file>
//		tls_server_name   <name>
//	}
func (s *RedisStore) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next() // the module's name
	if !d.NextArg() {
		return d.ArgErr()
	}
	s.URL = d.Val()
	if d.NextArg() {
		return d.ArgErr()
	}
	options := blockOptions{
		"username": text(&s.Username), "password": text(&s.Password),
		"sentinel_username": text(&s.SentinelUsername), "sentinel_password": text(&s.SentinelPassword),
		"key_prefix": text(&s.KeyPrefix), "timeout": positive(&s.Timeout), "feed_length": number(&s.FeedLength),
		"wait": s.unmarshalWait,
	}
	s.TLS.addTo(options)
	return unmarshalBlock(d, options)
}

func (s *RedisStore) unmarshalWait(d *caddyfile.Dispenser) error {
	args := d.RemainingArgs()
	if len(args) < 1 || len(args) > 2 {
		return d.ArgErr()
	}
	replicas, err := strconv.Atoi(args[0])
	if err != nil || replicas < 1 {
		return d.Errf("wait %q: want a number of replicas", args[0])
	}
	s.Wait = replicas
	if len(args) == 2 {
		timeout, err := caddy.ParseDuration(args[1])
		if err != nil || timeout <= 0 {
			return d.Errf("wait %q: want a duration above zero, such as 1s", args[1])
		}
		s.WaitTimeout = caddy.Duration(timeout)
	}
	return noBlock(d)
}

// addTo adds the options of the certificates to those of a store.
func (t *StoreTLS) addTo(options blockOptions) {
	options["tls_ca"] = text(&t.CAFile)
	options["tls_server_name"] = text(&t.ServerName)
	options["tls_cert"] = func(d *caddyfile.Dispenser) error {
		args := d.RemainingArgs()
		if len(args) != 2 {
			return d.ArgErr()
		}
		t.CertFile, t.KeyFile = args[0], args[1]
		return noBlock(d)
	}
}

var (
	_ RemoteStore           = (*RedisStore)(nil)
	_ caddy.Provisioner     = (*RedisStore)(nil)
	_ caddyfile.Unmarshaler = (*RedisStore)(nil)
)
