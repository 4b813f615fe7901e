package natsstore

import (
	"context"
	"errors"
	"fmt"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

var (
	// ErrBucket is wrapped by the errors about a bucket whose settings would lose
	// entries. Nothing was changed.
	ErrBucket = errors.New("the bucket cannot keep a revocation list")

	// ErrDamaged is wrapped by errors about a record that cannot be what was written.
	ErrDamaged = errors.New("revocation list is damaged")

	// ErrFeedLost is wrapped by Watch's error when the servers no longer deliver
	// everything, or in time. Watch from the last position goes on.
	ErrFeedLost = errors.New("the feed has broken off")
)

var (
	// errNoAnswer is why an exchange ends that has taken Options.Timeout. It is no
	// context.DeadlineExceeded: the caller's context goes on.
	errNoAnswer = errors.New("no answer in time")

	// errConflict says that the key has changed since it was read.
	errConflict = errors.New("the key has changed meanwhile")

	// errUnconfirmed says that an answer came too late to be sure of its leader.
	errUnconfirmed = errors.New("the answer took too long to be relied on")
)

// JetStream's error codes that its client has no names for.
const (
	codeNoPeers   jetstream.ErrorCode = 10005 // too few servers for the replicas
	codeNoLeader  jetstream.ErrorCode = 10008 // the cluster has none at the moment
	codeNotLeader jetstream.ErrorCode = 10009 // no longer
)

func apiCode(err error) jetstream.ErrorCode {
	if apiErr, ok := errors.AsType[*jetstream.APIError](err); ok {
		return apiErr.ErrorCode
	}
	return 0
}

// passing reports whether an exchange that failed with err can succeed if it is tried
// again: a server is starting or gone, or a leader is being elected. All that is sent
// may be sent twice.
func passing(err error) bool {
	if code := apiCode(err); code == codeNoLeader || code == codeNotLeader {
		return true
	}
	for _, cause := range []error{
		context.DeadlineExceeded, // of one try
		nats.ErrNoResponders, jetstream.ErrNoStreamResponse,
		nats.ErrDisconnected, nats.ErrReconnectBufExceeded, nats.ErrTimeout,
	} {
		if errors.Is(err, cause) {
			return true
		}
	}
	return false
}

// failed names what failed, and where.
func (s *Store) failed(what string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s: %s: %w", s.where, what, err)
}
