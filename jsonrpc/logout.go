package jsonrpc

import (
	"context"
	"slices"
)

// logoutReason is the text of the close frame after a logout.
const logoutReason = "logout"

// logOut carries out a logout whose credential is live. There is no answer to it: once
// the tokens are revoked, the connection is closed.
func (s *Session) logOut(ctx context.Context, c *call, message []byte, batch bool) Decision {
	s.mu.Lock()
	if s.ended {
		s.mu.Unlock()
		return Decision{Action: Drop}
	}
	// From here on no end of the connection is unexpected: the revocation itself may
	// lead to one.
	s.loggingOut = true
	ending := Logout{Sessions: slices.Clone(s.sessions)}
	for _, token := range []Secret{c.access, s.own} {
		if token != "" && !slices.Contains(ending.Tokens, token) {
			ending.Tokens = append(ending.Tokens, token)
		}
	}
	s.mu.Unlock()

	var err error
	if c.invalidate {
		err = s.config.Authorizer.Revoke(ctx, ending)
	}

	s.mu.Lock()
	s.loggingOut = false
	if err == nil {
		s.loggedOut = true
		if s.config.ForwardLogout && c.message.identified() {
			s.closeCall, s.closeBatch = &c.key, batch
		}
		s.release()
	}
	s.mu.Unlock()
	if err != nil {
		c.refusal = refusalOf(err)
		return s.refuseAll([]call{*c}, batch)
	}
	d := Decision{Action: Close, Code: CloseNormal, Reason: logoutReason}
	if s.config.ForwardLogout {
		d.Upstream = message
	}
	return d
}
