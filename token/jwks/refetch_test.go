package jwks

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"example.com/caddy-token-auth/token"
)

// loaded returns a site with one key, and a verifier that has it.
func loaded(t *testing.T, change func(*Options)) (*site, *signer, *Source, *token.Verifier) {
	t.Helper()
	key := newSigner("first")
	web := newSite(map[string]string{setURL: published(key)})
	o := options(web)
	if change != nil {
		change(&o)
	}
	s := open(t, setURL, o)
	v := verifier(t, token.Source{Keys: s})
	expect(t, v, "first", key.token(issuerA), nil)
	synctest.Wait()
	web.count()
	return web, key, s, v
}

func TestAFreshlyRotatedKeyIsGoodNow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		web, first, _, v := loaded(t, nil)
		next := newSigner("next")
		web.set(setURL, published(first, next))
		begin := time.Now()
		expect(t, v, "the new key", next.token(issuerA), nil)
		expect(t, v, "the old key", first.token(issuerA), nil)
		if n := web.count(); n != 1 || time.Since(begin) != 0 {
			t.Errorf("%d fetches, %s", n, time.Since(begin))
		}
	})
}

func TestOneFetchForAllWhoWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		web, _, _, v := loaded(t, nil)
		next := newSigner("next")
		web.set(setURL, published(next))
		web.hold(func(*http.Request) error { time.Sleep(2 * time.Second); return nil })
		var group sync.WaitGroup
		for i := range 200 {
			raw := next.token(issuerA)
			group.Go(func() {
				time.Sleep(time.Duration(i) * 10 * time.Millisecond)
				expect(t, v, "waiting", raw, nil)
			})
		}
		group.Wait()
		if n := web.count(); n != 1 {
			t.Errorf("%d fetches", n)
		}
	})
}

// A refresh that began before the rotation does not have the new key; the token that
// waited for it has the set fetched once more.
func TestAnOlderFetchIsNotTheLastWord(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		web, first, _, v := loaded(t, nil)
		next := newSigner("next")
		var calls atomic.Int32
		web.hold(func(*http.Request) error {
			if calls.Add(1) == 1 {
				time.Sleep(time.Second) // the answer is what the page is at the end
				web.set(setURL, published(first))
			} else {
				web.set(setURL, published(next))
			}
			return nil
		})
		time.Sleep(DefaultRefresh)
		synctest.Wait() // the refresh is under way
		expect(t, v, "new", next.token(issuerA), nil)
		if n := web.count(); n != 2 {
			t.Errorf("%d fetches", n)
		}
	})
}

func TestUnknownKeysCannotDriveFetches(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		web, first, s, v := loaded(t, nil)
		foreign := newSigner("")
		var refused, unavailable atomic.Int32
		var group sync.WaitGroup
		for i := range 10_000 {
			group.Go(func() {
				time.Sleep(time.Duration(i) * 3 * time.Millisecond) // for 30 s
				forged := *foreign
				forged.kid = fmt.Sprint(i)
				switch _, err := v.Verify(t.Context(), forged.token(issuerA)); {
				case errors.Is(err, token.ErrUnknownKey):
					refused.Add(1)
				case errors.Is(err, token.ErrKeysUnavailable):
					unavailable.Add(1)
				default:
					t.Errorf("forged: %v", err)
				}
			})
		}
		for range 300 { // all the while
			time.Sleep(100 * time.Millisecond)
			begin := time.Now()
			expect(t, v, "genuine", first.token(issuerA), nil)
			if time.Since(begin) != 0 {
				t.Errorf("a token of a known key waited for %s", time.Since(begin))
			}
			s.mu.Lock()
			if s.waiting > maxWaiting {
				t.Errorf("%d wait", s.waiting)
			}
			s.mu.Unlock()
		}
		group.Wait()
		if n := web.count(); n != 4 {
			t.Errorf("%d fetches at 0, 10, 20 and 30 s; want one per %s", n, DefaultCooldown)
		}
		if refused.Load() == 0 || unavailable.Load() == 0 || s.waiting != 0 {
			t.Errorf("%d refused, %d not known, %d wait", refused.Load(), unavailable.Load(), s.waiting)
		}
		if n := s.missing.Len(); n > maxMissing {
			t.Errorf("%d kids are remembered", n)
		}
	})
}

