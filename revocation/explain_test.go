package revocation_test

import (
	"errors"
	"testing"
	"time"

	"example.com/caddy-token-auth/revocation"
)

func explain(t *testing.T, list *revocation.List, id *revocation.Identity) revocation.Explanation {
	t.Helper()
	e, err := list.Explain(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	if e.Verdict == revocation.Unknown || e.Verdict != e.Stored {
		t.Errorf("verdict %s, stored %s", e.Verdict, e.Stored)
	}
	return e
}

func TestExplanationNamesTheEntryThatDecides(t *testing.T) {
	c := newClock()
	list := openList(t, newFakeStore(), c, revocation.Options{})
	id := c.issue("t", "s", "alice")
	if e := explain(t, list, id); e.Verdict != revocation.Live || e.Decisive.Scope != 0 {
		t.Errorf("before: %+v", e)
	}
	for _, scope := range []revocation.Scope{revocation.ScopeClient, revocation.ScopeSession, revocation.ScopeToken} {
		want := revoke(t, list, id, scope)
		if e := explain(t, list, id); e.Decisive.Key() != want.Key() || !e.Decisive.At.Equal(want.At) {
			t.Errorf("%s: decided by %+v", scope, e.Decisive)
		}
	}
}

func TestExplanationNamesTheEntryThatATokenSurvivesBy(t *testing.T) {
	c := newClock()
	list := openList(t, newFakeStore(), c, revocation.Options{})
	revoke(t, list, c.issue("old", "", "alice"), revocation.ScopeClient)
	since := list.Mark()
	fresh := c.issue("fresh", "", "alice")
	if err := list.Issued(t.Context(), fresh, since); err != nil {
		t.Fatal(err)
	}
	if e := explain(t, list, fresh); e.Verdict != revocation.Live || e.Issued.Scope != revocation.ScopeIssued {
		t.Errorf("%+v", e)
	}
}

func TestExplanationSaysWhereTheAnswerIsFrom(t *testing.T) {
	c := newClock()
	store := newFakeStore()
	list := openList(t, store, c, revocation.Options{})
	id := c.issue("t", "s", "alice")
	if e := explain(t, list, id); e.Source != revocation.SourceStore {
		t.Errorf("first: %s", e.Source)
	}
	if e := explain(t, list, id); e.Source != revocation.SourceCache {
		t.Errorf("again: %s", e.Source)
	}
	revoke(t, list, id, revocation.ScopeClient)
	if e := explain(t, list, id); e.Source != revocation.SourceStore {
		t.Errorf("after a revocation: %s", e.Source)
	}
	aged := revocation.NewIdentity("api", "old", "", "", c.Now().Add(-365*24*time.Hour), time.Time{})
	if e := explain(t, list, aged); e.Verdict != revocation.TooOld || e.Source != revocation.SourceAge {
		t.Errorf("aged: %+v", e)
	}
	filtered := openList(t, filteredStore{newFakeStore()}, c, revocation.Options{})
	if e := explain(t, filtered, id); e.Source != revocation.SourceSummary {
		t.Errorf("by the filter: %s", e.Source)
	}
}

func TestExplanationWithoutTheStoreHasWhatIsCached(t *testing.T) {
	c := newClock()
	store := newFakeStore()
	list := openList(t, store, c, revocation.Options{})
	id := c.issue("t", "s", "alice")
	check(t, list, id, revocation.Live)
	failure := errors.New("down")
	store.fail = failure
	e, err := list.Explain(t.Context(), id)
	if !errors.Is(err, failure) || e.Verdict != revocation.Live || e.Stored != revocation.Unknown {
		t.Errorf("%+v, %v", e, err)
	}
}
