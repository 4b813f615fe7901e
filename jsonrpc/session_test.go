package jsonrpc

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"example.com/caddy-token-auth/dialect"
)

func TestPublicCallsNeedNoCredential(t *testing.T) {
	c := connect(t, nil)
	for _, message := range []string{
		call42("public/test", "{}"), call42("public/get_time", "null"), call42("public/subscribe", `{"channels":["a"]}`),
		`{"method":"public/get_time"}` + "\n\n", call42("public/get_time", `{"access_token":"revoked"}`), call42("public/get_time", "[]"),
	} {
		c.passes(message)
	}
	if len(c.auth.checked) > 0 {
		t.Errorf("checked %d credentials", len(c.auth.checked))
	}
}

func TestPrivateCallsNeedALiveCredential(t *testing.T) {
	reasons := map[Secret]dialect.Reason{
		"expired": dialect.ExpiredCredential, "revoked": dialect.RevokedCredential, "aged": dialect.AgedCredential,
	}
	for _, tc := range []struct{ name, params string }{
		{"null", "null"},
		{"empty", "{}"},
		{"by position", `["live"]`},
		{"token null", `{"access_token":null}`},
		{"unknown", `{"access_token":"unknown"}`},
		{"expired", `{"access_token":"expired"}`},
		{"revoked", `{"access_token":"revoked"}`},
		{"aged", `{"access_token":"aged"}`},
		{"empty token", `{"access_token":""}`},
		{"number", `{"access_token":5}`},
		{"array", `{"access_token":["live"]}`},
		{"object", `{"access_token":{"access_token":"live"}}`},
		{"true", `{"access_token":true}`},
		{"elsewhere", `{"token":"live","x":{"access_token":"live"}}`},
		{"refresh only", `{"refresh_token":"live"}`},
	} {
		for _, method := range []string{"private/buy", "private/logout", "private/subscribe", "unknown", "Public/get_time", "public/a/b"} {
			c := connect(t, nil)
			c.auth.reasons = reasons
			want := unauthorized("42")
			if method == "private/logout" && tc.name == "by position" {
				want = `{"jsonrpc":"2.0","id":42,"error":{"code":-32602,"message":"Invalid params"}}`
			}
			c.isAnswered(call42(method, tc.params), want)
			if c.LoggedOut() || len(c.auth.logouts) > 0 {
				t.Errorf("%s, %s: logged out", method, tc.name)
			}
		}
	}
	c := connect(t, nil)
	c.passes(call42("private/buy", `{"access_token":"live"}`))
	c.passes(`{"id":43,"method":"private/buy","params":{"\u0061ccess_token":"l\u0069ve"}}`)
	if want := (Credential{Token: "live"}); c.auth.checked[0] != want || c.auth.checked[1] != want {
		t.Errorf("checked %d credentials", len(c.auth.checked))
	}
}

func TestEveryIDIsEchoed(t *testing.T) {
	c := connect(t, nil)
	for _, id := range []string{`1`, `-7`, `1.50`, `9007199254740993`, `"a\"\u0062"`, `"` + strings.Repeat("x", MaxID-2) + `"`, `null`} {
		c.isAnswered(`{"id":`+id+`,"method":"private/buy"}`, unauthorized(id))
	}
	c.isAnswered(`{"method":"private/buy"}`, `{"jsonrpc":"2.0","error":{"code":13009,"message":"unauthorized","data":{"reason":"invalid_token"}}}`)
}