// A forged kid just before the issuer publishes a new key, and one whenever it is looked for
// again: tokens of the new key wait, and none is refused.
func TestAForgedKeyDoesNotMakeANewOneUnknown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		web, first, _, v := loaded(t, nil)
		expect(t, v, "forged", newSigner("forged").token(issuerA), token.ErrUnknownKey)
		var group sync.WaitGroup
		for i := range 3 {
			group.Go(func() {
				time.Sleep(time.Duration(i+1)*DefaultCooldown - time.Millisecond)
				expect(t, v, "forged", newSigner(fmt.Sprint("forged", i)).token(issuerA), token.ErrUnknownKey)
			})
		}
		next := newSigner("next")
		web.set(setURL, published(first, next))
		begin := time.Now()
		for i := range 40 {
			group.Go(func() {
				time.Sleep(time.Duration(i) * 250 * time.Millisecond)
				expect(t, v, "genuine", next.token(issuerA), nil)
				if waited := time.Since(begin); waited > max(DefaultCooldown, time.Duration(i)*250*time.Millisecond) {
					t.Errorf("genuine token %d after %s", i, waited)
				}
			})
		}
		group.Wait()
		if n := web.count(); n > 5 {
			t.Errorf("%d fetches in 30 s", n)
		}
	})
}

// What was looked for and is not there is refused at once, what was not may be there.
func TestOnlyWhatWasLookedForIsUnknown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, _, _, v := loaded(t, nil)
		at := func(what, kid string, want error, wait time.Duration) {
			t.Helper()
			begin := time.Now()
			expect(t, v, what, newSigner(kid).token(issuerA), want)
			if waited := time.Since(begin); waited != wait {
				t.Errorf("%s: after %s; want %s", what, waited, wait)
			}
		}
		at("fetched", "a", token.ErrUnknownKey, 0)
		time.Sleep(4 * time.Second)
		at("looked for", "a", token.ErrUnknownKey, 0)
		at("not looked for", "b", token.ErrUnknownKey, 6*time.Second)
		at("looked for with the last", "b", token.ErrUnknownKey, 0)

		// It does not wait for longer than its request does.
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := v.Verify(ctx, newSigner("c").token(issuerA)); !errors.Is(err, token.ErrKeysUnavailable) {
			t.Error(err)
		}
	})
}

// A refresh in the cooldown looks for what waits.
func TestARefreshEndsTheWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		web, first, _, v := loaded(t, nil)
		next := newSigner("next")
		time.Sleep(DefaultRefresh - 5*time.Second)
		expect(t, v, "forged", newSigner("forged").token(issuerA), token.ErrUnknownKey)
		web.set(setURL, published(first, next))
		begin := time.Now()
		var group sync.WaitGroup
		group.Go(func() { expect(t, v, "new", next.token(issuerA), nil) })
		group.Go(func() { expect(t, v, "forged", newSigner("x").token(issuerA), token.ErrUnknownKey) })
		group.Wait()
		if waited := time.Since(begin); waited != 5*time.Second {
			t.Errorf("after %s", waited)
		}
	})
}

func TestALongCooldownIsNotWaitedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		web, first, _, v := loaded(t, func(o *Options) { o.Cooldown = time.Minute })
		expect(t, v, "forged", newSigner("forged").token(issuerA), token.ErrUnknownKey)
		next := newSigner("next")
		web.set(setURL, published(first, next))
		begin := time.Now()
		expect(t, v, "in the cooldown", next.token(issuerA), token.ErrKeysUnavailable)
		if time.Since(begin) != 0 {
			t.Errorf("after %s", time.Since(begin))
		}
		time.Sleep(time.Minute - maxCooldownWait)
		expect(t, v, "near its end", next.token(issuerA), nil)
	})
}

func TestCloseEndsTheWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, _, s, v := loaded(t, nil)
		expect(t, v, "forged", newSigner("forged").token(issuerA), token.ErrUnknownKey)
		var group sync.WaitGroup
		group.Go(func() { expect(t, v, "waiting", newSigner("x").token(issuerA), token.ErrKeysUnavailable) })
		synctest.Wait()
		begin := time.Now()
		if err := s.Close(); err != nil {
			t.Error(err)
		}
		group.Wait()
		if time.Since(begin) != 0 {
			t.Errorf("after %s", time.Since(begin))
		}
	})
}

// A client that goes on with a token of a bygone key has the set fetched now and then, and
// does not use up the fetches of new keys.
func TestABygoneKeyDoesNotHoldUpANewOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		web, first, _, v := loaded(t, nil)
		raw := newSigner("bygone").token(issuerA)
		for range 30 * 60 {
			expect(t, v, "bygone", raw, token.ErrUnknownKey)
			time.Sleep(100 * time.Millisecond)
		}
		if n := web.count(); n != 18 {
			t.Errorf("%d fetches in three minutes; want one per %s", n, DefaultCooldown)
		}
		time.Sleep(time.Second)
		expect(t, v, "bygone", raw, token.ErrUnknownKey)
		next := newSigner("next")
		web.set(setURL, published(first, next))
		begin := time.Now()
		expect(t, v, "genuine and new", next.token(issuerA), nil)
		if time.Since(begin) != 0 {
			t.Errorf("after %s", time.Since(begin))
		}
	})
}

// However often a key was asked for before it was published, it is good one cooldown after.
func TestAKeyThatWasAskedForTooEarlyIsFoundAfterTheCooldown(t *testing.T) {
	for _, early := range []int{1, 2, 5, 20} {
		synctest.Test(t, func(t *testing.T) {
			web, _, _, v := loaded(t, nil)
			next := newSigner("next")
			raw := next.token(issuerA)
			for i := range early {
				if i > 0 {
					time.Sleep(DefaultCooldown)
				}
				expect(t, v, "before it is published", raw, token.ErrUnknownKey)
			}
			web.set(setURL, published(next))
			time.Sleep(DefaultCooldown - 1)
			expect(t, v, "in the cooldown", raw, token.ErrUnknownKey)
			time.Sleep(time.Nanosecond)
			expect(t, v, "after the cooldown", raw, nil)
		})
	}
}

func TestTokensWithoutKeyID(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		web, first, _, v := loaded(t, nil)
		anonymous := *first
		anonymous.kid = ""
		expect(t, v, "signed by a key of the set", anonymous.token(issuerA), nil)
		next := newSigner("")
		web.set(setURL, published(next))
		expect(t, v, "signed by a new key", next.token(issuerA), nil)
		if n := web.count(); n != 1 {
			t.Errorf("%d fetches", n)
		}
		for range 1000 {
			expect(t, v, "forged", newSigner("").token(issuerA), token.ErrSignature)
		}
		if n := web.count(); n != 0 {
			t.Errorf("%d fetches in the cooldown", n)
		}
	})
}

// An issuer that never names its keys can go on rotating.
func TestRotationWithoutKeyID(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		web, _, _, v := loaded(t, nil)
		for range 5 {
			next := newSigner("")
			web.set(setURL, published(next))
			expect(t, v, "new", next.token(issuerA), nil)
			time.Sleep(DefaultCooldown)
		}
	})
}

// A refresh that is due while a token has the set fetched comes after it.
func TestARefreshIsNotLost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		web, _, _, v := loaded(t, nil)
		web.hold(func(*http.Request) error { time.Sleep(3 * time.Second); return nil })
		time.Sleep(DefaultRefresh - time.Second)
		expect(t, v, "unknown", newSigner("x").token(issuerA), token.ErrUnknownKey)
		time.Sleep(minRetry)
		synctest.Wait()
		if n := web.count(); n != 2 {
			t.Errorf("%d fetches", n)
		}
	})
}

