package revocation

import (
	"context"
	"time"
)

// Feed is implemented by a Store that other processes write to as well, and that can
// tell what they write.
type Feed interface {
	// Watch reports what is written to the store, by whomever, to sink, until ctx ends or
	// the connection fails, and returns why it ended. It may be called again, one
	// call at a time.
	//
	// from is the position of the last change that was reported by a call before, or ""
	// to begin now. Once Watch follows the store it calls sink.Started: with gap false
	// if it will report every change after from, with gap true if some of them can no
	// longer be told, and for from "". Everything that is acknowledged after
	// Started was called is reported; what was acknowledged before, or between from and
	// the present where there is no gap, may be reported before or after that call. A
	// position follows soon after it, so that a quiet feed can be resumed too.
	Watch(ctx context.Context, from Position, sink Sink) error
}

// Position is a place in a feed, in a form that is the store's own.
type Position string

// Sink receives a feed. Its methods are called one at a time, and return soon.
type Sink interface {
	// Started says that Watch follows the store from now on.
	Started(gap bool)
	// Changed reports changes in an order in which they may be applied: stored are the
	// entries as they are after each write, removed the keys of entries that
	// Restore has removed; no key is in both. A change may be reported more than once, and
	// there may be none. at is the position after these changes. The slices belong to the caller again afterwards.
	Changed(stored []Entry, removed []Key, at Position)
	// Alive says that everything that was acknowledged before the given time, by the
	// clock of this process, has been reported. It is called at least every two
	// seconds while the feed works, whether there are changes or not.
	Alive(asOf time.Time)
}
