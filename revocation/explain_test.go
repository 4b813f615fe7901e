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

// TestExplanationSaysWhereTheAnswerIsFrom counts how often the store is asked: once for the
// explanation, and once more if that is where Check has its answer.
func TestExplanationSaysWhereTheAnswerIsFrom(t *testing.T) {
	c := newClock()
	id := c.issue("t", "s", "alice")
	aged := revocation.NewIdentity("api", "old", "", "", c.Now().Add(-365*24*time.Hour), time.Time{})
	want := func(list *revocation.List, store *fakeStore, what string, id *revocation.Identity, source revocation.Source) {
		t.Helper()
		before := store.lookupCount()
		e := explain(t, list, id)
		lookups := 1
		if source == revocation.SourceStore {
			lookups = 2
		}
		if got := store.lookupCount() - before; e.Source != source || got != lookups {
			t.Errorf("%s: from %s, with %d look-ups; want %s", what, e.Source, got, source)
		}
	}
	plain := newFakeStore()
	list := openList(t, plain, c, revocation.Options{})
	want(list, plain, "first", id, revocation.SourceStore)
	want(list, plain, "again", id, revocation.SourceCache)
	revoke(t, list, id, revocation.ScopeClient)
	want(list, plain, "after a revocation", id, revocation.SourceStore)
	want(list, plain, "aged", aged, revocation.SourceAge)

	filtered := newFakeStore()
	list = openList(t, filteredStore{filtered}, c, revocation.Options{})
	want(list, filtered, "by the filter", id, revocation.SourceSummary)
	other := c.issue("other", "s2", "bob")
	issued := revocation.Entry{Scope: revocation.ScopeIssued, Realm: "api", ID: "other", At: c.Now(), Expires: c.Now().Add(time.Hour)}
	if err := filtered.Revoke(t.Context(), issued); err != nil {
		t.Fatal(err)
	}
	want(list, filtered, "an issue without a cut-off", other, revocation.SourceSummary)
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
