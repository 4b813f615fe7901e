package jsonrpc

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

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
		c.logsOut(call42("private/logout", params))
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

// forwarding is a session that passes logouts on.
func forwarding(config *Config) { config.ForwardLogout = true }

// closes checks that the upstream's close finishes the logout that was passed on.
func (c *connection) closes() {
	c.t.Helper()
	d := c.FinishLogout(c.t.Context())
	if d.Action != Close || d.Code != CloseNormal || d.Reason != "logout" || d.Payload != nil || d.Refused != nil {
		c.t.Fatalf("%v %d %q: %s", d, d.Code, d.Reason, d.Payload)
	}
	if !c.LoggedOut() {
		c.t.Error("not known as logged out")
	}
}

func TestForwardedLogoutIsRecordedOnceTheUpstreamHasClosed(t *testing.T) {
	c := connect(t, forwarding)
	c.authenticate("own", "connection")
	c.passes(call42("private/logout", `{"access_token":"live"}`) + "\n")
	if due, ok := c.LogoutDue(); !ok || !due.Equal(c.now.Add(DefaultLogoutTimeout)) || len(c.auth.logouts) > 0 || !c.Awaits() {
		t.Errorf("due %v, %v; %d logouts", due, ok, len(c.auth.logouts))
	}
	c.reaches(`{"id":41,"result":"ok"}`)
	c.reaches(`{"method":"subscription","params":{}}`)
	wait := c.waits(publicCall)
	c.closes()
	<-wait.Settled
	if d := c.sends(publicCall); d.Action != Drop {
		t.Errorf("a call behind the logout: %v", d)
	}
	got := c.auth.logouts[0]
	if !got.Forwarded || !slices.Equal(got.Tokens, []Secret{"live", "own"}) || len(got.Sessions) != 1 || len(c.auth.logouts) != 1 {
		t.Errorf("%d tokens, sessions %q", len(got.Tokens), got.Sessions)
	}
	if d := c.FinishLogout(t.Context()); d.Action != Drop || len(c.auth.logouts) != 1 {
		t.Errorf("finished twice: %v", d)
	}
}

func TestLogoutThatTheUpstreamRefusesHasNotTakenPlace(t *testing.T) {
	for name, batch := range map[string]bool{"alone": false, "in a batch": true} {
		c := connect(t, forwarding)
		c.authenticate("own", "connection")
		logout, answer := call42("private/logout", "{}"), `{"jsonrpc":"2.0","id":42,"error":{"code":13009,"message":"unauthorized"}}`
		if batch {
			logout, answer = "["+logout+"]", "["+answer+"]"
		}
		c.passes(logout)
		wait := c.waits(call42("private/logout", "{}"))
		c.reaches(answer)
		<-wait.Settled
		if d := c.FinishLogout(t.Context()); d.Action != Drop || len(c.auth.logouts) > 0 || c.LoggedOut() {
			t.Errorf("%s: %v, %d logouts", name, d, len(c.auth.logouts))
		}
		if _, ok := c.LogoutDue(); ok {
			t.Errorf("%s: still under way", name)
		}
		c.passes(call42("private/buy", "{}")) // what has waited
		c.passes(`{"id":43,"method":"private/logout"}`)
		c.closes()
	}
}

func TestOtherAnswerToALogoutIsItsEnd(t *testing.T) {
	c := connect(t, forwarding)
	c.passes(call42("private/logout", `{"access_token":"live"}`))
	if d := c.receives(`{"id":42,"result":"ok"}`); d.Action != Close || d.Code != CloseNormal || !d.CallAnswered || len(c.auth.logouts) != 1 {
		t.Errorf("%v, %d logouts", d, len(c.auth.logouts))
	}
}

// An error that answers another call must not pass for the refusal of the logout: the API
// would carry it out, and nothing would be revoked.
func TestAnswersToOthersDoNotRefuseALogout(t *testing.T) {
	const failed = `,"error":{"code":10001}}`
	c := connect(t, forwarding)
	c.passes(call42("private/logout", `{"access_token":"live"}`))
	for _, answer := range []string{
		`{"id":41` + failed, `{"id":"42"` + failed, `{"id":null` + failed, `{"jsonrpc":"2.0"` + failed, `[{"id":42` + failed + `]`, `{"id":42` + failed + `{}`,
	} {
		c.reaches(answer)
	}
	c.closes()

	c = connect(t, forwarding)
	c.passes(call42("private/get_order", `{"access_token":"live"}`))
	logout := call42("private/logout", `{"access_token":"live"}`)
	c.now = c.waits(logout).Until
	c.passes(logout) // but no answer is taken for its own
	c.reaches(`{"id":42` + failed)
	c.closes()

	c = connect(t, forwarding)
	c.passes(`{"method":"private/logout","params":{"access_token":"live"}}`)
	c.reaches(`{"jsonrpc":"2.0"` + failed)
	c.closes()
}

