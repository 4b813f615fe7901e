package caddymodule_test

import (
	"testing"

	"github.com/caddyserver/caddy/v2"
)

// A configuration that keeps its list elsewhere is told of no logout here, and the list of
// the one before of none there: what is open ends, and the client asks again.
func TestStreamsEndWhenTheStoreIsChanged(t *testing.T) {
	s, api := startLive(t, "")
	access := s.login(42).Access
	resp, body := s.events(access)
	defer resp.Body.Close()
	s.wantWatched(1)
	waiting := make(chan answer, 1)
	go func() {
		a, _ := s.try("GET", "/poll", "", bearer(access))
		waiting <- a
	}()
	s.wantWatched(2)
	s.dir = t.TempDir()
	s.mustLoad()
	wantBroken(t, body)
	if a := <-waiting; a.status != 503 || a.header.Get("Retry-After") == "" {
		t.Errorf("the call that waited: %d %s", a.status, a.body)
	}
	for range 2 {
		<-api.left
	}
	s.wantNothingLeft()
	if a := s.do("GET", "/v1/cards", "", bearer(access)); a.status != 200 {
		t.Errorf("the next call: %d", a.status)
	}
}

// What a reload spares ends with its list, for the API as at any reload.
func TestWebSocketsThatOutliveAReloadEndWithTheirList(t *testing.T) {
	for name, change := range map[string]func(t *testing.T, s *site){
		"another store": func(t *testing.T, s *site) { s.dir = t.TempDir(); s.mustLoad() },
		"no store": func(t *testing.T, _ *site) {
			if err := caddy.Load([]byte(`{"admin":{"disabled":true}}`), true); err != nil {
				t.Fatal(err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			e := newExchange(t)
			s := prepare(t, e, "api deribit\nwebsocket {\non_unexpected_close call private/cancel_all\n}")
			s.proxy = "stream_close_delay 1m"
			s.mustLoad()
			tr, silent := s.connect(e), s.connect(e)
			tr.logsIn()
			tr.works("private/enable_cancel_on_disconnect", `{"scope":"connection"}`)
			tr.skip()
			s.mustLoad() // the same list: nothing ends
			tr.works("private/buy", "{}")
			tr.skip()
			change(t, s)
			for _, k := range []*trader{tr, silent} {
				k.wantClose(1001, "")
				k.wantEnd(1001)
				k.gotNothing()
			}
		})
	}
}
