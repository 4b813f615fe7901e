package exampleapi

import (
	"errors"
	"maps"
)

// The environment variables that name the clients of a demonstration.
const (
	EnvKey          = "API_KEY"
	EnvSecret       = "API_SECRET"
	EnvSecondKey    = "API_KEY_2"
	EnvSecondSecret = "API_SECRET_2"
)

// The IDs of the first and the second client of a demonstration.
const (
	FirstID  = 42
	SecondID = 43
)

// ErrHalfClient says that a key is in the environment without its secret, or the
// other way round, or that both clients have the same key.
var ErrHalfClient = errors.New("exampleapi: a client's key and secret must both be set, and keys must differ")

// demoClients are the clients where the environment names none.
var demoClients = map[string]Client{
	"demo-key":  {Secret: "demo-secret", ID: FirstID},
	"other-key": {Secret: "other-secret", ID: SecondID},
}

// DemoClients returns the clients that the environment names, or, if it names
// none, demo-key with demo-secret (42) and other-key with other-secret (43). The
// well-known pair is never added to a client that was set on purpose.
func DemoClients(getenv func(string) string) (map[string]Client, error) {
	clients := make(map[string]Client)
	for _, c := range []struct {
		key, secret string
		id          int64
	}{
		{getenv(EnvKey), getenv(EnvSecret), FirstID},
		{getenv(EnvSecondKey), getenv(EnvSecondSecret), SecondID},
	} {
		_, taken := clients[c.key]
		switch {
		case c.key == "" && c.secret == "":
		case c.key == "" || c.secret == "" || taken:
			return nil, ErrHalfClient
		default:
			clients[c.key] = Client{Secret: c.secret, ID: c.id}
		}
	}
	if len(clients) == 0 {
		return maps.Clone(demoClients), nil
	}
	return clients, nil
}
