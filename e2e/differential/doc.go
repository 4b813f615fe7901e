// Package differential sends raw requests through the built binary to real frameworks and
// compares what they read with what the sidecar has judged.
//
// The sidecar decides by its own reading of a request and forwards the original. Wherever
// an upstream reads it in another way, a revoked token may be read that nobody has judged,
// or a call reached that needs what nobody has asked for. So each upstream (see the
// directory upstreams) tells which route its own router took and which tokens its own
// parsers read, in every place that somebody who uses the framework would read them from.
// A request fails if an upstream
//
//   - reads a revoked token where the configuration says that credentials are,
//   - exchanges a refresh token that is revoked, or that the sidecar has not spent,
//   - takes a route that needs a credential for a request that has no live one,
//   - takes the route of the logout, which the sidecar answers,
//
// and so does a plain request of an ordinary client that is refused.
//
// The requests are those in testdata, each with a name, and some thousand from a grammar.
// What the grammar makes depends on a seed alone: a request that fails is found again by
// its number, is made small by hand, and gets a name in testdata.
package differential
