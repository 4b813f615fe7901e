package revocation

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"
)

// Options are the settings of a List. The zero value of each means its default.
type Options struct {
	// CacheSize is how many verdicts are cached; DefaultCacheSize.
	CacheSize int
	// MaxTokenLifetime is how long cut-offs are remembered, and how old a token
	// may be; DefaultMaxTokenLifetime.
	MaxTokenLifetime time.Duration
	// MaxStaleness is how long answers are given without the store while its feed is
	// broken, at least MinMaxStaleness; DefaultMaxStaleness. It matters for a store with
	// a Feed alone.
	MaxStaleness time.Duration
	// OnFeed is told what happens to the feed, from several goroutines. It returns soon.
	OnFeed func(FeedEvent)
	// OnStore is told of every call on the store, from several goroutines. It returns soon.
	OnStore func(StoreCall)
	// Counters count what the List does; its own ones that nobody reads.
	Counters *Counters
	// Now is the clock; time.Now.
	Now func() time.Time
}

// List is a revocation list: a Store and what is needed to ask it rarely.
type List struct {
	store    Store
	filter   Filter    // nil where the store has none
	counter  Counter   // nil where the store has none
	follower *follower // nil where the store has no feed
	now      func() time.Time
	cache    *shardedCache[cachedVerdict]
	known    *shardedCache[cachedIssuance]
	seq      sequences
	// announced numbers the cut-offs that this process records, as they begin and end.
	announced sequences
	// own are the times of those that it has recorded, as far as they are remembered.
	own     *shardedCache[time.Time]
	pending pending
	probe   *probe
	counts  *Counters

	subscribers subscribers

	// retention is nil once the list is closed.
	retention atomic.Pointer[retention]
	// retentionMu serialises changes of the retention.
	retentionMu sync.Mutex
	// pristine says that the store was empty when the list was opened, and that
	// nothing was written since.
	pristine atomic.Bool
}

// ownCutoffs is how many cut-offs of this process are told from those of others.
const ownCutoffs = 1 << 14

// Open returns a List on store, which it closes when it is closed itself. On an
// error the store is left open.
func Open(ctx context.Context, store Store, opts Options) (*List, error) {
	if opts.CacheSize == 0 {
		opts.CacheSize = DefaultCacheSize
	}
	if opts.MaxTokenLifetime == 0 {
		opts.MaxTokenLifetime = DefaultMaxTokenLifetime
	}
	if opts.Now == nil {
		opts.Now = time.Now
	}
	if opts.Counters == nil {
		opts.Counters = new(Counters)
	}
	var err error
	if opts.MaxStaleness, err = maxStaleness(opts.MaxStaleness); err != nil {
		return nil, err
	}
	cache, err := newCache[cachedVerdict](opts.CacheSize)
	if err != nil {
		return nil, err
	}
	known, err := newCache[cachedIssuance](opts.CacheSize)
	if err != nil {
		return nil, err
	}
	own, err := newCache[time.Time](ownCutoffs)
	if err != nil {
		return nil, err
	}
	l := &List{store: observed(store, opts.OnStore), now: opts.Now, cache: cache, known: known, own: own, probe: newProbe(), counts: opts.Counters}
	l.filter, _ = store.(Filter)
	l.counter, _ = store.(Counter)
	feed, followed := store.(Feed)
	if err := l.loadRetention(ctx, opts.MaxTokenLifetime, followed); err != nil {
		return nil, err
	}
	if followed {
		l.follower = newFollower(l, feed, opts)
	}
	return l, nil
}

// Close closes the list and its store. Calls that are under way finish or return
// ErrClosed.
func (l *List) Close() error {
	l.retentionMu.Lock()
	wasOpen := l.retention.Swap(nil) != nil
	l.retentionMu.Unlock()
	if wasOpen && l.follower != nil {
		l.follower.close()
	}
	return l.store.Close()
}

// SetCacheSize changes how many verdicts are cached; 0 is DefaultCacheSize.
func (l *List) SetCacheSize(size int) error {
	if size == 0 {
		size = DefaultCacheSize
	}
	if size < MinCacheSize {
		return fmt.Errorf("cache size %d: want at least %d", size, MinCacheSize)
	}
	l.cache.resize(size)
	l.known.resize(size)
	return nil
}

// SetMaxStaleness changes how long answers are given without the store while its feed is
// broken; 0 is DefaultMaxStaleness.
func (l *List) SetMaxStaleness(d time.Duration) error {
	d, err := maxStaleness(d)
	if err == nil && l.follower != nil {
		l.follower.maxStaleness.Store(int64(d))
	}
	return err
}

func maxStaleness(d time.Duration) (time.Duration, error) {
	if d == 0 {
		d = DefaultMaxStaleness
	}
	if d < MinMaxStaleness {
		return 0, fmt.Errorf("max staleness %s: want at least %s", d, MinMaxStaleness)
	}
	return d, nil
}

// errNoIdentity is a mistake of the caller.
var errNoIdentity = errors.New("revocation: identity has no token identifier")

