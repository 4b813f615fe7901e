package jsonrpc

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"example.com/caddy-token-auth/dialect"
)

// fakeAuthorizer knows tokens by their text.
type fakeAuthorizer struct {
	mu        sync.Mutex
	live      map[Secret]bool           // every token, or only these
	reasons   map[Secret]dialect.Reason // of those that are not live
	learnErr  error
	revokeErr error
	session   func(Grant) string

	checked []Credential
	grants  []Grant
	logouts []Logout
	asking  int
	// during is called in the middle of Check, Learned and Revoke.
	during func()
}

var errStore = errors.New("the store is down")

func (a *fakeAuthorizer) Check(_ context.Context, c Credential) Verdict {
	a.mu.Lock()
	a.checked = append(a.checked, c)
	verdict := Verdict{Live: a.live[c.Token], Reason: dialect.InvalidCredential}
	if reason, ok := a.reasons[c.Token]; ok {
		verdict = Verdict{Reason: reason}
	}
	a.mu.Unlock()
	a.interrupt()
	return verdict
}

func (a *fakeAuthorizer) Asking(context.Context) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.asking++
}

func (a *fakeAuthorizer) Learned(_ context.Context, g Grant) (string, error) {
	a.interrupt()
	a.mu.Lock()
	defer a.mu.Unlock()
	a.grants = append(a.grants, g)
	if a.learnErr != nil {
		return "", a.learnErr
	}
	a.live[g.Access] = true
	if g.Refresh != "" {
		a.live[g.Refresh] = true
	}
	if a.session != nil {
		return a.session(g), nil
	}
	if name := g.SessionName(); name != "" {
		return name, nil
	}
	return "this connection", nil
}

func (a *fakeAuthorizer) Revoke(_ context.Context, l Logout) error {
	a.interrupt()
	a.mu.Lock()
	defer a.mu.Unlock()
	a.logouts = append(a.logouts, l)
	for _, token := range l.Tokens {
		if a.revokeErr == nil {
			a.reasons[token] = dialect.RevokedCredential
		}
	}
	return a.revokeErr
}

func (a *fakeAuthorizer) interrupt() {
	if f := a.during; f != nil {
		a.during = nil
		f()
	}
}

func (a *fakeAuthorizer) set(token Secret, reason dialect.Reason) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.reasons[token] = reason
}

// connection is a session under test, and what it depends on.
type connection struct {
	*Session
	t    *testing.T
	auth *fakeAuthorizer
	now  time.Time
}

func connect(t *testing.T, change func(*Config)) *connection {
	t.Helper()
	d, err := dialect.Named("deribit")
	if err != nil {
		t.Fatal(err)
	}
	c := &connection{
		t:    t,
		auth: &fakeAuthorizer{live: map[Secret]bool{"live": true, "other": true, "refresh": true}, reasons: make(map[Secret]dialect.Reason)},
		now:  time.Date(2025, 1, 15, 12, 0, 0, 0, time.UTC),
	}
	config := Config{Authorizer: c.auth, Dialect: d, Now: func() time.Time { return c.now }}
	if change != nil {
		change(&config)
	}
	if c.Session, err = NewSession(config); err != nil {
		t.Fatal(err)
	}
	return c
}

// sends shows a message of the client.
func (c *connection) sends(message string) Decision {
	return c.FromClient(c.t.Context(), []byte(message))
}

// receives shows a message of the upstream.
func (c *connection) receives(message string) Decision {
	return c.FromServer(c.t.Context(), []byte(message))
}

// passes checks that the message of the client is forwarded.
func (c *connection) passes(message string) {
	c.t.Helper()
	if d := c.sends(message); d.Action != Forward || d.Payload != nil || d.Refused != nil {
		c.t.Fatalf("%s\n%v: %s", message, d, d.Payload)
	}
}

// isAnswered checks that the message of the client is answered like this.
func (c *connection) isAnswered(message, want string) {
	c.t.Helper()
	d := c.sends(message)
	if d.Action != Answer || string(d.Payload) != want || len(d.Refused) == 0 {
		c.t.Fatalf("%s\n%v: %s\nwant %s", message, d, d.Payload, want)
	}
}

// waits checks that the message of the client must wait.
func (c *connection) waits(message string) Decision {
	c.t.Helper()
	d := c.sends(message)
	if d.Action != Wait || d.Settled == nil || !d.Until.After(c.now) {
		c.t.Fatalf("%s\n%v: %s", message, d, d.Payload)
	}
	return d
}

// reaches checks that the message of the upstream reaches the client.
func (c *connection) reaches(message string) {
	c.t.Helper()
	if d := c.receives(message); d.Action != Forward || d.Payload != nil {
		c.t.Fatalf("%s\n%v: %s", message, d, d.Payload)
	}
}

// authenticate authenticates the connection with this access token.
func (c *connection) authenticate(token, scope string) {
	c.t.Helper()
	c.passes(authCall(9929))
	c.reaches(granted(9929, token, scope))
}

func authCall(id int) string {
	return fmt.Sprintf(`{"jsonrpc":"2.0","id":%d,"method":"public/auth","params":{"grant_type":"client_credentials","client_id":"a","client_secret":"b"}}`, id)
}

func granted(id int, token, scope string) string {
	return fmt.Sprintf(`{"jsonrpc":"2.0","id":%d,"result":{"access_token":%q,"expires_in":31536000,"refresh_token":%q,"scope":%q,"token_type":"bearer"},"usIn":1,"testnet":false}`,
		id, token, token+"-refresh", scope)
}

func unauthorized(id string) string {
	return `{"jsonrpc":"2.0","id":` + id + `,"error":{"code":13009,"message":"unauthorized","data":{"reason":"invalid_token"}}}`
}

func unavailable(id string) string {
	return `{"jsonrpc":"2.0","id":` + id + `,"error":{"code":13028,"message":"temporarily_unavailable"}}`
}

func invalid(id string) string {
	return `{"jsonrpc":"2.0","id":` + id + `,"error":{"code":-32600,"message":"Invalid Request"}}`
}

func call42(method, params string) string {
	return `{"jsonrpc":"2.0","id":42,"method":"` + method + `","params":` + params + `}`
}

func isClosed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}