func TestEveryRefusalIsTheDialects(t *testing.T) {
	c := connect(t, nil)
	c.auth.set("down", dialect.Unavailable)
	c.auth.set("elsewhere", dialect.AddressForbidden)
	for _, tc := range []struct{ message, want string }{
		{"{", `{"jsonrpc":"2.0","id":null,"error":{"code":-32700,"message":"Parse error"}}`},
		{"\xff\x00\x01", `{"jsonrpc":"2.0","id":null,"error":{"code":-32700,"message":"Parse error"}}`},
		{"[]", invalid("null")},
		{`{"id":42}`, invalid("42")},
		{"5", invalid("null")},
		{call42("private/buy", `{"access_token":"down"}`), unavailable("42")},
		{call42("private/buy", `{"access_token":"elsewhere"}`), `{"jsonrpc":"2.0","id":42,"error":{"code":13021,"message":"forbidden"}}`},
		{call42("private//buy", `{"access_token":"live"}`), `{"jsonrpc":"2.0","id":42,"error":{"code":-32601,"message":"Method not found"}}`},
		{call42("private/logout", `{"access_token":"live","invalidate_token":"false"}`), `{"jsonrpc":"2.0","id":42,"error":{"code":-32602,"message":"Invalid params"}}`},
		{call42("public/auth", `["refresh_token","refresh"]`), `{"jsonrpc":"2.0","id":42,"error":{"code":-32602,"message":"Invalid params"}}`},
	} {
		c.isAnswered(tc.message, tc.want)
	}
	c.auth.live = nil // a verdict that nobody has filled in
	c.isAnswered(call42("private/buy", `{"access_token":"live"}`), unauthorized("42"))
}

func TestOversizeMessageIsAnsweredAndClosed(t *testing.T) {
	c := connect(t, func(config *Config) { config.MaxMessage = 100 })
	message := call42("public/test", "{}")
	c.passes(message + strings.Repeat(" ", 100-len(message)))
	for _, d := range []Decision{c.sends(message + strings.Repeat(" ", 101-len(message))), c.TooLarge()} {
		want := `{"jsonrpc":"2.0","id":null,"error":{"code":-32600,"message":"request entity too large"}}`
		if d.Action != Close || d.Code != CloseTooLarge || string(d.Payload) != want {
			t.Errorf("%v %d: %s", d, d.Code, d.Payload)
		}
	}
	if c.LoggedOut() {
		t.Error("a message too large is taken for a logout")
	}
}

func TestAnswerToAuthAuthenticatesTheConnection(t *testing.T) {
	for _, tc := range []struct{ grantType, params string }{
		{"client_credentials", `{"grant_type":"client_credentials","client_id":"a","client_secret":"b"}`},
		{"client_signature", `{"grant_type":"client_signature","client_id":"a","timestamp":"1","signature":"s","nonce":"n","data":""}`},
		{"refresh_token", `{"grant_type":"refresh_token","refresh_token":"refresh"}`},
	} {
		c := connect(t, nil)
		c.isAnswered(call42("private/buy", "{}"), unauthorized("42"))
		c.passes(`{"jsonrpc":"2.0","id":"x","method":"public/auth","params":` + tc.params + `}`)
		c.reaches(`{"jsonrpc":"2.0","id":"x","result":{"access_token":"new","expires_in":900,"refresh_token":"newer","scope":"session:desk mainaccount","sid":"s1","token_type":"bearer"}}`)
		want := Grant{
			Method: "public/auth", Type: tc.grantType, Access: "new", Refresh: "newer",
			ExpiresIn: 15 * time.Minute, Scope: "session:desk mainaccount", SID: "s1",
		}
		if tc.grantType == "refresh_token" {
			want.Used = "refresh"
		}
		if !slices.Equal(c.auth.grants, []Grant{want}) || want.SessionName() != "desk" {
			t.Errorf("%s: learned %#v", tc.grantType, c.auth.grants)
		}
		c.passes(call42("private/buy", "{}"))
		c.passes(`{"method":"private/buy"}`)
		last := c.auth.checked[len(c.auth.checked)-1]
		if last != (Credential{Token: "new", Own: true}) {
			t.Errorf("checked another credential, own %v", last.Own)
		}
		c.auth.set("new", dialect.RevokedCredential)
		c.isAnswered(call42("private/buy", "{}"), unauthorized("42"))
	}
}

