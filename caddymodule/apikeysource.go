package caddymodule

import (
	"net/http"

	"example.com/caddy-token-auth/request"
	"example.com/caddy-token-auth/token"
)

// apiKeySource finds the API key of a request and what it names as the key's session. Its
// zero value finds nothing.
type apiKeySource struct {
	header  request.Name // canonical; the zero Name: no API keys
	session request.Name // header field of the session, canonical
	cookie  request.Name // cookie of the session
}

func (s *apiKeySource) none() bool { return s.header == request.Name{} }

// find returns the API key, or the zero credential. Two different keys, or two different
// sessions, are token.ErrConflict. A session without a key is nobody's and is ignored.
func (s *apiKeySource) find(r *http.Request) (credential, error) {
	if s.none() {
		return credential{}, nil
	}
	var keys, sessions collected
	keys.addHeaders([]request.Name{s.header}, r.Header)
	sessions.addHeaders([]request.Name{s.session}, r.Header)
	sessions.addCookies([]request.Name{s.cookie}, r.Header)
	if keys.ambiguous() || keys.raw != "" && sessions.ambiguous() {
		return credential{}, token.ErrConflict
	}
	return credential{kind: kindAPIKey, text: keys.raw, session: sessions.raw}, nil
}

// remove takes the API key and its session off a request, but for the cookie.
func (s *apiKeySource) remove(r *http.Request) {
	if !s.none() {
		removeHeaders(r.Header, []request.Name{s.header, s.session})
	}
}

// removeSession takes off what a request says about a session: nothing of it is known to
// be true.
func (s *apiKeySource) removeSession(h http.Header) {
	if !s.none() {
		removeHeaders(h, []request.Name{s.session})
		removeCookies(h, []request.Name{s.cookie})
	}
}
