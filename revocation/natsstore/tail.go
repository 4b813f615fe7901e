package natsstore

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"example.com/caddy-token-auth/revocation"
)

const (
	// tailBuffer is how many messages the servers send ahead of what is read.
	tailBuffer = 1024
	// tailHeartbeat is how often the servers say that there is nothing to send. They
	// are given up after twice as long.
	tailHeartbeat = time.Second
	// tailExpiry is how long one request for messages stands.
	tailExpiry = 30 * time.Second
	// tailIdle is when the servers forget a reading that nobody ended.
	tailIdle = time.Minute
	// stallLimit is how long something that is known to be there may fail to arrive.
	stallLimit = 2 * time.Second
)

// tail reads the stream's messages in their order, from some point on, through a
// consumer of its own. It does not mend itself: anything irregular ends it.
//
// One goroutine uses it.
type tail struct {
	store    *Store
	consumer jetstream.Consumer
	opened   time.Time
	reading  jetstream.ConsumeContext
	messages chan jetstream.Msg
	failure  chan error // why no more messages come; has room for one
	status   chan nats.Status
	done     chan struct{}

	delivered uint64 // number of messages taken

	// last is the sequence of the last message taken, and lastTime when the servers
	// stored it.
	last     uint64
	lastTime time.Time
	// holes counts the places where sequences were missing. What had one of them was
	// removed before it was read, usually because the same key was written again: that
	// message has a higher sequence, and came before the hole was seen.
	holes int
}

// from says where a tail begins: at a sequence, or at a time.
type from struct {
	sequence uint64
	time     time.Time
}

func (s *Store) openTail(ctx context.Context, begin from) (*tail, error) {
	config := jetstream.ConsumerConfig{
		AckPolicy:         jetstream.AckNonePolicy,
		MemoryStorage:     true,
		Replicas:          1,
		InactiveThreshold: tailIdle,
		DeliverPolicy:     jetstream.DeliverByStartSequencePolicy,
		OptStartSeq:       begin.sequence,
	}
	if begin.sequence == 0 {
		config.DeliverPolicy, config.OptStartTime = jetstream.DeliverByStartTimePolicy, &begin.time
	}
	var consumer jetstream.Consumer
	err := s.exchange(ctx, func(ctx context.Context) (err error) {
		consumer, err = s.js.CreateConsumer(ctx, s.layout.stream, config)
		return err
	})
	if err != nil {
		return nil, err
	}
	t := &tail{
		store:    s,
		consumer: consumer,
		opened:   time.Now(),
		messages: make(chan jetstream.Msg, tailBuffer),
		failure:  make(chan error, 1),
		done:     make(chan struct{}),
		status:   s.nc.StatusChanged(nats.RECONNECTING, nats.DISCONNECTED, nats.CLOSED),
	}
	if begin.sequence > 0 {
		t.last = begin.sequence - 1
	}
	if err := t.read(); err != nil {
		t.close()
		return nil, err
	}
	return t, nil
}

// read begins to ask for messages.
func (t *tail) read() (err error) {
	t.reading, err = t.consumer.Consume(t.receive,
		jetstream.PullMaxMessages(tailBuffer), jetstream.PullHeartbeat(tailHeartbeat), jetstream.PullExpiry(tailExpiry),
		jetstream.ConsumeErrHandler(func(_ jetstream.ConsumeContext, err error) { t.fail(err) }))
	return err
}

// mend begins to ask for messages anew if nobody has heard that yet: in a cluster, a
// consumer can be created before all servers know where it is. Otherwise it returns the
// error.
func (t *tail) mend(err error) error {
	if !errors.Is(err, nats.ErrNoResponders) || t.delivered > 0 || time.Since(t.opened) > stallLimit {
		return broken(err)
	}
	t.reading.Stop()
	_ = pause(context.Background(), 0)
	return t.read()
}

func (t *tail) receive(msg jetstream.Msg) {
	select {
	case t.messages <- msg:
	case <-t.done:
	}
}

// fail keeps the first reason to end.
func (t *tail) fail(err error) {
	select {
	case t.failure <- err:
	default:
	}
}

// next waits for a message and takes it.
func (t *tail) next(ctx context.Context) (change, error) {
	switch {
	case t.store.closing.Err() != nil:
		return change{}, revocation.ErrClosed
	case ctx.Err() != nil:
		return change{}, ctx.Err()
	}
	select {
	case msg := <-t.messages:
		return t.take(msg)
	default:
	}
	stall := time.NewTimer(stallLimit)
	defer stall.Stop()
	for {
		select {
		case msg := <-t.messages:
			return t.take(msg)
		case err := <-t.failure:
			if err = t.mend(err); err != nil {
				return change{}, err
			}
		case <-t.status:
			return change{}, broken(nats.ErrDisconnected)
		case <-stall.C:
			return change{}, broken(errNoAnswer)
		case <-ctx.Done():
			return change{}, ctx.Err()
		}
	}
}

func broken(why error) error { return fmt.Errorf("%w: %w", ErrFeedLost, why) }

// change is a message of the stream as it is read.
type change struct {
	version
	key revocation.Key
	// ours says that it is about a key, and not a barrier or something foreign.
	ours bool
}

// take reads a message, which must be the next one that the servers sent.
func (t *tail) take(msg jetstream.Msg) (change, error) {
	about, err := msg.Metadata()
	if err != nil {
		return change{}, broken(err)
	}
	t.delivered++
	if about.Sequence.Consumer != t.delivered {
		return change{}, broken(fmt.Errorf("message %d came in place of %d", about.Sequence.Consumer, t.delivered))
	}
	if about.Sequence.Stream != t.last+1 {
		t.holes++
	}
	t.last, t.lastTime = about.Sequence.Stream, about.Timestamp
	c := change{}
	if c.key, c.ours = t.store.layout.key(msg.Subject()); c.ours {
		c.version, err = decodeVersion(c.key, t.last, msg.Headers(), msg.Data())
	}
	return c, err
}

// close ends the reading. The servers are told, without waiting for an answer; if that
// does not reach them they find out by themselves (tailIdle).
func (t *tail) close() {
	close(t.done)
	if t.reading != nil {
		t.reading.Stop()
	}
	t.store.nc.RemoveStatusListener(t.status)
	_ = t.store.nc.Publish("$JS.API.CONSUMER.DELETE."+t.store.layout.stream+"."+t.consumer.CachedInfo().Name, nil)
}
