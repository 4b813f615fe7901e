package jsonrpc

import (
	"testing"

	"example.com/caddy-token-auth/dialect"
)

func TestPrivateCallBehindAuthWaitsForItsAnswer(t *testing.T) {
	c := connect(t, nil)
	c.passes(authCall(1))
	d := c.waits(call42("private/buy", "{}"))
	if want := c.now.Add(DefaultAnswerTimeout); !d.Until.Equal(want) {
		t.Errorf("waits until %v, want %v", d.Until, want)
	}
	if len(c.auth.checked) > 0 || isClosed(d.Settled) {
		t.Error("decided before the answer came")
	}
	c.reaches(`{"jsonrpc":"2.0","id":2,"result":{"token":"not this"}}`)
	if isClosed(d.Settled) {
		t.Error("another answer settles it")
	}
	c.reaches(granted(1, "new", "connection"))
	if !isClosed(d.Settled) {
		t.Error("the answer does not settle it")
	}
	c.passes(call42("private/buy", "{}"))
}

func TestPrivateCallBehindAuthThatFailsIsRefused(t *testing.T) {
	for _, answer := range []string{
		`{"id":1,"error":{"code":13004,"message":"invalid_credentials"}}`,
		`{"id":1,"result":{"security_key_authorization_required":true}}`,
		`{"id":1,"result":{"access_token":["live"]}}`, `{"id":1,"result":{"access_token":""}}`,
		`{"id":1,"result":"live"}`, `{"id":1,"result":null}`,
	} {
		c := connect(t, nil)
		c.passes(authCall(1))
		d := c.waits(call42("private/buy", "{}"))
		c.reaches(answer)
		if !isClosed(d.Settled) || len(c.auth.grants) > 0 {
			t.Errorf("%s: settled %v, %d grants", answer, isClosed(d.Settled), len(c.auth.grants))
		}
		c.isAnswered(call42("private/buy", "{}"), unauthorized("42"))
	}
}

func TestPrivateCallDoesNotWaitForever(t *testing.T) {
	c := connect(t, nil)
	c.passes(authCall(1))
	d := c.waits(call42("private/buy", "{}"))
	c.now = d.Until
	c.isAnswered(call42("private/buy", "{}"), unavailable("42"))
	c.isAnswered(authCall(2), unavailable("2"))
	c.isAnswered(call42("private/logout", "{}"), unavailable("42"))
	// The answer may still come.
	c.reaches(granted(1, "new", "connection"))
	c.passes(call42("private/buy", "{}"))
}

func TestWhatDoesNotDependOnTheAnswerDoesNotWait(t *testing.T) {
	c := connect(t, nil)
	c.passes(authCall(1))
	c.passes(call42("public/test", "{}"))
	c.passes(`{"id":2,"method":"private/buy","params":{"access_token":"live"}}`)
	c.isAnswered(`{"id":3,"method":"private/buy","params":{"access_token":"unknown"}}`, unauthorized("3"))
}

func TestCallsForTokensFollowOneAnother(t *testing.T) {
	c := connect(t, nil)
	c.passes(authCall(1))
	fork := `{"id":2,"method":"public/fork_token","params":{"refresh_token":"refresh"}}`
	d := c.waits(fork)
	c.waits(authCall(3))
	c.waits(call42("private/logout", `{"access_token":"live"}`))
	c.reaches(granted(1, "new", "connection"))
	if !isClosed(d.Settled) {
		t.Error("not settled")
	}
	c.passes(fork)
	c.waits(authCall(3))
	c.reaches(granted(2, "forked", "session:x"))
	c.passes(authCall(3))
}

func TestCredentialIsLookedUpOnlyWhenTheCallGoesOn(t *testing.T) {
	c := connect(t, nil)
	c.authenticate("old", "connection")
	c.passes(authCall(1))
	c.waits(call42("private/buy", "{}")) // as the old client or as the new one?
	c.reaches(granted(1, "new", "connection"))
	c.auth.set("new", dialect.RevokedCredential)
	c.isAnswered(call42("private/buy", "{}"), unauthorized("42"))
}

func TestEndOfTheConnectionWakesWhatWaits(t *testing.T) {
	c := connect(t, nil)
	c.passes(authCall(1))
	d := c.waits(call42("private/buy", "{}"))
	c.UnexpectedClose()
	if !isClosed(d.Settled) {
		t.Error("still waits")
	}
	if d := c.sends(call42("private/buy", "{}")); d.Action != Drop {
		t.Errorf("then: %v", d)
	}
}

func TestTokenReachesNobodyBeforeItIsRecorded(t *testing.T) {
	c := connect(t, nil)
	c.passes(authCall(1))
	c.auth.during = func() {
		c.waits(call42("private/buy", "{}"))
		c.isAnswered(call42("private/buy", `{"access_token":"new"}`), unauthorized("42"))
	}
	c.reaches(granted(1, "new", "connection"))
	c.passes(call42("private/buy", "{}"))
}

func TestAnswerToAClientThatHasGoneIsDropped(t *testing.T) {
	c := connect(t, nil)
	c.passes(authCall(1))
	c.auth.during = func() { c.UnexpectedClose() }
	if d := c.receives(granted(1, "new", "connection")); d.Action != Drop {
		t.Errorf("%v: %s", d, d.Payload)
	}
}
