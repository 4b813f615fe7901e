package revocation_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"example.com/caddy-token-auth/revocation"
)

func TestScopes(t *testing.T) {
	c := newClock()
	list := openList(t, newFakeStore(), c, revocation.Options{})
	a1 := c.issue("a1", "sA", "alice")
	a2 := c.issue("a2", "sA", "alice")
	b1 := c.issue("b1", "sB", "alice")
	other := c.issue("o1", "sO", "bob")
	for _, id := range []*revocation.Identity{a1, a2, b1, other} {
		check(t, list, id, revocation.Live)
	}
	revoke(t, list, a1, revocation.ScopeToken)
	check(t, list, a1, revocation.RevokedToken)
	check(t, list, a2, revocation.Live)

	revoke(t, list, a2, revocation.ScopeSession)
	check(t, list, a2, revocation.RevokedSession)
	check(t, list, b1, revocation.Live)

	revoke(t, list, b1, revocation.ScopeClient)
	check(t, list, b1, revocation.RevokedClient)
	check(t, list, other, revocation.Live)
}

func TestRealmsAndScopesDoNotMeet(t *testing.T) {
	c := newClock()
	list := openList(t, newFakeStore(), c, revocation.Options{})
	iat := c.Now().Truncate(time.Second)
	id := func(realm, token, session, client string) *revocation.Identity {
		return revocation.NewIdentity(realm, token, session, client, iat, iat.Add(time.Hour))
	}
	revoke(t, list, id("api", "x", "x", "x"), revocation.ScopeClient)
	check(t, list, id("api", "t1", "x", "y"), revocation.Live)
	check(t, list, id("api", "x", "y", "y"), revocation.Live)
	check(t, list, id("ap", "t2", "", "ix"), revocation.Live)
	check(t, list, id("apix", "t3", "", ""), revocation.Live)
	check(t, list, id("api", "t4", "", "x"), revocation.RevokedClient)
}

func TestCutoffDoesNotBlockTheNextLogin(t *testing.T) {
	c := newClock()
	list := openList(t, newFakeStore(), c, revocation.Options{})
	before := c.issue("before", "", "alice")
	revoke(t, list, before, revocation.ScopeClient)
	check(t, list, before, revocation.RevokedClient)
	sameSecond := c.issue("same-second", "", "alice")
	check(t, list, sameSecond, revocation.RevokedClient) // not seen being issued: the strict rule
	c.advance(time.Second)
	check(t, list, c.issue("after", "", "alice"), revocation.Live)
	check(t, list, before, revocation.RevokedClient)
}

func TestLoginSeenInTheSecondOfTheLogoutIsGood(t *testing.T) {
	c := newClock()
	list := openList(t, newFakeStore(), c, revocation.Options{})
	old := c.issue("old", "", "alice")
	revoke(t, list, old, revocation.ScopeClient)

	c.advance(time.Millisecond)
	since := list.Mark()
	fresh := c.issue("fresh", "", "alice")
	check(t, list, fresh, revocation.RevokedClient) // cached before it is known
	if err := list.Issued(t.Context(), fresh, since); err != nil {
		t.Fatal(err)
	}
	check(t, list, fresh, revocation.Live)
	check(t, list, old, revocation.RevokedClient)

	c.advance(time.Millisecond)
	revoke(t, list, fresh, revocation.ScopeClient)
	check(t, list, fresh, revocation.RevokedClient)
}

// A logout that lands while the login is on its way covers what the login issues.
func TestLogoutDuringALoginCoversItsTokens(t *testing.T) {
	c := newClock()
	store := newFakeStore()
	list := openList(t, store, c, revocation.Options{})
	since := list.Mark()
	fresh := c.issue("fresh", "", "alice")
	revoke(t, list, c.issue("other", "", "alice"), revocation.ScopeClient)
	if err := list.Issued(t.Context(), fresh, since); err != nil {
		t.Fatal(err)
	}
	check(t, list, fresh, revocation.RevokedClient)
}

// The logout is stored, but not yet acknowledged, when the issuance is recorded.
func TestIssuanceRecordedAmidALogoutDoesNotSurviveIt(t *testing.T) {
	c := newClock()
	store := newFakeStore()
	list := openList(t, store, c, revocation.Options{})
	fresh := c.issue("fresh", "", "alice")
	since := list.Mark()
	store.onRevoke = func() {
		store.onRevoke = nil
		// What another writer of the same cut-off has stored already.
		e := revocation.Entry{Scope: revocation.ScopeClient, Realm: "api", ID: "alice", At: c.Now(), Expires: c.Now().Add(time.Hour)}
		if err := store.Revoke(t.Context(), e); err != nil {
			t.Error(err)
		}
		if err := list.Issued(t.Context(), fresh, since); err != nil {
			t.Error(err)
		}
	}
	revoke(t, list, fresh, revocation.ScopeClient)
	check(t, list, fresh, revocation.RevokedClient)
}

