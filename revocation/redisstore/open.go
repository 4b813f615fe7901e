package redisstore

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/rueidis"

	"example.com/caddy-token-auth/revocation"
)

// Store is a list kept by servers. Make it with Open.
type Store struct {
	client rueidis.Client
	dialer *dialer
	layout layout
	// where names the servers, in errors; secrets are what must not be in any.
	where   string
	secrets []string
	// single says that the server was named by its own address, cluster that it is one
	// of a cluster.
	single, cluster bool

	timeout    time.Duration
	wait       Wait
	feedLength string // of one partition, as the script takes it
	blockFor   time.Duration
	now        func() time.Time

	// owners are the primaries of a cluster as they were last known, or nil.
	owners atomic.Pointer[owners]

	// calls has an element for each exchange that is under way.
	calls chan struct{}
	// gate is held for reading while a call needs the client, so that Close can wait.
	gate sync.RWMutex
	// closing ends when Close begins.
	closing context.Context
	close   context.CancelFunc
	closed  sync.Once
}

// Open connects to the servers and checks that they can keep the list. It fails if they
// cannot be reached, and tells Options.OnWarning what is wrong but no reason to fail.
// Afterwards lost connections are made anew when they are needed.
func Open(ctx context.Context, opts Options) (*Store, error) {
	opts, err := opts.withDefaults()
	if err != nil {
		return nil, fmt.Errorf("redis store: %w", err)
	}
	s := &Store{
		dialer:     newDialer(),
		layout:     newLayout(opts.KeyPrefix),
		where:      opts.String(),
		single:     opts.MasterName == "" && !opts.Cluster,
		cluster:    opts.Cluster,
		timeout:    opts.Timeout,
		wait:       opts.Wait,
		feedLength: strconv.Itoa(opts.FeedLength / partitions),
		blockFor:   opts.blockFor,
		now:        opts.Now,
		calls:      make(chan struct{}, maxCalls),
	}
	for _, secret := range []string{opts.Password, opts.SentinelPassword} {
		if secret != "" {
			s.secrets = append(s.secrets, secret)
		}
	}
	s.closing, s.close = context.WithCancel(context.Background())
	if err := s.connect(ctx, opts); err != nil {
		s.close()
		s.dialer.close()
		return nil, s.failed("connect", err)
	}
	warnings, err := s.inspect(ctx)
	if err != nil {
		return nil, errors.Join(s.failed("open", err), s.Close())
	}
	for _, warning := range warnings {
		opts.OnWarning(s.where + ": " + warning)
	}
	return s, nil
}

// connect makes the client. When ctx ends first, whatever comes of it is closed.
func (s *Store) connect(ctx context.Context, opts Options) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	option, err := opts.clientOption(s.dialer)
	if err != nil {
		return err
	}
	type result struct {
		client rueidis.Client
		err    error
	}
	made := make(chan result, 1)
	go func() {
		client, err := rueidis.NewClient(option)
		if err == nil && s.cluster && client.Mode() != rueidis.ClientModeCluster {
			err = errors.New("the server is not one of a cluster")
		}
		if err != nil && client != nil {
			client.Close()
			client = nil
		}
		made <- result{client, err}
	}()
	select {
	case r := <-made:
		s.client = r.client
		if errors.Is(r.err, context.DeadlineExceeded) {
			return timeoutError(s.timeout, nil)
		}
		return r.err
	case <-ctx.Done():
		s.dialer.close() // lets NewClient return
		go func() {
			if r := <-made; r.client != nil {
				r.client.Close()
			}
		}()
		return ctx.Err()
	}
}

// closeGrace is how long closing connections may take in good order.
const closeGrace = 200 * time.Millisecond

// Close implements revocation.Store. It ends every Watch, waits for the calls that are
// under way, which takes Options.Timeout at most, and closes all connections.
func (s *Store) Close() error {
	s.closed.Do(func() {
		s.close()
		s.gate.Lock()
		defer s.gate.Unlock()
		impatient := time.AfterFunc(closeGrace, s.dialer.close)
		s.client.Close()
		impatient.Stop()
		s.dialer.close()
	})
	return nil
}

var (
	_ revocation.Store = (*Store)(nil)
	_ revocation.Feed  = (*Store)(nil)
)
