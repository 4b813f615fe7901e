package jsonrpc

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"example.com/caddy-token-auth/dialect"
)

// Authorizer knows which tokens are good. Each connection has one of its own. The
// calls of one Session may overlap: one for each direction.
type Authorizer interface {
	// Check says whether a credential is live at present. It is called for every call
	// that needs one, before it is forwarded.
	//
	// A connection on which an access token was found live may go on to receive what
	// that token has opened, such as a subscription: it must be cut when the token is
	// revoked or expires.
	Check(ctx context.Context, credential Credential) Verdict
	// Asking is told of a call that asks for tokens, before it is forwarded. What Learned
	// is told next is the answer to it: there is one such call at a time.
	Asking(ctx context.Context)
	// Learned records tokens that the API has handed out on this connection. It is
	// called before the client gets them. After an error it does not get them, for the
	// reason of a RefusedError or because of dialect.Unavailable.
	//
	// session is the name of the session that the tokens are recorded as being of. It
	// comes back in Logout.
	Learned(ctx context.Context, grant Grant) (session string, err error)
	// Revoke revokes what a logout ends, durably. After an error the logout is refused,
	// for the same reason as by Learned, and the connection stays as it is, or, if the
	// upstream has carried out the logout, is closed. The connection itself must not be cut
	// by it: it is closed as documented.
	Revoke(ctx context.Context, logout Logout) error
}

// Credential is a token that a call depends on.
type Credential struct {
	Token Secret
	// Refresh says that it is a refresh token, which is exchanged for others.
	Refresh bool
	// Own says that the call does not carry it: the connection was authenticated with
	// it before.
	Own bool
}

// Verdict is the answer to whether a credential is live. The zero value refuses.
type Verdict struct {
	Live bool
	// Reason is why it is not.
	Reason dialect.Reason
}

// RefusedError is an error of an Authorizer that has a reason to tell the client.
type RefusedError struct {
	Reason dialect.Reason
	// Err says more, or is nil.
	Err error
}

// Error returns the reason and the error.
func (e *RefusedError) Error() string {
	if e.Err == nil {
		return e.Reason.String()
	}
	return e.Reason.String() + ": " + e.Err.Error()
}

// Unwrap returns Err.
func (e *RefusedError) Unwrap() error { return e.Err }

// refusalOf is the refusal for an error of the Authorizer.
func refusalOf(err error) refusal {
	if refused, ok := errors.AsType[*RefusedError](err); ok {
		return refuse(refused.Reason)
	}
	return refuse(dialect.Unavailable)
}

// Grant is what the API has answered to a call that asks for tokens.
type Grant struct {
	// Method is the call: public/auth, public/fork_token or public/exchange_token.
	Method string
	// Type is the grant_type that public/auth asked with.
	Type string
	// Used is the refresh token that the call carried, or "".
	Used Secret

	Access Secret
	// Refresh may be "".
	Refresh Secret
	// ExpiresIn is how long Access is valid, or 0 if the answer does not say so.
	ExpiresIn time.Duration
	// Scope is a list of words with spaces between them.
	Scope string
	// SID is the API's identifier of the session, or "".
	SID string
}

// SessionName returns the NAME of a scope session:NAME, whose tokens outlive the
// connection, or "".
func (g Grant) SessionName() string {
	for word := range strings.FieldsSeq(g.Scope) {
		if name, found := strings.CutPrefix(word, "session:"); found {
			return name
		}
	}
	return ""
}

// Format writes nothing of the tokens, whatever the verb.
func (g Grant) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, "grant of "+g.Method) }

// Logout is what private/logout revokes: every token of the session that the
// connection is part of.
type Logout struct {
	// Tokens are the access tokens that name the session: the one that the call
	// carries, if any, and the connection's own, if any.
	Tokens []Secret
	// Sessions are the sessions that were begun on this connection, as Learned has
	// named them, each of them once.
	Sessions []string
	// Forwarded says that the upstream has been told of it: it is to be recorded even if
	// the connection has been cut, or its client has gone, meanwhile.
	Forwarded bool
}
