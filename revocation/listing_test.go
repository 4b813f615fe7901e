package revocation_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"example.com/caddy-token-auth/revocation"
	"example.com/caddy-token-auth/revocation/memstore"
)

func anyEntry(revocation.Entry) bool { return true }

// TestPagesHaveEveryEntryOnce reads pages while entries are written, and wants those that
// were there throughout.
func TestPagesHaveEveryEntryOnce(t *testing.T) {
	list, err := revocation.Open(t.Context(), memstore.New(), revocation.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer list.Close()
	name := func(scope revocation.Scope, id string) {
		if _, err := list.RevokeNamed(t.Context(), scope, "api", id); err != nil {
			t.Error(err)
		}
	}
	const there = 200
	for i := range there {
		name(revocation.ScopeClient, fmt.Sprint(i))
	}
	var writer sync.WaitGroup
	writer.Go(func() {
		for i := range 500 {
			name(revocation.ScopeSession, fmt.Sprint(i))
		}
	})
	for _, limit := range []int{1, 7, there - 1, there, there + 1} {
		seen := map[string]int{}
		var after revocation.Key
		for more := true; more; {
			var page []revocation.Entry
			page, more, err = list.Page(t.Context(), after, limit, func(e revocation.Entry) bool { return e.Scope == revocation.ScopeClient })
			if err != nil {
				t.Fatal(err)
			}
			if len(page) > limit || more && len(page) < limit {
				t.Fatalf("page of %d entries with the limit %d, more: %t", len(page), limit, more)
			}
			for _, e := range page {
				seen[e.ID]++
				after = e.Key()
			}
		}
		for i := range there {
			if n := seen[fmt.Sprint(i)]; n != 1 {
				t.Errorf("limit %d: entry %d was told %d times", limit, i, n)
			}
		}
		if len(seen) != there {
			t.Errorf("limit %d: %d entries, want %d", limit, len(seen), there)
		}
	}
	writer.Wait()
	if _, _, err := list.Page(t.Context(), revocation.Key{}, 0, anyEntry); err == nil {
		t.Error("a page without entries was read")
	}
}

// repeatingStore tells entries twice, as a scan of a store that grows meanwhile may.
type repeatingStore struct{ *memstore.Store }

func (s repeatingStore) Scan(ctx context.Context, fn func(revocation.Entry) error) error {
	for range 2 {
		if err := s.Store.Scan(ctx, fn); err != nil {
			return err
		}
	}
	return nil
}

func TestPageHasAnEntryOnceThatTheStoreTellsTwice(t *testing.T) {
	list, err := revocation.Open(t.Context(), repeatingStore{memstore.New()}, revocation.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer list.Close()
	for i := range 20 {
		if _, err := list.RevokeNamed(t.Context(), revocation.ScopeClient, "api", fmt.Sprint(i)); err != nil {
			t.Fatal(err)
		}
	}
	for _, limit := range []int{5, 100} {
		page, _, err := list.Page(t.Context(), revocation.Key{}, limit, anyEntry)
		if err != nil {
			t.Fatal(err)
		}
		seen := map[revocation.Key]bool{}
		for _, e := range page {
			if seen[e.Key()] {
				t.Errorf("limit %d: %s %s twice", limit, e.Scope, e.ID)
			}
			seen[e.Key()] = true
		}
	}
}

// TestTokenThatIsRevokedByItsNameStaysRevokedForAsLongAsItMayLive takes a token of which
// nobody knows when it expires.
func TestTokenThatIsRevokedByItsNameStaysRevokedForAsLongAsItMayLive(t *testing.T) {
	c := newClock()
	lifetime := 24 * time.Hour
	list := openList(t, newFakeStore(), c, revocation.Options{MaxTokenLifetime: lifetime})
	id := revocation.NewIdentity("api", "t", "", "alice", c.Now().Truncate(time.Second), time.Time{})
	entry, err := list.RevokeNamed(t.Context(), revocation.ScopeToken, "api", "t")
	if err != nil {
		t.Fatal(err)
	}
	check(t, list, id, revocation.RevokedToken)
	if end := id.IssuedAt().Add(lifetime); entry.Expires.Before(end) {
		t.Errorf("kept until %s, and the token may live until %s", entry.Expires, end)
	}
	if _, err := list.RevokeNamed(t.Context(), revocation.ScopeToken, "api", ""); err == nil {
		t.Error("a token without a name was revoked")
	}
}

func TestEntrySaysWhoseTokenItIsAndWhetherItWasExchanged(t *testing.T) {
	c := newClock()
	store := newFakeStore()
	list := openList(t, store, c, revocation.Options{})
	id := learn(t, list, revocation.Issuance{Realm: "api", Token: "t", Session: "s", Client: "alice"})
	known := store.get(revocation.KeyOf(revocation.ScopeKnown, "api", "t"))
	if session, client := known.Owner(); session != "s" || client != "alice" {
		t.Errorf("owner %q, %q", session, client)
	}
	known.Note = "damaged"
	if session, client := known.Owner(); session+client != "" {
		t.Errorf("owner of a damaged entry %q, %q", session, client)
	}
	rotated, err := list.Rotate(t.Context(), id, list.Mark())
	if err != nil || !rotated.Rotated() {
		t.Errorf("%+v, %v", rotated, err)
	}
	if e := revoke(t, list, id, revocation.ScopeToken); e.Rotated() {
		t.Error("a revoked token counts as exchanged")
	}
}
