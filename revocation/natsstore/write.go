package natsstore

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"golang.org/x/sync/errgroup"

	"example.com/caddy-token-auth/revocation"
)

const (
	// maxWrites is how many writes of one call are under way at a time.
	maxWrites = 256

	// ttlSlack is how much longer the servers keep a message than it is needed. They
	// count from the clock of the server that took it, and each removes it by its own:
	// clocks that differ by less remove nothing too early. Reading asks for the
	// expiry itself, so the rest of the time is not seen.
	ttlSlack = time.Minute
)

// Revoke implements revocation.Store. Entries are written side by side.
func (s *Store) Revoke(ctx context.Context, entries ...revocation.Entry) error {
	if err := s.enter(ctx); err != nil {
		return err
	}
	defer s.calls.Done()
	for i := range entries {
		if err := s.acceptable(entries[i]); err != nil {
			return err
		}
	}
	now := s.now()
	merged := make(map[revocation.Key]revocation.Entry, len(entries))
	for _, e := range entries {
		if !e.Live(now) {
			continue // nobody needs it any longer
		}
		key := e.Key()
		if other, repeated := merged[key]; repeated {
			e = revocation.Merge(other, e)
		}
		merged[key] = e
	}
	if len(merged) == 1 {
		for _, e := range merged {
			return s.failed("revoke", s.store(ctx, e))
		}
	}
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(maxWrites)
	for _, e := range merged {
		group.Go(func() error { return s.store(ctx, e) })
	}
	return s.failed("revoke", group.Wait())
}

// acceptable reports why an entry cannot be kept as long as it has to be.
func (s *Store) acceptable(e revocation.Entry) error {
	if err := e.Validate(); err != nil {
		return err
	}
	limit := s.maxAge.Load()
	if left := e.Expires.Sub(s.now()); limit > 0 && e.Expires.Before(revocation.Forever) && left > time.Duration(limit) {
		return s.failed("revoke", fmt.Errorf("%w: it forgets after %s, and the entry is needed for %s",
			ErrBucket, time.Duration(limit), left.Round(time.Second)))
	}
	return nil
}

// store merges one entry into what is stored. The first write presumes that there is
// nothing. The result does not depend on the order of writers, since each writes what it
// has read and merged, and only if that is still what is stored.
func (s *Store) store(ctx context.Context, e revocation.Entry) error {
	key := e.Key()
	next := record{entry: e}
	var old version
	for conflict := s.newConflict(); ; {
		err := s.put(ctx, key, next.encode(), header(headerTTL, s.ttl(next.entry)), old.sequence)
		if !errors.Is(err, errConflict) {
			return err
		}
		if old, err = conflict.read(ctx, key); err != nil {
			return err
		}
		next = record{entry: e, removal: old.removal}
		switch {
		case old.stored:
			next.entry = revocation.Merge(old.entry, e)
		case old.sequence > 0: // the marker of a removal
			next.removal = old.sequence
		}
	}
}

// Restore implements revocation.Store. A marker takes the entry's place for as long as
// the entry would have been kept, so that everybody who still has it learns of that.
func (s *Store) Restore(ctx context.Context, keys ...revocation.Key) error {
	if err := s.enter(ctx); err != nil {
		return err
	}
	defer s.calls.Done()
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(maxWrites)
	for _, key := range keys {
		group.Go(func() error { return s.remove(ctx, key) })
	}
	return s.failed("restore", group.Wait())
}

func (s *Store) remove(ctx context.Context, key revocation.Key) error {
	found, err := s.read(ctx, key)
	if err != nil {
		return err
	}
	old := found[0]
	for conflict := s.newConflict(); old.stored; {
		h := header(headerTTL, s.ttl(old.entry))
		h.Set(headerOperation, operationDelete)
		err := s.put(ctx, key, nil, h, old.sequence)
		if !errors.Is(err, errConflict) {
			return err
		}
		if old, err = conflict.read(ctx, key); err != nil {
			return err
		}
	}
	return nil
}

// conflict is a write that others get ahead of, again and again perhaps. It goes on as
// long as they get anywhere: a leader that is cut off refuses to replace what it could
// not have acknowledged, and will not say when it ends.
type conflict struct {
	store    *Store
	tries    int
	sequence uint64    // of the last version that was read
	moved    time.Time // when that changed
}

func (s *Store) newConflict() *conflict { return &conflict{store: s, moved: time.Now()} }

// read returns the version that there is now.
func (c *conflict) read(ctx context.Context, key revocation.Key) (version, error) {
	if c.store.closing.Err() != nil {
		return version{}, revocation.ErrClosed
	}
	if c.tries++; c.tries > 1 {
		if err := pause(ctx, c.tries-2); err != nil {
			return version{}, err
		}
	}
	v, err := c.store.last(ctx, key)
	if v.sequence != c.sequence {
		c.sequence, c.moved = v.sequence, time.Now()
	}
	if err == nil && time.Since(c.moved) > c.store.timeout {
		err = fmt.Errorf("%w (%s): %w", errNoAnswer, c.store.timeout, errConflict)
	}
	return v, err
}

// put writes a message about key, provided that the last one has the given sequence, and
// returns nil once it is stored for good (see the package comment). errConflict says
// that another one came first: perhaps this very one, if its acknowledgement was lost.
func (s *Store) put(ctx context.Context, key revocation.Key, data []byte, h nats.Header, after uint64) error {
	return s.exchange(ctx, func(ctx context.Context) error {
		msg := &nats.Msg{Subject: s.layout.entry(key), Header: h, Data: data}
		_, err := s.publish(ctx, msg, jetstream.WithExpectLastSequencePerSubject(after))
		if code := apiCode(err); code == jetstream.JSErrCodeStreamWrongLastSequence ||
			code == jetstream.JSErrCodeStreamWrongLastSequenceConstant {
			return errConflict
		}
		return err
	})
}

// publish writes a message to the stream and returns its sequence once it is stored.
func (s *Store) publish(ctx context.Context, msg *nats.Msg, opts ...jetstream.PublishOpt) (uint64, error) {
	sent := time.Now()
	ack, err := s.js.PublishMsg(ctx, msg, append(opts, jetstream.WithRetryAttempts(0))...)
	switch {
	case err != nil:
		return 0, err
	case ack.Stream != s.layout.stream:
		return 0, fmt.Errorf("%w: its subjects belong to the stream %q", ErrBucket, ack.Stream)
	}
	s.confirm(sent)
	return ack.Sequence, nil
}

// ttl returns for how long the servers are to keep the message about e, as the header
// says it.
func (s *Store) ttl(e revocation.Entry) string {
	if !e.Expires.Before(revocation.Forever) {
		return "never"
	}
	left := max(0, time.Unix(int64(e.ExpirySecond()), 0).Sub(s.now())) + s.slack
	seconds := (left + time.Second - 1) / time.Second
	return strconv.FormatInt(int64(seconds), 10) + "s"
}

func header(name, value string) nats.Header { return nats.Header{name: []string{value}} }
