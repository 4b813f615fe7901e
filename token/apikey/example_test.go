package apikey_test

import (
	"bytes"
	"fmt"

	"example.com/caddy-token-auth/token/apikey"
)

func Example() {
	// What is configured: names and hashes, here in the program, else in files.
	source, err := apikey.Open(map[string]string{"warehouse": apikey.Hash("b2f1c0e4")}, nil, nil)
	if err != nil {
		panic(err)
	}
	defer source.Close()
	// The same on all replicas.
	sessions, err := apikey.NewSessions(bytes.Repeat([]byte("secret"), 6), nil)
	if err != nil {
		panic(err)
	}

	// The first request of a client has a key only, and begins a session.
	name, ok := source.Lookup("b2f1c0e4")
	fmt.Println(name, ok)
	begun := sessions.Begin(name)

	// Further requests have both. Whether the session was ended in the meantime is
	// asked with parsed.ID.
	parsed, err := sessions.Parse(name, begun.Text)
	fmt.Println(parsed.ID == begun.ID, err)

	// It is of no use with another key.
	_, err = sessions.Parse("bookkeeping", begun.Text)
	fmt.Println(err)
	// Output:
	// warehouse true
	// true <nil>
	// session is not one of this key
}
