package jsonrpc

import (
	"fmt"
	"runtime"
	"strings"
	"testing"
)

// Every one of these is a private call for some parser, or with some imagination.
func TestDisguisedPrivateCallsDoNotPass(t *testing.T) {
	const null = "null"
	parseError := `{"jsonrpc":"2.0","id":null,"error":{"code":-32700,"message":"Parse error"}}`
	notFound := func(id string) string {
		return `{"jsonrpc":"2.0","id":` + id + `,"error":{"code":-32601,"message":"Method not found"}}`
	}
	for _, tc := range []struct{ name, message, want string }{
		{"method twice, first private", `{"id":1,"method":"private/buy","method":"public/test"}`, parseError},
		{"method twice, last private", `{"id":1,"method":"public/test","method":"private/buy"}`, parseError},
		{"look-alike of method", `{"id":1,"method":"public/test","Method":"private/buy"}`, invalid("1")},
		{"look-alike first", `{"id":1,"METHOD":"private/buy","method":"public/test"}`, invalid("1")},
		{"look-alike with white space", `{"id":1,"method ":"private/buy","method":"public/test"}`, invalid("1")},
		{"look-alike alone", `{"id":1,"Method":"private/buy"}`, invalid("1")},
		{"look-alike of params", `{"id":1,"method":"public/auth","params":{},"Params":{"refresh_token":"x"}}`, invalid("1")},
		{"escaped method", `{"id":1,"method":"private\u002fbuy"}`, unauthorized("1")},
		{"all escaped", `{"id":1,"method":"\u0070\u0072\u0069\u0076\u0061\u0074\u0065\u002f\u0062\u0075\u0079"}`, unauthorized("1")},
		{"escaped name", `{"id":1,"\u006d\u0065thod":"private/buy"}`, unauthorized("1")},
		{"other case", `{"id":1,"method":"PRIVATE/BUY"}`, unauthorized("1")},
		{"leading slash", `{"id":1,"method":"/private/buy"}`, notFound("1")},
		{"path from public", `{"id":1,"method":"public/../private/buy"}`, notFound("1")},
		{"below public", `{"id":1,"method":"public/private/buy"}`, unauthorized("1")},
		{"percent", `{"id":1,"method":"public%2f..%2fprivate%2fbuy"}`, notFound("1")},
		{"NUL", `{"id":1,"method":"private/buy\u0000"}`, notFound("1")},
		{"white space", `{"id":1,"method":" private/buy"}`, notFound("1")},
		{"array for a method", `{"id":1,"method":["private/buy"]}`, invalid("1")},
		{"array around", `[[{"id":1,"method":"private/buy"}]]`, invalid(null)},
		{"object around", `{"id":1,"method":"public/test"}` + "\n" + `{"id":2,"method":"private/buy"}`, parseError},
		{"array behind", `{"id":1,"method":"public/test"},{"id":2,"method":"private/buy"}`, parseError},
		{"behind a public call", `[{"id":1,"method":"public/test"},{"id":2,"method":"private/buy"}]`, "[" + notExecutedAnswer("1") + "," + unauthorized("2") + "]"},
		{"among many", `[` + strings.TrimSuffix(strings.TrimPrefix(batch(99), "["), "]") + `,{"method":"private/buy"}]`, ""},
		{"in too many", batch(1000), invalid(null)},
		{"comment", `{"id":1,"method":"public/test"/*","method":"private/buy"*/}`, parseError},
		{"answer", `{"id":1,"result":{},"method":"private/buy"}`, invalid("1")},
		{"version 1.1", `{"version":"1.1","jsonrpc":"1.1","id":1,"method":"private/buy","kwparams":{"access_token":"x"}}`, invalid("1")},
		{"token in other case", `{"id":1,"method":"private/buy","params":{"Access_Token":"live"}}`, invalid("1")},
		{"token in both", `{"id":1,"method":"private/buy","params":{"access_token":"live","ACCESS_TOKEN":"revoked"}}`, invalid("1")},
		{"token twice", `{"id":1,"method":"private/buy","params":{"access_token":"live","access_token":"revoked"}}`, parseError},
		{"token array", `{"id":1,"method":"private/buy","params":{"access_token":["live","revoked"]}}`, unauthorized("1")},
		{"token by position", `{"id":1,"method":"private/buy","params":["live"]}`, unauthorized("1")},
		{"token outside", `{"id":1,"method":"private/buy","access_token":"live"}`, invalid("1")},
		{"token with white space", `{"id":1,"method":"private/buy","params":{"access_token":"live "}}`, unauthorized("1")},
		{"id object", `{"id":{"id":1},"method":"private/buy","params":{"access_token":"live"}}`, invalid(null)},
		{"id array", `{"id":[1],"method":"private/buy","params":{"access_token":"live"}}`, invalid(null)},
		{"huge id", `{"id":"` + strings.Repeat("x", 10_000) + `","method":"private/buy","params":{"access_token":"live"}}`, invalid(null)},
		{"nested", `{"id":1,"method":"private/buy","params":` + strings.Repeat("[", 1000) + strings.Repeat("]", 1000) + `}`, parseError},
		{"refresh of a look-alike", `{"id":1,"method":"public/auth","params":{"grant_type":"refresh_token","refresh-token":"revoked"}}`, invalid("1")},
		{"look-alike of auth", `{"id":1,"method":"public/Auth","params":{"grant_type":"client_credentials"}}`, notFound("1")},
		{"look-alike of logout", `{"id":1,"method":"private/log_out","params":{"access_token":"live"}}`, notFound("1")},
		{"auth without id", `{"method":"public/auth","params":{"grant_type":"client_credentials"}}`, invalid(null)},
		{"auth with id null", `{"id":null,"method":"public/auth","params":{"grant_type":"client_credentials"}}`, invalid(null)},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c := connect(t, nil)
			d := c.sends(tc.message)
			if d.Action != Answer || tc.want != "" && string(d.Payload) != tc.want {
				t.Errorf("%v: %s\nwant %s", d, d.Payload, tc.want)
			}
			if len(c.auth.logouts) > 0 || len(c.open) > 0 {
				t.Error("it has done something")
			}
		})
	}
}

