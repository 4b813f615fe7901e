package jsonrpc

import (
	"bytes"
	"testing"
)

func TestAnswersToOrdinaryCallsNeedNotBeRead(t *testing.T) {
	for message, settles := range map[string]bool{
		`{"jsonrpc":"2.0","id":42,"result":"ok"}`:                               true,
		`{"jsonrpc":"2.0","id":42,"error":{"code":1}}`:                          true,
		`{"jsonrpc":"2.0","id":42,"result":{"access_token":"t"}}`:               true, // as for any call that asks for none
		`{"jsonrpc":"2.0","id":4242,"result":"ok"}`:                             false,
		`{"jsonrpc":"2.0","id":042,"result":"ok"}`:                              false,
		`{"jsonrpc":"2.0","id":42`:                                              false,
		`{"jsonrpc":"2.0","id":42,"method":"heartbeat"}`:                        false,
		`{"jsonrpc":"2.0","method":"subscription","params":{"id":42}}`:          false,
		` {"result":"ok","id":42}`:                                              true, // read
		`{"jsonrpc":"2.0","id":42.0,"result":"ok"}`:                             true, // read
		`[{"jsonrpc":"2.0","id":42,"result":"ok"}]`:                             true, // read
		`{"jsonrpc":"2.0","id":1000000000000000000000000000,"result":"beyond"}`: false,
	} {
		c := connect(t, nil)
		c.passes(call42("public/get_time", "{}"))
		if d := c.receives(message); d.Action != Forward {
			t.Errorf("%s: %s", message, d.Action)
		}
		if got := !c.Awaits(); got != settles {
			t.Errorf("%s: settled %v", message, got)
		}
	}
}

func TestAnswersThatCountAreRead(t *testing.T) {
	c := connect(t, nil)
	c.passes(authCall(7))
	c.passes(call42("public/get_time", "{}"))
	const stray = `{"jsonrpc":"2.0","id":42,"result":{"access_token":"t"}}`
	if d := c.receives(stray); d.Action != Answer {
		t.Errorf("tokens under another id while some are awaited: %s", d.Action)
	}
	c.receives(granted(7, "live", "connection"))
	if len(c.auth.grants) != 1 {
		t.Errorf("%d grants learned", len(c.auth.grants))
	}
	c.receives(`{"jsonrpc":"2.0","id":42,"result":1}`)
	c.passes(call42("private/enable_cancel_on_disconnect", "{}"))
	c.receives(`{"jsonrpc":"2.0","id":42,"result":"ok"}`)
	if !c.CancelOnDisconnect() {
		t.Error("the answer that switches it on was not read")
	}
}

func FuzzPlainAnswer(f *testing.F) {
	for _, seed := range []string{
		`{"jsonrpc":"2.0","id":42,"result":"ok"}`, `{"jsonrpc":"2.0","id":0,"error":{}}`, `{"jsonrpc":"2.0","id":-1,"result":1}`,
		`{"jsonrpc":"2.0","id":1,"result":1,"id":2}`, `{"jsonrpc":"2.0","id":1,"result":1,"method":"x"}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, message []byte) {
		id, ok := plainAnswer(message)
		if !ok {
			return
		}
		payload, err := Parse(message)
		if err != nil {
			return // it would have been forwarded, too
		}
		if m := payload.Messages[0]; payload.Batch || m.Kind != Response || !bytes.Equal(m.ID, id) {
			t.Errorf("%s is taken for the answer to %s", message, id)
		}
	})
}
