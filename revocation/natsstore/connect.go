package natsstore

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

const (
	// clientName is what the servers' list of connections shows.
	clientName = "caddy-token-auth"

	// A server that has not answered pings for pingInterval times maxPings is given
	// up, and so is a connection that takes nothing for writeTimeout.
	pingInterval = time.Second
	maxPings     = 2
	writeTimeout = 2 * time.Second

	// reconnectWait is the pause before a server is tried again, and reconnectJitter
	// what is added at random, so that not all processes come at once.
	reconnectWait   = 250 * time.Millisecond
	reconnectJitter = 250 * time.Millisecond
)

// leaveInterval is the least time between two changes of the server that were our idea.
const leaveInterval = 5 * time.Second

// connect dials the servers until one takes the connection.
func (s *Store) connect(ctx context.Context, o Options) error {
	options, err := s.connectOptions(o)
	if err != nil {
		return err
	}
	dialer := &dialer{Dialer: net.Dialer{Timeout: o.Timeout}}
	dialer.until.Store(&ctx)
	s.nc, err = nats.Connect("", append(options, nats.SetCustomDialer(dialer))...)
	if err != nil {
		return errors.Join(err, ctx.Err())
	}
	dialer.until.Store(&s.closing)
	s.js, err = jetstream.New(s.nc)
	if err != nil {
		s.nc.Close()
	}
	return err
}

// dialer makes connections until a context ends.
type dialer struct {
	net.Dialer
	until atomic.Pointer[context.Context]
}

// Dial implements nats.CustomDialer.
func (d *dialer) Dial(network, address string) (net.Conn, error) {
	return d.DialContext(*d.until.Load(), network, address)
}

func (s *Store) connectOptions(o Options) ([]nats.Option, error) {
	options := []nats.Option{
		// Not in Connect's one string: a password may have a comma.
		func(to *nats.Options) error { to.Servers = o.URLs; return nil },
		nats.Name(clientName),
		nats.Timeout(o.Timeout),
		nats.PingInterval(pingInterval), nats.MaxPingsOutstanding(maxPings),
		nats.FlusherTimeout(writeTimeout), nats.ReconnectOnFlusherError(),
		nats.MaxReconnects(-1),
		nats.ReconnectWait(reconnectWait), nats.ReconnectJitter(reconnectJitter, reconnectJitter),
		// Nothing is kept for a later connection: a write whose caller was told that it
		// failed must not happen then.
		nats.ReconnectBufSize(-1),
		// Without this, the client gives up for good when it is refused twice.
		nats.IgnoreAuthErrorAbort(),
		nats.DisconnectErrHandler(func(_ *nats.Conn, err error) {
			if err != nil {
				s.warn(s.failed("connection lost", err).Error())
			}
		}),
		nats.ReconnectHandler(func(nc *nats.Conn) {
			s.warn(fmt.Sprintf("%s: connected again, to %s", s.where, nc.ConnectedAddr()))
		}),
		nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) {
			s.warn(s.failed("connection", err).Error())
		}),
	}
	switch {
	case o.CredentialsFile != "":
		options = append(options, nats.UserCredentials(o.CredentialsFile))
	case o.NKeySeedFile != "":
		nkey, err := nats.NkeyOptionFromSeed(o.NKeySeedFile)
		if err != nil {
			return nil, fmt.Errorf("NKey seed file: %w", err)
		}
		options = append(options, nkey)
	case o.Token != "":
		options = append(options, nats.Token(o.Token))
	case o.User != "":
		options = append(options, nats.UserInfo(o.User, o.Password))
	default:
		options = append(options, o.fromURLs()...)
	}
	return append(options, o.TLS.options()...), nil
}

// fromURLs returns the credentials that the first URL with any has. The client uses them
// for that server alone, and has none for those that it is told of.
func (o Options) fromURLs() []nats.Option {
	for _, text := range o.URLs {
		u, err := parseURL(text)
		if err != nil || u.User == nil {
			continue
		}
		if password, ok := u.User.Password(); ok {
			return []nats.Option{nats.UserInfo(u.User.Username(), password)}
		}
		return []nats.Option{nats.Token(u.User.Username())}
	}
	return nil
}

// options returns what t means to the client.
func (t *TLS) options() []nats.Option {
	if t == nil {
		return nil
	}
	options := []nats.Option{nats.Secure(&tls.Config{MinVersion: tls.VersionTLS12, ServerName: t.ServerName})}
	if t.CAFile != "" {
		options = append(options, nats.RootCAs(t.CAFile))
	}
	if t.CertFile != "" {
		options = append(options, nats.ClientCert(t.CertFile, t.KeyFile))
	}
	return options
}

// leave goes to another server, if one is known. This one keeps the connection but does
// not help: it may be cut off from the others.
func (s *Store) leave() {
	now := int64(time.Since(s.opened))
	last := s.left.Load()
	if now-last < int64(leaveInterval) || len(s.nc.Servers()) < 2 || !s.left.CompareAndSwap(last, now) {
		return
	}
	if err := s.nc.ForceReconnect(); err == nil {
		s.warn(s.where + ": no answer, trying another server")
	}
}
