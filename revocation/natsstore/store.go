package natsstore

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"golang.org/x/sync/singleflight"

	"example.com/caddy-token-auth/revocation"
)

// Store is an open list. Make it with Open.
type Store struct {
	now     func() time.Time
	warn    func(string)
	timeout time.Duration
	slack   time.Duration
	where   string // for errors
	layout  layout

	nc         *nats.Conn
	js         jetstream.JetStream
	getSubject string // of requests for messages
	// left is when another server was last asked for, counted from opened.
	left atomic.Int64

	// maxAge is the bucket's limit in nanoseconds, 0 without one.
	maxAge atomic.Int64
	// reads has room for maxReads.
	reads chan struct{}

	// opened is where confirmed and left count from.
	opened time.Time
	// confirmed is when the latest write was sent that is acknowledged (see fence).
	confirmed atomic.Int64
	fences    singleflight.Group

	// closing ends when Close begins. It ends Scan and Watch.
	closing context.Context
	close   context.CancelFunc
	// entrance guards the start of calls against Close waiting for them.
	entrance sync.Mutex
	calls    sync.WaitGroup
	closed   chan struct{} // when Close is done
}

// Open connects to the servers and creates the bucket if there is none. It fails with an
// error that wraps ErrBucket if there is one that would lose entries, and then changes
// nothing. It does not wait for servers that cannot be reached; a connection that is lost
// later is made anew for as long as the Store is open.
func Open(ctx context.Context, opts Options) (*Store, error) {
	opts, err := opts.withDefaults()
	if err != nil {
		return nil, err
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	s := &Store{
		now: opts.Now, warn: opts.OnWarning, timeout: opts.Timeout, slack: opts.hooks.slack,
		where: opts.String(), layout: newLayout(opts.Bucket),
		reads: make(chan struct{}, maxReads), opened: time.Now(), closed: make(chan struct{}),
	}
	s.getSubject = "$JS.API.STREAM.MSG.GET." + s.layout.stream
	s.confirmed.Store(-int64(fenceLimit))
	s.closing, s.close = context.WithCancel(context.Background())
	if err := s.connect(ctx, opts); err != nil {
		s.close()
		return nil, s.failed("connect", err)
	}
	if err := s.openBucket(ctx, opts); err != nil {
		s.close()
		s.nc.Close()
		return nil, s.failed("open", err)
	}
	return s, nil
}

// Close implements revocation.Store. It waits for the calls that are under way, which
// takes Options.Timeout at most.
func (s *Store) Close() error {
	s.entrance.Lock()
	first := s.closing.Err() == nil
	s.close()
	s.entrance.Unlock()
	if !first {
		<-s.closed
		return nil
	}
	s.calls.Wait()
	s.nc.Close()
	close(s.closed)
	return nil
}

// enter begins a call: the Store stays open until calls.Done.
func (s *Store) enter(ctx context.Context) error {
	s.entrance.Lock()
	defer s.entrance.Unlock()
	if s.closing.Err() != nil {
		return revocation.ErrClosed
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	s.calls.Add(1)
	return nil
}

// untilClosed returns a copy of ctx that ends with revocation.ErrClosed as its cause when
// Close begins.
func (s *Store) untilClosed(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancelCause(ctx)
	stop := context.AfterFunc(s.closing, func() { cancel(revocation.ErrClosed) })
	return ctx, func() {
		stop()
		cancel(nil)
	}
}

var (
	_ revocation.Store = (*Store)(nil)
	_ revocation.Feed  = (*Store)(nil)
)
