package natsstore

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"golang.org/x/sync/errgroup"

	"example.com/caddy-token-auth/revocation"
)

const (
	// maxReads is how many reads of the Store are under way at a time; others wait. A
	// server drops all requests that wait for it when they have become 10,000, whoever
	// sent them.
	maxReads = 512
	// maxBatch is how many keys are read side by side.
	maxBatch = 128
)

// Lookup implements revocation.Store. The keys are asked for side by side.
func (s *Store) Lookup(ctx context.Context, keys ...revocation.Key) ([]revocation.Entry, error) {
	if err := s.enter(ctx); err != nil {
		return nil, err
	}
	defer s.calls.Done()
	versions, err := s.read(ctx, keys...)
	if err != nil {
		return nil, s.failed("look up", err)
	}
	now := s.now()
	found := make([]revocation.Entry, len(keys))
	for i, v := range versions {
		if v.stored && v.entry.Live(now) {
			found[i] = v.entry
		}
	}
	return found, nil
}

// read returns the last version of each key, as of some moment during the call: it
// includes all that was acknowledged before (see fence).
func (s *Store) read(ctx context.Context, keys ...revocation.Key) ([]version, error) {
	versions := make([]version, len(keys))
	for start := 0; start < len(keys); start += maxBatch {
		end := min(start+maxBatch, len(keys))
		if err := s.readBatch(ctx, keys[start:end], versions[start:end]); err != nil {
			return nil, err
		}
	}
	return versions, nil
}

// readBatch is read for as few keys as can be read while the fence stands.
func (s *Store) readBatch(ctx context.Context, keys []revocation.Key, versions []version) (err error) {
	if err := s.fence(ctx); err != nil {
		return err
	}
	if len(keys) == 1 {
		versions[0], err = s.last(ctx, keys[0])
	} else {
		group, ctx := errgroup.WithContext(ctx)
		for i, key := range keys {
			group.Go(func() (err error) {
				versions[i], err = s.last(ctx, key)
				return err
			})
		}
		err = group.Wait()
	}
	if err != nil {
		return err
	}
	return s.fenced()
}

// last returns the last version of a key that the stream's leader has. The zero Key has
// none.
func (s *Store) last(ctx context.Context, key revocation.Key) (version, error) {
	if key.IsZero() {
		return version{}, nil
	}
	msg, err := s.fromLeader(ctx, messageRequest{LastFor: s.layout.entry(key)})
	if err != nil || msg == nil {
		return version{}, err
	}
	return decodeVersion(key, msg.Sequence, msg.Header, msg.Data)
}

// messageRequest is a request of JetStream's STREAM.MSG.GET: for the last message of a
// subject, or for the first one since a time.
type messageRequest struct {
	LastFor string     `json:"last_by_subj,omitempty"`
	Since   *time.Time `json:"start_time,omitempty"`
}

type messageResponse struct {
	Error   *jetstream.APIError `json:"error"`
	Message *struct {
		Sequence uint64 `json:"seq"`
		Header   []byte `json:"hdrs"`
		Data     []byte `json:"data"`
	} `json:"message"`
}

// fromLeader asks the stream's leader for a message; nil without an error says that
// there is none.
//
// The client's own Stream.GetLastMsgForSubject is not used: where a bucket allows direct
// reads, as those that the tools make do, it asks any replica, which may be behind.
func (s *Store) fromLeader(ctx context.Context, request messageRequest) (*jetstream.RawStreamMsg, error) {
	body, err := json.Marshal(request)
	if err != nil {
		return nil, err
	}
	select {
	case s.reads <- struct{}{}:
		defer func() { <-s.reads }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	var msg *jetstream.RawStreamMsg
	err = s.exchange(ctx, func(ctx context.Context) error {
		answer, err := s.nc.RequestWithContext(ctx, s.getSubject, body)
		if err != nil {
			return err
		}
		msg, err = decodeMessage(answer.Data)
		return err
	})
	return msg, err
}

func decodeMessage(answer []byte) (*jetstream.RawStreamMsg, error) {
	var response messageResponse
	if err := json.Unmarshal(answer, &response); err != nil {
		return nil, fmt.Errorf("answer of the server: %w", err)
	}
	switch {
	case response.Error != nil && response.Error.ErrorCode == jetstream.JSErrCodeMessageNotFound:
		return nil, nil
	case response.Error != nil:
		return nil, response.Error
	case response.Message == nil:
		return nil, jetstream.ErrInvalidJetStreamResponse
	}
	msg := &jetstream.RawStreamMsg{Sequence: response.Message.Sequence, Data: response.Message.Data}
	if len(response.Message.Header) > 0 {
		var err error
		if msg.Header, err = nats.DecodeHeadersMsg(response.Message.Header); err != nil {
			return nil, fmt.Errorf("answer of the server: %w", err)
		}
	}
	return msg, nil
}
