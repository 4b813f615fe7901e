package token

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// movable is a clock that the test sets.
type movable struct{ at atomic.Int64 }

func (m *movable) now() time.Time { return time.Unix(m.at.Load(), 0) }

// withoutKeys makes v forget its keys, so that it accepts only what it has cached.
func withoutKeys(v *Verifier) *Verifier {
	v.static, v.config.Algorithms = staticKeySet(nil), nil
	return v
}

func TestCachedTokensObeyTheClock(t *testing.T) {
	clock := &movable{}
	clock.at.Store(noon)
	v := verifier(t, Config{Now: clock.now, Leeway: 10 * time.Second, IssuedAtLeeway: 5 * time.Second})
	token := hs256(fmt.Sprintf(`{"nbf":%d,"iat":%d,"exp":%d}`, noon-100, noon-100, noon+100))
	first, err := v.Verify(t.Context(), token)
	if err != nil {
		t.Fatal(err)
	}
	withoutKeys(v)
	for _, c := range []struct {
		at  int64
		err error
	}{
		{noon + 109, nil},
		{noon + 110, ErrExpired},
		{noon + 1e6, ErrExpired},
		{noon, nil}, // a clock that was set back
		{noon - 105, nil},
		{noon - 106, ErrIssuedInFuture},
		{noon - 111, ErrNotYetValid},
		{noon, nil},
	} {
		clock.at.Store(c.at)
		tok, err := v.Verify(t.Context(), fresh(token))
		if !errors.Is(err, c.err) || (err == nil) != (tok == first) {
			t.Errorf("at noon%+d: %v; want %v", c.at-noon, err, c.err)
		}
	}
}

// A client that goes on with its expired token costs no cryptography, even if the
// first use that this process saw came too late.
func TestExpiredTokensAreCached(t *testing.T) {
	v := verifier(t, Config{})
	token := hs256(`{"exp":1}`)
	refused(t, v, "first", token, ErrExpired)
	refused(t, withoutKeys(v), "again", token, ErrExpired)
}

func TestOnlyGoodTokensAreCached(t *testing.T) {
	v := verifier(t, Config{Issuers: []string{"me"}})
	genuine := hs256(good(`"iss":"me",`))
	for _, token := range []string{
		genuine[:len(genuine)-1] + "A", genuine + "A", hs256(good(`"iss":"you",`)), hs256(`{"iss":"me","exp":0}`),
		hs256(`{"iss":"me","jti":1}`), raw(`{"alg":"HS256","crit":[]}`, good(`"iss":"me",`), withHMAC(secret)),
	} {
		if _, err := v.Verify(t.Context(), token); err == nil {
			t.Errorf("%s was accepted", token)
		}
		if _, ok := v.cache.get(token); ok {
			t.Errorf("%s was cached", token)
		}
	}
	must(v.Verify(t.Context(), genuine))
	// Other spellings of a cached token are not found either.
	withoutKeys(v)
	must(v.Verify(t.Context(), genuine))
	for _, other := range []string{genuine + "\n", genuine + "=", " " + genuine, strings.ToLower(genuine), genuine[:len(genuine)-1]} {
		if _, err := v.Verify(t.Context(), other); err == nil {
			t.Errorf("%q was accepted", other)
		}
	}
}

func TestCacheIsBounded(t *testing.T) {
	for _, size := range []int{1, 100, 1000, 5000} {
		v := verifier(t, Config{CacheSize: size})
		for i := range 3*size + 200 {
			must(v.Verify(t.Context(), hs256(fmt.Sprintf(`{"n":%d}`, i))))
		}
		kept := 0
		for _, shard := range v.cache.shards {
			kept += shard.Len()
		}
		if kept > size+len(v.cache.shards) || kept < size*9/10 {
			t.Errorf("%d tokens are kept of at most %d", kept, size)
		}
	}
}

func TestCacheCanBeTurnedOff(t *testing.T) {
	v := verifier(t, Config{CacheSize: -1})
	token := hs256(good(""))
	first, second := must(v.Verify(t.Context(), token)), must(v.Verify(t.Context(), token))
	if first == second {
		t.Error("the same Token came back")
	}
	refused(t, withoutKeys(v), "without keys", token, ErrAlgorithm)
}

// A cached token must not keep the memory of the header field that it came in.
func TestCacheCopiesTheToken(t *testing.T) {
	v := verifier(t, Config{})
	token := hs256(good(""))
	field := []byte("session=" + token + "; other=value")
	first := must(v.Verify(t.Context(), string(field[8:8+len(token)])))
	clear(field)
	if second := must(v.Verify(t.Context(), token)); first != second {
		t.Error("not found")
	}
	if _, ok := first.Claim("exp"); !ok {
		t.Error("the payload is gone")
	}
}

func TestCachedVerifyDoesNotAllocate(t *testing.T) {
	for _, keys := range [][]VerificationKey{nil, {publicKey(t, p256Private())}} {
		v := verifier(t, Config{Keys: keys})
		live, expired := hs256(good(`"sub":"a",`)), hs256(`{"exp":1}`)
		if keys != nil {
			live, expired = es256(good(`"sub":"a",`)), es256(`{"exp":1}`)
		}
		must(v.Verify(t.Context(), live))
		if n := testing.AllocsPerRun(100, func() { _, _ = v.Verify(t.Context(), live) }); n != 0 {
			t.Errorf("%v allocations for a live token", n)
		}
		_, _ = v.Verify(t.Context(), expired)
		if n := testing.AllocsPerRun(100, func() { _, _ = v.Verify(t.Context(), expired) }); n != 0 {
			t.Errorf("%v allocations for an expired token", n)
		}
	}
}

func TestVerifyIsSafeForConcurrentUse(t *testing.T) {
	clock := &movable{}
	clock.at.Store(noon)
	v := verifier(t, Config{Now: clock.now, CacheSize: 50})
	var tokens []string
	for i := range 100 {
		tokens = append(tokens, hs256(good(fmt.Sprintf(`"sub":"client %d",`, i))))
	}
	bad := tokens[0][:len(tokens[0])-8] + "AAAAAAAA"
	var group sync.WaitGroup
	for worker := range 8 {
		group.Go(func() {
			for i := range 300 {
				n := (i*7 + worker*13) % len(tokens)
				tok, err := v.Verify(t.Context(), tokens[n])
				if err != nil {
					t.Error(err)
					return
				}
				want := fmt.Sprintf("client %d", n)
				if sub, _ := tok.Claim("sub"); sub != want || tok.Identity().Client() != want {
					t.Errorf("got %q, %q; want %q", sub, tok.Identity().Client(), want)
				}
				if _, err := v.Verify(t.Context(), bad); err == nil {
					t.Error("a forged token was accepted")
				}
			}
		})
	}
	group.Wait()
}

func TestMissesOfTheCacheAreCountedAcrossVerifiers(t *testing.T) {
	misses := new(atomic.Uint64)
	for range 2 {
		v := verifier(t, Config{CacheMisses: misses})
		genuine := hs256(good(""))
		must(v.Verify(t.Context(), genuine))
		must(v.Verify(t.Context(), genuine))
		must(v.Verify(t.Context(), genuine))
		if _, err := v.Verify(t.Context(), "x"); err == nil {
			t.Error("accepted")
		}
	}
	if got := misses.Load(); got != 4 {
		t.Errorf("%d misses, want 4", got)
	}
}
