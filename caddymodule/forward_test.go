package caddymodule

import (
	"net/http"
	"net/http/httptest"
	"testing"
)

func TestIdentityHeadersOfTheClientNeverPass(t *testing.T) {
	f, err := newForwarder([]ForwardIdentity{{Header: "x-client-id", Claims: []string{"sub"}}})
	if err != nil {
		t.Fatal(err)
	}
	r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", http.NoBody)
	r.Header = http.Header{
		"X-Client-Id": {"1"},
		"X_client_id": {"2"},
		"X-Client_id": {"3"},
		"x-client-id": {"4"},
		"X^client-Id": {"5"},
		"X-Client-I":  {"kept"},
		"Connection":  {"X-Client-ID, close", "x_client_id"},
	}
	r.Trailer = http.Header{"X-Client-Id": nil}
	(&Handler{forward: f}).clean(r)
	if len(r.Header) != 2 || r.Header.Get("X-Client-I") != "kept" || len(r.Trailer) != 0 {
		t.Errorf("left over: %v, trailer %v", r.Header, r.Trailer)
	}
	// A name listed here would be taken off the request by the proxy, ours included.
	if got := r.Header["Connection"]; len(got) != 1 || got[0] != "close" {
		t.Errorf("Connection: %q", got)
	}
}

func TestForwardIdentityRefusesHeadersWithAMeaning(t *testing.T) {
	for _, c := range []ForwardIdentity{
		{Header: "authorization", Claims: []string{"sub"}},
		{Header: "Host", Claims: []string{"sub"}},
		{Header: "no name", Claims: []string{"sub"}},
		{Header: "", Claims: []string{"sub"}},
		{Header: "X-Client"},
	} {
		if _, err := newForwarder([]ForwardIdentity{c}); err == nil {
			t.Errorf("%+v is accepted", c)
		}
	}
	twice := []ForwardIdentity{{Header: "X-A-B", Claims: []string{"sub"}}, {Header: "x_a-b", Claims: []string{"sid"}}}
	if _, err := newForwarder(twice); err == nil {
		t.Error("one header is accepted twice")
	}
}

func TestOnlyWebSocketMayUpgrade(t *testing.T) {
	tests := []struct {
		name        string
		method      string
		major       int
		header      http.Header
		ok          bool
		wantUpgrade string
	}{
		{"none", "GET", 1, http.Header{}, true, ""},
		{"websocket", "GET", 1, http.Header{"Connection": {"keep-alive, Upgrade"}, "Upgrade": {"websocket"}}, true, "websocket"},
		{"WebSocket, in capitals", "GET", 1, http.Header{"Connection": {"Upgrade"}, "Upgrade": {"WebSocket"}}, true, "WebSocket"},
		{"h2c, as Java's client offers", "POST", 1, http.Header{"Connection": {"Upgrade, HTTP2-Settings"}, "Upgrade": {"h2c"}, "Http2-Settings": {"AAEAAEAAAAIAAAABAAMAAABkAAQBAAAAAAUAAEAA"}}, true, ""},
		{"another protocol", "GET", 1, http.Header{"Connection": {"Upgrade"}, "Upgrade": {"foo/1"}}, false, ""},
		{"websocket or another", "GET", 1, http.Header{"Connection": {"Upgrade"}, "Upgrade": {"websocket, foo"}}, false, ""},
		{"another or websocket", "GET", 1, http.Header{"Connection": {"Upgrade"}, "Upgrade": {"h2c", "websocket"}}, false, ""},
		{"not asked for", "GET", 1, http.Header{"Upgrade": {"foo"}}, true, ""},
		{"a tunnel", "CONNECT", 1, http.Header{}, false, ""},
		{"extended CONNECT", "CONNECT", 2, http.Header{":protocol": {"websocket"}}, true, ""},
		{"extended CONNECT pretended", "CONNECT", 1, http.Header{":protocol": {"websocket"}}, false, ""},
		{"extended CONNECT for another", "CONNECT", 2, http.Header{":protocol": {"connect-udp"}}, false, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := &http.Request{Method: tt.method, ProtoMajor: tt.major, Header: tt.header}
			if got := checkUpgrade(r); got != tt.ok {
				t.Fatalf("got %v", got)
			}
			if !tt.ok {
				return
			}
			if got := r.Header.Get("Upgrade"); got != tt.wantUpgrade {
				t.Errorf("Upgrade: %q", got)
			}
			if tt.wantUpgrade == "" && len(r.Header["Http2-Settings"])+len(r.Header["Connection"]) > 0 {
				t.Errorf("left over: %v", r.Header)
			}
		})
	}
}
