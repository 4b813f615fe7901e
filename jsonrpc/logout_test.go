package jsonrpc

import (
	"errors"
	"fmt"
	"slices"
	"testing"

	"example.com/caddy-token-auth/dialect"
)

// logsOut checks that the message of the client is a logout.
func (c *connection) logsOut(message string) Decision {
	c.t.Helper()
	d := c.sends(message)
	if d.Action != Close || d.Code != 1000 || d.Reason != "logout" || d.Payload != nil || d.Refused != nil {
		c.t.Fatalf("%s\n%v %d %q: %s", message, d, d.Code, d.Reason, d.Payload)
	}
	if !c.LoggedOut() {
		c.t.Error("not known as logged out")
	}
	return d
}

func TestLogoutRevokesTheSessionsOfTheConnection(t *testing.T) {
	for _, params := range []string{"{}", "null", `{"invalidate_token":true}`, `{"invalidate_token":null}`} {
		c := connect(t, nil)
		c.authenticate("first", "connection")
		c.authenticate("second", "session:desk")
		c.authenticate("third", "connection")
		if d := c.logsOut(call42("private/logout", params)); d.Upstream != nil {
			t.Errorf("%s: forwarded", params)
		}
		if len(c.auth.logouts) != 1 {
			t.Fatalf("%s: %d logouts", params, len(c.auth.logouts))
		}
		got := c.auth.logouts[0]
		if !slices.Equal(got.Tokens, []Secret{"third"}) || !slices.Equal(got.Sessions, []string{"this connection", "desk"}) {
			t.Errorf("%s: %d tokens, sessions %q", params, len(got.Tokens), got.Sessions)
		}
	}
}

func TestLogoutWithATokenOfAnotherConnection(t *testing.T) {
	c := connect(t, nil)
	c.logsOut(call42("private/logout", `{"access_token":"live","invalidate_token":true}`))
	if got := c.auth.logouts[0]; !slices.Equal(got.Tokens, []Secret{"live"}) || len(got.Sessions) > 0 {
		t.Errorf("%d tokens, sessions %q", len(got.Tokens), got.Sessions)
	}

	c = connect(t, nil)
	c.authenticate("own", "connection")
	c.logsOut(`{"method":"private/logout","params":{"access_token":"live"}}`)
	if got := c.auth.logouts[0]; !slices.Equal(got.Tokens, []Secret{"live", "own"}) || len(got.Sessions) != 1 {
		t.Errorf("%d tokens, sessions %q", len(got.Tokens), got.Sessions)
	}
}

func TestLogoutThatKeepsTheTokens(t *testing.T) {
	c := connect(t, nil)
	c.authenticate("own", "connection")
	c.logsOut(call42("private/logout", `{"invalidate_token":false}`))
	if len(c.auth.logouts) > 0 {
		t.Error("tokens are revoked")
	}
}

func TestLogoutIsForwardedIfConfigured(t *testing.T) {
	c := connect(t, func(config *Config) { config.ForwardLogout = true })
	message := call42("private/logout", `{"access_token":"live"}`) + "\n"
	if d := c.logsOut(message); string(d.Upstream) != message {
		t.Errorf("forwarded %q", d.Upstream)
	}
	if d := c.receives(`{"id":41,"result":"ok"}`); d.Action != Drop || d.CallAnswered {
		t.Errorf("another answer: %v", d)
	}
	if d := c.receives(`{"id":42,"error":{"code":-32601}}`); d.Action != Drop || !d.CallAnswered {
		t.Errorf("the answer to a logout that is passed on: %v", d)
	}
}

func TestNothingPassesAfterALogout(t *testing.T) {
	c := connect(t, func(config *Config) {
		config.CancelOnDisconnect = true
		config.UnexpectedCloseCall = "private/cancel_all"
	})
	c.authenticate("own", "connection")
	c.logsOut(call42("private/logout", "{}"))
	for _, message := range []string{publicCall, withToken, "{", call42("private/logout", "{}")} {
		if d := c.sends(message); d.Action != Drop {
			t.Errorf("%s: %v", message, d)
		}
	}
	for _, message := range []string{`{"id":1,"result":1}`, granted(1, "new", ""), "x"} {
		if d := c.receives(message); d.Action != Drop || d.CallAnswered {
			t.Errorf("%s: %v", message, d)
		}
	}
	if call := c.UnexpectedClose(); call != nil {
		t.Errorf("orders are cancelled after a logout: %s", call)
	}
	if len(c.auth.logouts) != 1 {
		t.Errorf("%d logouts", len(c.auth.logouts))
	}
}

func TestLogoutThatCannotBeRecordedIsRefused(t *testing.T) {
	c := connect(t, nil)
	c.authenticate("own", "connection")
	c.auth.revokeErr = errStore
	c.isAnswered(call42("private/logout", "{}"), unavailable("42"))
	if c.LoggedOut() {
		t.Error("known as logged out")
	}
	c.passes(call42("private/buy", "{}"))
	c.auth.revokeErr = nil
	c.logsOut(`{"id":43,"method":"private/logout"}`)
}

