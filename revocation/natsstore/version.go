package natsstore

import (
	"fmt"

	"github.com/nats-io/nats.go"

	"example.com/caddy-token-auth/revocation"
)

// Headers of messages.
const (
	headerTTL       = "Nats-TTL"
	headerOperation = "KV-Operation"
	headerMarker    = "Nats-Marker-Reason" // of what a server puts in the place of what it removes

	operationDelete = "DEL"
	operationPurge  = "PURGE"
)

// version is what a key holds, or held, as of one message of the stream.
type version struct {
	record
	// sequence is the message's; 0 if there is none.
	sequence uint64
	// stored is false if there is no message, or if it marks a removal.
	stored bool
}

// decodeVersion reads a message about the given key.
func decodeVersion(key revocation.Key, sequence uint64, header nats.Header, data []byte) (version, error) {
	v := version{sequence: sequence}
	switch operation := header.Get(headerOperation); {
	case operation == operationDelete, operation == operationPurge, header.Get(headerMarker) != "":
		return v, nil
	case operation != "" && operation != "PUT":
		return v, fmt.Errorf("%w: key %x: unknown operation", ErrDamaged, key)
	}
	var err error
	if v.record, err = decodeRecord(data); err == nil && v.entry.Key() != key {
		err = errRecordKey
	}
	if err != nil {
		return version{sequence: sequence}, fmt.Errorf("%w: key %x: %w", ErrDamaged, key, err)
	}
	v.stored = true
	return v, nil
}
