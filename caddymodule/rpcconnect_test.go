package caddymodule_test

import (
	"crypto/tls"
	"net/http"
	"testing"
)

// connectOverHTTP3 is connect over HTTP/3.
func (s *site) connectOverHTTP3(e *exchange, connect connector) *trader {
	s.t.Helper()
	status, stream := connect(s.t, "/ws/api/v2", deribitAccess)
	if stream == nil {
		s.t.Fatalf("answered with %d", status)
	}
	return &trader{socket: &socket{t: s.t, conn: stream, from: stream}, peer: <-e.opened}
}

func TestRPCSocketsOverHTTP3(t *testing.T) {
	e := newExchange(t)
	s := prepare(t, e, "api deribit\nwebsocket {\non_unexpected_close call private/cancel_all\n}")
	certificate, trusted := newCertificate(t)
	s.tls = certificate
	config := &tls.Config{RootCAs: trusted, MinVersion: tls.VersionTLS13}
	s.client.Transport.(*http.Transport).TLSClientConfig = config.Clone()
	s.mustLoad()
	connect := s.overHTTP3(config)

	for _, path := range []string{"/WS/api/v2", "/ws/api/v2/x"} {
		if status, stream := connect(t, path, deribitAccess); stream != nil {
			t.Errorf("%s: answered with %d", path, status)
		}
	}
	tr, cut, gone := s.connectOverHTTP3(e, connect), s.connectOverHTTP3(e, connect), s.connectOverHTTP3(e, connect)
	tr.isRefused("private/buy", "{}", errUnauthorized)
	got := tr.logsIn()
	cut.works("private/subscribe", withAccess(got.Access))
	cut.works("private/enable_cancel_on_disconnect", withAccess(got.Access))
	cut.skip()
	tr.skip()
	tr.says(callOf(42, "private/logout", "{}"))
	tr.wantClose(1000, "logout")
	tr.wantEnd(1000)
	tr.getsCall("private/logout")
	tr.gotNothing()
	cut.wantCut("revoked")
	cut.getsCall("private/cancel_all")
	cut.wantEnd(0)

	answered := make(chan struct{})
	e.answers(func(call rpcMessage) (string, bool) {
		if call.Method == "private/cancel_all" {
			<-answered
		}
		return "", false
	})
	gone.logsIn()
	gone.works("private/enable_cancel_on_disconnect", "{}")
	gone.skip()
	_ = gone.socket.conn.Close() // the stream is reset
	gone.getsCall("private/cancel_all")
	select {
	case err := <-gone.end:
		t.Errorf("the end comes before the answer: %v", err)
	default:
	}
	close(answered)
	gone.wantEnd(0)
}
