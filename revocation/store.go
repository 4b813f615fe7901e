package revocation

import (
	"context"
	"errors"
)

// ErrClosed is returned by every call on a List or Store that is not open: closed
// already, or not opened yet.
var ErrClosed = errors.New("revocation list is not open")

// Store keeps entries durably. storetest.Run is its contract as a test suite.
//
// Methods are safe for concurrent use. They return an error that wraps ErrClosed
// after Close, and never block past the end of ctx for anything but a write that
// is already under way.
type Store interface {
	// Revoke merges the entries into what is stored (see Merge) and returns nil
	// once all of them are durable. On an error none, some or all of them may
	// have been stored; the caller may try again. Entries that fail Validate are
	// refused with an error that wraps ErrInvalidEntry, and nothing is stored.
	// An entry that has expired already may be dropped.
	Revoke(ctx context.Context, entries ...Entry) error

	// Lookup returns one Entry for each key, in the order of keys: the live entry
	// stored under it, or the zero Entry. It takes one round trip. An entry that a
	// Revoke has acknowledged before Lookup was called is always found.
	Lookup(ctx context.Context, keys ...Key) ([]Entry, error)

	// Scan calls fn for every live entry, in no particular order, until fn
	// returns an error, which Scan returns. Entries that are written meanwhile
	// may or may not be seen.
	Scan(ctx context.Context, fn func(Entry) error) error

	// Restore durably removes the entries stored under keys. A key with no entry
	// is no error.
	Restore(ctx context.Context, keys ...Key) error

	// Close releases what the store holds. Writes that were accepted before are
	// finished. A second Close returns nil.
	Close() error
}

// Filter is implemented by a Store that knows, without I/O, that it holds no entry
// for a key.
type Filter interface {
	// Absent reports whether there is certainly no entry under key: true is exact
	// as of some moment during the call, false says nothing.
	Absent(key Key) bool
}

// Counter is implemented by a Store that knows how many entries it holds.
type Counter interface {
	// Len returns the number of entries, expired ones that are not yet purged included.
	Len() int
}
