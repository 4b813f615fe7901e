package caddymodule

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"testing"

	"example.com/caddy-token-auth/dialect"
)

func rpcRequest(t *testing.T, body string) *http.Request {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/api/v2", strings.NewReader(body))
	r.Header.Set("Content-Type", "application/json")
	return r
}

// distinct is the largest body of a call with as many members as fit, each with a name of its
// own, behind and in front of what stands around them.
func distinct(before, after string) string {
	var b strings.Builder
	b.WriteString(before)
	for n := 0; b.Len() < maxRPCBody-len(after)-100; n++ {
		fmt.Fprintf(&b, `"%x":0,`, n)
	}
	return b.String() + `"z":0` + after
}

// Whatever somebody sends who has shown no credential, it takes little memory to read or
// refuse it.
func TestBodyOfACallTakesBoundedMemory(t *testing.T) {
	const call = `{"jsonrpc":"2.0","id":1,"method":"private/buy"`
	for what, c := range map[string]struct {
		body   string
		reason dialect.Reason // 0: it is read
	}{
		"too large":          {call + `,"params":{}}` + strings.Repeat(" ", 1<<20), dialect.RequestTooLarge},
		"many parameters":    {distinct(call+`,"params":{`, "}}"), dialect.InvalidRequest},
		"many members":       {distinct(call+",", "}"), 0},
		"many below another": {distinct(call+`,"params":{"a":{`, "}}}"), 0},
		"many elements":      {call + `,"params":{"a":[` + strings.Repeat("0,", maxRPCBody/2-100) + "0]}}", 0},
	} {
		r := rpcRequest(t, c.body)
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		refused := new(rpcCall).readBody(r)
		runtime.ReadMemStats(&after)
		if (refused == nil) != (c.reason == 0) || refused != nil && refused.reason != c.reason {
			t.Errorf("%s: %v, want the reason %v", what, refused, c.reason)
		}
		if used := after.TotalAlloc - before.TotalAlloc; used > 4<<20 {
			t.Errorf("%s: %d bytes", what, used)
		}
	}
}

// Quotes in bulk are the largest calls that there are.
func TestLargestRealCallIsRead(t *testing.T) {
	quotes := strings.Repeat(`{"instrument_name":"BTC-27DEC26-100000-C","quote_set_id":"a","ask":{"price":0.0655,"amount":1.5},"bid":{"price":0.0605,"amount":1.5}},`, 500)
	var call rpcCall
	refused := call.readBody(rpcRequest(t, `{"jsonrpc":"2.0","id":1,"method":"private/mass_quote","params":{"detailed":true,"quotes":[`+strings.TrimSuffix(quotes, ",")+`]}}`))
	if refused != nil || call.method != "private/mass_quote" {
		t.Errorf("%v, %q", refused, call.method)
	}
}
