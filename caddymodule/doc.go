// Package caddymodule is the Caddy v2 plugin: the app token_auth, which owns the
// revocation list, and the handler http.handlers.token_auth, which lets a request
// through only with a genuine, unexpired and unrevoked credential and answers the
// API's logout itself.
//
// It is the only package that knows of Caddy. Importing it for its side effects
// registers the modules:
//
//	import _ "example.com/caddy-token-auth/caddymodule"
package caddymodule
