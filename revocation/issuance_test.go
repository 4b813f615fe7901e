package revocation_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"example.com/caddy-token-auth/revocation"
)

// learn records a token without times of its own as issued just now.
func learn(t *testing.T, list *revocation.List, seen revocation.Issuance) *revocation.Identity {
	t.Helper()
	seen.Realm = "api"
	id, err := list.Learn(t.Context(), seen, list.Mark())
	if err != nil {
		t.Fatal(err)
	}
	return id
}

func known(t *testing.T, list *revocation.List, token string) *revocation.Identity {
	t.Helper()
	id, err := list.Known(t.Context(), "api", token)
	if err != nil {
		t.Fatal(err)
	}
	return id
}

func TestTokenSeenBeingIssuedIsKnownWithItsOwner(t *testing.T) {
	for _, name := range []string{"filter", "no filter"} {
		t.Run(name, func(t *testing.T) {
			c, fake := newClock(), newFakeStore()
			var store revocation.Store = fake
			if name == "filter" {
				store = filteredStore{fake}
			}
			list := openList(t, store, c, revocation.Options{})
			for range 2 { // looked up, and from the cache
				if known(t, list, "opaque:a") != nil {
					t.Fatal("known before it was issued")
				}
			}
			long := strings.Repeat("long", 200)
			expires := c.Now().Add(time.Hour)
			learn(t, list, revocation.Issuance{Token: "opaque:a", Session: long, Client: "alice", Expires: expires})
			id := known(t, list, "opaque:a")
			switch {
			case id == nil:
				t.Fatal("not known")
			case id.Client() != "alice" || id.Session() != revocation.CanonicalID(long) || id.Token() != "opaque:a":
				t.Errorf("identity %+v", id)
			case !id.Expires().Equal(expires) || !id.IssuedAt().Equal(c.Now()):
				t.Errorf("issued at %s, expires %s", id.IssuedAt(), id.Expires())
			}
			before := fake.lookupCount()
			if known(t, list, "opaque:a") != id || fake.lookupCount() != before {
				t.Error("what is known is looked up each time")
			}
			if known(t, list, "opaque:b") != nil {
				t.Error("another token is known")
			}
			if other, err := list.Known(t.Context(), "elsewhere", "opaque:a"); other != nil || err != nil {
				t.Errorf("known in another realm: %v, %v", other, err)
			}
		})
	}
}

func TestTheUseOfAKnownTokenIsKept(t *testing.T) {
	c, store := newClock(), newFakeStore()
	list := openList(t, store, c, revocation.Options{})
	for use, token := range map[revocation.Use]string{revocation.UseUnknown: "u", revocation.UseAccess: "a", revocation.UseRefresh: "r"} {
		if id := learn(t, list, revocation.Issuance{Token: token, Session: "s", Use: use}); id.Use() != use {
			t.Errorf("%s: learned with use %d", token, id.Use())
		}
		if id := known(t, list, token); id == nil || id.Use() != use || id.Session() != "s" {
			t.Errorf("%s: known as %+v", token, id)
		}
	}
	if id := known(t, list, "nobody's"); id != nil {
		t.Errorf("%+v", id)
	}
}

func TestCutoffCoversWhatWasKnownBefore(t *testing.T) {
	c := newClock()
	list := openList(t, newFakeStore(), c, revocation.Options{})
	access := learn(t, list, revocation.Issuance{Token: "a", Session: "s", Client: "alice"})
	refresh := learn(t, list, revocation.Issuance{Token: "r", Session: "s", Client: "alice"})
	other := learn(t, list, revocation.Issuance{Token: "o", Session: "s2", Client: "alice"})
	c.advance(time.Millisecond)
	revoke(t, list, access, revocation.ScopeSession)
	check(t, list, refresh, revocation.RevokedSession)
	check(t, list, other, revocation.Live)
	if _, err := list.RevokeNamed(t.Context(), revocation.ScopeClient, "api", "alice"); err != nil {
		t.Fatal(err)
	}
	check(t, list, other, revocation.RevokedClient)
	check(t, list, learn(t, list, revocation.Issuance{Token: "next", Session: "s3", Client: "alice"}), revocation.Live)
	if _, err := list.RevokeNamed(t.Context(), revocation.ScopeKnown, "api", "a"); err == nil {
		t.Error("what is no scope of revocations was revoked by its name")
	}
}

func TestLogoutDuringALoginCoversWhatItLearns(t *testing.T) {
	c := newClock()
	list := openList(t, newFakeStore(), c, revocation.Options{})
	since := list.Mark()
	c.advance(time.Millisecond)
	if _, err := list.RevokeNamed(t.Context(), revocation.ScopeClient, "api", "alice"); err != nil {
		t.Fatal(err)
	}
	c.advance(time.Millisecond)
	id, err := list.Learn(t.Context(), revocation.Issuance{Realm: "api", Token: "a", Client: "alice"}, since)
	if err != nil {
		t.Fatal(err)
	}
	check(t, list, id, revocation.RevokedClient)
}

func TestLearnedTokenSurvivesACutoffFromAFastClock(t *testing.T) {
	c := newClock()
	list := openList(t, newFakeStore(), c, revocation.Options{})
	ahead := revocation.NewIdentity("api", "t", "", "alice", c.Now().Add(3*time.Second), c.Now().Add(time.Hour))
	revoke(t, list, ahead, revocation.ScopeClient)
	c.advance(time.Millisecond)
	check(t, list, learn(t, list, revocation.Issuance{Token: "a", Client: "alice"}), revocation.Live)
}

