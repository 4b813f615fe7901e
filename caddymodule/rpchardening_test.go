package caddymodule_test

import (
	"io"
	"net/http"
	"testing"
)

var upgradeFields = []string{"Upgrade: websocket", "Connection: Upgrade", "Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="}

// Many servers take a WebSocket at any path. Where messages are not looked into, nobody
// would judge the calls in them.
func TestOnlyNamedPathsTakeAWebSocketWhereCallsAreJudged(t *testing.T) {
	s, e := startExchange(t, "public /public\nwebsocket /named")
	for path, header := range map[string][]string{
		"/api/v2/public/test": nil, "/api/v2": nil, "/api/v2/public/auth?grant_type=client_credentials": nil, "/API/v2/public/test": nil,
		"/api/v2/private/buy": {bearer(deribitAccess)}, "/elsewhere": {bearer(deribitAccess)}, "/public": nil, "/named/": {bearer(deribitAccess)},
	} {
		if _, err := s.open(path, header...); err == nil {
			t.Errorf("%s: a WebSocket is opened", path)
		}
	}
	if len(e.opened) > 0 {
		t.Error("the API has seen one")
	}
	if _, err := s.open("/named", bearer(deribitAccess)); err != nil {
		t.Error(err)
	}
	// The path of methods takes none, whatever WebSockets there are.
	s = start(t, e, "opaque pass\njsonrpc /api\nwebsocket /api/ws /ws")
	for _, path := range []string{"/api/public/test", "/api", "/api/ws"} {
		if _, err := s.open(path, bearer(deribitAccess)); err == nil {
			t.Errorf("%s: a WebSocket is opened", path)
		}
	}
	if _, err := s.open("/ws", bearer(deribitAccess)); err != nil {
		t.Error(err)
	}
}

// A server may ignore Upgrade (RFC 9110 §7.8). Who has shown no credential gets nothing then
// that may be the answer to a call.
func TestHandshakeWithoutACredentialIsAnsweredByAnUpgradeAlone(t *testing.T) {
	status := http.StatusOK
	s := start(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		w.Header().Set("X-Account", "7")
		w.WriteHeader(status)
		_, _ = io.WriteString(w, `{"result":"an answer"}`)
	}), "api deribit")
	for _, status = range []int{200, 201, 404} {
		a := s.do("GET", "/ws/api/v2?id=7", "", upgradeFields...)
		if refused := status < 300; refused != (a.status == 502) || refused && (a.body != "" || a.header.Get("X-Account") != "") {
			t.Errorf("%d: the client gets %d %v %s", status, a.status, a.header, a.body)
		}
	}
	status = 200
	a := s.do("GET", "/ws/api/v2?id=7", "", append(upgradeFields[:4:4], bearer(deribitAccess))...)
	if a.status != 200 {
		t.Errorf("with a credential: %d", a.status)
	}
}