func TestCutoffsOnlyMoveForwardEvenIfTheClockIsSetBack(t *testing.T) {
	c := newClock()
	store := newFakeStore()
	list := openList(t, store, c, revocation.Options{})
	first := revoke(t, list, c.issue("t1", "s", "alice"), revocation.ScopeClient)
	since := list.Mark()
	fresh := c.issue("fresh", "s", "alice")
	if err := list.Issued(t.Context(), fresh, since); err != nil {
		t.Fatal(err)
	}
	check(t, list, fresh, revocation.Live)

	c.advance(-300 * time.Millisecond)
	second := revoke(t, list, fresh, revocation.ScopeClient)
	if !second.At.After(first.At) {
		t.Errorf("cut-off went from %s to %s", first.At, second.At)
	}
	check(t, list, fresh, revocation.RevokedClient)

	// The cut-off of the session too outweighs an issuance that survived the client's.
	since = list.Mark()
	third := c.issue("third", "s", "alice")
	if err := list.Issued(t.Context(), third, since); err != nil {
		t.Fatal(err)
	}
	check(t, list, third, revocation.Live)
	revoke(t, list, third, revocation.ScopeSession)
	check(t, list, third, revocation.RevokedSession)
}

// An issuer whose clock is ahead must not smuggle a token past its own logout.
func TestCutoffCoversThePresentedTokenOfAFastIssuer(t *testing.T) {
	c := newClock()
	list := openList(t, newFakeStore(), c, revocation.Options{})
	iat := c.Now().Add(4 * time.Second).Truncate(time.Second)
	fast := revocation.NewIdentity("api", "fast", "", "alice", iat, iat.Add(time.Hour))
	revoke(t, list, fast, revocation.ScopeClient)
	check(t, list, fast, revocation.RevokedClient)
}

// Invariant: a lookup that races a revocation never caches "not revoked". The order
// is forced: the lookup reads, the revocation lands, the lookup's answer arrives.
func TestLookupThatRacesARevocationIsNotCached(t *testing.T) {
	for _, scope := range []revocation.Scope{revocation.ScopeToken, revocation.ScopeSession, revocation.ScopeClient} {
		t.Run(scope.String(), func(t *testing.T) {
			c := newClock()
			store := newFakeStore()
			list := openList(t, store, c, revocation.Options{})
			id := c.issue("t", "s", "alice")
			read, goOn := make(chan struct{}), make(chan struct{})
			store.onLookup = func() {
				store.onLookup = nil
				close(read)
				<-goOn
			}
			answered := make(chan revocation.Verdict)
			go func() {
				v, err := list.Check(context.Background(), id)
				if err != nil {
					t.Error(err)
				}
				answered <- v
			}()
			<-read
			revoke(t, list, id, scope)
			close(goOn)
			if v := <-answered; v != revocation.Live {
				t.Fatalf("the race was not reproduced: %s", v)
			}
			if v, err := list.Check(t.Context(), id); err != nil || v == revocation.Live {
				t.Errorf("after the revocation: %s, %v", v, err)
			}
		})
	}
}

func TestEveryCheckThatBeginsAfterARevocationSeesIt(t *testing.T) {
	c := newClock()
	list := openList(t, newFakeStore(), c, revocation.Options{CacheSize: 64})
	var wg sync.WaitGroup
	for g := range 8 {
		wg.Go(func() {
			for i := range 300 {
				id := c.issue(fmt.Sprintf("t-%d-%d", g, i), fmt.Sprintf("s-%d-%d", g, i), "")
				if v, err := list.Check(context.Background(), id); err != nil || v != revocation.Live {
					t.Errorf("before: %s, %v", v, err)
				}
				if _, err := list.Revoke(context.Background(), id, revocation.ScopeSession); err != nil {
					t.Error(err)
				}
				if v, err := list.Check(context.Background(), id); err != nil || v != revocation.RevokedSession {
					t.Errorf("after: %s, %v", v, err)
				}
			}
		})
	}
	wg.Wait()
}

