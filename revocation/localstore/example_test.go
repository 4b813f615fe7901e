package localstore_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"example.com/caddy-token-auth/revocation"
	"example.com/caddy-token-auth/revocation/localstore"
)

func Example() {
	parent, err := os.MkdirTemp("", "example")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(parent)
	dir := filepath.Join(parent, "token_auth")
	ctx := context.Background()

	store, err := localstore.Open(ctx, dir, localstore.Options{})
	if err != nil {
		fmt.Println(err)
		return
	}
	logout := revocation.Entry{
		Scope:   revocation.ScopeClient,
		Realm:   "https://id.example.com",
		ID:      "client-1",
		At:      time.Now(),
		Expires: time.Now().Add(7 * 24 * time.Hour),
	}
	if err := store.Revoke(ctx, logout); err != nil { // nil: it is on disk
		fmt.Println(err)
		return
	}
	if err := store.Close(); err != nil {
		fmt.Println(err)
		return
	}

	store, err = localstore.Open(ctx, dir, localstore.Options{})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer store.Close()
	fmt.Println(store.Len(), store.Absent(logout.Key()))
	found, err := store.Lookup(ctx, logout.Key())
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(found[0].Scope, found[0].ID)
	// Output:
	// 1 false
	// client client-1
}
