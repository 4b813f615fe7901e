package revocation

import (
	"context"
	"slices"
	"sync"
)

// pending are the revocations that have begun and are not stored yet. Its zero value is
// ready.
type pending struct {
	mu     sync.Mutex // guards events
	events map[Key][]chan struct{}
}

// begin announces a revocation; the function returned says that it has ended.
func (p *pending) begin(k Key) (end func()) {
	done := make(chan struct{})
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.events == nil {
		p.events = make(map[Key][]chan struct{})
	}
	p.events[k] = append(p.events[k], done)
	return func() { p.finish(k, done) }
}

func (p *pending) finish(k Key, done chan struct{}) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.events[k] = slices.DeleteFunc(p.events[k], func(other chan struct{}) bool { return other == done })
	if len(p.events[k]) == 0 {
		delete(p.events, k)
	}
	close(done)
}

// settle waits until the revocations under keys that have begun are stored, or have
// failed, or ctx ends.
func (p *pending) settle(ctx context.Context, keys []Key) error {
	var waited []chan struct{}
	p.mu.Lock()
	if len(p.events) > 0 {
		for _, k := range keys {
			waited = append(waited, p.events[k]...)
		}
	}
	p.mu.Unlock()
	for _, done := range waited {
		select {
		case <-done:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}