// Check returns the verdict on a verified identity. It takes no lock but the
// cache's and no store access where the answer is cached or the store's Filter
// rules every entry out. An error comes with Unknown and with nothing else.
func (l *List) Check(ctx context.Context, id *Identity) (Verdict, error) {
	if id == nil || id.token == "" {
		return Unknown, errNoIdentity
	}
	r := l.retention.Load()
	if r == nil {
		return Unknown, ErrClosed
	}
	// The numbers are read before the lookup: an entry that lands after this
	// line makes the verdict below outdated, whenever it is put into the cache. A gap in
	// the feed does so too, so they are read before the summary is found to have none.
	numbers := l.seq.numbers(id)
	asOf := l.follower.asOf()
	now := l.now()
	if !id.undated && r.tooOld(id.issuedAt, now) {
		l.counts.aged.Add(1)
		return TooOld, nil
	}
	// While the feed is broken for too long, the store alone knows.
	if l.follower != nil && !l.follower.recent(asOf, now) {
		return l.askStore(ctx, id)
	}
	if c, ok := l.cache.get(id.cacheKey); ok && c.numbers == numbers {
		return c.verdict, nil
	}
	if err := l.settle(ctx, id); err != nil {
		return Unknown, err
	}
	verdict := Live
	if l.allAbsent(id.keys[:keyIssued]) {
		l.counts.absent.Add(1)
	} else {
		var err error
		if verdict, err = l.lookUp(ctx, id); err != nil {
			return Unknown, err
		}
	}
	l.cache.add(id.cacheKey, cachedVerdict{verdict: verdict, numbers: numbers})
	return verdict, nil
}

// CheckStore is Check, but it asks the store, whatever is cached or known from its feed.
// What any process has acknowledged before is seen, and what this one has begun.
func (l *List) CheckStore(ctx context.Context, id *Identity) (Verdict, error) {
	if id == nil || id.token == "" {
		return Unknown, errNoIdentity
	}
	r := l.retention.Load()
	if r == nil {
		return Unknown, ErrClosed
	}
	if !id.undated && r.tooOld(id.issuedAt, l.now()) {
		l.counts.aged.Add(1)
		return TooOld, nil
	}
	return l.askStore(ctx, id)
}

// askStore looks up what has been stored, and what is about to be.
func (l *List) askStore(ctx context.Context, id *Identity) (Verdict, error) {
	if err := l.settle(ctx, id); err != nil {
		return Unknown, err
	}
	return l.lookUp(ctx, id)
}

// settle waits for the revocations under way that may be about id.
func (l *List) settle(ctx context.Context, id *Identity) error {
	if err := l.pending.settle(ctx, id.keys[:]); err != nil {
		l.counts.failed.Add(1)
		return fmt.Errorf("wait for a revocation under way: %w", err)
	}
	return nil
}

// lookUp asks the store.
func (l *List) lookUp(ctx context.Context, id *Identity) (Verdict, error) {
	found, err := l.store.Lookup(ctx, id.keys[:]...)
	if err == nil && len(found) != len(id.keys) {
		err = fmt.Errorf("store returned %d entries for %d keys", len(found), len(id.keys))
	}
	if err != nil {
		l.counts.failed.Add(1)
		return Unknown, fmt.Errorf("look up revocations: %w", err)
	}
	l.counts.stored.Add(1)
	return verdictOf(id, found), nil
}

// allAbsent reports whether the store certainly holds none of keys: by its own Filter, or
// by the feed, whose summary the caller has found to be trusted.
func (l *List) allAbsent(keys []Key) bool {
	if l.follower == nil {
		return l.certainlyAbsent(keys)
	}
	for _, k := range keys {
		if !k.IsZero() && l.follower.index.MayContain(k) {
			return false
		}
	}
	return true
}

// certainlyAbsent is allAbsent by the store's own Filter alone, for questions to which an
// answer that is outdated by the delay of a feed would be wrong.
func (l *List) certainlyAbsent(keys []Key) bool {
	if l.filter == nil {
		return false
	}
	for _, k := range keys {
		if !k.IsZero() && !l.filter.Absent(k) {
			return false
		}
	}
	return true
}

// verdictOf judges id by the entries found under its keys.
func verdictOf(id *Identity, found []Entry) Verdict {
	switch {
	case found[keyToken].Scope == ScopeToken && !found[keyToken].isRotation():
		return RevokedToken
	case cutOff(id, found[keySession], found[keyIssued]):
		return RevokedSession
	case cutOff(id, found[keyClient], found[keyIssued]), cutOff(id, found[keyEveryKind].ofEveryKind(), Entry{}):
		return RevokedClient
	case found[keyToken].Scope == ScopeToken:
		return RotatedToken
	default:
		return Live
	}
}

// cutOff reports whether the cut-off, if there is one, covers id: it was issued at
// or before it, and was not seen being issued when it stood already.
func cutOff(id *Identity, cutoff, issued Entry) bool {
	if cutoff.Scope == 0 || id.issuedAt.After(cutoff.At) {
		return false
	}
	return issued.Scope != ScopeIssued || issued.At.Before(cutoff.At)
}
