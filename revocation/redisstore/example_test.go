package redisstore_test

import (
	"context"
	"fmt"
	"os"
	"time"

	"example.com/caddy-token-auth/revocation"
	"example.com/caddy-token-auth/revocation/redisstore"
)

func Example() {
	opts, err := redisstore.ParseURL("redis://caddy:password@sentinel-1,sentinel-2,sentinel-3?master=list")
	if err != nil {
		fmt.Println(err)
		return
	}
	opts.Wait.Replicas = 1
	fmt.Println(opts) // without the password
	// Output:
	// redis primary list of sentinels sentinel-1,sentinel-2,sentinel-3
}

// The server is redis://localhost unless REDIS_URL names another.
//
//nolint:testableexamples // There need not be a server.
func ExampleOpen() {
	url := os.Getenv("REDIS_URL")
	if url == "" {
		url = "redis://localhost"
	}
	opts, err := redisstore.ParseURL(url)
	if err != nil {
		fmt.Println(err)
		return
	}
	opts.OnWarning = func(warning string) { fmt.Println("warning:", warning) }
	ctx := context.Background()
	store, err := redisstore.Open(ctx, opts)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer store.Close()
	logout := revocation.Entry{
		Scope:   revocation.ScopeClient,
		Realm:   "https://id.example.com",
		ID:      "client-1",
		At:      time.Now(),
		Expires: time.Now().Add(7 * 24 * time.Hour),
	}
	if err := store.Revoke(ctx, logout); err != nil { // nil: see the package comment
		fmt.Println(err)
		return
	}
	found, err := store.Lookup(ctx, logout.Key())
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(found[0].Scope, found[0].ID)
}
