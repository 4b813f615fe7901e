package jsonrpc

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
	"time"

	"example.com/caddy-token-auth/dialect"
)

const (
	// DefaultMaxMessage is the default of Config.MaxMessage. The largest calls, mass
	// quotes, have some ten thousand bytes.
	DefaultMaxMessage = 64 << 10
	// DefaultAnswerTimeout is the default of Config.AnswerTimeout.
	DefaultAnswerTimeout = 10 * time.Second
	// DefaultLogoutTimeout is the default of Config.LogoutTimeout.
	DefaultLogoutTimeout = 5 * time.Second

	// MaxSessions is how many sessions may be begun on one connection. Deribit has 16
	// for one API key.
	MaxSessions = 64
)

// Config is how a Session behaves.
type Config struct {
	// Authorizer knows the tokens. Required.
	Authorizer Authorizer
	// Dialect has the answers to calls that are refused. Required.
	Dialect dialect.Dialect
	// Now is the clock; time.Now if nil.
	Now func() time.Time
	// MaxMessage is how many bytes a message of the client may have.
	MaxMessage int
	// AnswerTimeout is how long calls wait for the answer to an earlier one that
	// decides about them, such as public/auth.
	AnswerTimeout time.Duration
	// ForwardLogout passes private/logout on to the upstream first. It is recorded once the
	// upstream has closed the connection, and not at all if that answers with an error.
	ForwardLogout bool
	// LogoutTimeout is how long the upstream has to do either. Then it is taken to have
	// carried it out.
	LogoutTimeout time.Duration
	// CancelOnDisconnect is whether orders are cancelled when a connection is lost of
	// which nothing else is known: the default of the accounts.
	CancelOnDisconnect bool
	// UnexpectedCloseCall is the method that UnexpectedClose calls, for an upstream
	// that does not cancel orders by itself; "" for one that does.
	UnexpectedCloseCall string
}

// Session follows one connection. FromClient must not be called concurrently with
// itself, nor FromServer with itself; beyond that, all methods are safe for concurrent
// use.
type Session struct {
	config Config

	mu       sync.Mutex // guards all below; not held while the Authorizer is asked
	open     map[idKey]*openCall
	auth     *openCall // the one among them that asks for tokens, or nil
	own      Secret    // the access token of the connection itself, or ""
	login    login     // how it got it
	sessions []string
	cancel   cancelOnDisconnect
	beat     heartbeat
	// loggingOut says that a logout is under way or being recorded, loggedOut that it has been.
	loggingOut, loggedOut bool
	// forwarded is a logout that was passed on, until it is known what becomes of it.
	forwarded *forwardedLogout
	// ended says that the connection ends in another way.
	ended bool
	// closeCall is the id of the last call to the upstream before the end, or nil.
	closeCall *idKey
}

// NewSession returns the session of a connection that has just been opened.
func NewSession(config Config) (*Session, error) {
	if config.Authorizer == nil || config.Dialect == nil {
		return nil, errors.New("JSON-RPC session: an authorizer and a dialect are required")
	}
	if method := config.UnexpectedCloseCall; method != "" && !knownForm(method) {
		return nil, fmt.Errorf("JSON-RPC session: %q cannot be called", method)
	}
	if config.MaxMessage < 0 || config.AnswerTimeout < 0 || config.LogoutTimeout < 0 {
		return nil, errors.New("JSON-RPC session: a limit is negative")
	}
	if config.Now == nil {
		config.Now = time.Now
	}
	if config.MaxMessage == 0 {
		config.MaxMessage = DefaultMaxMessage
	}
	if config.AnswerTimeout == 0 {
		config.AnswerTimeout = DefaultAnswerTimeout
	}
	if config.LogoutTimeout == 0 {
		config.LogoutTimeout = DefaultLogoutTimeout
	}
	return &Session{config: config, open: make(map[idKey]*openCall)}, nil
}

// TooLarge is the decision on a message of the client that exceeds MaxMessage, for a
// caller that has not read it to its end.
func (s *Session) TooLarge() Decision {
	r := refuse(dialect.RequestTooLarge)
	return Decision{
		Action: Close, Code: CloseTooLarge, Reason: "message too large",
		Payload: s.answer(r, nil), Refused: []dialect.Reason{r.reason},
	}
}

// LoggedOut reports whether the client has left by a logout, or is about to: the upstream
// is to see a normal close.
func (s *Session) LoggedOut() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.loggingOut || s.loggedOut
}

// finished reports whether nothing is forwarded any more.
func (s *Session) finished() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.loggedOut || s.ended
}

// release lets what waits for an answer look again. s.mu is held.
func (s *Session) release() {
	for _, c := range s.open {
		c.settle()
	}
}

// joined notes the name of a session, and reports whether there was room for it. s.mu
// is held.
func (s *Session) joined(name string) bool {
	if slices.Contains(s.sessions, name) {
		return true
	}
	if len(s.sessions) == MaxSessions {
		return false
	}
	s.sessions = append(s.sessions, name)
	return true
}

// Format writes nothing of the session's tokens, whatever the verb.
func (s *Session) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, "JSON-RPC session") }
