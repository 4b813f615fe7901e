package fakeexchange

import (
	"context"
	"fmt"
	"slices"
	"sync"
)

// Kind is what an Event is about.
type Kind string

// The kinds of events.
const (
	Opened    Kind = "opened"    // a connection
	Called    Kind = "called"    // a method; the answer has not been sent yet
	Cancelled Kind = "cancelled" // an order
	Ended     Kind = "ended"     // a connection
)

// End is the way in which a connection has ended.
type End string

// The ways in which connections end.
const (
	EndLogout    End = "logout"    // by private/logout
	EndClose     End = "close"     // by a close frame of the client
	EndLost      End = "lost"      // without a close frame
	EndHeartbeat End = "heartbeat" // a test_request was not answered
	EndStopped   End = "stopped"   // by Exchange.Close
)

// Event is something that has happened.
type Event struct {
	Kind Kind
	// Connection is its number: they are counted from 1. 0 is a call over HTTP.
	Connection int64
	// Account is that of the caller, or of the order; 0 if there is none.
	Account int64
	// Method is what was called, and Error the code of its answer, 0 for a result.
	Method string
	Error  int
	// Order is the ID of the order.
	Order string
	// End says how the connection has ended, and Code is the status code of the client's
	// close frame: 1005 if it had none in it, 0 without a close frame.
	End  End
	Code int
}

// maxEvents is how many events are kept. The oldest make room.
const maxEvents = 100_000

// record keeps events.
type record struct {
	mu      sync.Mutex
	events  []Event
	dropped int
	changed chan struct{} // closed, and made anew, when there is another
}

func (r *record) add(e Event) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.events) == maxEvents {
		r.events = slices.Delete(r.events, 0, maxEvents/2)
		r.dropped += maxEvents / 2
	}
	r.events = append(r.events, e)
	close(r.changed)
	r.changed = make(chan struct{})
}

// from returns the events from a position on, the next position, and what tells that
// there are more.
func (r *record) from(position int) (events []Event, next int, changed <-chan struct{}) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.events[max(position-r.dropped, 0):]), r.dropped + len(r.events), r.changed
}

// Events returns what has happened so far.
func (x *Exchange) Events() []Event {
	events, _, _ := x.record.from(0)
	return events
}

// Await returns the first event that matches, of those that have happened and those to
// come. The error says that ctx ended before.
func (x *Exchange) Await(ctx context.Context, match func(Event) bool) (Event, error) {
	for position := 0; ; {
		events, next, changed := x.record.from(position)
		if i := slices.IndexFunc(events, match); i >= 0 {
			return events[i], nil
		}
		position = next
		select {
		case <-changed:
		case <-ctx.Done():
			return Event{}, fmt.Errorf("fakeexchange: awaiting an event: %w", context.Cause(ctx))
		}
	}
}

// AwaitEnd returns how a connection has ended.
func (x *Exchange) AwaitEnd(ctx context.Context, connection int64) (Event, error) {
	return x.Await(ctx, func(e Event) bool { return e.Kind == Ended && e.Connection == connection })
}
