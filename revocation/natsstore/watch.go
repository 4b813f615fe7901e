package natsstore

import (
	"context"
	"errors"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"example.com/caddy-token-auth/revocation"
)

// minOverlap is how far before the present Watch begins to read where it begins anew. An
// acknowledgement may reach whoever waits for it a little after it was given: then it
// counts as given after Started, and its message has a place before.
const minOverlap = 5 * time.Second

// errReplaced says that the bucket is no longer the one that it was a moment ago.
var errReplaced = errors.New("the bucket was created anew")

// Watch implements revocation.Feed. It ends with an error that wraps ErrFeedLost when
// the connection is lost or anything arrives late or out of order.
//
// There is no gap after a position if the stream is the one that it was in: not created
// since, and not put back to an older state. What is no longer in the stream is no gap:
// an entry that was replaced is reported as it is now, one that has expired is of no
// use, and the marker of one that was removed stays for as long as the entry would have.
func (s *Store) Watch(ctx context.Context, position revocation.Position, sink revocation.Sink) error {
	if err := s.enter(ctx); err != nil {
		return err
	}
	defer s.calls.Done()
	ctx, cancel := s.untilClosed(ctx)
	defer cancel()
	f := &follower{store: s, sink: sink}
	if err := f.begin(ctx, position); err != nil {
		return s.ended(ctx, "watch", err)
	}
	defer f.tail.close()
	return s.ended(ctx, "watch", f.run(ctx))
}

// begin opens the tail and reports Started.
func (f *follower) begin(ctx context.Context, text revocation.Position) error {
	s := f.store
	info, err := s.bucketInfo(ctx)
	if err != nil {
		return err
	}
	if err := s.checkBucket(info); err != nil {
		return err
	}
	f.at = position{created: info.Created.UnixNano()}
	begin := from{time: info.TimeStamp.Add(-max(minOverlap, 2*s.timeout))}
	p, ok := decodePosition(text)
	if ok {
		if ok, err = s.resumable(ctx, p, info); err != nil {
			return err
		}
	}
	if ok {
		begin, f.at, f.clean = from{sequence: p.sequence + 1}, p, p.clean
	}
	if f.tail, err = s.openTail(ctx, begin); err != nil {
		return err
	}
	// The tail ends with the stream that it reads. So if that is still the one that was
	// looked at, it has been all the time.
	if info, err = s.bucketInfo(ctx); err == nil && info.Created.UnixNano() != f.at.created {
		err = broken(errReplaced)
	}
	if err != nil {
		f.tail.close()
		return err
	}
	f.gap = !ok
	f.sink.Started(f.gap)
	return nil
}

// resumable reports whether every change after p can be told.
func (s *Store) resumable(ctx context.Context, p position, info *jetstream.StreamInfo) (bool, error) {
	if p.created != info.Created.UnixNano() {
		return false, nil
	}
	end, err := s.barrier(ctx)
	if err != nil || end <= p.sequence {
		return false, err // put back to before p
	}
	// Put back too, and written to since: then what came after p in time stands before
	// it, or in its place. If all of that has been replaced since, it is after p again.
	since := p.after()
	first, err := s.fromLeader(ctx, messageRequest{Since: &since})
	if err != nil {
		return false, err
	}
	return first == nil || first.Sequence > p.sequence, nil
}