func TestSecondAuthReplacesTheFirst(t *testing.T) {
	c := connect(t, nil)
	c.authenticate("first", "connection")
	c.authenticate("second", "connection")
	c.auth.set("first", dialect.RevokedCredential)
	c.passes(call42("private/buy", "{}"))
	// One that fails changes nothing.
	c.passes(authCall(5))
	c.reaches(`{"jsonrpc":"2.0","id":5,"error":{"code":13004,"message":"invalid_credentials"}}`)
	c.passes(`{"id":43,"method":"private/buy","params":{}}`)
	c.auth.set("second", dialect.RevokedCredential)
	c.isAnswered(call42("private/buy", "{}"), unauthorized("42"))
}

func TestForkedAndExchangedTokensAreLearnedForUseElsewhere(t *testing.T) {
	for _, method := range []string{"public/fork_token", "public/exchange_token"} {
		c := connect(t, nil)
		c.passes(`{"id":1,"method":"` + method + `","params":{"refresh_token":"refresh","session_name":"x","subject_id":10}}`)
		c.reaches(granted(1, "new", "session:x"))
		if len(c.auth.grants) != 1 || c.auth.grants[0].Method != method || c.auth.grants[0].Used != "refresh" || c.auth.grants[0].Refresh != "new-refresh" {
			t.Errorf("%s: learned %#v", method, c.auth.grants)
		}
		c.isAnswered(call42("private/buy", "{}"), unauthorized("42"))
		c.passes(call42("private/buy", `{"access_token":"new"}`))
	}
}

func TestRefreshTokenMustBeLive(t *testing.T) {
	for _, method := range []string{"public/auth", "public/fork_token", "public/exchange_token"} {
		for _, params := range []string{
			`{"grant_type":"refresh_token","refresh_token":"unknown"}`,
			`{"refresh_token":"unknown"}`,
			`{"grant_type":"client_credentials","refresh_token":"unknown"}`,
			`{"grant_type":"refresh_token","refresh_token":["refresh"]}`,
			`{"grant_type":"refresh_token","refresh_token":5}`,
		} {
			c := connect(t, nil)
			c.isAnswered(call42(method, params), unauthorized("42"))
		}
	}
	c := connect(t, nil)
	c.passes(call42("public/auth", `{"grant_type":"refresh_token","refresh_token":"refresh"}`))
	if !slices.Equal(c.auth.checked, []Credential{{Token: "refresh", Refresh: true}}) {
		t.Errorf("checked %d credentials", len(c.auth.checked))
	}
}

func TestTokenThatCannotBeRecordedIsWithheld(t *testing.T) {
	c := connect(t, nil)
	c.authenticate("first", "connection")
	c.auth.learnErr = errStore
	c.passes(authCall(7))
	d := c.receives(granted(7, "new", "connection"))
	if d.Action != Answer || string(d.Payload) != unavailable("7") {
		t.Fatalf("%v: %s", d, d.Payload)
	}
	// The upstream now takes calls for those of the second client.
	c.isAnswered(call42("private/buy", "{}"), unauthorized("42"))
	c.auth.learnErr = nil
	c.authenticate("third", "connection")
	c.passes(call42("private/buy", "{}"))
}

func TestSessionsOfAConnectionAreBounded(t *testing.T) {
	c := connect(t, nil)
	for i := range MaxSessions {
		c.authenticate(fmt.Sprintf("token%d", i), fmt.Sprintf("session:%d", i))
	}
	c.authenticate("again", "session:3")
	c.passes(authCall(7))
	d := c.receives(granted(7, "new", "session:one more"))
	if d.Action != Answer || string(d.Payload) != `{"jsonrpc":"2.0","id":7,"error":{"code":10028,"message":"too_many_requests"}}` {
		t.Fatalf("%v: %s", d, d.Payload)
	}
	c.isAnswered(call42("private/buy", "{}"), unauthorized("42"))
}

func TestOpenCallsAreBounded(t *testing.T) {
	c := connect(t, nil)
	for i := range maxOpenCalls {
		c.passes(fmt.Sprintf(`{"id":%d,"method":"public/test"}`, i))
	}
	c.isAnswered(`{"id":"x","method":"public/test"}`, `{"jsonrpc":"2.0","id":"x","error":{"code":10028,"message":"too_many_requests"}}`)
	c.reaches(`{"id":5,"result":{}}`)
	c.passes(`{"id":"x","method":"public/test"}`)
	c.now = c.now.Add(maxOpenTime + 1)
	c.passes(`{"id":"y","method":"public/test"}`)
	if len(c.open) != 1 {
		t.Errorf("%d calls are open", len(c.open))
	}
}

