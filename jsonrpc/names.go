package jsonrpc

import "example.com/caddy-token-auth/request"

// lookAlikes finds names that a sloppy parser, or a sloppy server, may take for one
// that counts.
type lookAlikes []request.Name

// has reports whether name only looks like a name of the set.
func (set lookAlikes) has(name string) bool {
	resembled := false
	for _, known := range set {
		if known.Is(name) {
			return false
		}
		resembled = resembled || known.Resembles(name)
	}
	return resembled
}

// resemble reports whether name is a name of the set, or looks like one.
func (set lookAlikes) resemble(name string) bool { return request.Resemble(set, name) }

var (
	// tokenNames are the parameters that hold tokens.
	tokenNames  = lookAlikes(request.NewNames("access_token", "refresh_token"))
	memberNames = lookAlikes(request.NewNames("jsonrpc", "id", "method", "params", "result", "error"))
	// paramNames are the parameters that this package, or the user of it, acts on.
	paramNames = lookAlikes(request.NewNames(
		"access_token", "refresh_token", "grant_type", "invalidate_token", "scope", "interval",
	))
)
