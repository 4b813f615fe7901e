package natsstore

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

const (
	// createTimeout is how long the servers may take to create the bucket: they have
	// to elect a leader for it.
	createTimeout = 20 * time.Second

	// apiLevel is JetStream's with messages that expire by themselves, of NATS 2.11.
	apiLevel = 1
)

// maxMessageSize is the space in bytes for the largest record and its headers.
const maxMessageSize = maxRecordSize + 512

// openBucket finds the bucket or creates it, and tries both reading and writing.
func (s *Store) openBucket(ctx context.Context, o Options) error {
	info, err := s.bucketInfo(ctx)
	if errors.Is(err, jetstream.ErrStreamNotFound) && !o.MustExist {
		info, err = s.createBucket(ctx, o)
	}
	if err != nil {
		return err
	}
	if err := s.checkBucket(info); err != nil {
		return err
	}
	s.advise(info, o)
	if _, err := s.barrier(ctx); err != nil {
		return fmt.Errorf("write: %w", err)
	}
	if _, err := s.fromLeader(ctx, messageRequest{LastFor: s.layout.barrier()}); err != nil {
		return fmt.Errorf("read: %w", err)
	}
	return nil
}

func (s *Store) bucketInfo(ctx context.Context) (info *jetstream.StreamInfo, err error) {
	err = s.exchange(ctx, func(ctx context.Context) error {
		stream, err := s.js.Stream(ctx, s.layout.stream)
		if err == nil {
			info = stream.CachedInfo()
		}
		return err
	})
	return info, err
}

// createBucket creates the bucket, and waits until it is there.
func (s *Store) createBucket(ctx context.Context, o Options) (*jetstream.StreamInfo, error) {
	limited, cancel := context.WithTimeout(ctx, createTimeout)
	defer cancel()
	var last error
	for try := 0; ; try++ {
		var info *jetstream.StreamInfo
		err := s.createStream(limited, o)
		if err == nil {
			info, err = s.bucketInfo(limited)
		}
		switch {
		case err == nil:
			return info, nil
		case ctx.Err() != nil:
			return nil, ctx.Err()
		case limited.Err() != nil:
			return nil, fmt.Errorf("create: %w (%s): %w", errNoAnswer, createTimeout, cmp.Or(last, err))
		case passing(err):
		case apiCode(err) == codeNoPeers: // servers that have just started count as absent
		case errors.Is(err, jetstream.ErrStreamNotFound):
			// Another process is creating it: so far only the name is known.
		default:
			return nil, fmt.Errorf("create: %w", err)
		}
		last = err
		_ = pause(limited, try)
	}
}

// createStream creates the stream of a key-value bucket. The client's own
// CreateKeyValue is not used: with it, keys can only expire one by one if the servers
// put a marker in the place of each that did, which doubles the writes and tells nobody
// anything new.
func (s *Store) createStream(ctx context.Context, o Options) error {
	account, err := s.js.AccountInfo(ctx)
	if err != nil {
		return err
	}
	if account.API.Level < apiLevel {
		return fmt.Errorf("%w: the servers are older than NATS 2.11", ErrBucket)
	}
	config := jetstream.StreamConfig{
		Name:              s.layout.stream,
		Description:       "Revocation list of caddy-token-auth",
		Subjects:          []string{s.layout.subjects()},
		Storage:           jetstream.FileStorage,
		Replicas:          max(1, o.Replicas),
		MaxMsgsPerSubject: 1,
		MaxMsgs:           -1,
		MaxBytes:          -1,
		MaxConsumers:      -1,
		MaxMsgSize:        maxMessageSize,
		MaxAge:            o.MaxAge,
		Discard:           jetstream.DiscardNew,
		AllowMsgTTL:       true,
		// Nobody forgets entries by mistake; and the followers, which may be behind,
		// answer no reads.
		DenyDelete:  true,
		DenyPurge:   true,
		AllowDirect: false,
	}
	if o.Placement.Cluster != "" || len(o.Placement.Tags) > 0 {
		config.Placement = &jetstream.Placement{Cluster: o.Placement.Cluster, Tags: o.Placement.Tags}
	}
	_, err = s.js.CreateStream(ctx, config)
	if errors.Is(err, jetstream.ErrStreamNameAlreadyInUse) {
		return nil // somebody else has just created it
	}
	return err
}

// checkBucket reports what would lose entries or mix them up.
func (s *Store) checkBucket(info *jetstream.StreamInfo) error {
	c := info.Config
	for _, rule := range []struct {
		broken bool
		reason string
	}{
		{c.Storage != jetstream.FileStorage, "it is kept in memory: want file storage"},
		{c.PersistMode != jetstream.DefaultPersistMode, "it acknowledges what is not written yet: want the default persist mode"},
		{c.NoAck, "it acknowledges nothing"},
		{c.Retention != jetstream.LimitsPolicy, "it forgets what was read: want the limits retention policy"},
		{c.MaxMsgsPerSubject != 1, "it keeps old values: want a history of 1"},
		{(c.MaxMsgs > 0 || c.MaxBytes > 0) && c.Discard != jetstream.DiscardNew, "it forgets old entries when it is full: want the discard policy new"},
		{c.DiscardNewPerSubject, "it refuses to replace values: want no discard per subject"},
		{c.MaxMsgSize > 0 && c.MaxMsgSize < maxMessageSize, fmt.Sprintf("it refuses messages of %d bytes", maxMessageSize)},
		{!c.AllowMsgTTL, "its keys cannot expire one by one: want message TTLs allowed (nats stream edit --allow-msg-ttl; NATS 2.11 or newer)"},
		{c.AllowMsgCounter, "it keeps counters"},
		{c.Mirror != nil || len(c.Sources) > 0, "it copies another stream"},
		{c.SubjectTransform != nil, "it renames subjects"},
		{c.Sealed, "it is sealed"},
		{!slices.Equal(c.Subjects, []string{s.layout.subjects()}), "it has other subjects than a key-value bucket"},
	} {
		if rule.broken {
			return fmt.Errorf("%w: %s", ErrBucket, rule.reason)
		}
	}
	s.maxAge.Store(int64(c.MaxAge))
	return nil
}

// advise warns of what is not as asked, but loses nothing by itself.
func (s *Store) advise(info *jetstream.StreamInfo, o Options) {
	c := info.Config
	if o.Replicas != 0 && c.Replicas != o.Replicas {
		s.warn(fmt.Sprintf("%s: it has %d replicas, not %d (nats stream edit --replicas)", s.where, c.Replicas, o.Replicas))
	}
	if c.MaxAge > 0 && c.MaxAge != o.MaxAge {
		s.warn(fmt.Sprintf("%s: it forgets after %s, so what is needed for longer is refused", s.where, c.MaxAge))
	}
	if c.MaxBytes > 0 || c.MaxMsgs > 0 {
		s.warn(s.where + ": it is limited in size, so logging out fails when it is full")
	}
}
