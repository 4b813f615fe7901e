// Package exampleapi is an API of the kind that the sidecar is put in front of:
// it logs clients in, renews their tokens and serves them something, in the
// format of the Octopus Cards API, and it has no logout.
//
// It verifies its JSON Web Tokens (RFC 7519) by signature and expiry alone and
// keeps no record of them, as such APIs do. A token that it has issued is good
// until it expires, an old refresh token as much as a new one, and POST
// /auth/logout answers 404. What it cannot do is what the sidecar adds.
//
// The routes:
//
//	POST /auth/login     {"username":"…","password":"…"}  a pair of tokens
//	POST /auth/refresh   {"refresh_token":"…"}            a new pair
//	GET  /v1/cards       access token                     the client's cards
//	GET  /v1/events      access token                     a server-sent event each second
//	GET  /health         public
//
// It is made for demonstrations and tests: its clients are a fixed map. A Handler
// is safe for concurrent use and starts no goroutine of its own.
package exampleapi