func TestAnsweredCallsAreForgotten(t *testing.T) {
	c := connect(t, nil)
	for i, id := range []string{"1", `"a"`, "1", "7"} {
		c.passes(`{"id":` + id + `,"method":"public/get_time"}`)
		if i == 2 {
			c.reaches(`{"id":1,"result":1}`)
		}
	}
	c.reaches(`[{"id":1,"result":2},{"id":"a","error":{"code":1}}]`)
	c.reaches(`{"id":7.0,"result":2}`)
	c.reaches(`{"id":7,"result":2}`)
	if len(c.open) != 0 {
		t.Errorf("%d calls are open", len(c.open))
	}
}

func TestServerMessagesReachTheClientAsTheyAre(t *testing.T) {
	c := connect(t, nil)
	c.authenticate("own", "connection")
	c.passes(call42("private/buy", "{}"))
	for _, message := range []string{
		`{"jsonrpc":"2.0","method":"subscription","params":{"channel":"a","data":{"x":[1]}}}`,
		`{"jsonrpc":"2.0","method":"heartbeat","params":{"type":"test_request"}}`,
		`{"jsonrpc":"2.0","id":42,"result":{}}`, `{"jsonrpc":"2.0","id":42,"result":{}}`, "no JSON", "", "\xff", "[]", `{"id":null,"error":{}}`,
	} {
		c.reaches(message)
	}
}

func TestServerMessagesNeedNotBeReadWhileNothingIsAwaited(t *testing.T) {
	c := connect(t, nil)
	awaits := func(want bool) {
		t.Helper()
		if c.Awaits() != want {
			t.Errorf("awaits %v", !want)
		}
	}
	awaits(false)
	c.passes(publicCall)
	awaits(true)
	c.reaches(`{"id":1,"result":1}`)
	awaits(false)
	c.setsHeartbeat("30", `"result":"ok"`)
	awaits(true)
	c.passes(`{"id":1,"method":"public/disable_heartbeat"}`)
	c.reaches(`{"id":1,"result":"ok"}`)
	awaits(false)
	c.UnexpectedClose()
	awaits(true)
	c = connect(t, nil)
	c.logsOut(call42("private/logout", `{"access_token":"live"}`))
	awaits(true)
}

func TestConfigIsChecked(t *testing.T) {
	d, _ := dialect.Named("deribit")
	a := new(fakeAuthorizer)
	for name, config := range map[string]Config{
		"no authorizer":    {Dialect: d},
		"no dialect":       {Authorizer: a},
		"method":           {Authorizer: a, Dialect: d, UnexpectedCloseCall: "private/cancel all"},
		"negative size":    {Authorizer: a, Dialect: d, MaxMessage: -1},
		"negative timeout": {Authorizer: a, Dialect: d, AnswerTimeout: -1},
	} {
		if s, err := NewSession(config); err == nil || s != nil {
			t.Errorf("%s is accepted", name)
		}
	}
}

