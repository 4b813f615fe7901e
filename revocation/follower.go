package revocation

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"example.com/caddy-token-auth/revocation/index"
)

// follower keeps, from a store's feed, a summary of all its live entries: enough to say
// of a key that the store certainly holds nothing under it.
type follower struct {
	store Store
	feed  Feed
	list  *List

	maxStaleness atomic.Int64 // a time.Duration
	onEvent      func(FeedEvent)

	index *index.Index
	// alive is when everything that had been acknowledged by then was known; nil if
	// there was no such moment.
	alive atomic.Pointer[time.Time]
	// last is the load that the last gap has begun, or one that never ends.
	last atomic.Pointer[load]
	// connected says that Watch follows the store.
	connected atomic.Bool

	// position and the following fields belong to the goroutine that runs Watch.
	position Position
	started  bool               // Watch has followed since it was called last
	scan     context.CancelFunc // ends the last load

	end   context.CancelFunc
	tasks sync.WaitGroup
}

// load is one reading of all entries.
type load struct {
	// done says that it has ended, so that the summary lacks nothing that was acknowledged
	// before it began. Each gap has a load of its own: one that ends late, after another gap,
	// says nothing about that.
	done atomic.Bool
}

const (
	// DefaultMaxStaleness is how long a replica goes on trusting what it knows while the
	// feed is broken, unless configured.
	DefaultMaxStaleness = 30 * time.Second
	// MinMaxStaleness leaves the feed time to prove that it is alive.
	MinMaxStaleness = 5 * time.Second

	// retryFirst and retryLast bound the pause before a failed feed or scan is begun again.
	retryFirst = 100 * time.Millisecond
	retryLast  = 2 * time.Second

	// purgeInterval is how often expired entries leave the summary.
	purgeInterval = time.Minute
	// progressInterval is how many entries are read between two reports.
	progressInterval = 1_000_000
)

// FeedEvent is what happens to the feed of a List.
type FeedEvent struct {
	// Kind says what has happened.
	Kind FeedEventKind
	// Entries is how many entries were read so far (FeedLoading) or in all (FeedLoaded).
	Entries int
	// Took is how long that has taken.
	Took time.Duration
	// Err is why the feed or the load failed (FeedBroken, FeedLoadFailed).
	Err error
}

// FeedEventKind is the kind of a FeedEvent.
type FeedEventKind uint8

const (
	// FeedLoading means that the entries are being read.
	FeedLoading FeedEventKind = iota + 1
	// FeedLoaded means that all have been read.
	FeedLoaded
	// FeedLoadFailed means that they could not be read, and will be tried again.
	FeedLoadFailed
	// FeedFollowed means that the feed is followed from now on.
	FeedFollowed
	// FeedGap means the same, and that changes may have been missed: all is read anew.
	FeedGap
	// FeedBroken means that the feed has failed, and will be tried again.
	FeedBroken
)

func newFollower(l *List, feed Feed, opts Options) *follower {
	f := &follower{
		store: l.store, feed: feed, list: l, index: index.New(),
		onEvent: opts.OnFeed,
	}
	f.maxStaleness.Store(int64(opts.MaxStaleness))
	f.last.Store(new(load))
	if f.onEvent == nil {
		f.onEvent = func(FeedEvent) {}
	}
	ctx, cancel := context.WithCancel(context.Background())
	f.end = cancel
	f.tasks.Go(func() { f.watch(ctx) })
	f.tasks.Go(func() { f.purge(ctx) })
	return f
}

// close ends the follower and waits for it.
func (f *follower) close() {
	f.end()
	f.tasks.Wait()
}

// loaded reports whether the summary lacks nothing that was acknowledged before alive.
func (f *follower) loaded() bool { return f.last.Load().done.Load() }

// asOf returns when everything that had been acknowledged by then was in the summary; nil
// if there was no such moment, or there is no feed.
func (f *follower) asOf() *time.Time {
	if f == nil {
		return nil
	}
	alive := f.alive.Load()
	if !f.loaded() {
		return nil
	}
	return alive
}

