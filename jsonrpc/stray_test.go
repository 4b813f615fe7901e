package jsonrpc

import (
	"strings"
	"testing"
)

// An upstream whose numbers are 64-bit floats, as those of JavaScript, or whose strings end
// with NUL, sends these ids back as others.
func TestCallsForTokensHaveIDsThatComeBack(t *testing.T) {
	for _, id := range []string{
		"9007199254740993", "9007199254740992", "-9007199254740992", "12345678901234567890123", "1e400", "1e22", `"a\u0000b"`,
	} {
		c := connect(t, nil)
		login := `{"jsonrpc":"2.0","id":` + id + `,"method":"public/auth","params":{"grant_type":"client_credentials"}}`
		c.isAnswered(login, invalid(id))
		c.passes(`{"jsonrpc":"2.0","id":` + id + `,"method":"public/test"}`)
	}
	for _, id := range []string{"0", "-1", "1.5", "9007199254740991", `""`, `"9007199254740993"`, `"\u00e9"`} {
		connect(t, nil).passes(`{"id":` + id + `,"method":"public/auth","params":{"grant_type":"client_credentials"}}`)
	}
}

// Whatever an upstream makes of an id, the client gets no tokens that are not recorded.
func TestTokensUnderAnotherIDAreWithheld(t *testing.T) {
	const tokens = `"result":{"access_token":"secret","expires_in":9}`
	const public = `{"id":1,"method":"public/get_time"}`
	for _, stray := range []string{
		`{"jsonrpc":"2.0","id":8,` + tokens + `}`, `{"id":null,` + tokens + `}`, `{` + tokens + `}`, `{"id":"9",` + tokens + `}`,
		`{"id":1,` + tokens + `}`, `{"id":8,"result":{"refresh_token":"secret"}}`,
	} {
		c := connect(t, nil)
		c.passes(public)
		c.passes(authCall(9))
		if d := c.receives(stray); d.Action != Answer || string(d.Payload) != unavailable("9") || len(d.Refused) != 1 {
			t.Errorf("%s\n%v: %s", stray, d, d.Payload)
		}
		if len(c.auth.grants) != 0 || !c.AwaitsTokens() {
			t.Errorf("%s: taken for the answer", stray)
		}
		d := c.receives(`[` + stray + `,{"id":1,"result":5}]`)
		if want := `[` + unavailable("9") + `,{"id":1,"result":5}]`; d.Action != Answer || string(d.Payload) != want {
			t.Errorf("in a batch: %v: %s", d, d.Payload)
		}
		c.reaches(granted(9, "new", "connection"))
		c.passes(privateCall)
	}
}

// Large messages are read for nothing but tokens.
func TestTokensInLongMessagesAreWithheld(t *testing.T) {
	padding := `,"x":"` + strings.Repeat("x", maxRead) + `"`
	c := connect(t, nil)
	c.passes(authCall(9))
	c.reaches(`{"id":1,"result":{"data":5` + padding + `}}`)
	c.reaches(`{"method":"subscription","params":{"data":5` + padding + `}}`)
	for _, name := range []string{"access_token", "refresh_token", `access_\u0074oken`, `access\u005ftoken`} {
		if d := c.receives(`{"id":1,"result":{"` + name + `":"secret"` + padding + `}}`); d.Action != Answer || string(d.Payload) != unavailable("9") {
			t.Errorf("%s: %v", name, d)
		}
	}
	if d := c.receives(`{"id":9,"result":{"access_token":"secret"` + padding); d.Action != Drop {
		t.Errorf("unreadable: %v", d)
	}
	c.reaches(`{"id":9,"result":{"access_token":"new"` + padding + `}}`)
	if len(c.auth.grants) != 1 {
		t.Errorf("%d grants", len(c.auth.grants))
	}
}
