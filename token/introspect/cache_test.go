package introspect

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"net/http"
	"testing"
	"time"

	"example.com/caddy-token-auth/token"
)

// askedAfter is how many requests a token costs that is presented d after the last time.
func askedAfter(t *testing.T, c *Client, server *authority, now *clock, d time.Duration, want error) int {
	t.Helper()
	now.pass(d)
	server.count()
	expect(t, c, "after "+d.String(), opaque, want)
	return server.count()
}

func TestAnActiveAnswerIsUsedForItsTime(t *testing.T) {
	for ttl, used := range map[time.Duration]time.Duration{0: time.Minute, 20 * time.Second: 20 * time.Second} {
		now, server := newClock(), newAuthority(says(`{"active":true}`))
		c := open(t, server, Options{CacheTTL: ttl, Now: now.Now})
		if n := askedAfter(t, c, server, now, 0, nil); n != 1 {
			t.Fatalf("%d requests at first", n)
		}
		server.set(says(`{"active":false}`)) // the server revokes it
		if n := askedAfter(t, c, server, now, used-1, nil); n != 0 {
			t.Errorf("%d requests before its time is over", n)
		}
		if n := askedAfter(t, c, server, now, 1, ErrInactive); n != 1 {
			t.Errorf("%d requests after its time", n)
		}
	}
}

// The time counts from when the question was asked: the answer may have been on its way
// while the token was revoked.
func TestTheTimeCountsFromTheQuestion(t *testing.T) {
	now := newClock()
	server := newAuthority(func(w http.ResponseWriter, r *http.Request) {
		now.pass(4 * time.Second)
		says(`{"active":true}`)(w, r)
	})
	c := open(t, server, Options{Now: now.Now})
	expect(t, c, "at first", opaque, nil)
	if n := askedAfter(t, c, server, now, 56*time.Second-1, nil); n != 0 {
		t.Errorf("%d requests after less than a minute", n)
	}
	if n := askedAfter(t, c, server, now, 1, nil); n != 1 {
		t.Errorf("%d requests after a minute", n)
	}
}

func TestAnAnswerIsNotUsedPastItsExpiry(t *testing.T) {
	now, server := newClock(), newAuthority(says(`{"active":true,"exp":1768478407}`)) // 7 s from now
	c := open(t, server, Options{Leeway: 30 * time.Second, Now: now.Now})
	expect(t, c, "at first", opaque, nil)
	if n := askedAfter(t, c, server, now, 7*time.Second-1, nil); n != 0 {
		t.Errorf("%d requests before exp", n)
	}
	// Within the leeway the server is asked each time: it knows.
	for range 2 {
		if n := askedAfter(t, c, server, now, 1, nil); n != 1 {
			t.Errorf("%d requests after exp", n)
		}
	}
	if n := askedAfter(t, c, server, now, 30*time.Second, token.ErrExpired); n != 1 {
		t.Errorf("%d requests after exp and leeway", n)
	}
}

func TestAnAnswerIsNotUsedPastTheGreatestAge(t *testing.T) {
	now, server := newClock(), newAuthority(says(`{"active":true,"iat":1768478400}`))
	c := open(t, server, Options{MaxAge: 30 * time.Second, Now: now.Now})
	expect(t, c, "at first", opaque, nil)
	if n := askedAfter(t, c, server, now, 30*time.Second-1, nil); n != 0 {
		t.Errorf("%d requests before", n)
	}
	askedAfter(t, c, server, now, 2, token.ErrTooOld)
}

func TestRejectionsAreUsedForTheirTime(t *testing.T) {
	for document, want := range map[string]error{
		`{"active":false}`:                            ErrInactive,
		`{"active":true,"exp":1}`:                     token.ErrExpired,
		`{"active":true,"token_use":"refresh_token"}`: ErrInactive,
	} {
		for ttl, used := range map[time.Duration]time.Duration{0: 10 * time.Second, time.Minute: time.Minute} {
			now, server := newClock(), newAuthority(says(document))
			c := open(t, server, Options{RejectTTL: ttl, Now: now.Now})
			expect(t, c, "at first", opaque, want)
			server.set(says(`{"active":true}`))
			if n := askedAfter(t, c, server, now, used-1, want); n != 0 {
				t.Errorf("%s: %d requests before its time is over", document, n)
			}
			if n := askedAfter(t, c, server, now, 1, nil); n != 1 {
				t.Errorf("%s: %d requests after its time", document, n)
			}
		}
	}
}

