// Package request says what a request is to whoever may read it.
//
// The sidecar judges its own reading of a request and forwards the original, which the API
// reads in its own way. Parsers differ in which names they take for the same: PHP reads
// refresh.token, "refresh[token" and refresh_token%00x as refresh_token; CGI reads X^Token
// as X-Token. This package has the one rule for that, the strictest there is. What is a name
// to the letter may be used; what merely resembles it must not reach the API with another
// value.
//
// The package knows strings and nothing else: no configuration, no credential, no Caddy.
package request