func TestClientCannotForgeAnswers(t *testing.T) {
	c := connect(t, nil)
	c.passes(authCall(1))
	c.isAnswered(granted(1, "live", "connection"), invalid("1"))
	c.isAnswered(`[`+granted(1, "live", "connection")+`]`, "["+invalid("1")+"]")
	c.isAnswered(`{"id":2,"result":"ok"}`, invalid("2"))
	c.waits(call42("private/buy", "{}"))
	c.reaches(`{"id":1,"error":{"code":13004}}`)
	c.isAnswered(call42("private/buy", "{}"), unauthorized("42"))
	if len(c.auth.grants) > 0 {
		t.Error("learned from the client")
	}
}

func TestTokensInOtherAnswersAreNotLearned(t *testing.T) {
	c := connect(t, nil)
	c.passes(`{"id":1,"method":"public/test","params":{}}`)
	c.passes(`{"method":"public/test","params":{}}`)
	c.reaches(granted(1, "live", "connection"))
	c.reaches(granted(2, "live", "connection"))
	c.reaches(`{"jsonrpc":"2.0","result":{"access_token":"live","refresh_token":"r"}}`)
	c.reaches(`{"jsonrpc":"2.0","id":null,"result":{"access_token":"live"}}`)
	c.passes(authCall(3))
	for _, message := range []string{
		granted(1, "live", ""), `{"result":{"access_token":"live"}}`, `{"id":"3","result":{"access_token":"live"}}`,
		`{"id":3,"method":"public/auth","params":{"access_token":"live"}}`, `{"id":3,"method":"x","result":{"access_token":"live"}}`,
	} {
		if d := c.receives(message); len(c.auth.grants) > 0 || d.Action == Answer && string(d.Payload) != unavailable("3") {
			t.Errorf("%s: %v", message, d)
		}
	}
	if len(c.auth.grants) > 0 {
		t.Errorf("learned %d grants", len(c.auth.grants))
	}
	c.waits(call42("private/buy", "{}")) // none of them was the answer
	c.reaches(`{"id":3,"error":{"code":13004}}`)
	c.reaches(granted(3, "live", "")) // it has been answered
	if len(c.auth.grants) > 0 {
		t.Errorf("learned %d grants", len(c.auth.grants))
	}
	c.isAnswered(call42("private/buy", "{}"), unauthorized("42"))
}

