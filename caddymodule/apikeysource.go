package caddymodule

import (
	"net/http"
	"strings"

	"example.com/caddy-token-auth/token"
)

// apiKeySource finds the API key of a request and what it names as the key's session. Its
// zero value finds nothing.
type apiKeySource struct {
	header  string // canonical; "": no API keys
	session string // header field of the session, canonical
	cookie  string // cookie of the session
}

// find returns the API key, or the zero credential. Two different keys, or two different
// sessions, are token.ErrConflict. A session without a key is nobody's and is ignored.
func (s *apiKeySource) find(r *http.Request) (credential, error) {
	if s.header == "" {
		return credential{}, nil
	}
	var keys, sessions collected
	for name, values := range r.Header {
		switch {
		case sameHeader(name, s.header):
			keys.addAll(values)
		case sameHeader(name, s.session):
			sessions.addAll(values)
		}
	}
	for _, field := range r.Header["Cookie"] {
		addCookies(&sessions, []string{s.cookie}, field)
	}
	if keys.conflict || keys.raw != "" && sessions.conflict {
		return credential{}, token.ErrConflict
	}
	return credential{kind: kindAPIKey, text: keys.raw, session: sessions.raw}, nil
}

// remove takes the API key and its session off a request, but for the cookie.
func (s *apiKeySource) remove(r *http.Request) {
	if s.header == "" {
		return
	}
	for name := range r.Header {
		if sameHeader(name, s.header) || sameHeader(name, s.session) {
			delete(r.Header, name)
		}
	}
}

// keepHeaders has the proxy not drop our own fields for being named in Connection.
func (s *apiKeySource) keepHeaders(h http.Header) {
	if s.header != "" && len(h["Connection"]) > 0 {
		removeConnectionTokens(h, func(name string) bool { return sameHeader(name, s.header) || sameHeader(name, s.session) })
	}
}

// removeSession takes off what a request says about a session: nothing of it is known to
// be true.
func (s *apiKeySource) removeSession(h http.Header) {
	if s.header == "" {
		return
	}
	for name := range h {
		if sameHeader(name, s.session) {
			delete(h, name)
		}
	}
	removeCookie(h, s.cookie)
}

// removeCookie takes all cookies off a request that could be taken for the one with this
// name.
func removeCookie(h http.Header, cookie string) {
	fields := h["Cookie"]
	var c collected
	for _, field := range fields {
		// With a value, so that an empty one counts.
		addCookies(&c, []string{cookie}, strings.ReplaceAll(field, ";", "=x;")+"=x")
	}
	if c.count == 0 {
		return
	}
	var kept []string
	for _, field := range fields {
		var pairs []string
		for pair := range strings.SplitSeq(field, ";") {
			var c collected
			addCookies(&c, []string{cookie}, pair+"=x")
			if pair = strings.TrimSpace(pair); c.count == 0 && pair != "" {
				pairs = append(pairs, pair)
			}
		}
		if len(pairs) > 0 {
			kept = append(kept, strings.Join(pairs, "; "))
		}
	}
	if len(kept) == 0 {
		delete(h, "Cookie")
		return
	}
	h["Cookie"] = kept
}
