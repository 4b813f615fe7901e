package jwks

import (
	"errors"
	"net/http"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"example.com/caddy-token-auth/token"
)

func TestStartsWithoutTheSet(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		key := newSigner("1")
		web := newSite(map[string]string{setURL: published(key)})
		web.down(errDown)
		var events recorder
		o := options(web)
		o.OnEvent = events.record
		begin := time.Now()
		s := open(t, setURL, o)
		v := verifier(t, token.Source{Keys: s})
		raw := key.token(issuerA)
		expect(t, v, "at once", raw, token.ErrKeysUnavailable)

		// 1 s doubling to 1 min: attempts at 0, 1, 3, 7, 15, 31, 63, 123, 183 s.
		time.Sleep(4 * time.Minute)
		synctest.Wait()
		if n := web.count(); n != 9 {
			t.Errorf("%d attempts in %s", n, time.Since(begin))
		}
		want := []string{"failed, 0 keys, next 1s", "failed, 0 keys, next 2s", "failed, 0 keys, next 4s"}
		if got := events.take(); len(got) < 3 || !slices.Equal(got[:3], want) {
			t.Errorf("events %q", got)
		}
		expect(t, v, "still down", raw, token.ErrKeysUnavailable)
		if n := web.count(); n != 0 {
			t.Errorf("a token made %d fetches while the retries go on", n)
		}
		if s.Status().Err == nil || !errors.Is(s.Status().Err, errDown) {
			t.Errorf("status %v", s.Status().Err)
		}

		web.down(nil)
		time.Sleep(maxRetry)
		synctest.Wait()
		expect(t, v, "up again", raw, nil)
		if got := events.take(); !slices.Contains(got, "1 keys +1 -0, next 1h0m0s") {
			t.Errorf("events %q", got)
		}
	})
}

// What comes while the first fetch is under way waits for it.
func TestTheFirstTokenWaitsForTheFirstFetch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		key := newSigner("1")
		web := newSite(map[string]string{setURL: published(key)})
		web.hold(func(*http.Request) error { time.Sleep(3 * time.Second); return nil })
		v := verifier(t, token.Source{Keys: open(t, setURL, options(web))})
		begin := time.Now()
		expect(t, v, "first", key.token(issuerA), nil)
		if waited := time.Since(begin); waited != 3*time.Second || web.count() != 1 {
			t.Errorf("waited %s", waited)
		}
	})
}

func TestRefreshFollowsTheAnswer(t *testing.T) {
	for cacheControl, want := range map[string]time.Duration{
		"":                              time.Hour,
		"public":                        time.Hour,
		"max-age=600":                   10 * time.Minute,
		"public, MAX-AGE=600, must":     10 * time.Minute,
		`max-age="600"`:                 10 * time.Minute,
		"max-age=1":                     5 * time.Minute,
		"max-age=0":                     5 * time.Minute,
		"no-store":                      5 * time.Minute,
		"max-age=9000, no-cache":        5 * time.Minute,
		"max-age=nonsense":              5 * time.Minute,
		"max-age=-1":                    5 * time.Minute,
		"max-age=20000":                 20000 * time.Second,
		"max-age=86400":                 12 * time.Hour, // half of the time that keys last
		"max-age=999999999999999999999": 5 * time.Minute,
	} {
		synctest.Test(t, func(t *testing.T) {
			web := newSite(map[string]string{setURL: published(newSigner("1"))})
			web.header.Set("Cache-Control", cacheControl)
			open(t, setURL, options(web))
			synctest.Wait()
			web.count()
			time.Sleep(want - 1)
			synctest.Wait()
			if n := web.count(); n != 0 {
				t.Errorf("%q: fetched before %s", cacheControl, want)
			}
			time.Sleep(time.Nanosecond)
			synctest.Wait()
			if n := web.count(); n != 1 {
				t.Errorf("%q: %d fetches at %s", cacheControl, n, want)
			}
		})
	}
}

func TestConfiguredRefreshWins(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		web := newSite(map[string]string{setURL: published(newSigner("1"))})
		web.header.Set("Cache-Control", "max-age=86400")
		o := options(web)
		o.Refresh, o.Random = 30*time.Second, func() float64 { return 0.5 }
		open(t, setURL, o)
		time.Sleep(10 * time.Minute)
		synctest.Wait()
		if n := web.count(); n != 1+21 { // every 28.5 s
			t.Errorf("%d fetches", n)
		}
	})
}

func TestKeysOutliveFailuresForABoundedTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		key := newSigner("1")
		web := newSite(map[string]string{setURL: published(key)})
		var events recorder
		o := options(web)
		o.OnEvent = events.record
		s := open(t, setURL, o)
		v := verifier(t, token.Source{Keys: s})
		cached := key.token(issuerA)
		expect(t, v, "first", cached, nil)
		synctest.Wait()

		web.down(errDown)
		time.Sleep(DefaultMaxStale - 1)
		synctest.Wait()
		expect(t, v, "cached, just before the bound", cached, nil)
		expect(t, v, "new, just before the bound", key.token(issuerA), nil)
		events.take()
		time.Sleep(time.Nanosecond)
		synctest.Wait()
		expect(t, v, "cached, at the bound", cached, token.ErrKeysUnavailable)
		expect(t, v, "new, at the bound", key.token(issuerA), token.ErrKeysUnavailable)
		if got := events.take(); !slices.Contains(got, "expired") {
			t.Errorf("events %q", got)
		}
		if s.Status().Keys != 0 || s.Keys().Keys() != nil {
			t.Error("the status still has keys")
		}

		web.down(nil)
		time.Sleep(maxRetry)
		synctest.Wait()
		expect(t, v, "up again", cached, nil)
	})
}