func TestNothingPrintsAToken(t *testing.T) {
	c := connect(t, nil)
	c.authenticate("s3cret", "connection")
	p, err := Parse([]byte(call42("private/buy", `{"access_token":"s3cret"}`)))
	if err != nil {
		t.Fatal(err)
	}
	_, parseErr := Parse([]byte(`{"id":1,"method":"private/buy","access_token":"s3cret","access_token":"s3cret"}`))
	_, nameErr := Parse([]byte(`{"id":1,"method":"private/buy","params":{"Access_token":"s3cret"}}`))
	decision := connect(t, func(config *Config) { config.ForwardLogout = true; config.Authorizer = c.auth }).
		sends(call42("private/logout", `{"access_token":"s3cret"}`))
	if decision.Action != Forward {
		t.Fatal("no logout")
	}
	for _, value := range []any{
		c.Session, p, p.Messages, p.Messages[0], &p.Messages[0], c.auth.grants, &c.auth.grants[0], c.auth.checked,
		Logout{Tokens: []Secret{"s3cret"}},
		Credential{Token: "s3cret"},
		decision, &decision, parseErr, nameErr, Secret("s3cret"),
	} {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
			text := fmt.Sprintf(verb, value)
			if strings.Contains(text, "s3cret") || strings.Contains(text, fmt.Sprintf("%x", "s3cret")) || strings.Contains(text, "115 51 99") {
				t.Errorf("%T prints as %s", value, text)
			}
		}
		if _, isDecision := value.(Decision); isDecision || value == any(&decision) {
			continue // encoding it shows what is sent, and to whom
		}
		var log strings.Builder
		slog.New(slog.NewJSONHandler(&log, nil)).Info("x", "value", value)
		if strings.Contains(log.String(), "s3cret") {
			t.Errorf("%T is logged as %s", value, log.String())
		}
	}
	if encoded, err := json.Marshal(Secret("s3cret")); err != nil || string(encoded) != `"[secret]"` {
		t.Errorf("%s, %v", encoded, err)
	}
}

func TestDirectionsMayOverlap(t *testing.T) {
	c := connect(t, nil)
	upstream := make(chan []byte, 10)
	var group sync.WaitGroup
	group.Go(func() {
		defer close(upstream)
		for i := range 300 {
			message := fmt.Appendf(nil, `{"id":%d,"method":"private/buy"}`, i)
			if i%10 == 0 {
				message = []byte(authCall(i))
			}
			d := c.FromClient(t.Context(), message)
			for ; d.Action == Wait; d = c.FromClient(t.Context(), message) {
				<-d.Settled
			}
			if d.Action != Forward {
				t.Errorf("%s: %v: %s", message, d, d.Payload)
			}
			upstream <- message
			c.CancelOnDisconnect()
		}
	})
	group.Go(func() {
		for message := range upstream {
			p, err := Parse(message)
			if err != nil {
				t.Error(err)
				continue
			}
			answer := fmt.Appendf(nil, `{"id":%s,"result":{}}`, p.Messages[0].ID)
			if p.Messages[0].Method == methodAuth {
				answer = fmt.Appendf(nil, `{"id":%s,"result":{"access_token":"new","expires_in":1}}`, p.Messages[0].ID)
			}
			if d := c.FromServer(t.Context(), answer); d.Action != Forward {
				t.Errorf("%s: %v", answer, d)
			}
			c.HeartbeatDue()
		}
	})
	group.Wait()
	if call := c.UnexpectedClose(); call != nil || len(c.open) > 0 || len(c.auth.grants) != 30 {
		t.Errorf("call %s, %d open, %d grants", call, len(c.open), len(c.auth.grants))
	}
}

// What the Authorizer records of tokens begins before the call for them is forwarded.
func TestCallsForTokensAreToldBeforeTheyAreForwarded(t *testing.T) {
	c := connect(t, nil)
	for i, forwarded := range []bool{true, true, false} {
		before := c.auth.asking
		if c.AwaitsTokens() {
			t.Error("awaits tokens that nobody has asked for")
		}
		message := authCall(i)
		switch i {
		case 1:
			message = `[{"id":7,"method":"public/ticker"},{"id":1,"method":"public/fork_token","params":{"refresh_token":"refresh"}}]`
		case 2:
			message = `{"id":2,"method":"public/exchange_token","params":{"refresh_token":"nobody's"}}`
		}
		if d := c.sends(message); (d.Action == Forward) != forwarded || c.auth.asking-before != map[bool]int{true: 1}[forwarded] || c.AwaitsTokens() != forwarded {
			t.Errorf("%s: %v, told %d times", message, d, c.auth.asking-before)
		}
		if forwarded {
			c.receives(granted(i, "new", ""))
		}
	}
	c.passes(publicCall)
	if c.auth.asking != 2 {
		t.Error("told of a call that asks for nothing")
	}
}
