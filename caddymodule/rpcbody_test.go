package caddymodule

import (
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

// Whatever somebody sends who has shown no credential, it takes little memory to refuse it.
func TestBodyOfACallTakesBoundedMemory(t *testing.T) {
	for what, size := range map[string]int{"too large": 1 << 20, "the largest": maxRPCBody - 100} {
		body := `{"jsonrpc":"2.0","id":1,"method":"private/buy","params":{"a":{` + strings.Repeat(`"":0,`, size/10)
		body += `"x":[` + strings.Repeat("0,", size/4) + "0]}}}"
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		var call rpcCall
		refused := call.readBody(rpcRequest(t, body))
		runtime.ReadMemStats(&after)
		if what == "too large" && (refused == nil || refused.reason != dialect.RequestTooLarge) {
			t.Errorf("%s: %v", what, refused)
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
