package redisstore

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"os"
	"sync"
	"time"

	"github.com/redis/rueidis"
)

const (
	// pingAfter is how long a connection may be silent before it is tried with a PING,
	// which must be answered within Options.Timeout.
	pingAfter = time.Second
	// topologyInterval is how often the Sentinels are asked for the primary, and a
	// cluster for its slots, beside what they tell by themselves.
	topologyInterval = time.Second
	// connectionBuffer is the size in bytes of a connection's two buffers: some hundred
	// records.
	connectionBuffer = 64 << 10
	// pipelineScale is the number of commands that may be under way on a connection, as
	// a power of two.
	pipelineScale = 9
	// maxPooled is how many connections to one server wait or follow the feed at a
	// time; pooledIdle is when idle ones are closed.
	maxPooled  = 128
	pooledIdle = time.Minute
	// clientName is what CLIENT LIST shows.
	clientName = "caddy-token-auth"
)

// clientOption returns what rueidis is to do for o.
//
// It does not retry: Store.do does, since it knows that all we send can be repeated.
// It pipelines always, because only then a caller whose context ends is let go.
func (o Options) clientOption(d *dialer) (rueidis.ClientOption, error) {
	tlsConfig, err := o.TLS.config()
	if err != nil {
		return rueidis.ClientOption{}, err
	}
	dial := net.Dialer{Timeout: o.Timeout, KeepAlive: pingAfter}
	return rueidis.ClientOption{
		InitAddress:         o.Addresses,
		ForceSingleClient:   o.MasterName == "" && !o.Cluster,
		Username:            o.Username,
		Password:            o.Password,
		ClientName:          clientName,
		SelectDB:            o.DB,
		TLSConfig:           tlsConfig,
		Dialer:              dial,
		DialCtxFn:           d.dial,
		ConnWriteTimeout:    o.Timeout,
		ReadBufferEachConn:  connectionBuffer,
		WriteBufferEachConn: connectionBuffer,
		RingScaleEachConn:   pipelineScale,
		BlockingPoolSize:    maxPooled,
		BlockingPoolCleanup: pooledIdle,
		DisableCache:        true,
		DisableRetry:        true,
		AlwaysPipelining:    true,
		Sentinel: rueidis.SentinelOption{
			MasterSet:               o.MasterName,
			Username:                o.SentinelUsername,
			Password:                o.SentinelPassword,
			ClientName:              clientName,
			TLSConfig:               tlsConfig,
			Dialer:                  dial,
			TopologyRefreshInterval: topologyInterval,
		},
		ClusterOption: rueidis.ClusterOption{ShardsRefreshInterval: topologyInterval},
	}, nil
}

// config returns the configuration for t, or nil without one.
func (t *TLS) config() (*tls.Config, error) {
	if t == nil {
		return nil, nil
	}
	c := &tls.Config{MinVersion: tls.VersionTLS12, ServerName: t.ServerName}
	if t.CAFile != "" {
		pem, err := os.ReadFile(t.CAFile)
		if err != nil {
			return nil, fmt.Errorf("CA certificates: %w", err)
		}
		c.RootCAs = x509.NewCertPool()
		if !c.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("CA certificates: %s has none", t.CAFile)
		}
	}
	if t.CertFile != "" {
		load := func() (*tls.Certificate, error) {
			pair, err := tls.LoadX509KeyPair(t.CertFile, t.KeyFile)
			if err != nil {
				return nil, fmt.Errorf("client certificate: %w", err)
			}
			return &pair, nil
		}
		if _, err := load(); err != nil {
			return nil, err
		}
		c.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return load() }
	}
	return c, nil
}

// dialer makes the connections, and can end all of them.
type dialer struct {
	mu      sync.Mutex // guards all below
	open    map[net.Conn]struct{}
	dropped time.Time // when drop last did something
	closed  bool
}

func newDialer() *dialer { return &dialer{open: make(map[net.Conn]struct{})} }

var errDialerClosed = errors.New("the store is closed")

func (d *dialer) dial(ctx context.Context, address string, nd *net.Dialer, config *tls.Config) (net.Conn, error) {
	var conn net.Conn
	var err error
	if config != nil {
		conn, err = (&tls.Dialer{NetDialer: nd, Config: config}).DialContext(ctx, "tcp", address)
	} else {
		conn, err = nd.DialContext(ctx, "tcp", address)
	}
	if err != nil {
		return nil, err
	}
	tracked := &trackedConn{Conn: conn, dialer: d}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed {
		return nil, errors.Join(errDialerClosed, conn.Close())
	}
	d.open[tracked] = struct{}{}
	return tracked, nil
}

// dropInterval is the least time between two times that all connections are dropped: a
// server that stays read-only must not be flooded with new ones.
const dropInterval = time.Second

// drop closes all connections, so that new ones are made, to wherever the names of the
// servers lead by then.
func (d *dialer) drop() {
	d.mu.Lock()
	now := time.Now()
	if now.Sub(d.dropped) < dropInterval {
		d.mu.Unlock()
		return
	}
	d.dropped = now
	d.mu.Unlock()
	d.closeAll()
}

// close ends all connections, and those that are being made.
func (d *dialer) close() {
	d.mu.Lock()
	d.closed = true
	d.mu.Unlock()
	d.closeAll()
}

func (d *dialer) closeAll() {
	d.mu.Lock()
	open := make([]net.Conn, 0, len(d.open))
	for conn := range d.open {
		open = append(open, conn)
	}
	d.mu.Unlock()
	for _, conn := range open {
		// Its user gets the error of whatever it does with the connection next.
		_ = conn.Close()
	}
}

// trackedConn is a connection that its dialer knows while it is open.
type trackedConn struct {
	net.Conn
	dialer *dialer
}

func (c *trackedConn) Close() error {
	c.dialer.mu.Lock()
	delete(c.dialer.open, c)
	c.dialer.mu.Unlock()
	return c.Conn.Close()
}
