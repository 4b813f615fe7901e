package memstore_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"example.com/caddy-token-auth/revocation"
	"example.com/caddy-token-auth/revocation/memstore"
	"example.com/caddy-token-auth/revocation/storetest"
)

func TestContract(t *testing.T) {
	storetest.Run(t, func(*testing.T) storetest.Subject {
		clock := storetest.NewClock()
		return storetest.Subject{
			Store:   memstore.New(memstore.WithClock(clock.Now)),
			Now:     clock.Now,
			Advance: clock.Advance,
		}
	})
}

func TestExpiredEntriesAreForgotten(t *testing.T) {
	clock := storetest.NewClock()
	store := memstore.New(memstore.WithClock(clock.Now))
	defer store.Close()
	for round := range 50 {
		var entries []revocation.Entry
		for i := range 500 {
			entries = append(entries, revocation.Entry{
				Scope: revocation.ScopeToken, Realm: "r", ID: fmt.Sprint(round, "/", i),
				At: clock.Now(), Expires: clock.Now().Add(time.Minute),
			})
		}
		if err := store.Revoke(context.Background(), entries...); err != nil {
			t.Fatal(err)
		}
		clock.Advance(2 * time.Minute)
	}
	if n := store.Len(); n > 3000 {
		t.Fatalf("%d entries are kept, at most 500 of them live", n)
	}
}