// A token that was too early is good from its first moment on.
func TestARejectionEndsWhenTheTokenBegins(t *testing.T) {
	for member, want := range map[string]error{"nbf": token.ErrNotYetValid, "iat": token.ErrIssuedInFuture} {
		now, server := newClock(), newAuthority(says(`{"active":true,"`+member+`":1768478404}`))
		c := open(t, server, Options{Leeway: time.Second, IssuedAtLeeway: time.Second, Now: now.Now})
		expect(t, c, "early", opaque, want)
		if n := askedAfter(t, c, server, now, 3*time.Second-1, want); n != 0 {
			t.Errorf("%s: %d requests", member, n)
		}
		if n := askedAfter(t, c, server, now, 1, nil); n != 1 {
			t.Errorf("%s: %d requests", member, n)
		}
	}
}

func TestFailuresAreNotKept(t *testing.T) {
	now, server := newClock(), newAuthority(status(http.StatusInternalServerError))
	c := open(t, server, Options{Now: now.Now})
	for range 3 {
		if n := askedAfter(t, c, server, now, 0, ErrUnavailable); n != 1 {
			t.Errorf("%d requests", n)
		}
	}
	server.set(says(`{"active":true}`))
	askedAfter(t, c, server, now, 0, nil)
	// Nor does a failure take away what is known.
	server.set(status(http.StatusInternalServerError))
	askedAfter(t, c, server, now, time.Minute-1, nil)
	askedAfter(t, c, server, now, 1, ErrUnavailable)
}

// Whoever invents tokens does not make genuine ones more expensive.
func TestInventedTokensPushNoGenuineOneOut(t *testing.T) {
	server := newAuthority(func(w http.ResponseWriter, r *http.Request) {
		says(fmt.Sprintf(`{"active":%t}`, r.Form.Get("token") == opaque))(w, r)
	})
	c := open(t, server, Options{CacheSize: 4})
	expect(t, c, "genuine", opaque, nil)
	for i := range 20 {
		expect(t, c, "invented", fmt.Sprint("invented-", i), ErrInactive)
	}
	if n := server.count(); n != 21 {
		t.Errorf("%d requests", n)
	}
	expect(t, c, "genuine", opaque, nil)
	if n := server.count(); n != 0 {
		t.Errorf("%d requests for a token that is known", n)
	}
	if n := c.cache.active.Len() + c.cache.rejected.Len(); n != 5 {
		t.Errorf("%d verdicts", n)
	}
}

func TestTheCacheCanBeTurnedOff(t *testing.T) {
	server := newAuthority(says(`{"active":true}`))
	c := open(t, server, Options{CacheSize: -1})
	for range 3 {
		expect(t, c, "token", opaque, nil)
	}
	if n := server.count(); n != 3 {
		t.Errorf("%d requests", n)
	}
}

// Not the token is kept, and not a digest that one could compute for a guess.
func TestTheKeyOfTheCacheTellsNothing(t *testing.T) {
	a, b := open(t, newAuthority(nil), Options{}), open(t, newAuthority(nil), Options{})
	k := a.cache.key(opaque)
	plain := sha256.Sum256([]byte(opaque))
	switch {
	case k != a.cache.key(opaque):
		t.Error("the key changes")
	case k == a.cache.key(opaque+"x"):
		t.Error("two tokens have one key")
	case k == b.cache.key(opaque):
		t.Error("two clients have one key")
	case k == plain || bytes.Contains(k[:], []byte(opaque[:4])):
		t.Error("the key can be computed")
	}
}

// One token is not another, however alike.
func TestVerdictsAreOfOneTokenOnly(t *testing.T) {
	server := newAuthority(func(w http.ResponseWriter, r *http.Request) {
		says(fmt.Sprintf(`{"active":%t}`, r.Form.Get("token") == opaque))(w, r)
	})
	c := open(t, server, Options{})
	expect(t, c, "genuine", opaque, nil)
	for _, other := range []string{opaque + " ", " " + opaque, opaque + "=", opaque[1:], "2yotnfzfejr1zcsicmwpaa", opaque + "&active=true"} {
		if _, err := c.Introspect(t.Context(), other); !errors.Is(err, ErrInactive) {
			t.Errorf("%q: %v", other, err)
		}
	}
}
