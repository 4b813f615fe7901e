package memstore_test

import (
	"context"
	"fmt"
	"time"

	"example.com/caddy-token-auth/revocation"
	"example.com/caddy-token-auth/revocation/memstore"
)

func Example() {
	ctx := context.Background()
	store := memstore.New()
	defer store.Close()

	logout := revocation.Entry{
		Scope:   revocation.ScopeSession,
		Realm:   "https://id.example.com",
		ID:      "session-1",
		At:      time.Now(),
		Expires: time.Now().Add(24 * time.Hour),
	}
	if err := store.Revoke(ctx, logout); err != nil {
		fmt.Println(err)
		return
	}
	other := revocation.KeyOf(revocation.ScopeSession, "https://id.example.com", "session-2")
	found, err := store.Lookup(ctx, logout.Key(), other)
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, e := range found {
		fmt.Println(e.Scope.Valid(), e.ID)
	}
	// Output:
	// true session-1
	// false
}
