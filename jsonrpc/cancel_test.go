package jsonrpc

import (
	"regexp"
	"strings"
	"testing"
)

func cancelling(config *Config) { config.UnexpectedCloseCall = "private/cancel_all" }

func cancelCall(id int, verb, scope string) string {
	params := "{}"
	if scope != "" {
		params = `{"scope":"` + scope + `"}`
	}
	return `{"jsonrpc":"2.0","id":` + string(rune('0'+id)) + `,"method":"private/` + verb + `_cancel_on_disconnect","params":` + params + `}`
}

func TestCancelOnDisconnectFollowsTheAnswers(t *testing.T) {
	const ok, failed = `{"id":1,"result":"ok"}`, `{"id":1,"error":{"code":13009}}`
	type step struct{ verb, scope, answer string }
	for _, tc := range []struct {
		name      string
		byDefault bool
		steps     []step
		want      bool
	}{
		{"default off", false, nil, false},
		{"default on", true, nil, true},
		{"enabled", false, []step{{"enable", "", ok}}, true},
		{"enabled for the connection", false, []step{{"enable", "connection", ok}}, true},
		{"enabled for the account", false, []step{{"enable", "account", ok}}, true},
		{"enabling fails", false, []step{{"enable", "", failed}}, false},
		{"enabling has another answer", false, []step{{"enable", "", `{"id":1,"result":"no"}`}}, false},
		{"enabling for something else", false, []step{{"enable", "x", ok}}, false},
		{"disabled", true, []step{{"disable", "", ok}}, false},
		{"disabled for the account", true, []step{{"disable", "account", ok}}, false},
		{"disabling fails", true, []step{{"disable", "", failed}}, true},
		{"enabled and disabled", false, []step{{"enable", "", ok}, {"disable", "", ok}}, false},
		{"the connection outweighs the account", false, []step{{"disable", "connection", ok}, {"enable", "account", ok}}, false},
		{"and the other way round", false, []step{{"enable", "connection", ok}, {"disable", "account", ok}}, true},
		{"read for the account", false, []step{{"get", "account", `{"id":1,"result":{"scope":"account","enabled":true}}`}}, true},
		{"read for the connection", true, []step{{"get", "", `{"id":1,"result":{"scope":"connection","enabled":false}}`}}, false},
		{"read without a scope", true, []step{{"get", "account", `{"id":1,"result":{"enabled":false}}`}}, false},
		{"read nonsense", false, []step{{"get", "account", `{"id":1,"result":{"scope":"account","enabled":"true"}}`}}, false},
		{"reading fails", true, []step{{"get", "account", failed}}, true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c := connect(t, func(config *Config) { config.CancelOnDisconnect = tc.byDefault })
			c.authenticate("own", "connection")
			for _, s := range tc.steps {
				before := c.CancelOnDisconnect()
				c.passes(cancelCall(1, s.verb, s.scope))
				if c.CancelOnDisconnect() != before {
					t.Error("changes before the answer")
				}
				c.reaches(s.answer)
			}
			if got := c.CancelOnDisconnect(); got != tc.want {
				t.Errorf("enabled %v", got)
			}
		})
	}
}

func TestCallsThatSwitchItMustBeObserved(t *testing.T) {
	c := connect(t, nil)
	c.authenticate("own", "connection")
	c.isAnswered(`{"method":"private/enable_cancel_on_disconnect"}`, invalid("null"))
	c.isAnswered(`{"id":null,"method":"private/disable_cancel_on_disconnect"}`, invalid("null"))
	c.isAnswered(`{"id":1,"method":"private/enable_cancel_on_disconnect","params":["account"]}`,
		`{"jsonrpc":"2.0","id":1,"error":{"code":-32602,"message":"Invalid params"}}`)
}

