package jsonrpc

import (
	"crypto/rand"

	"github.com/go-json-experiment/json/jsontext"
)

// cancelScope is what a setting is for.
type cancelScope uint8

const (
	scopeOther cancelScope = iota // none of ours
	scopeConnection
	scopeAccount
)

// scopeOf reads a scope. The API's default is the connection.
func scopeOf(name string) cancelScope {
	switch name {
	case "connection", "":
		return scopeConnection
	case "account":
		return scopeAccount
	default:
		return scopeOther
	}
}

// setting is what is known of a switch.
type setting uint8

const (
	unknown setting = iota
	off
	on
)

func settingOf(enabled bool) setting {
	if enabled {
		return on
	}
	return off
}

// cancelOnDisconnect is what is known of the switch that makes the API cancel orders
// when a connection is lost.
type cancelOnDisconnect struct {
	connection, account setting
	// by is the access token that the call carried which has last told of the settings;
	// "" if that was the connection's own. They are those of its account alone.
	by Secret
	// presented is the access token of the last call that carried one.
	presented Secret
	// logins counts how often the account has changed that the connection has been authenticated as.
	logins uint64
}

// told notes what the answer to a call says about a scope of the account that it was made
// for. That another account has a setting when it is asked for takes nothing from what is
// known of the first.
func (c *cancelOnDisconnect) told(o *openCall, scope cancelScope, enabled bool) {
	if o.access == "" && o.logins != c.logins {
		return
	}
	if o.access != c.by && scope != scopeOther {
		if o.role == readsCancel && (c.connection != unknown || c.account != unknown) {
			return
		}
		c.connection, c.account, c.by = unknown, unknown, o.access
	}
	switch scope {
	case scopeConnection:
		c.connection = settingOf(enabled)
	case scopeAccount:
		c.account = settingOf(enabled)
	case scopeOther:
	}
}

// becomeAnother notes that the connection is authenticated as somebody else.
func (c *cancelOnDisconnect) becomeAnother() {
	if c.logins++; c.by == "" {
		c.connection, c.account = unknown, unknown
	}
}

// enabled reports whether orders are cancelled: what was said of the connection counts
// before what was said of the account, and that before the default.
func (c *cancelOnDisconnect) enabled(byDefault bool) bool {
	for _, s := range []setting{c.connection, c.account} {
		if s != unknown {
			return s == on
		}
	}
	return byDefault
}

// CancelOnDisconnect reports whether the API is to cancel orders if the connection is
// lost, as far as its answers have told.
func (s *Session) CancelOnDisconnect() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.cancel.enabled(s.config.CancelOnDisconnect)
}

// UnexpectedClose says that the connection ends without a logout: the client has
// vanished or closed it, was idle, failed its heartbeat, or is cut off. From then on
// nothing of either side is forwarded.
//
// It returns the call to be sent to the upstream before the end, or nil if there is
// none: no call is configured, orders are not to be cancelled, nobody has shown a
// credential, or a logout is under way or done. FromServer tells when it is answered.
// Only the first call of UnexpectedClose returns one.
func (s *Session) UnexpectedClose() (call []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended {
		return nil
	}
	s.ended = true
	s.release()
	if s.loggedOut || s.loggingOut || s.config.UnexpectedCloseCall == "" || !s.cancel.enabled(s.config.CancelOnDisconnect) {
		return nil
	}
	token := s.cancel.by
	switch {
	case token != "":
	case s.own == "":
		if token = s.cancel.presented; token == "" {
			return nil
		}
	case s.auth != nil && s.auth.role == authenticates:
		token = s.own // the upstream may take the connection for somebody else's by now
	}
	params := "{}"
	if token != "" {
		params = `{"access_token":` + quote(string(token)) + `}`
	}
	id := quote(rand.Text()) // none that the client could have chosen
	key := keyOf(jsontext.Value(id))
	s.closeCall = &key
	return []byte(`{"jsonrpc":"2.0","id":` + id + `,"method":` + quote(s.config.UnexpectedCloseCall) + `,"params":` + params + `}`)
}

// quote returns a JSON string. text is valid UTF-8: it was one, or is ASCII.
func quote(text string) string {
	quoted, _ := jsontext.AppendQuote(nil, text)
	return string(quoted)
}
