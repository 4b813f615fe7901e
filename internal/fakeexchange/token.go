package fakeexchange

import (
	"crypto/rand"
	"fmt"
	"strings"
	"time"
)

// session is what tokens are created in: that of a connection, or a named one.
type session struct {
	name  string // "" for that of a connection
	ended bool   // its tokens do not work any more
}

// sessionKey names a session of an account.
type sessionKey struct {
	account int64
	name    string
}

// token is an access or a refresh token.
type token struct {
	account *account
	session *session
	scope   string
	refresh bool
	expires time.Time // zero: never
}

// grant is the result of the calls that hand out tokens.
type grant struct {
	Access    string `json:"access_token"`
	ExpiresIn int64  `json:"expires_in"`
	Refresh   string `json:"refresh_token"`
	Scope     string `json:"scope"`
	Session   string `json:"sid,omitempty"`
	State     string `json:"state,omitempty"`
	Type      string `json:"token_type"`
}

// issue hands out tokens of an account. scope is what was asked for. x.mu is held.
func (x *Exchange) issue(c *call, a *account, scope string) (any, *rpcError) {
	if len(x.tokens) >= maxTokens || len(x.sessions) >= maxSessions {
		return nil, errTooMany
	}
	s, granted := x.sessionOf(c, a, scope)
	now := x.options.Now()
	access := &token{account: a, session: s, scope: granted, expires: now.Add(x.options.TokenLifetime)}
	g := grant{
		Access: x.newToken(access), Refresh: x.newToken(&token{account: a, session: s, scope: granted, refresh: true}),
		ExpiresIn: int64(x.options.TokenLifetime / time.Second), Scope: granted, Session: s.name, State: c.text("state"), Type: "bearer",
	}
	if c.connection != nil {
		c.connection.own = access
	}
	return g, nil
}

// sessionOf returns the session that a scope names, and the scope that is granted.
func (x *Exchange) sessionOf(c *call, a *account, scope string) (*session, string) {
	for word := range strings.FieldsSeq(scope) {
		if name, ok := strings.CutPrefix(word, "session:"); ok && name != "" {
			key := sessionKey{a.number, name}
			s := x.sessions[key]
			if s == nil || s.ended {
				s = &session{name: name}
				x.sessions[key] = s
			}
			return s, "session:" + name + " mainaccount"
		}
	}
	if c.connection == nil {
		return new(session), "mainaccount"
	}
	return c.connection.session, "connection mainaccount"
}

// newToken keeps a token and returns its value. x.mu is held.
func (x *Exchange) newToken(t *token) string {
	value := fmt.Sprintf("%d.%s.%s", x.options.Now().UnixMilli(), rand.Text()[:8], rand.Text()+rand.Text())
	x.tokens[value] = t
	return value
}

// live returns the token of this value and kind if it works, or nil. x.mu is held.
func (x *Exchange) live(value string, refresh bool) *token {
	t := x.tokens[value]
	if t == nil || t.refresh != refresh || !x.works(t) {
		return nil
	}
	return t
}

func (x *Exchange) works(t *token) bool {
	return !t.session.ended && (t.expires.IsZero() || x.options.Now().Before(t.expires))
}

// presented returns the access token that a call is made with: its own, or that of the
// connection. x.mu is held.
func (x *Exchange) presented(c *call) *token {
	switch value := c.text("access_token"); {
	case value != "":
		return x.live(value, false)
	case c.bearer != "":
		return x.live(c.bearer, false)
	case c.connection != nil && c.connection.own != nil && x.works(c.connection.own):
		return c.connection.own
	}
	return nil
}

// caller returns the account that a call may act for, or nil. x.mu is held.
func (x *Exchange) caller(c *call) *account {
	if t := x.presented(c); t != nil {
		return t.account
	}
	return c.signer
}