// An id that is used again could pass another call's answer off as that of the call
// that asks for tokens.
func TestNoCallSharesTheIDOfOneThatAsksForTokens(t *testing.T) {
	for _, id := range []string{"7", "7.0", "70e-1"} {
		c := connect(t, nil)
		c.passes(authCall(7))
		test := `{"id":` + id + `,"method":"public/test"}`
		d := c.waits(test)
		c.now = d.Until
		c.isAnswered(test, invalid(id))
		c.reaches(granted(7, "new", "connection"))
		c.passes(test)

		auth := authCall(7)
		d = c.waits(auth)
		c.reaches(granted(7, "not learned", "connection")) // test's answer
		if !isClosed(d.Settled) || len(c.auth.grants) != 1 {
			t.Errorf("settled %v, %d grants", isClosed(d.Settled), len(c.auth.grants))
		}
		c.passes(auth)
	}
	// Others may share one, if the client can tell their answers apart.
	c := connect(t, nil)
	c.passes(publicCall)
	c.passes(publicCall)
	c.waits(authCall(1))
	c.reaches(`{"id":1,"result":1}`)
	c.waits(authCall(1))
	c.reaches(`{"id":1,"result":1}`)
	c.passes(authCall(1))
}

// Neither may its answer be one that the client understands and we do not.
func TestUnreadableAnswersDoNotHandOutTokens(t *testing.T) {
	for _, message := range []string{
		`{"id":1,"result":{"access_token":"a"},"result":{}}`, `{"id":1,"result":{"access_token":"a"},"error":{}}`,
		`{"id":1,"result":{"access_token":"a","access_token":"b"}}`, `{"id":1,"result":{"access_token":"a","state":"` + "\xff" + `"}}`,
		`{"id":1,"method":"x","result":{"access_token":"a"}}`, `{"id":1,"Result":{"access_token":"a"}}`,
		`{"id":1,"result":{"access_token":"a","state":` + strings.Repeat("[", MaxDepth) + strings.Repeat("]", MaxDepth) + `}}`,
	} {
		c := connect(t, nil)
		c.passes(publicCall)
		c.reaches(message)
		c.passes(authCall(7))
		if d := c.receives(message); d.Action != Drop || len(c.auth.grants) > 0 {
			t.Errorf("%s: %v", message, d)
		}
		c.waits(call42("private/buy", "{}"))
	}
}

func TestAnswerIsLearnedOnce(t *testing.T) {
	c := connect(t, nil)
	c.passes(authCall(1))
	c.reaches("[" + granted(1, "new", "connection") + "," + granted(1, "second", "connection") + "]")
	c.reaches(granted(1, "third", "connection"))
	if len(c.auth.grants) != 1 {
		t.Errorf("learned %d grants", len(c.auth.grants))
	}
}

func TestManyOpenCallsDoNotPushOutTheOneThatAsksForTokens(t *testing.T) {
	c := connect(t, nil)
	c.passes(authCall(1))
	c.now = c.now.Add(2 * maxOpenTime)
	for i := range 2 * maxOpenCalls {
		c.passes(fmt.Sprintf(`{"id":"%d","method":"public/test"}`, i))
		c.now = c.now.Add(maxOpenTime)
	}
	c.reaches(granted(1, "new", "connection"))
	if len(c.auth.grants) != 1 {
		t.Error("not learned")
	}
	c.passes(call42("private/buy", "{}"))
}

// Nobody needs a credential for these calls, of which a thousand may be open.
func TestOpenCallsKeepLittleOfWhatTheClientSays(t *testing.T) {
	c := connect(t, func(config *Config) { config.MaxMessage = 1 << 20 })
	heap := func() uint64 {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	long := strings.Repeat("x", 1<<18)
	const n = 20
	before := heap()
	for i, method := range []string{"public/disable_heartbeat", "public/set_heartbeat", "public/test", "public/ticker"} {
		for j := range n {
			c.passes(fmt.Sprintf(`{"id":%d,"method":%q,"params":{"scope":%q,"interval":%q,"grant_type":%q}}`, i*n+j, method, long, long, long))
		}
	}
	if grown := int64(heap()) - int64(before); grown > 1<<20 {
		t.Errorf("%d KiB are kept of %d calls without an answer", grown>>10, 4*n)
	}
	runtime.KeepAlive(c)
}
