package caddymodule_test

import (
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
)

// TestNoGenuineTokenFailsWhileTheIssuerRotates has the issuer publish a new key, sign with
// it at once and give up the one before the last, while clients call all the time with
// the newest token there is and the one before.
func TestNoGenuineTokenFailsWhileTheIssuerRotates(t *testing.T) {
	i := newIssuer(t, "key-0")
	s := start(t, new(echo), "api octopus_cards\njwks "+i.URL+"/keys {\ncooldown 1ms\nrefresh 1s\n}")
	var newest, previous atomic.Pointer[string]
	first := i.sign(t, "key-0", "", "token-0")
	newest.Store(&first)
	previous.Store(&first)

	var wg sync.WaitGroup
	var calls atomic.Int64
	done := make(chan struct{})
	for range 8 {
		wg.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
				}
				for _, raw := range []string{*newest.Load(), *previous.Load()} {
					a, err := s.try("GET", "/x", "", bearer(raw))
					if err != nil || a.status != 200 {
						t.Errorf("a genuine token: %d %s (%v)", a.status, a.body, err)
						return
					}
					calls.Add(1)
				}
			}
		})
	}
	removed := ""
	for n := 1; n <= 8; n++ {
		kid := fmt.Sprintf("key-%d", n)
		i.add(t, kid)
		raw := i.sign(t, kid, "", fmt.Sprintf("token-%d", n))
		removed = *previous.Load()
		previous.Store(newest.Load())
		newest.Store(&raw)
		// Calls with the token before that are still under way end first.
		for before := calls.Load(); calls.Load() < before+32 && !t.Failed(); {
			runtime.Gosched()
		}
		if n >= 2 {
			i.set(func() { delete(i.keys, fmt.Sprintf("key-%d", n-2)) })
		}
	}
	close(done)
	wg.Wait()
	// Nobody asks for an unknown key: the refresh alone finds out.
	s.eventually(func() bool { return s.do("GET", "/x", "", bearer(removed)).body == bodyInvalid })
	s.do("GET", "/x", "", bearer(*newest.Load())).want(t, "the newest key", 200, "GET /x ")
}
