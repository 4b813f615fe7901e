package caddymodule_test

import (
	"testing"
)

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