func TestHotTokenAsksTheStoreOnce(t *testing.T) {
	c := newClock()
	store := newFakeStore()
	list := openList(t, store, c, revocation.Options{})
	id := c.issue("t", "s", "alice")
	before := store.lookupCount()
	for range 100 {
		check(t, list, id, revocation.Live)
	}
	if n := store.lookupCount() - before; n != 1 {
		t.Errorf("%d lookups", n)
	}
	if n := testing.AllocsPerRun(100, func() {
		if v, err := list.Check(context.Background(), id); err != nil || v != revocation.Live {
			t.Errorf("%s, %v", v, err)
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func TestFilterSparesTheStore(t *testing.T) {
	c := newClock()
	store := filteredStore{newFakeStore()}
	list := openList(t, store, c, revocation.Options{})
	before := store.lookupCount()
	id := c.issue("t", "s", "alice")
	check(t, list, id, revocation.Live)
	if n := store.lookupCount() - before; n != 0 {
		t.Errorf("%d lookups for an identity that the filter rules out", n)
	}
	revoke(t, list, id, revocation.ScopeClient)
	check(t, list, id, revocation.RevokedClient)
}

// Two tokens that an issuer gave the same jti must not share a verdict.
func TestSameTokenIdentifierOfDifferentClients(t *testing.T) {
	c := newClock()
	list := openList(t, newFakeStore(), c, revocation.Options{})
	alice, bob := c.issue("same", "", "alice"), c.issue("same", "", "bob")
	revoke(t, list, alice, revocation.ScopeClient)
	check(t, list, alice, revocation.RevokedClient)
	check(t, list, bob, revocation.Live)
}

func TestStoreFailureIsUnknownAndNeverCached(t *testing.T) {
	c := newClock()
	store := newFakeStore()
	list := openList(t, store, c, revocation.Options{})
	id := c.issue("t", "", "alice")
	broken := errors.New("broken")
	store.fail = broken
	if v, err := list.Check(t.Context(), id); v != revocation.Unknown || !errors.Is(err, broken) {
		t.Errorf("got %s, %v", v, err)
	}
	if _, err := list.Revoke(t.Context(), id, revocation.ScopeToken); !errors.Is(err, broken) {
		t.Errorf("revoke: %v", err)
	}
	store.fail = nil
	check(t, list, id, revocation.Live)
}

func TestClosedListRefusesEverything(t *testing.T) {
	c := newClock()
	store := newFakeStore()
	list, err := revocation.Open(t.Context(), store, revocation.Options{Now: c.Now})
	if err != nil {
		t.Fatal(err)
	}
	id := c.issue("t", "s", "alice")
	check(t, list, id, revocation.Live)
	if err := list.Close(); err != nil {
		t.Fatal(err)
	}
	if !store.closed {
		t.Error("the store is open")
	}
	if v, err := list.Check(t.Context(), id); v != revocation.Unknown || !errors.Is(err, revocation.ErrClosed) {
		t.Errorf("check: %s, %v", v, err)
	}
	if _, err := list.Revoke(t.Context(), id, revocation.ScopeToken); !errors.Is(err, revocation.ErrClosed) {
		t.Errorf("revoke: %v", err)
	}
	if err := list.Issued(t.Context(), id, revocation.Mark{}); !errors.Is(err, revocation.ErrClosed) {
		t.Errorf("issued: %v", err)
	}
	if err := list.RaiseMaxTokenLifetime(t.Context(), 1000*time.Hour); !errors.Is(err, revocation.ErrClosed) {
		t.Errorf("raise max token lifetime: %v", err)
	}
}

func TestZeroVerdictRefuses(t *testing.T) {
	var zero revocation.Verdict
	if zero == revocation.Live {
		t.Error("the zero verdict lets requests through")
	}
	c := newClock()
	list := openList(t, newFakeStore(), c, revocation.Options{})
	for _, id := range []*revocation.Identity{nil, {}, revocation.NewIdentity("api", "", "s", "c", c.Now(), c.Now().Add(time.Hour))} {
		if v, err := list.Check(t.Context(), id); v != revocation.Unknown || err == nil {
			t.Errorf("an identity without a token: %s, %v", v, err)
		}
	}
}

func TestRevokeNeedsTheIdentifier(t *testing.T) {
	c := newClock()
	store := newFakeStore()
	list := openList(t, store, c, revocation.Options{})
	stored := len(store.entries)
	id := c.issue("t", "", "")
	for _, scope := range []revocation.Scope{revocation.ScopeSession, revocation.ScopeClient, revocation.ScopeIssued, 0, 99} {
		if _, err := list.Revoke(t.Context(), id, scope); err == nil {
			t.Errorf("scope %s: no error", scope)
		}
	}
	if len(store.entries) != stored {
		t.Error("something was stored")
	}
}

func TestOptionsAreChecked(t *testing.T) {
	for _, opts := range []revocation.Options{{CacheSize: 1}, {CacheSize: -5}, {MaxTokenLifetime: time.Millisecond}, {MaxTokenLifetime: -time.Hour}} {
		if _, err := revocation.Open(t.Context(), newFakeStore(), opts); err == nil {
			t.Errorf("%+v is accepted", opts)
		}
	}
	list := openList(t, newFakeStore(), newClock(), revocation.Options{})
	if err := list.SetCacheSize(1); err == nil {
		t.Error("a cache of one is accepted")
	}
	if err := list.SetCacheSize(0); err != nil {
		t.Error(err)
	}
}

// An answer to a login may hand out a token that is as old as the session: the logout
// covered it.
func TestOldTokenHandedOutAgainStaysRevoked(t *testing.T) {
	c := newClock()
	list := openList(t, newFakeStore(), c, revocation.Options{})
	old := c.issue("old", "", "alice")
	c.advance(5 * time.Minute)
	revoke(t, list, old, revocation.ScopeClient)
	if err := list.Issued(t.Context(), old, list.Mark()); err != nil {
		t.Fatal(err)
	}
	check(t, list, old, revocation.RevokedClient)
}