func TestRefusalsOfTheAuthorizerHaveItsReason(t *testing.T) {
	c := connect(t, nil)
	c.auth.learnErr = fmt.Errorf("wrapped: %w", &RefusedError{Reason: dialect.AddressForbidden})
	c.passes(authCall(42))
	const forbidden = `{"jsonrpc":"2.0","id":42,"error":{"code":13021,"message":"forbidden"}}`
	if d := c.receives(granted(42, "new", "")); d.Action != Answer || string(d.Payload) != forbidden {
		t.Errorf("%v: %s", d, d.Payload)
	}
	c.auth.revokeErr = &RefusedError{Reason: dialect.RateLimited, Err: errStore}
	c.isAnswered(call42("private/logout", `{"access_token":"live"}`), `{"jsonrpc":"2.0","id":42,"error":{"code":10028,"message":"too_many_requests"}}`)
	if text := c.auth.revokeErr.Error(); text != "rate_limited: the store is down" || !errors.Is(c.auth.revokeErr, errStore) {
		t.Error(text)
	}
}

func TestRevocationByALogoutIsNoUnexpectedEnd(t *testing.T) {
	c := connect(t, func(config *Config) {
		config.CancelOnDisconnect = true
		config.UnexpectedCloseCall = "private/cancel_all"
	})
	c.authenticate("own", "connection")
	c.auth.during = nil
	check := call42("private/logout", "{}")
	// The first interruption is in Check, the second in Revoke.
	c.auth.during = func() {
		c.auth.during = func() {
			if call := c.UnexpectedClose(); call != nil || !c.LoggedOut() {
				t.Errorf("cut by its own logout: %s", call)
			}
		}
	}
	c.logsOut(check)
}

func TestTokensOfACallThatALogoutOvertakesReachNobody(t *testing.T) {
	for name, learnedFirst := range map[string]bool{"answer during the logout": false, "logout during the answer": true} {
		t.Run(name, func(t *testing.T) {
			c := connect(t, nil)
			c.passes(authCall(1))
			c.now = c.now.Add(DefaultAnswerTimeout) // the logout waits no longer
			logout := call42("private/logout", `{"access_token":"live"}`)
			var answer Decision
			if learnedFirst {
				c.auth.during = func() { c.logsOut(logout) }
				answer = c.receives(granted(1, "new", "connection"))
			} else {
				c.auth.during = func() { // Check
					c.auth.during = func() { // Revoke
						answer = c.receives(granted(1, "new", "connection"))
					}
				}
				c.logsOut(logout)
			}
			if answer.Action == Forward {
				t.Error("the client gets a token")
			}
			if answer.Action == Answer && string(answer.Payload) != unavailable("1") {
				t.Errorf("%s", answer.Payload)
			}
		})
	}
}

// What is known to be the connection's own ends by a logout, although the API does not
// answer the login after it.
func TestLogoutBehindALoginThatIsNeverAnswered(t *testing.T) {
	c := connect(t, nil)
	c.authenticate("live", "connection")
	c.passes(authCall(9))
	logout := call42("private/logout", "{}")
	c.now = c.waits(logout).Until
	c.isAnswered(privateCall, unavailable(`"p"`))
	c.logsOut(logout)
	if len(c.auth.logouts) != 1 || !slices.Equal(c.auth.logouts[0].Tokens, []Secret{"live"}) {
		t.Errorf("revoked %d times", len(c.auth.logouts))
	}
	if d := c.receives(granted(9, "late", "connection")); d.Action != Drop {
		t.Errorf("the answer after all: %v", d)
	}

	c = connect(t, nil)
	c.passes(authCall(9))
	c.now = c.waits(logout).Until
	c.isAnswered(logout, unavailable("42"))
}

func TestForwardedLogoutIsAnsweredInABatchOfOne(t *testing.T) {
	const answer = `{"id":42,"result":"ok"}`
	for _, tc := range []struct {
		batch    bool
		answer   string
		answered bool
	}{
		{false, answer, true},
		{false, "[" + answer + "]", false},
		{true, "[" + answer + "]", true},
		{true, answer, true},
		{true, `[` + answer + `,` + answer + `]`, false},
		{true, `[{"id":41,"result":"ok"}]`, false},
	} {
		c := connect(t, func(config *Config) { config.ForwardLogout = true })
		c.authenticate("live", "connection")
		logout := call42("private/logout", "{}")
		if tc.batch {
			logout = "[" + logout + "]"
		}
		if d := c.sends(logout); d.Action != Close || string(d.Upstream) != logout {
			t.Fatalf("%v", d)
		}
		if d := c.receives(tc.answer); d.Action != Drop || d.CallAnswered != tc.answered {
			t.Errorf("batch %v, %s: %v, answered %v", tc.batch, tc.answer, d, d.CallAnswered)
		}
	}
}