// A good set moves the bound; bad ones in between do not.
func TestTheBoundCountsFromTheLastGoodSet(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		key := newSigner("1")
		web := newSite(map[string]string{setURL: published(key)})
		s := open(t, setURL, options(web))
		v := verifier(t, token.Source{Keys: s})
		time.Sleep(20*time.Hour + 30*time.Minute)
		web.set(setURL, "<html>maintenance</html>")
		time.Sleep(23 * time.Hour)
		synctest.Wait()
		expect(t, v, "23 hours after", key.token(issuerA), nil)
		web.set(setURL, published(key))
		time.Sleep(time.Minute)
		web.down(errDown)
		time.Sleep(23 * time.Hour)
		synctest.Wait()
		expect(t, v, "47 hours after, with a good set in between", key.token(issuerA), nil)
	})
}

func TestRemovedKeysTakeTheirTokensWithThem(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		old, kept := newSigner("old"), newSigner("kept")
		web := newSite(map[string]string{setURL: published(old, kept)})
		v := verifier(t, token.Source{Keys: open(t, setURL, options(web))})
		gone, stays := old.token(issuerA), kept.token(issuerA)
		expect(t, v, "first", gone, nil)
		first := must(v.Verify(t.Context(), stays))

		web.set(setURL, published(kept))
		expect(t, v, "before the refresh", gone, nil)
		time.Sleep(DefaultRefresh)
		synctest.Wait()
		expect(t, v, "after the refresh", gone, token.ErrUnknownKey)
		if second := must(v.Verify(t.Context(), stays)); second != first {
			t.Error("a token of the key that stayed was verified again")
		}

		// The key comes back, as it does when a rotation is undone.
		web.set(setURL, published(kept, old))
		time.Sleep(DefaultRefresh)
		synctest.Wait()
		expect(t, v, "after its return", gone, nil)
	})
}

// An unknown kid makes the removal of another key known at once.
func TestRemovalIsSeenWithTheNextFetch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		old, next := newSigner("old"), newSigner("new")
		web := newSite(map[string]string{setURL: published(old)})
		v := verifier(t, token.Source{Keys: open(t, setURL, options(web))})
		raw := old.token(issuerA)
		expect(t, v, "first", raw, nil)
		web.set(setURL, published(next))
		expect(t, v, "rotated", next.token(issuerA), nil)
		expect(t, v, "old", raw, token.ErrUnknownKey)
	})
}

func TestCloseEndsEverything(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		web := newSite(map[string]string{setURL: published(newSigner("1"))})
		web.hold(hang)
		s := open(t, setURL, options(web))
		v := verifier(t, token.Source{Keys: s})
		var group sync.WaitGroup
		for range 5 {
			group.Go(func() { expect(t, v, "while it closes", newSigner("x").token(issuerA), token.ErrKeysUnavailable) })
		}
		synctest.Wait()
		begin := time.Now()
		for range 2 {
			if err := s.Close(); err != nil {
				t.Error(err)
			}
		}
		group.Wait()
		if time.Since(begin) != 0 {
			t.Error("Close waited for the timeout")
		}
		web.count()
		expect(t, v, "closed", newSigner("x").token(issuerA), token.ErrKeysUnavailable)
		time.Sleep(48 * time.Hour)
		if n := web.count(); n != 0 {
			t.Errorf("%d fetches after Close", n)
		}
	}) // synctest fails the test if a goroutine is left
}

func TestCloseWaits(t *testing.T) {
	for name, prepare := range map[string]func(*site, *Options){
		"for the fetch": func(web *site, _ *Options) {
			web.hold(func(req *http.Request) error { err := hang(req); time.Sleep(time.Second); return err })
		},
		"for OnEvent": func(_ *site, o *Options) {
			o.OnEvent = func(Event) { time.Sleep(time.Second) }
		},
	} {
		synctest.Test(t, func(t *testing.T) {
			web := newSite(map[string]string{setURL: published(newSigner("1"))})
			o := options(web)
			prepare(web, &o)
			s := open(t, setURL, o)
			synctest.Wait()
			begin := time.Now()
			if err := s.Close(); err != nil || time.Since(begin) != time.Second {
				t.Errorf("%s: %v after %s", name, err, time.Since(begin))
			}
		})
	}
}

func TestBadOptionsAreRefused(t *testing.T) {
	for name, o := range map[string]Options{
		"refresh": {Refresh: time.Second - 1}, "negative refresh": {Refresh: -1}, "stale": {MaxStale: -1}, "short stale": {MaxStale: 1},
		"timeout": {Timeout: -1}, "cooldown": {Cooldown: -1},
	} {
		if s, err := FromURL(setURL, o); err == nil || s != nil {
			t.Errorf("%s: accepted", name)
		}
	}
	if s, err := FromFile("", Options{}); err == nil || s != nil {
		t.Error("a file without name: accepted")
	}
}