func TestUnexpectedCloseCancelsOrders(t *testing.T) {
	c := connect(t, cancelling)
	c.authenticate("own", "connection")
	c.passes(cancelCall(1, "enable", ""))
	c.reaches(`{"id":1,"result":"ok"}`)
	c.passes(privateCall)
	call := string(c.UnexpectedClose())
	match := regexp.MustCompile(`\A\{"jsonrpc":"2\.0","id":("[A-Z2-7]{26}"),"method":"private/cancel_all","params":\{\}\}\z`).FindStringSubmatch(call)
	if match == nil {
		t.Fatalf("call %s", call)
	}
	if again := c.UnexpectedClose(); again != nil {
		t.Errorf("called twice: %s", again)
	}
	if d := c.sends(publicCall); d.Action != Drop {
		t.Errorf("the client's message: %v", d)
	}
	for _, message := range []string{
		`{"id":"p","result":{}}`, `{"id":null,"error":{"code":1}}`, "x", `[{"id":` + match[1] + `,"result":5}]`, granted(9929, "new", "connection"),
		`{"jsonrpc":"2.0","method":"subscription","params":{"channel":"x","data":` + match[1] + `}}`,
	} {
		if d := c.receives(message); d.Action != Drop || d.CallAnswered {
			t.Errorf("%s: %v", message, d)
		}
	}
	for _, rest := range []string{`,"result":5}`, `,"error":{"code":13009,"message":"unauthorized"}}`} {
		if d := c.receives(`{"jsonrpc":"2.0","id":` + match[1] + rest); d.Action != Drop || !d.CallAnswered {
			t.Errorf("the answer: %v, answered %v", d, d.CallAnswered)
		}
	}
	if other := connect(t, cancelling); string(other.UnexpectedClose()) == call {
		t.Error("the id can be foreseen")
	}
}

func TestUnexpectedCloseCallsAsTheClientDid(t *testing.T) {
	enable := `{"id":1,"method":"private/enable_cancel_on_disconnect","params":{"access_token":"l\u0069ve"}}`
	other := `{"id":2,"method":"private/buy","params":{"access_token":"other"}}`
	params := regexp.MustCompile(`"params":(.*)\}\z`)
	check := func(c *connection, want string) {
		t.Helper()
		match := params.FindSubmatch(c.UnexpectedClose())
		if match == nil || string(match[1]) != want {
			t.Errorf("params %s, want %s", match, want)
		}
	}
	c := connect(t, cancelling)
	c.passes(enable)
	c.reaches(`{"id":1,"result":"ok"}`)
	c.passes(other)
	check(c, `{"access_token":"live"}`)

	c = connect(t, func(config *Config) { cancelling(config); config.CancelOnDisconnect = true })
	c.passes(other)
	check(c, `{"access_token":"other"}`)
}

func TestNoOrdersAreCancelledWithoutReason(t *testing.T) {
	enabled := func(config *Config) { cancelling(config); config.CancelOnDisconnect = true }
	for _, tc := range []struct {
		name   string
		change func(*Config)
		before func(*connection)
	}{
		{"the upstream does it", func(config *Config) { config.CancelOnDisconnect = true }, func(c *connection) { c.authenticate("own", "connection") }},
		{"not enabled", cancelling, func(c *connection) { c.authenticate("own", "connection") }},
		{"enabling not answered", cancelling, func(c *connection) {
			c.authenticate("own", "connection")
			c.passes(cancelCall(1, "enable", ""))
		}},
		{"nobody was there", enabled, func(c *connection) { c.passes(publicCall) }},
		{"only refused calls", enabled, func(c *connection) {
			c.isAnswered(call42("private/buy", `{"access_token":"unknown"}`), unauthorized("42"))
		}},
		{"logout that keeps the tokens", enabled, func(c *connection) {
			c.authenticate("own", "connection")
			c.logsOut(call42("private/logout", `{"invalidate_token":false}`))
		}},
	} {
		c := connect(t, tc.change)
		tc.before(c)
		if call := c.UnexpectedClose(); call != nil {
			t.Errorf("%s: %s", tc.name, call)
		}
	}
}

const (
	enableOwn   = `{"id":1,"method":"private/enable_cancel_on_disconnect"}`
	enableOther = `{"id":1,"method":"private/enable_cancel_on_disconnect","params":{"access_token":"other"}}`
	enableLive  = `{"id":1,"method":"private/enable_cancel_on_disconnect","params":{"access_token":"live"}}`
	ok1         = `{"id":1,"result":"ok"}`
)