// The key is there, and it did not sign the token: nothing to look for.
func TestAForgedSignatureOfAKnownKeyFetchesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		web, _, _, v := loaded(t, nil)
		expect(t, v, "forged", newSigner("first").token(issuerA), token.ErrSignature)
		raw := newSigner("other").token(issuerA)
		expect(t, v, "malformed", raw+"=", token.ErrMalformed)
		expect(t, v, "too long", raw+strings.Repeat("A", token.DefaultMaxLength), token.ErrTooLarge)
		expect(t, v, "long kid", newSigner(strings.Repeat("k", maxKeyID+1)).token(issuerA), token.ErrUnknownKey)
		if n := web.count(); n != 0 {
			t.Errorf("%d fetches", n)
		}
	})
}

// Whether the key exists cannot be known: 503, not 401.
func TestAnUnknownKeyWhileTheEndpointIsDown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		web, first, _, v := loaded(t, nil)
		web.down(errDown)
		next := newSigner("next")
		expect(t, v, "unknown", next.token(issuerA), token.ErrKeysUnavailable)
		expect(t, v, "unknown, in the cooldown", newSigner("x").token(issuerA), token.ErrKeysUnavailable)
		expect(t, v, "known", first.token(issuerA), nil)
		expect(t, v, "without kid", newSigner("").token(issuerA), token.ErrSignature)
		if n := web.count(); n != 1 {
			t.Errorf("%d fetches", n)
		}
		web.set(setURL, published(first, next))
		web.down(nil)
		time.Sleep(minRetry) // found by the retries, cooldown or not
		synctest.Wait()
		expect(t, v, "up again", next.token(issuerA), nil)
	})
}

func TestASlowEndpoint(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		web, first, _, v := loaded(t, nil)
		web.hold(hang)

		// A request that is given up does not end the fetch for others.
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		begin := time.Now()
		_, err := v.Verify(ctx, newSigner("x").token(issuerA))
		if !errors.Is(err, token.ErrKeysUnavailable) || !errors.Is(err, context.DeadlineExceeded) || time.Since(begin) != time.Second {
			t.Errorf("after %s: %v", time.Since(begin), err)
		}
		expect(t, v, "the other one", newSigner("y").token(issuerA), token.ErrKeysUnavailable)
		if waited := time.Since(begin); waited != DefaultTimeout {
			t.Errorf("the fetch ended after %s", waited)
		}
		if n := web.count(); n != 1 {
			t.Errorf("%d fetches", n)
		}
		expect(t, v, "a known key does not wait", first.token(issuerA), nil)
	})
}

// Without a bubble, for real concurrency: an issuer that rotates as fast as it can, keeping the key
// before, and clients that always use the newest.
func TestNoGenuineTokenFailsDuringRotation(t *testing.T) {
	keys := []*signer{newSigner("0"), newSigner("1")}
	web := newSite(map[string]string{setURL: published(keys...)})
	o := options(web)
	o.Cooldown = 1 // rotations come faster than any real one
	s := open(t, setURL, o)
	v := verifier(t, token.Source{Keys: s})

	var newest atomic.Pointer[signer]
	newest.Store(keys[1])
	done := make(chan struct{})
	var verified atomic.Int64
	var clients sync.WaitGroup
	for range 8 {
		clients.Go(func() {
			for {
				key := newest.Load()
				raw := key.token(issuerA)
				for range 3 {
					_, err := v.Verify(t.Context(), raw)
					// The rotation may have left this key two behind by now.
					if now := newest.Load(); err != nil && now == key {
						t.Errorf("key %s: %v", key.kid, err)
					}
					verified.Add(1)
				}
				select {
				case <-done:
					return
				default:
				}
			}
		})
	}
	for i := 2; i < 60; i++ {
		next := newSigner(fmt.Sprint(i))
		keys = append(keys[1:], next)
		web.set(setURL, published(keys...))
		newest.Store(next)
		for before := verified.Load(); verified.Load() < before+50 && !t.Failed(); {
			runtime.Gosched()
		}
	}
	close(done)
	clients.Wait()
	for _, key := range keys {
		expect(t, v, "at the end", key.token(issuerA), nil)
	}
}
