package natsstore_test

import (
	"context"
	"fmt"
	"os"
	"time"

	"github.com/nats-io/nats-server/v2/server"

	"example.com/caddy-token-auth/revocation"
	"example.com/caddy-token-auth/revocation/natsstore"
)

func Example() {
	url, stop, err := startServer()
	if err != nil {
		fmt.Println(err)
		return
	}
	defer stop()
	ctx := context.Background()

	store, err := natsstore.Open(ctx, natsstore.Options{URLs: []string{url}})
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
	if err := store.Revoke(ctx, logout); err != nil { // nil: a majority of the servers has it
		fmt.Println(err)
		return
	}

	other, err := natsstore.Open(ctx, natsstore.Options{URLs: []string{url}})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer other.Close()
	found, err := other.Lookup(ctx, logout.Key())
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(found[0].Scope, found[0].ID)
	// Output:
	// client client-1
}

// startServer stands in for the servers that there are already.
func startServer() (url string, stop func(), err error) {
	dir, err := os.MkdirTemp("", "example")
	if err != nil {
		return "", nil, err
	}
	s, err := server.NewServer(&server.Options{
		Host: "127.0.0.1", Port: server.RANDOM_PORT, JetStream: true, StoreDir: dir, NoLog: true, NoSigs: true,
	})
	if err != nil {
		return "", nil, err
	}
	s.Start()
	if !s.ReadyForConnections(20 * time.Second) {
		return "", nil, fmt.Errorf("the server does not start")
	}
	return s.ClientURL(), func() {
		s.Shutdown()
		s.WaitForShutdown()
		os.RemoveAll(dir)
	}, nil
}