func TestForwardedLogoutThatKeepsTheTokens(t *testing.T) {
	c := connect(t, forwarding)
	c.authenticate("own", "connection")
	c.passes(call42("private/logout", `{"invalidate_token":false}`))
	c.closes()
	if len(c.auth.logouts) > 0 {
		t.Error("tokens are revoked")
	}
}

func TestForwardedLogoutThatCannotBeRecordedIsNoNormalEnd(t *testing.T) {
	for logout, want := range map[string]string{
		call42("private/logout", `{"access_token":"live"}`):             unavailable("42"),
		"[" + call42("private/logout", `{"access_token":"live"}`) + "]": "[" + unavailable("42") + "]",
		`{"method":"private/logout","params":{"access_token":"live"}}`:  `{"jsonrpc":"2.0","error":{"code":13028,"message":"temporarily_unavailable"}}`,
	} {
		c := connect(t, forwarding)
		c.auth.revokeErr = errStore
		c.passes(logout)
		d := c.FinishLogout(t.Context())
		if d.Action != Close || d.Code != CloseFailed || string(d.Payload) != want || len(d.Refused) != 1 {
			t.Errorf("%v %d: %s", d, d.Code, d.Payload)
		}
		if d := c.sends(publicCall); d.Action != Drop {
			t.Errorf("afterwards: %v", d)
		}
	}
}

func TestWhoeverFinishesALogoutWaitsForTheRecord(t *testing.T) {
	c := connect(t, forwarding)
	c.passes(call42("private/logout", `{"access_token":"live"}`))
	recording, recorded, second := make(chan struct{}), make(chan struct{}), make(chan Decision)
	c.auth.during = func() { close(recording); <-recorded }
	first := make(chan Decision)
	go func() { first <- c.FinishLogout(t.Context()) }()
	<-recording
	if d := c.receives(`{"id":42,"error":{"code":1}}`); d.Action != Drop {
		t.Errorf("a refusal that comes too late: %v", d)
	}
	go func() { second <- c.FinishLogout(t.Context()) }()
	select {
	case <-second:
		t.Error("it returns before the record")
	case <-time.After(20 * time.Millisecond):
	}
	close(recorded)
	if a, b := <-first, <-second; a.Code != CloseNormal || b.Code != CloseNormal && b.Action != Drop || len(c.auth.logouts) != 1 {
		t.Errorf("%v and %v, %d logouts", a, b, len(c.auth.logouts))
	}
}

func TestClientThatVanishesAfterALogoutHasLoggedOut(t *testing.T) {
	c := connect(t, func(config *Config) {
		config.ForwardLogout, config.CancelOnDisconnect, config.UnexpectedCloseCall = true, true, "private/cancel_all"
	})
	c.authenticate("own", "connection")
	c.passes(call42("private/logout", "{}"))
	if call := c.UnexpectedClose(); call != nil {
		t.Errorf("orders are cancelled: %s", call)
	}
	if d := c.receives(publicCall); d.Action != Drop {
		t.Errorf("a message of the API: %v", d)
	}
	c.closes()
	if len(c.auth.logouts) != 1 {
		t.Errorf("%d logouts", len(c.auth.logouts))
	}

	// Unless the API has refused it.
	c = connect(t, forwarding)
	c.passes(call42("private/logout", `{"access_token":"live"}`))
	c.UnexpectedClose()
	if d := c.receives(`{"id":42,"error":{"code":13009}}`); d.Action != Drop || !d.CallAnswered {
		t.Errorf("%v", d)
	}
	if d := c.FinishLogout(t.Context()); d.Action != Drop || len(c.auth.logouts) > 0 {
		t.Errorf("%v, %d logouts", d, len(c.auth.logouts))
	}
}

func TestTokensThatComeWhileALogoutIsUnderWayReachNobody(t *testing.T) {
	c := connect(t, forwarding)
	c.passes(authCall(1))
	c.now = c.now.Add(DefaultAnswerTimeout) // the logout waits no longer
	c.passes(call42("private/logout", `{"access_token":"live"}`))
	if d := c.receives(granted(1, "new", "connection")); d.Action != Answer || string(d.Payload) != unavailable("1") {
		t.Errorf("%v: %s", d, d.Payload)
	}
	c.reaches(`{"id":42,"error":{"code":13009}}`)
	c.isAnswered(privateCall, unauthorized(`"p"`))
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
