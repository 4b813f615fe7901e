package jsonrpc

import "cmp"

// login is what tells whether the connection's next public/auth is by the same client.
type login struct {
	client  string // the client_id of the last one that had one, or ""
	refresh Secret // the refresh token of the last answer, or ""
}

// continues reports whether a call is by the client that l is of, as far as that is sure.
func (l login) continues(asked *openCall) bool {
	if asked.grantType == "refresh_token" {
		return asked.refresh != "" && asked.refresh == l.refresh
	}
	return asked.client != "" && asked.client == l.client
}

// authenticated notes that for the upstream, the connection is a grant's from now on. If
// that is not recorded, nothing may be called as this grant or as the one before. s.mu is
// held.
func (s *Session) authenticated(asked *openCall, grant Grant, recorded bool) {
	if !recorded {
		s.own, s.login = "", login{}
		s.cancel.becomeAnother()
		return
	}
	next := login{client: asked.client, refresh: grant.Refresh}
	before := s.login
	if !before.continues(asked) {
		s.cancel.becomeAnother()
		before = login{}
	}
	if asked.grantType == "refresh_token" {
		next.client = before.client
		next.refresh = cmp.Or(next.refresh, before.refresh)
	}
	s.own, s.login = grant.Access, next
}
