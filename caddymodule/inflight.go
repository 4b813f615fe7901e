package caddymodule

import (
	"context"
	"sync"

	"example.com/caddy-token-auth/revocation"
)

// inFlight lets one request at a time proceed for each key. Its zero value is ready.
type inFlight struct {
	mu   sync.Mutex
	busy map[revocation.Key]chan struct{} // closed when the holder is done
}

// acquire waits until nobody holds key, or returns the error of ctx. The holder
// calls the function returned, once.
func (f *inFlight) acquire(ctx context.Context, key revocation.Key) (func(), error) {
	for {
		f.mu.Lock()
		done, taken := f.busy[key]
		if !taken {
			if f.busy == nil {
				f.busy = make(map[revocation.Key]chan struct{})
			}
			done = make(chan struct{})
			f.busy[key] = done
			f.mu.Unlock()
			return func() { f.free(key, done) }, nil
		}
		f.mu.Unlock()
		select {
		case <-done:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

func (f *inFlight) free(key revocation.Key, done chan struct{}) {
	f.mu.Lock()
	delete(f.busy, key)
	f.mu.Unlock()
	close(done)
}
