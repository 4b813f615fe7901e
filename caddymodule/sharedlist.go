package caddymodule

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/caddyserver/caddy/v2"
	"go.uber.org/zap"

	"example.com/caddy-token-auth/revocation"
)

// lists holds the list of each store identity that a configuration uses. During a
// reload the old and the new configuration both do. What is open holds no list: it ends with
// the last configuration.
var lists = caddy.NewUsagePool()

// sharedList is a list, or the place for one that is not open yet.
type sharedList struct {
	list atomic.Pointer[revocation.List]
	// digests are set before list, and nil if the store keeps no key for them.
	digests atomic.Pointer[digests]
	// opened is closed once the list has been open, or could not be opened at the first
	// try: nobody waits for it any more.
	opened chan struct{}
	once   sync.Once // closes opened
	// wanted are the options that the newest configuration wants.
	wanted atomic.Pointer[revocation.Options]
	// refreshes are the refresh tokens in use: whichever handler they came to.
	refreshes inFlight
	// live are the connections and long responses that the list has let through.
	live *liveSet
	// mu serialises open and Destruct.
	mu sync.Mutex

	// opening is the goroutine that opens the list, if the store may come later.
	opening sync.WaitGroup
	begin   sync.Once
	ended   context.Context
	end     context.CancelFunc
}

// acquireList returns the shared list with the given identity; each call is matched
// by one of releaseList.
func acquireList(identity string) (*sharedList, error) {
	value, _, err := lists.LoadOrNew(identity, func() (caddy.Destructor, error) {
		s := &sharedList{opened: make(chan struct{})}
		s.ended, s.end = context.WithCancel(context.Background())
		s.live = newLiveSet(s.list.Load)
		return s, nil
	})
	if err != nil {
		return nil, err
	}
	return value.(*sharedList), nil
}

// releaseList gives back what acquireList returned and closes the list after the last one.
func releaseList(identity string) error {
	_, err := lists.Delete(identity)
	return err
}

// open opens the list with these options, unless it is open already.
func (s *sharedList) open(ctx context.Context, module StoreModule, log *zap.Logger, opts revocation.Options) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.list.Load() != nil {
		return nil
	}
	store, err := module.Open(ctx, log)
	if err != nil {
		storeErrors.WithLabelValues(opening).Inc()
		return err
	}
	list, err := s.prepare(ctx, module, store, opts)
	if err != nil {
		if closeErr := store.Close(); closeErr != nil {
			err = fmt.Errorf("%w; and closing the store: %w", err, closeErr)
		}
		return err
	}
	s.list.Store(list)
	list.Subscribe(s.live.changed) // for as long as the list lives
	s.live.changed(revocation.Change{})
	s.once.Do(func() { close(s.opened) })
	return nil
}

// The pause before a store that could not be opened is tried again.
const (
	reopenFirst = 200 * time.Millisecond
	reopenLast  = 5 * time.Second
)

// openLater opens the list as soon as its store can be reached. It returns after the first
// try, or when ctx ends.
func (s *sharedList) openLater(ctx context.Context, module StoreModule) {
	s.begin.Do(func() {
		// Not the logger of a configuration, which this outlives.
		log := caddy.Log().Named("token_auth")
		s.opening.Go(func() {
			pause := reopenFirst
			for s.ended.Err() == nil {
				try, cancel := context.WithTimeout(s.ended, openTimeout)
				err := s.open(try, module, log, *s.wanted.Load())
				cancel()
				if err == nil || s.ended.Err() != nil {
					return
				}
				log.Error("revocation list not opened, requests are refused until it is", zap.Error(err), zap.Duration("next", pause))
				s.once.Do(func() { close(s.opened) })
				select {
				case <-time.After(pause):
				case <-s.ended.Done():
				}
				pause = min(2*pause, reopenLast)
			}
		})
	})
	select {
	case <-s.opened:
	case <-ctx.Done():
	}
}

// prepare makes a list of an open store.
func (s *sharedList) prepare(
	ctx context.Context, module StoreModule, store revocation.Store, opts revocation.Options,
) (*revocation.List, error) {
	if keeper, ok := module.(DigestKeeper); ok {
		key, err := keeper.DigestKey(ctx)
		if err != nil {
			return nil, err
		}
		d, err := newDigests(key)
		if err != nil {
			return nil, err
		}
		s.digests.Store(d)
	}
	return revocation.Open(ctx, store, opts)
}

// configure applies the options to the open list, which the running configuration may
// still use when this one is refused in the end. So nothing here may take anything
// from it: its lifetime is only ever raised while the process lives.
func (s *sharedList) configure(ctx context.Context, opts revocation.Options) error {
	s.wanted.Store(&opts)
	list := s.list.Load()
	if list == nil {
		return nil // opened later, with these options
	}
	if err := list.RaiseMaxTokenLifetime(ctx, opts.MaxTokenLifetime); err != nil {
		return err
	}
	if err := list.SetMaxStaleness(opts.MaxStaleness); err != nil {
		return err
	}
	return list.SetCacheSize(opts.CacheSize)
}

// Destruct implements caddy.Destructor.
func (s *sharedList) Destruct() error {
	s.end()
	s.opening.Wait()
	s.live.close()
	s.mu.Lock()
	defer s.mu.Unlock()
	if list := s.list.Swap(nil); list != nil {
		return list.Close()
	}
	return nil
}