// The orders of another account are none of a client's that has switched it on for its own.
func TestUnexpectedCloseCancelsForTheAccountThatHasSwitchedItOn(t *testing.T) {
	loginAs := func(c *connection, params string) {
		c.passes(`{"id":7,"method":"public/auth","params":` + params + `}`)
		c.reaches(granted(7, "next", "connection"))
	}
	const someoneElse = `{"grant_type":"client_credentials","client_id":"z","client_secret":"b"}`
	for _, tc := range []struct {
		name   string
		before func(*connection)
		want   string // the call's params, or "" if there is none
	}{
		{"for another than the connection", func(c *connection) { c.passes(enableOther); c.reaches(ok1) }, `{"access_token":"other"}`},
		{"for the connection", func(c *connection) { c.passes(enableOwn); c.reaches(ok1) }, `{}`},
		{"for the connection, by its token", func(c *connection) { c.passes(enableLive); c.reaches(ok1) }, `{}`},
		{"for one and for another", func(c *connection) {
			c.passes(enableOther)
			c.reaches(ok1)
			c.passes(enableOwn)
			c.reaches(ok1)
		}, `{}`},
		{"off for another", func(c *connection) {
			c.passes(enableOther)
			c.reaches(ok1)
			c.passes(`{"id":1,"method":"private/disable_cancel_on_disconnect"}`)
			c.reaches(ok1)
		}, ""},
		{"asked for another", func(c *connection) {
			c.passes(enableOwn)
			c.reaches(ok1)
			c.passes(`{"id":1,"method":"private/get_cancel_on_disconnect","params":{"access_token":"other"}}`)
			c.reaches(`{"id":1,"result":{"scope":"connection","enabled":false}}`)
		}, `{}`},
		{"login as somebody else", func(c *connection) {
			c.passes(enableOwn)
			c.reaches(ok1)
			loginAs(c, someoneElse)
		}, ""},
		{"login as somebody else before the answer", func(c *connection) {
			c.passes(enableOwn)
			loginAs(c, someoneElse)
			c.reaches(ok1)
		}, ""},
		{"login as somebody else is under way", func(c *connection) {
			c.passes(enableOwn)
			c.reaches(ok1)
			c.passes(`{"id":7,"method":"public/auth","params":` + someoneElse + `}`)
		}, `{"access_token":"live"}`},
		{"login as somebody else is not recorded", func(c *connection) {
			c.passes(enableOwn)
			c.reaches(ok1)
			c.passes(`{"id":8,"method":"private/buy","params":{"access_token":"other"}}`)
			c.passes(`{"id":7,"method":"public/auth","params":` + someoneElse + `}`)
			c.auth.learnErr = errStore
			c.receives(granted(7, "next", "connection"))
		}, ""},
		{"with the refresh token of somebody else", func(c *connection) {
			c.passes(enableOwn)
			c.reaches(ok1)
			loginAs(c, `{"grant_type":"refresh_token","refresh_token":"refresh","client_id":"a"}`)
		}, ""},
		{"login once more", func(c *connection) {
			c.passes(enableOwn)
			c.reaches(ok1)
			loginAs(c, `{"grant_type":"client_credentials","client_id":"a","client_secret":"b"}`)
		}, `{}`},
		{"refresh, and login once more", func(c *connection) {
			c.passes(enableOwn)
			c.reaches(ok1)
			loginAs(c, `{"grant_type":"refresh_token","refresh_token":"live-refresh"}`)
			loginAs(c, `{"grant_type":"client_credentials","client_id":"a","client_secret":"b"}`)
		}, `{}`},
		{"for another, and a login", func(c *connection) {
			c.passes(enableOther)
			c.reaches(ok1)
			loginAs(c, someoneElse)
		}, `{"access_token":"other"}`},
	} {
		c := connect(t, cancelling)
		c.authenticate("live", "connection")
		tc.before(c)
		call := string(c.UnexpectedClose())
		if tc.want == "" && call != "" || tc.want != "" && !strings.HasSuffix(call, `"params":`+tc.want+`}`) {
			t.Errorf("%s: %s, want %s", tc.name, call, tc.want)
		}
	}
}