// recent reports whether asOf is recent enough to answer without the store.
func (f *follower) recent(asOf *time.Time, now time.Time) bool {
	return asOf != nil && now.Sub(*asOf) <= time.Duration(f.maxStaleness.Load())
}

// trusted reports whether the list answers without the store.
func (f *follower) trusted(now time.Time) bool { return f.recent(f.asOf(), now) }

// note records an entry that is being stored, before this is acknowledged.
func (f *follower) note(e Entry) { f.index.Ensure(e.Key(), e.ExpirySecond()) }

// watch follows the feed until ctx ends.
func (f *follower) watch(ctx context.Context) {
	pause := retryFirst
	for ctx.Err() == nil {
		f.started = false
		err := f.feed.Watch(ctx, f.position, sink{f, ctx})
		f.connected.Store(false)
		if ctx.Err() != nil {
			return
		}
		f.onEvent(FeedEvent{Kind: FeedBroken, Err: err})
		if f.started {
			pause = retryFirst
		}
		wait(ctx, pause)
		pause = min(2*pause, retryLast)
	}
}

func wait(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

// purge forgets expired entries until ctx ends.
func (f *follower) purge(ctx context.Context) {
	ticker := time.NewTicker(purgeInterval)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			// Not those that another replica's clock may still count as live.
			f.index.Purge(uint32(f.list.now().Add(-ageSlack).Unix()))
		}
	}
}

// read reads all entries, again and again until it has succeeded or ctx ends.
func (f *follower) read(ctx context.Context, this *load) {
	pause := retryFirst
	for ctx.Err() == nil {
		begun := time.Now()
		n := 0
		err := f.store.Scan(ctx, func(e Entry) error {
			f.note(e)
			if e.Scope == ScopeRetention {
				f.list.adoptRetention(e)
			}
			if n++; n%progressInterval == 0 {
				f.onEvent(FeedEvent{Kind: FeedLoading, Entries: n, Took: time.Since(begun)})
			}
			return nil
		})
		if err == nil && ctx.Err() == nil {
			this.done.Store(true)
			f.list.subscribers.tell(Change{})
			f.onEvent(FeedEvent{Kind: FeedLoaded, Entries: n, Took: time.Since(begun)})
			return
		}
		if ctx.Err() == nil {
			f.onEvent(FeedEvent{Kind: FeedLoadFailed, Err: err})
		}
		wait(ctx, pause)
		pause = min(2*pause, retryLast)
	}
}

// sink receives the feed.
type sink struct {
	*follower
	ctx context.Context
}

// Started implements Sink. After a gap the entries are read anew, into the summary that
// there is: what it has too much costs a look-up, and nothing else.
func (s sink) Started(gap bool) {
	s.started = true
	s.connected.Store(true)
	if !gap {
		s.onEvent(FeedEvent{Kind: FeedFollowed})
		return
	}
	this := new(load)
	s.last.Store(this)
	s.list.seq.touchAll()
	s.onEvent(FeedEvent{Kind: FeedGap})
	if s.scan != nil {
		s.scan() // it may have passed what was missed
	}
	ctx, cancel := context.WithCancel(s.ctx)
	s.scan = cancel
	s.tasks.Go(func() { s.read(ctx, this) })
}

// Changed implements Sink.
func (s sink) Changed(stored []Entry, removed []Key, at Position) {
	for i := range stored {
		s.note(stored[i])
		s.list.learnedOf(stored[i])
	}
	for _, key := range removed {
		s.list.changed(key)
	}
	s.position = at
}

// Alive implements Sink.
func (s sink) Alive(asOf time.Time) { s.alive.Store(&asOf) }

// errNotLoaded says that the entries of the store have not been read yet.
var errNotLoaded = errors.New("the entries of the store have not been read yet")
