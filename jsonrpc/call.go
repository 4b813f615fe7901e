package jsonrpc

import (
	"time"

	"example.com/caddy-token-auth/dialect"
)

// maxClient is how long a client_id may be to be remembered.
const maxClient = 256

// call is a message of the client, and what it says that a session acts on.
type call struct {
	message *Message
	method  string
	key     idKey // if the message has an id
	role    role
	public  bool
	refusal refusal

	access     Secret // the token that it carries, or ""
	refresh    Secret // of a call that asks for tokens
	grantType  string
	client     string // the client_id of one of them
	invalidate bool   // of a logout
	scope      cancelScope
	interval   time.Duration
}

// newCall reads what can be said of a message without knowing the session.
func newCall(m *Message) call {
	c := call{message: m, method: m.Method, role: roles[m.Method], public: isPublic(m.Method)}
	if m.identified() {
		c.key = keyOf(m.ID)
	}
	switch {
	case m.Kind == Response:
		c.refusal = invalidCall // the API calls nobody: there is nothing to answer
	case !knownForm(m.Method):
		c.refusal = refuse(dialect.MethodNotAllowed)
	case c.role.needsNames() && m.Positional():
		c.refusal = refuse(dialect.InvalidRequest)
	case c.role.mustBeObserved() && !m.identified():
		c.refusal = invalidCall
	case c.role.asksForTokens() && !comesBack(m.ID):
		c.refusal = invalidCall
	default:
		c.readParams()
	}
	return c
}

// readParams reads the parameters that count for the method. A token of a type that no
// token has is refused as one that is not genuine.
func (c *call) readParams() {
	if !c.public {
		if value, present := c.message.Param("access_token"); present && value.Kind() != 'n' {
			token, _ := stringOf(value)
			if c.access = Secret(token); token == "" {
				c.refusal = refuse(dialect.InvalidCredential)
				return
			}
		}
	}
	switch {
	case c.role.asksForTokens():
		token, ok := c.message.stringParam("refresh_token")
		c.refresh = Secret(token)
		c.grantType, _ = c.message.stringParam("grant_type")
		if client, _ := c.message.stringParam("client_id"); len(client) <= maxClient {
			c.client = client
		}
		if !ok {
			c.refusal = refuse(dialect.InvalidCredential)
			c.refusal.grant = true
		}
	case c.role == logsOut:
		c.invalidate = true
		if value, present := c.message.Param("invalidate_token"); present {
			switch value.Kind() {
			case 'f':
				c.invalidate = false
			case 't', 'n':
			default:
				c.refusal = refuse(dialect.InvalidRequest)
			}
		}
	case c.role == setsHeartbeat:
		value, _ := c.message.Param("interval")
		c.interval = intervalOf(value)
	case c.role.switchesCancel():
		scope, _ := c.message.stringParam("scope")
		c.scope = scopeOf(scope)
	}
}

// needsOwn reports whether the call depends on what the connection was authenticated
// with.
func (c *call) needsOwn() bool { return !c.public && c.access == "" }
