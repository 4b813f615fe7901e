package revocation

import (
	"context"
	"fmt"
	"time"
)

// StoreCall is one call on a Store, as Options.OnStore is told of it.
type StoreCall struct {
	Operation StoreOperation
	// Took is how long the call has taken, without whoever reads a scan.
	Took time.Duration
	// Err is what it has returned, unless a scan ended because of its reader.
	Err error
	// Abandoned says that whoever asked had gone by then, so that an error says nothing
	// about the store.
	Abandoned bool
}

// StoreOperation is what a Store is asked for.
type StoreOperation uint8

// The operations are the methods of a Store.
const (
	StoreLookup StoreOperation = iota
	StoreRevoke
	StoreScan
	StoreRestore
)

// StoreOperations is how many there are.
const StoreOperations = 4

var storeOperationNames = [StoreOperations]string{"lookup", "revoke", "scan", "restore"}

// String returns the operation's name as metrics spell it.
func (o StoreOperation) String() string {
	if int(o) < len(storeOperationNames) {
		return storeOperationNames[o]
	}
	return fmt.Sprintf("operation(%d)", uint8(o))
}

// observedStore tells of each call on a Store.
type observedStore struct {
	Store
	tell func(StoreCall)
}

// observed returns store, or one that tells of its calls if tell is not nil.
func observed(store Store, tell func(StoreCall)) Store {
	if tell == nil {
		return store
	}
	return observedStore{store, tell}
}

func (s observedStore) done(ctx context.Context, o StoreOperation, begun time.Time, err error) error {
	s.tell(StoreCall{Operation: o, Took: time.Since(begun), Err: err, Abandoned: ctx.Err() == context.Canceled})
	return err
}

// Revoke implements Store.
func (s observedStore) Revoke(ctx context.Context, entries ...Entry) error {
	begun := time.Now()
	return s.done(ctx, StoreRevoke, begun, s.Store.Revoke(ctx, entries...))
}

// Lookup implements Store.
func (s observedStore) Lookup(ctx context.Context, keys ...Key) ([]Entry, error) {
	begun := time.Now()
	found, err := s.Store.Lookup(ctx, keys...)
	return found, s.done(ctx, StoreLookup, begun, err)
}

// Scan implements Store. What fn takes, and its errors, are not the store's.
func (s observedStore) Scan(ctx context.Context, fn func(Entry) error) error {
	begun := time.Now()
	var reading time.Duration
	var refused error
	err := s.Store.Scan(ctx, func(e Entry) error {
		called := time.Now()
		refused = fn(e)
		reading += time.Since(called)
		return refused
	})
	call := StoreCall{Operation: StoreScan, Took: time.Since(begun) - reading, Err: err, Abandoned: ctx.Err() == context.Canceled}
	if refused != nil {
		call.Err = nil
	}
	s.tell(call)
	return err
}

// Restore implements Store.
func (s observedStore) Restore(ctx context.Context, keys ...Key) error {
	begun := time.Now()
	return s.done(ctx, StoreRestore, begun, s.Store.Restore(ctx, keys...))
}
