package revocation_test

import (
	"testing"
	"time"

	"example.com/caddy-token-auth/revocation"
)

const day = 24 * time.Hour

// longLived returns the identity of a token issued now that lives for 30 days.
func longLived(c *clock, token string) *revocation.Identity {
	iat := c.Now().Truncate(time.Second)
	return revocation.NewIdentity("api", token, "", "alice", iat, iat.Add(30*day))
}

func TestTokenOlderThanTheListRemembersIsRefused(t *testing.T) {
	c := newClock()
	list := openList(t, newFakeStore(), c, revocation.Options{MaxTokenLifetime: 7 * day})
	id := longLived(c, "t")
	c.advance(7 * day)
	check(t, list, id, revocation.Live) // exactly the lifetime
	c.advance(2 * time.Minute)
	check(t, list, id, revocation.TooOld)
}

func TestTokenWithoutIssuedAtCountsAsIssuedAtTimeZero(t *testing.T) {
	c := newClock()
	list := openList(t, newFakeStore(), c, revocation.Options{})
	check(t, list, revocation.NewIdentity("api", "t", "", "alice", time.Time{}, c.Now().Add(time.Hour)), revocation.TooOld)
}

func TestEntriesOutliveWhatTheyCover(t *testing.T) {
	c := newClock()
	list := openList(t, newFakeStore(), c, revocation.Options{MaxTokenLifetime: 7 * day})
	hour := c.issue("hour", "s", "alice")
	if e := revoke(t, list, hour, revocation.ScopeToken); e.Expires.Before(hour.Expires()) || e.Expires.After(hour.Expires().Add(12*time.Minute)) {
		t.Errorf("a token's entry is kept until %s, the token until %s", e.Expires, hour.Expires())
	}
	month := longLived(c, "month")
	limit := c.Now().Add(7 * day)
	if e := revoke(t, list, month, revocation.ScopeToken); e.Expires.Before(limit) || e.Expires.After(limit.Add(10*time.Minute)) {
		t.Errorf("the entry of a token that outlives the limit is kept until %s, want about %s", e.Expires, limit)
	}
	endless := revocation.NewIdentity("api", "endless", "", "alice", c.Now(), time.Time{})
	if e := revoke(t, list, endless, revocation.ScopeToken); e.Expires.Before(limit) {
		t.Errorf("the entry of a token without expiry is kept until %s, want %s", e.Expires, limit)
	}
	for _, scope := range []revocation.Scope{revocation.ScopeSession, revocation.ScopeClient} {
		if e := revoke(t, list, hour, scope); e.Expires.Before(limit) {
			t.Errorf("the cut-off of a %s is kept until %s, want %s", scope, e.Expires, limit)
		}
	}
}

// Raising the lifetime must not bring tokens back whose revocation is forgotten
// already, or will be before they expire.
func TestRaisingTheLifetimeLetsNoForgottenTokenIn(t *testing.T) {
	reopen := func(t *testing.T, list *revocation.List, store *fakeStore, c *clock) *revocation.List {
		return openList(t, store, c, revocation.Options{MaxTokenLifetime: 20 * day})
	}
	set := func(t *testing.T, list *revocation.List, _ *fakeStore, _ *clock) *revocation.List {
		if err := list.RaiseMaxTokenLifetime(t.Context(), 20*day); err != nil {
			t.Fatal(err)
		}
		return list
	}
	for name, raise := range map[string]func(*testing.T, *revocation.List, *fakeStore, *clock) *revocation.List{"reopened": reopen, "running": set} {
		t.Run(name, func(t *testing.T) {
			c := newClock()
			store := newFakeStore()
			list := openList(t, store, c, revocation.Options{MaxTokenLifetime: 7 * day})
			revoked := longLived(c, "revoked")
			e := revoke(t, list, revoked, revocation.ScopeClient)
			c.advance(6 * day)
			list = raise(t, list, store, c)
			check(t, list, revoked, revocation.RevokedClient)

			c.advance(2 * day)
			if e.Live(c.Now()) {
				t.Fatal("the entry was kept longer than the lifetime it was written under")
			}
			if err := store.Restore(t.Context(), e.Key()); err != nil { // as a purge would
				t.Fatal(err)
			}
			check(t, list, revoked, revocation.TooOld)

			// Tokens of today have the new lifetime.
			today := longLived(c, "today")
			c.advance(15 * day)
			check(t, list, today, revocation.Live)
		})
	}
}

func TestRaisingTwiceKeepsTheShortestLimit(t *testing.T) {
	c := newClock()
	list := openList(t, newFakeStore(), c, revocation.Options{MaxTokenLifetime: day})
	old := longLived(c, "old")
	revoke(t, list, longLived(c, "other"), revocation.ScopeToken)
	for _, lifetime := range []time.Duration{2 * day, 20 * day} {
		c.advance(time.Hour)
		if err := list.RaiseMaxTokenLifetime(t.Context(), lifetime); err != nil {
			t.Fatal(err)
		}
	}
	check(t, list, old, revocation.Live)
	c.advance(day)
	check(t, list, old, revocation.TooOld)
}

func TestRaisingTheLifetimeOfANewListLimitsNothing(t *testing.T) {
	c := newClock()
	store := newFakeStore()
	list := openList(t, store, c, revocation.Options{MaxTokenLifetime: day})
	old := longLived(c, "old")
	c.advance(2 * day)
	check(t, list, old, revocation.TooOld)
	if err := list.RaiseMaxTokenLifetime(t.Context(), 20*day); err != nil {
		t.Fatal(err)
	}
	check(t, list, old, revocation.Live)
	check(t, openList(t, store, c, revocation.Options{MaxTokenLifetime: 20 * day}), old, revocation.Live)
}

func TestLifetimeIsLoweredByOpeningTheListAlone(t *testing.T) {
	c := newClock()
	store := newFakeStore()
	list := openList(t, store, c, revocation.Options{MaxTokenLifetime: 7 * day})
	id := longLived(c, "t")
	c.advance(2 * day)
	if err := list.RaiseMaxTokenLifetime(t.Context(), day); err != nil {
		t.Fatal(err)
	}
	check(t, list, id, revocation.Live)
	check(t, openList(t, store, c, revocation.Options{MaxTokenLifetime: day}), id, revocation.TooOld)
}

func TestDamagedRetentionRecordIsAnError(t *testing.T) {
	for _, content := range []string{"x", "7h", "7h 0s x", "seven 0s 0", "7h zero 0"} {
		c := newClock()
		store := newFakeStore()
		e := revocation.Entry{Scope: revocation.ScopeRetention, ID: content, At: c.Now(), Expires: revocation.Forever}
		if err := store.Revoke(t.Context(), e); err != nil {
			t.Fatal(err)
		}
		if _, err := revocation.Open(t.Context(), store, revocation.Options{Now: c.Now}); err == nil {
			t.Errorf("%q is accepted", content)
		}
	}
}

// Another handler, or the same one after a change, may grant more leeway than the one
// that the token was revoked through.
func TestTokensEntryOutlivesEveryLeeway(t *testing.T) {
	c := newClock()
	list := openList(t, newFakeStore(), c, revocation.Options{})
	iat := c.Now().Truncate(time.Second)
	exp := iat.Add(10 * time.Minute)
	e := revoke(t, list, revocation.NewIdentity("api", "t", "", "alice", iat, exp.Add(30*time.Second)), revocation.ScopeToken)
	if last := exp.Add(10 * time.Minute); e.Expires.Before(last) {
		t.Errorf("kept until %s, but accepted until %s with the greatest leeway", e.Expires, last)
	}
}
