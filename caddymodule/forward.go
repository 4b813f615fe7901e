package caddymodule

import (
	"fmt"
	"net/http"
	"net/textproto"
	"strings"

	"golang.org/x/net/http/httpguts"

	"example.com/caddy-token-auth/request"
	"example.com/caddy-token-auth/revocation"
)

// ForwardIdentity names a request header that tells the upstream who is calling.
// What the client itself sends in it never reaches the upstream.
type ForwardIdentity struct {
	// Header is the name of the request header field.
	Header string `json:"header"`
	// Claims are the names of token claims; the header carries the first of them
	// that the token has. A claim that is no string is sent as its JSON text.
	Claims []string `json:"claims"`
}

// forwarder deletes identity headers from requests and sets them.
type forwarder struct {
	names  []request.Name // canonical
	claims [][]string     // of each
}

func newForwarder(config []ForwardIdentity) (forwarder, error) {
	var f forwarder
	for _, c := range config {
		name := textproto.CanonicalMIMEHeaderKey(c.Header)
		switch {
		case !httpguts.ValidHeaderFieldName(c.Header):
			return forwarder{}, fmt.Errorf("%q is not a header name", c.Header)
		case reservedHeaders[name]:
			return forwarder{}, fmt.Errorf("%s cannot carry an identity", name)
		case len(c.Claims) == 0:
			return forwarder{}, fmt.Errorf("%s: no claim named", name)
		}
		if f.has(name) {
			return forwarder{}, fmt.Errorf("%s is named twice", name)
		}
		f.names, f.claims = append(f.names, request.NewName(name)), append(f.claims, c.Claims)
	}
	return f, nil
}

// reservedHeaders have a meaning of their own that deleting or replacing would break.
var reservedHeaders = map[string]bool{
	"Authorization": true, "Connection": true, "Content-Length": true, "Content-Type": true, "Cookie": true,
	"Host": true, "Te": true, "Trailer": true, "Transfer-Encoding": true, "Upgrade": true,
}

// removeHeaders deletes all fields that could be taken for one of these names. Many
// upstreams read X-Client-ID and X_Client_ID as the same variable, so both go.
func removeHeaders(h http.Header, names []request.Name) {
	if len(names) == 0 {
		return
	}
	for name := range h {
		if request.Resemble(names, name) {
			delete(h, name)
		}
	}
}

// rerouting are the fields by which some upstreams let a request say that it means another
// path or method than the one that it was judged by, by the letter behind their X.
var rerouting = [26][]request.Name{
	'o' - 'a': request.NewNames("X-Original-Url"),
	'r' - 'a': request.NewNames("X-Rewrite-Url"),
	'h' - 'a': request.NewNames("X-Http-Method", "X-Http-Method-Override"),
	'm' - 'a': request.NewNames("X-Method-Override"),
}

// isRerouting reports whether an upstream may take a field for one of those. The name of each
// begins with an X, for every upstream, and few others go on with one of these letters.
func isRerouting(name string) bool {
	if name[0]|0x20 != 'x' {
		return false
	}
	for i := 1; i < len(name); i++ {
		if letter := name[i] | 0x20; 'a' <= letter && letter <= 'z' {
			return request.Resemble(rerouting[letter-'a'], name)
		}
	}
	return false
}

// dropTrailer keeps header fields that arrive with the end of the body, after everything
// was judged, from the upstream. Without the map that the server has announced them in,
// they stay with the server's own copy of the request.
func dropTrailer(r *http.Request) {
	if r.Trailer != nil {
		r.Trailer = nil
		delete(r.Header, "Trailer")
	}
}

func (f forwarder) has(name string) bool { return request.Resemble(f.names, name) }

// set adds the identity headers of a caller. A claim that a header field
// cannot carry is left out.
func (f forwarder) set(r *http.Request, c *caller) {
	for i, name := range f.names {
		for _, claim := range f.claims[i] {
			value, ok := c.claim(claim)
			if ok && httpguts.ValidHeaderFieldValue(value) {
				r.Header[name.String()] = []string{value}
				break
			}
		}
	}
}

// claimPlaceholders gives the claims of a caller as {http.auth.user.<claim>} and its
// client as {http.auth.user.id}, read only when they are used.
func claimPlaceholders(id *revocation.Identity, claims claimSource) func(key string) (any, bool) {
	return func(key string) (any, bool) {
		if key == placeholderVerdict {
			return verdictLive, true
		}
		claim, ok := strings.CutPrefix(key, "http.auth.user.")
		if !ok {
			return nil, false
		}
		if claim == "id" {
			return clientOf(id), true
		}
		if claims == nil {
			return nil, false
		}
		return claims.Claim(claim)
	}
}

const (
	placeholderVerdict = "http.token_auth.verdict"
	verdictLive        = "live"
)
