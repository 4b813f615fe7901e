// Command caddy is Caddy with its standard modules and the token_auth plugin.
//
// It takes Caddy's own command line:
//
//	go run ./cmd/caddy run --config caddyfile.example
package main

import (
	caddycmd "github.com/caddyserver/caddy/v2/cmd"

	_ "github.com/caddyserver/caddy/v2/modules/standard"

	_ "example.com/caddy-token-auth/caddymodule"
)

func main() {
	caddycmd.Main()
}
