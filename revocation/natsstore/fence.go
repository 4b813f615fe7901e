package natsstore

import (
	"context"
	"time"

	"github.com/nats-io/nats.go"
)

// Only a stream's leader is asked, so an answer is as good as that server's belief to be
// it. One that is cut off from the others goes on believing for 10 to 20 seconds, while
// they elect another one and acknowledge entries that it does not have. What it cannot do
// is to have a write acknowledged: that takes a majority. And the others elect nobody
// for at least 4 seconds after they last heard of it. So whoever had a write acknowledged
// knows that no other leader has been elected until 4 seconds after that write was sent.
const (
	// electionTimeout is the least time between the last sign of a leader and the
	// election of another one, fixed in the servers.
	electionTimeout = 4 * time.Second
	// fenceRenewal is the age of the last acknowledged write at which reading begins
	// with a new one.
	fenceRenewal = time.Second
	// fenceLimit is the age of the last acknowledged write at which answers are no
	// longer taken. It leaves a second for clocks that run unevenly.
	fenceLimit = electionTimeout - time.Second
)

// confirm notes that a write which was sent at the given time has been acknowledged.
func (s *Store) confirm(sent time.Time) {
	at := int64(sent.Sub(s.opened))
	for {
		old := s.confirmed.Load()
		if old >= at || s.confirmed.CompareAndSwap(old, at) {
			return
		}
	}
}

// unconfirmed returns how long ago the last write was sent that is acknowledged.
func (s *Store) unconfirmed() time.Duration {
	return time.Since(s.opened) - time.Duration(s.confirmed.Load())
}

// fence makes sure before reading that a write has been acknowledged lately.
func (s *Store) fence(ctx context.Context) error {
	if s.unconfirmed() <= fenceRenewal {
		return nil
	}
	// Whoever comes meanwhile shares the write: it is recent enough.
	shared := s.fences.DoChan("", func() (any, error) {
		_, err := s.barrier(context.WithoutCancel(ctx))
		return nil, err
	})
	select {
	case result := <-shared:
		return result.Err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// fenced reports after reading whether what was read can be relied on.
func (s *Store) fenced() error {
	if s.unconfirmed() > fenceLimit {
		return errUnconfirmed
	}
	return nil
}

// barrier writes a message that says nothing and returns its sequence in the stream.
// Whatever was acknowledged before the call has a lower one.
func (s *Store) barrier(ctx context.Context) (sequence uint64, err error) {
	err = s.exchange(ctx, func(ctx context.Context) (err error) {
		sequence, err = s.publish(ctx, &nats.Msg{Subject: s.layout.barrier()})
		return err
	})
	return sequence, err
}
