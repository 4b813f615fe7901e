package revocation_test

import (
	"strings"
	"testing"
	"time"

	"example.com/caddy-token-auth/revocation"
)

// confusable are names of clients that some way of telling kinds apart could mix up.
func confusable() []string {
	names := []string{"partner", "api-key:partner", "\x00partner", "sha256:" + strings.Repeat("a", 64), "\x00", strings.Repeat("n", 300)}
	for _, length := range []int{245, 246, 247, 254, 255, 256} {
		names = append(names, strings.Repeat("n", length))
	}
	// What entries are stored under, for the name of a client of either kind, and again.
	for range 3 {
		for _, name := range names {
			names = append(names, revocation.ClientID(revocation.KindAPIKey, name), revocation.ClientID(revocation.KindSubject, name))
		}
	}
	return names
}

func TestClientsOfTwoKindsAreNeverOne(t *testing.T) {
	type client struct {
		kind revocation.Kind
		name string
	}
	seen := make(map[string]client)
	for _, name := range confusable() {
		for _, kind := range []revocation.Kind{revocation.KindSubject, revocation.KindAPIKey} {
			c := client{kind, revocation.CanonicalID(name)}
			id := revocation.ClientID(kind, name)
			// Of one kind, a name that is too long and what is kept of it may be one.
			if other, taken := seen[id]; taken && (other.kind != kind || other != c && len(c.name) < 200 && !strings.HasPrefix(id, "sha256:")) {
				t.Errorf("%v and %v are both %q", other, c, id)
			}
			seen[id] = c
			e := revocation.Entry{Scope: revocation.ScopeClient, ID: id, At: time.Unix(1, 0), Expires: time.Unix(2, 0)}
			if err := e.Validate(); err != nil {
				t.Errorf("%s %q: %v", kind, name, err)
			}
			gotKind, gotName := e.Client()
			if gotKind != kind || gotName != c.name && !strings.HasPrefix(gotName, "sha256:") {
				t.Errorf("%s %q is read as %s %q", kind, name, gotKind, gotName)
			}
			if revocation.ClientID(kind, c.name) != id {
				t.Errorf("%s %q: another ID for the name that it is known by", kind, name)
			}
		}
	}
}

// Entries about subjects have the Key that they had when there were no kinds: replicas of an
// older version see the logouts of this one.
func TestSubjectsAreStoredAsTheyAlwaysWere(t *testing.T) {
	for _, name := range []string{"42", "partner", "api-key:x", strings.Repeat("n", 255), strings.Repeat("n", 300)} {
		if got := revocation.ClientID(revocation.KindSubject, name); got != revocation.CanonicalID(name) {
			t.Errorf("%q is stored as %q", name, got)
		}
	}
}

func TestSubjectAndAPIKeyOfOneNameAreTwoClients(t *testing.T) {
	c := newClock()
	list := openList(t, newFakeStore(), c, revocation.Options{})
	key := func(session string) *revocation.Identity {
		return revocation.NewAPIKeyIdentity("api", session, "partner", c.Now())
	}
	subject, session := c.issue("t1", "s1", "partner"), key("k1")
	if subject.Client() != session.Client() || subject.ClientKey() == session.ClientKey() {
		t.Errorf("clients %q and %q", subject.Client(), session.Client())
	}
	revoke(t, list, subject, revocation.ScopeClient)
	check(t, list, subject, revocation.RevokedClient)
	check(t, list, session, revocation.Live)

	c.advance(time.Second)
	subject = c.issue("t2", "s2", "partner")
	e := revoke(t, list, session, revocation.ScopeClient)
	if kind, name := e.Client(); kind != revocation.KindAPIKey || name != "partner" {
		t.Errorf("the entry is about %s %q", kind, name)
	}
	check(t, list, session, revocation.RevokedClient)
	check(t, list, subject, revocation.Live)

	c.advance(time.Second)
	session = key("k2")
	check(t, list, session, revocation.Live)
	if _, err := list.RevokeNamed(t.Context(), revocation.ScopeClient, "api", "partner"); err != nil {
		t.Fatal(err)
	}
	check(t, list, subject, revocation.RevokedClient)
	check(t, list, session, revocation.Live)
	if _, err := list.RevokeAPIKey(t.Context(), "api", "partner"); err != nil {
		t.Fatal(err)
	}
	check(t, list, session, revocation.RevokedClient)
}

// A cut-off from before there were kinds, or of a replica that knows of none, is about both
// clients of its name, for as long as it is kept, whatever is recorded after it.
func TestCutoffOfEveryKindStillCounts(t *testing.T) {
	c := newClock()
	store := newFakeStore()
	list := openList(t, store, c, revocation.Options{})
	key := func(session string) *revocation.Identity {
		return revocation.NewAPIKeyIdentity("api", session, "partner", c.Now())
	}
	subject, session := c.issue("t1", "", "partner"), key("k1")
	check(t, list, session, revocation.Live) // cached
	c.advance(time.Second)
	before := revocation.Entry{Scope: revocation.ScopeClient, Realm: "api", ID: "partner", At: c.Now(), Expires: c.Now().Add(8 * 24 * time.Hour)}
	if err := store.Revoke(t.Context(), before); err != nil {
		t.Fatal(err)
	}
	c.advance(time.Second)
	later := key("k2")
	// Opened anew, as by a process that is updated.
	list = openList(t, store, c, revocation.Options{})
	check(t, list, subject, revocation.RevokedClient)
	check(t, list, session, revocation.RevokedClient)
	check(t, list, later, revocation.Live)
	if why := explain(t, list, session); why.Decisive.ID != "partner" {
		t.Errorf("decided by %+v", why.Decisive)
	}

	c.advance(time.Second)
	revoke(t, list, c.issue("t2", "", "partner"), revocation.ScopeClient)
	check(t, list, session, revocation.RevokedClient)
	check(t, list, later, revocation.Live)
}

// At no moment is it forgotten.
func TestCutoffOfEveryKindIsKeptBeforeItIsSuperseded(t *testing.T) {
	c := newClock()
	store := newFakeStore()
	list := openList(t, store, c, revocation.Options{})
	session := revocation.NewAPIKeyIdentity("api", "k1", "partner", c.Now())
	c.advance(time.Second)
	before := revocation.Entry{Scope: revocation.ScopeClient, Realm: "api", ID: "partner", At: c.Now(), Expires: c.Now().Add(8 * 24 * time.Hour)}
	if err := store.Revoke(t.Context(), before); err != nil {
		t.Fatal(err)
	}
	writes := 0
	store.onRevoke = func() {
		writes++
		check(t, openList(t, store, c, revocation.Options{}), session, revocation.RevokedClient)
	}
	revoke(t, list, c.issue("t1", "", "partner"), revocation.ScopeClient)
	if writes != 2 {
		t.Errorf("%d writes", writes)
	}
}