func TestKnownTokenIsRefusedForItsAgeWhileItLives(t *testing.T) {
	c := newClock()
	list := openList(t, newFakeStore(), c, revocation.Options{MaxTokenLifetime: time.Hour})
	id := learn(t, list, revocation.Issuance{Token: "a", Client: "alice", Expires: c.Now().Add(48 * time.Hour)})
	check(t, list, id, revocation.Live)
	c.advance(2 * time.Hour)
	if id = known(t, list, "a"); id == nil {
		t.Fatal("forgotten while it lives")
	}
	check(t, list, id, revocation.TooOld)
}

func TestUndatedTokenIsRevokedByItselfAlone(t *testing.T) {
	c := newClock()
	store := newFakeStore()
	list := openList(t, store, c, revocation.Options{MaxTokenLifetime: time.Hour})
	id := revocation.NewUndatedIdentity("api", "a", "", "")
	check(t, list, id, revocation.Live)
	if _, err := list.Revoke(t.Context(), id, revocation.ScopeClient); err == nil {
		t.Error("a client revoked that nobody knows")
	}
	c.advance(100 * time.Hour)
	entry, err := list.Revoke(t.Context(), id, revocation.ScopeToken)
	if err != nil {
		t.Fatal(err)
	}
	check(t, list, revocation.NewUndatedIdentity("api", "a", "", ""), revocation.RevokedToken)
	check(t, list, revocation.NewUndatedIdentity("api", "b", "", ""), revocation.Live)
	if kept := entry.Expires.Sub(c.Now()); kept < time.Hour {
		t.Errorf("kept for %s, less than a token may live", kept)
	}
}

func TestRotatedTokenIsToldFromARevokedOne(t *testing.T) {
	c := newClock()
	list := openList(t, newFakeStore(), c, revocation.Options{})
	id := c.issue("r", "s", "alice")
	since := list.Mark()
	check(t, list, id, revocation.Live)
	c.advance(time.Second)
	if _, err := list.Rotate(t.Context(), id, since); err != nil {
		t.Fatal(err)
	}
	check(t, list, id, revocation.RotatedToken)
	at, err := list.RotatedAt(t.Context(), id)
	if err != nil || !at.Equal(c.Now().Add(-time.Second)) {
		t.Errorf("rotated at %s, %v", at, err)
	}
	revoke(t, list, c.issue("a", "s", "alice"), revocation.ScopeSession)
	check(t, list, id, revocation.RevokedSession)
	if at, err := list.RotatedAt(t.Context(), id); err != nil || !at.IsZero() {
		t.Errorf("merely rotated at %s, %v", at, err)
	}
}

func TestLogoutOutweighsARotationThatBeganBefore(t *testing.T) {
	for _, order := range []string{"logout first", "rotation first"} {
		t.Run(order, func(t *testing.T) {
			c := newClock()
			list := openList(t, newFakeStore(), c, revocation.Options{})
			id := c.issue("r", "", "alice")
			since := list.Mark()
			c.advance(time.Millisecond)
			rotate := func() {
				if _, err := list.Rotate(t.Context(), id, since); err != nil {
					t.Fatal(err)
				}
			}
			if order == "rotation first" {
				rotate()
			}
			revoke(t, list, id, revocation.ScopeToken)
			if order == "logout first" {
				rotate()
			}
			check(t, list, id, revocation.RevokedToken)
		})
	}
}

func TestExpiryBeyondTheCalendarIsNoExpiryInThePast(t *testing.T) {
	c := newClock()
	store := newFakeStore()
	list := openList(t, store, c, revocation.Options{})
	never := time.Date(9999, time.December, 31, 23, 59, 59, 0, time.UTC)
	learn(t, list, revocation.Issuance{Token: "a", Client: "alice", Expires: never})
	id := known(t, openList(t, store, c, revocation.Options{}), "a")
	if id == nil || id.Expires().Before(c.Now().Add(100*day/2)) {
		t.Errorf("identity %+v", id)
	}
}

// The revocation has begun, and a new token is asked for before it is stored.
func TestCheckWaitsForARevocationThatHasBegun(t *testing.T) {
	for name, check := range map[string]func(*revocation.List, context.Context, *revocation.Identity) (revocation.Verdict, error){
		"check": (*revocation.List).Check, "check the store": (*revocation.List).CheckStore,
	} {
		t.Run(name, func(t *testing.T) {
			c, store := newClock(), newFakeStore()
			list := openList(t, store, c, revocation.Options{})
			id := learn(t, list, revocation.Issuance{Token: "r", Session: "s", Client: "alice"})
			if v, err := check(list, t.Context(), id); v != revocation.Live || err != nil {
				t.Fatalf("before: %s, %v", v, err)
			}
			c.advance(time.Second)
			verdicts := make(chan revocation.Verdict, 1)
			store.onRevoke = func() {
				store.onRevoke = nil
				go func() {
					v, err := check(list, t.Context(), id)
					if err != nil {
						t.Error(err)
					}
					verdicts <- v
				}()
				select {
				case v := <-verdicts:
					t.Errorf("answered %s before the revocation was stored", v)
					verdicts <- v
				case <-time.After(20 * time.Millisecond): // it waits
				}
				ended, cancel := context.WithCancel(t.Context())
				cancel()
				if v, err := check(list, ended, id); v != revocation.Unknown || !errors.Is(err, context.Canceled) {
					t.Errorf("with a context that has ended: %s, %v", v, err)
				}
			}
			if _, err := list.RevokeNamed(t.Context(), revocation.ScopeClient, "api", "alice"); err != nil {
				t.Fatal(err)
			}
			if v := <-verdicts; v != revocation.RevokedClient {
				t.Errorf("verdict %s", v)
			}
		})
	}
}
