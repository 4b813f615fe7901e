package caddymodule

import (
	"context"
	"slices"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"go.uber.org/zap"

	"example.com/caddy-token-auth/revocation"
	"example.com/caddy-token-auth/revocation/natsstore"
)

func init() {
	caddy.RegisterModule(new(NATSStore))
}

// NATSStore keeps the list in a bucket of NATS JetStream, for all replicas that name the
// same servers and bucket.
type NATSStore struct {
	// URLs are some servers of the cluster: nats://host:port or tls://host:port.
	// Placeholders are replaced.
	URLs []string `json:"urls"`
	// Bucket has the list. Default: token_auth.
	Bucket string `json:"bucket,omitempty"`
	// MustExist refuses to create the bucket.
	MustExist bool `json:"must_exist,omitempty"`
	// Replicas is how many servers keep the bucket: 1, 3 or 5. Default: as it is; 1 for one
	// that is created.
	Replicas int `json:"replicas,omitempty"`
	// PlacementCluster and PlacementTags say where a bucket is created.
	PlacementCluster string   `json:"placement_cluster,omitempty"`
	PlacementTags    []string `json:"placement_tags,omitempty"`
	// CredentialsFile has a user JWT and its NKey seed, NKeyFile a seed alone.
	CredentialsFile string `json:"credentials,omitempty"`
	NKeyFile        string `json:"nkey,omitempty"`
	// Token, or User and Password, are other credentials. Placeholders are replaced.
	Token    string `json:"token,omitempty"`
	User     string `json:"user,omitempty"`
	Password string `json:"password,omitempty"`
	// Timeout bounds every exchange with the servers. Default: 2s.
	Timeout caddy.Duration `json:"timeout,omitempty"`
	// TLS has the certificates.
	TLS StoreTLS `json:"tls,omitzero"`

	options natsstore.Options
}

// CaddyModule implements caddy.Module.
func (*NATSStore) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{
		ID:  "token_auth.stores.nats",
		New: func() caddy.Module { return new(NATSStore) },
	}
}

// Provision implements caddy.Provisioner. It does not connect.
func (s *NATSStore) Provision(caddy.Context) error {
	texts := slices.Concat(s.URLs, []string{s.CredentialsFile, s.NKeyFile, s.Token, s.User, s.Password})
	for i, text := range texts {
		if text == "" {
			continue
		}
		var err error
		if texts[i], err = replace(text); err != nil {
			return fieldError("store nats", err)
		}
	}
	n := len(s.URLs)
	o := natsstore.Options{
		URLs: texts[:n:n], Bucket: s.Bucket, MustExist: s.MustExist, Replicas: s.Replicas,
		Placement:       natsstore.Placement{Cluster: s.PlacementCluster, Tags: s.PlacementTags},
		CredentialsFile: texts[n], NKeySeedFile: texts[n+1], Token: texts[n+2], User: texts[n+3], Password: texts[n+4],
		Timeout: time.Duration(s.Timeout),
	}
	if s.TLS != (StoreTLS{}) {
		o.TLS = &natsstore.TLS{CAFile: s.TLS.CAFile, CertFile: s.TLS.CertFile, KeyFile: s.TLS.KeyFile, ServerName: s.TLS.ServerName}
	}
	if err := o.Validate(); err != nil {
		return fieldError("store nats", err)
	}
	s.options = o
	return nil
}

// Identity implements StoreModule.
func (s *NATSStore) Identity() string {
	o := s.options
	o.URLs = slices.Clone(o.URLs)
	slices.Sort(o.URLs)
	o.Bucket = orDefault(o.Bucket, natsstore.DefaultBucket)
	return "nats:" + o.String()
}

// Remote implements RemoteStore.
func (*NATSStore) Remote() {}

// Open implements StoreModule.
func (s *NATSStore) Open(ctx context.Context, log *zap.Logger) (revocation.Store, error) {
	o := s.options
	o.OnWarning = func(warning string) { log.Warn("revocation list in danger: " + warning) }
	store, err := natsstore.Open(ctx, o)
	if err != nil {
		return nil, err
	}
	log.Info("revocation list opened", zap.Stringer("store", o))
	return store, nil
}

// UnmarshalCaddyfile sets up the store from Caddyfile tokens:
//
//	store nats <url>... {
//		bucket            <name>
//		must_exist
//		replicas          1|3|5
//		placement_cluster <name>
//		placement_tags    <tag>...
//		credentials       <file>
//		nkey              <file>
//		token             <token>
//		user              <name> <password>
//		timeout           <duration>
//		tls_ca            <file>
//		tls_cert          <file> <key file>
//		tls_server_name   <name>
//	}
func (s *NATSStore) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next() // the module's name
	s.URLs = d.RemainingArgs()
	if len(s.URLs) == 0 {
		return d.ArgErr()
	}
	options := blockOptions{
		"bucket": text(&s.Bucket), "must_exist": flag(&s.MustExist), "replicas": number(&s.Replicas),
		"placement_cluster": text(&s.PlacementCluster), "placement_tags": texts(&s.PlacementTags),
		"credentials": text(&s.CredentialsFile), "nkey": text(&s.NKeyFile), "token": text(&s.Token),
		"timeout": positive(&s.Timeout),
		"user": func(d *caddyfile.Dispenser) error {
			args := d.RemainingArgs()
			if len(args) != 2 {
				return d.ArgErr()
			}
			s.User, s.Password = args[0], args[1]
			return noBlock(d)
		},
	}
	s.TLS.addTo(options)
	return unmarshalBlock(d, options)
}

var (
	_ RemoteStore           = (*NATSStore)(nil)
	_ caddy.Provisioner     = (*NATSStore)(nil)
	_ caddyfile.Unmarshaler = (*NATSStore)(nil)
)
