package jwks

import (
	"context"
	"sync"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"

	"example.com/caddy-token-auth/token"
)

const (
	// maxMissing is how many kids are remembered as not in the set.
	maxMissing = 1024
	// maxKeyID is the longest kid that is looked for, in bytes. It bounds the memory of
	// missing to half a megabyte; real ones are digests or short names.
	maxKeyID = 512
)

// Source keeps the keys of one JWK set up to date. It implements token.KeySource.
type Source struct {
	origin  origin
	options Options
	ring    token.KeyRing

	ctx     context.Context // ends with Close
	cancel  context.CancelFunc
	landed  chan Event     // from each flight to the loop
	flights sync.WaitGroup // at most one at a time
	ended   chan struct{}  // closed when the loop has returned

	mu      sync.Mutex // guards what follows
	closed  bool
	flight  *flight       // the fetch under way, or nil
	next    chan struct{} // done of the flight after it
	begun   int           // how many flights there were
	arrived int           // the number of the last good one
	changed bool          // it brought other keys than there had been
	waiting int           // tokens that wait for a flight

	// Until then no token makes us fetch: one with a kid that is new to us, and one with a
	// kid that was looked for before. These do not use up the fetches that a new key needs.
	cooldown, cooldownAgain time.Time
	// missing is until when a kid is known not to be in the set.
	missing *lru.Cache[string, time.Time]
	status  Status
}

// origin is where a JWK set comes from.
type origin interface {
	// fetch returns the set's document and for how long it is fresh, negative if that
	// is not known. demanded says that a request is waiting.
	fetch(ctx context.Context, demanded bool) (doc []byte, fresh time.Duration, err error)
	// String names the origin without secrets.
	String() string
}

// polled is an origin that can tell cheaply whether it has something new.
type polled interface {
	origin
	// changed reports whether there is something else than was fetched last.
	changed() bool
	// interval is how often to ask.
	interval() time.Duration
}

// Status is the state of a Source.
type Status struct {
	// Keys is how many keys there are. 0 means that they are unavailable.
	Keys int
	// Skipped counts the keys of the last good set that are not used. It must not be
	// changed.
	Skipped map[Reason]int
	// Fetched is when the last good set came. Zero if there was none.
	Fetched time.Time
	// Err is why the last fetch failed, nil if it did not or if there was none yet.
	Err error
	// Failures is how many fetches failed since the last good one.
	Failures int
}

// Event tells what a fetch brought, or that the keys have become too old.
type Event struct {
	Status
	// Added and Removed are how many keys the set had not had before, and has no more.
	Added, Removed int
	// Expired says that this is no fetch: no fetch has succeeded for Options.MaxStale,
	// and the keys were given up.
	Expired bool
	// Next is the time until the next fetch, or until the next look at a file. 0 means
	// that it stays as planned.
	Next time.Duration
}

// start returns a Source for from, which fetches until Close is called.
func start(from origin, o Options) (*Source, error) {
	o, err := o.withDefaults()
	if err != nil {
		return nil, err
	}
	missing, err := lru.New[string, time.Time](maxMissing)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(context.Background())
	s := &Source{
		origin: from, options: o, missing: missing,
		ctx: ctx, cancel: cancel,
		landed: make(chan Event), ended: make(chan struct{}), next: make(chan struct{}),
	}
	// Before the loop, so that the very first token already waits for it.
	s.refresh()
	go s.run()
	return s, nil
}

// Keys implements token.KeySource.
func (s *Source) Keys() *token.KeyRing { return &s.ring }

// Status returns the present state.
func (s *Source) Status() Status {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.status
}

// String names the source: its URL without query, its file, or its issuer.
func (s *Source) String() string { return s.origin.String() }

// Close ends all fetches and waits for the goroutines of s. The keys stay as they are
// for those who still verify with them; there will be no others.
func (s *Source) Close() error {
	s.mu.Lock()
	s.closed = true
	s.mu.Unlock()
	s.cancel()
	s.flights.Wait()
	<-s.ended
	return nil
}

// run keeps the time: it begins refreshes and gives up keys that are too old.
func (s *Source) run() {
	defer close(s.ended)
	refresh, expire := time.NewTimer(0), time.NewTimer(0)
	refresh.Stop()
	expire.Stop()
	defer refresh.Stop()
	defer expire.Stop()
	from, isPolled := s.origin.(polled)
	for {
		select {
		case <-s.ctx.Done():
			return
		case e := <-s.landed:
			if e.Next > 0 {
				refresh.Reset(e.Next)
			}
			if e.Err == nil && !isPolled {
				expire.Reset(s.options.MaxStale)
			}
			s.tell(e)
		case <-refresh.C:
			if isPolled && !from.changed() {
				refresh.Reset(from.interval())
			} else if !s.refresh() {
				refresh.Reset(minRetry) // after the fetch that a token asked for
			}
		case <-expire.C:
			s.tell(s.expire())
		}
	}
}

func (s *Source) tell(e Event) {
	if s.options.OnEvent != nil {
		s.options.OnEvent(e)
	}
}

// expire gives up all keys.
func (s *Source) expire() Event {
	s.mu.Lock()
	defer s.mu.Unlock()
	removed := s.status.Keys
	s.ring.Clear()
	s.status.Keys = 0
	return Event{Status: s.status, Removed: removed, Expired: true}
}
