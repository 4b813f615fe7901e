package caddymodule_test

import (
	"bytes"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gobwas/ws"
)

func TestHandshakeOfAnRPCSocketNeedsNoCredential(t *testing.T) {
	s, e := startExchange(t, "")
	tr := s.connect(e)
	tr.works("public/get_time", "{}")
	tr.isRefused("private/buy", "{}", errUnauthorized)
	tr.isRefused("neither/buy", "{}", errUnauthorized)
	tr.isRefused("private/buy", withAccess(""), errUnauthorized)
	tr.works("private/buy", withAccess("1554817622000.1GkAOfQz.of-another-time"))
	tr.isRefused("private/buy", "{}", errUnauthorized) // nor does that authenticate the connection
	tr.logsIn()
	tr.works("private/buy", "{}")
}

func TestEveryGrantAuthenticatesTheConnection(t *testing.T) {
	s, e := startExchange(t, "opaque known")
	tr := s.connect(e)
	first := tr.logsIn()
	for _, params := range []string{
		`{"grant_type":"client_signature","client_id":"a","timestamp":1,"signature":"x","nonce":"y","data":""}`,
		withRefresh(first.Refresh),
	} {
		next := s.connect(e)
		next.isRefused("private/buy", "{}", errUnauthorized)
		got := next.authenticates("public/auth", params)
		next.works("private/buy", "{}")
		next.works("private/buy", withAccess(got.Access))
		s.connect(e).works("private/buy", withAccess(got.Access))
	}
	forked := tr.authenticates("public/fork_token", `{"refresh_token":"`+first.Refresh+`","session_name":"x"}`)
	exchanged := tr.authenticates("public/exchange_token", `{"refresh_token":"`+first.Refresh+`","subject_id":2}`)
	for _, got := range []grantedTokens{forked, exchanged} {
		s.connect(e).works("private/buy", withAccess(got.Access))
		other := s.connect(e)
		other.authenticates("public/auth", withRefresh(got.Refresh))
		other.works("private/buy", "{}")
	}
	// What the sidecar has seen on a WebSocket is known over HTTP, and the reverse.
	if a := s.do("GET", "/api/v2/private/buy", "", bearer(forked.Access)); a.status != 200 {
		t.Errorf("over HTTP: %d %s", a.status, a.body)
	}
	s.do("GET", "/api/v2/private/buy?id=7", "", bearer("a.b.unknown")).want(t, "unknown", 400, fmt.Sprintf(rpcUnauthorized, `"id":7,`))
	tr.isRefused("private/buy", withAccess("a.b.unknown"), errUnauthorized)
	tr.isRefused("public/auth", withRefresh("a.b.unknown"), errUnauthorized)
}

func TestAccessAndRefreshTokensAreNotMistakenForOneAnother(t *testing.T) {
	for _, mode := range []string{"pass", "known"} {
		s, e := startExchange(t, "opaque "+mode)
		tr := s.connect(e)
		got := tr.logsIn()
		tr.isRefused("private/buy", withAccess(got.Refresh), errUnauthorized)
		tr.isRefused("private/logout", withAccess(got.Refresh), errUnauthorized)
		for _, method := range []string{"public/auth", "public/fork_token", "public/exchange_token"} {
			tr.isRefused(method, withRefresh(got.Access), errUnauthorized)
		}
		tr.works("private/buy", withAccess(got.Access))
		unauthorized := fmt.Sprintf(rpcUnauthorized, `"id":7,`)
		s.do("GET", "/api/v2/private/buy?id=7", "", bearer(got.Refresh)).want(t, "over HTTP", 400, unauthorized)
		s.do("GET", "/api/v2/public/auth?id=7&grant_type=refresh_token&refresh_token="+got.Access, "").want(t, "over HTTP", 400, unauthorized)
	}
}

func TestHandshakeWithACredentialIsJudgedByIt(t *testing.T) {
	s, e := startExchange(t, "opaque known")
	got := s.connect(e).logsIn()
	if _, err := s.open("/ws/api/v2", bearer("a.b.unknown")); err == nil {
		t.Error("a bad credential opens a WebSocket")
	}
	tr := s.connect(e, bearer(got.Access))
	if tr.header.Get("Authorization") == "" {
		t.Error("the API does not get the credential")
	}
	tr.isRefused("private/buy", "{}", errUnauthorized)
	s.connect(e).says(callOf(1, "private/logout", withAccess(got.Access)))
	tr.wantCut("revoked")
}

func TestExtensionsAreNotAgreedOnWhereMessagesAreRead(t *testing.T) {
	s, e := startExchange(t, "websocket /elsewhere")
	tr := s.connect(e, "Sec-WebSocket-Extensions: permessage-deflate")
	if got := tr.header.Values("Sec-Websocket-Extensions"); len(got) > 0 {
		t.Errorf("the API is offered %q", got)
	}
	// Elsewhere they are the API's and the client's own affair.
	k, err := s.open("/elsewhere", "Sec-WebSocket-Extensions: permessage-deflate", bearer(deribitAccess))
	if err != nil {
		t.Fatal(err)
	}
	_ = k.conn.Close()
	if p := <-e.opened; p.header.Get("Sec-Websocket-Extensions") == "" {
		t.Error("the extension is taken off")
	}
}

// Public clients have the path built in with a slash at its end, and others without.
func TestSlashAtTheEndMakesNoOtherSocket(t *testing.T) {
	for _, option := range []string{"", "websocket /ws/api/v2/", "websocket /ws/api/v2 /ws/api/v2/ {\nidle_timeout 1h\n}"} {
		s, e := startExchange(t, option)
		for _, path := range []string{"/ws/api/v2", "/ws/api/v2/"} {
			k, err := s.open(path)
			if err != nil {
				t.Fatalf("%q: %s: %v", option, path, err)
			}
			tr := &trader{socket: k, peer: <-e.opened}
			if tr.path != path {
				t.Errorf("%q: the API sees %s, want %s", option, tr.path, path)
			}
			tr.isRefused("private/buy", "{}", errUnauthorized)
			tr.logsIn()
			tr.works("private/buy", "{}")
		}
	}
}

// An upstream might take these paths for that of the WebSocket, where nobody would look
// into the messages.
func TestPathsThatMayBeThatOfTheSocketAreRefused(t *testing.T) {
	s, e := startExchange(t, "public /*")
	for _, path := range []string{
		"/WS/api/v2", "/WS/api/v2/", "/ws/api/v2//", "/ws/api/v2%2f", "/ws//api/v2", "/ws/api/v2.json", "/ws/./api/v2", "/ws/%61pi/v2/x", "/ws/api/v2;x", "/ws/api/v2/below",
		"/ws/api%2fv2", "/x/../ws/api/v2",
	} {
		if _, err := s.open(path, bearer(deribitAccess)); err == nil {
			t.Errorf("%s: a WebSocket is opened", path)
		}
	}
	if len(e.opened) > 0 {
		t.Error("the API has seen one")
	}
}

func TestMalformedMessagesAreAnsweredAndNotForwarded(t *testing.T) {
	s, e := startExchange(t, "")
	tr := s.connect(e)
	const (
		parse   = `{"jsonrpc":"2.0","id":null,"error":{"code":-32700,"message":"Parse error"}}`
		invalid = `{"jsonrpc":"2.0","id":%s,"error":{"code":-32600,"message":"Invalid Request"}}`
	)
	for message, want := range map[string]string{
		"{":                                 parse,
		"":                                  parse,
		`{"id":1,"id":2}`:                   parse,
		`{"id":1} {}`:                       parse,
		"[]":                                fmt.Sprintf(invalid, "null"),
		`{"id":1,"Method":"x"}`:             fmt.Sprintf(invalid, "1"),
		callOf(1, "private/x", "7"):         fmt.Sprintf(invalid, "1"),
		`{"id":[1],"method":"public/test"}`: fmt.Sprintf(invalid, "null"),
	} {
		tr.says(message)
		tr.wantText(want)
	}
	tr.gotNothing()
	// The connection goes on.
	tr.works("public/test", "{}")
}

func TestMessagesAreForwardedByteForByte(t *testing.T) {
	s, e := startExchange(t, "")
	tr := s.connect(e)
	tr.logsIn()
	tr.skip()
	for _, message := range []string{
		callOf(1, "private/buy", "{}") + "\n",
		"\r\n " + callOf(2, "private/buy", `{ "amount" : 1.50 }`) + " \n\n",
		callOf(3, "private/buy", "null"),
		`{"jsonrpc":"2.0","id":4,"method":"private/buy"}`,
		"[" + callOf(5, "private/buy", "{}") + "," + callOf(6, "public/test", "{}") + "]\n",
	} {
		tr.says(message)
		tr.gets(message)
		tr.hears()
	}
	// A binary message is one too, and so is one in fragments, with a ping in between.
	message := []byte(callOf(7, "private/buy", "{}"))
	tr.sends(ws.NewBinaryFrame(message))
	tr.gets(string(message))
	tr.hears()
	tr.sends(ws.NewFrame(ws.OpText, false, message[:9]), ws.NewPingFrame(nil), ws.NewFrame(ws.OpContinuation, true, message[9:]))
	tr.gets(string(message))
	tr.hears()
}

func TestABatchPassesWholeOrNotAtAll(t *testing.T) {
	s, e := startExchange(t, "")
	tr := s.connect(e)
	tr.says("[" + callOf(1, "public/test", "{}") + "," + callOf(2, "private/buy", "{}") + "]")
	tr.wantText(`[{"jsonrpc":"2.0","id":1,"error":{"code":-32600,"message":"Invalid Request","data":{"reason":"another call of the batch is refused"}}},{"jsonrpc":"2.0","id":2,"error":` + errUnauthorized + `}]`)
	tr.gotNothing()
	batch := "[" + callOf(3, "public/test", "{}") + "," + callOf(4, "private/buy", withAccess(deribitAccess)) + "]"
	tr.says(batch)
	tr.gets(batch)
	tr.hears()
	tr.sends(ws.NewBinaryFrame([]byte("[" + callOf(5, "private/buy", "{}") + "]")))
	if f := tr.hears(); !bytes.Contains(f.Payload, []byte("13009")) {
		t.Errorf("binary: %s", f.Payload)
	}
	tr.gotNothing()
}

func TestOversizeMessagesEndTheConnection(t *testing.T) {
	s, e := startExchange(t, "websocket {\nmax_message_size 1KiB\non_unexpected_close call private/cancel_all\ncancel_on_disconnect on\n}")
	const tooLarge = `{"jsonrpc":"2.0","id":null,"error":{"code":-32600,"message":"request entity too large"}}`
	tr := s.connect(e)
	tr.logsIn()
	fits := callOf(1, "private/buy", `{"label":"`+strings.Repeat("x", 900)+`"}`)
	tr.says(fits)
	tr.hears()
	tr.skip()
	tr.says(fits + strings.Repeat(" ", 200))
	tr.wantText(tooLarge)
	tr.wantClose(1009, "message is too long")
	tr.getsCall("private/cancel_all")
	tr.wantEnd(0)
}

func TestConnectionsThatOnlyWatchAreNotLookedInto(t *testing.T) {
	s, e := startExchange(t, "")
	tr := s.connect(e)
	for i := range 3 {
		text := fmt.Sprintf(`{"jsonrpc":"2.0","method":"subscription","params":{"data":%d}}`, i)
		tr.send(text)
		tr.wantText(text)
	}
	tr.write(ws.NewTextFrame(bytes.Repeat([]byte("x"), 2<<20-1))) // longer than what is read
	if f := tr.hears(); len(f.Payload) != 2<<20-1 {
		t.Errorf("%d bytes", len(f.Payload))
	}
}

func TestCallsAreCounted(t *testing.T) {
	s, e := startExchange(t, "")
	const name = "caddy_token_auth_decisions_total"
	count := func() [2]float64 {
		return [2]float64{gathered(t, name, "outcome=allowed reason="), gathered(t, name, "outcome=refused reason=missing_credential")}
	}
	before := count()
	tr := s.connect(e)
	tr.isRefused("private/buy", "{}", errUnauthorized)
	tr.logsIn()
	tr.works("private/buy", "{}")
	tr.works("private/buy", "{}")
	tr.works("public/test", "{}")
	after := count()
	if after[0]-before[0] != 2 || after[1]-before[1] != 1 {
		t.Errorf("%v allowed and refused before, %v after", before, after)
	}
}

func TestDryRunPassesCallsThatItWouldRefuse(t *testing.T) {
	s, e := startExchange(t, "dry_run\nwebsocket {\nidle_timeout 50ms\n}")
	tr := s.connect(e)
	tr.works("private/buy", "{}")
	got := tr.logsIn()
	time.Sleep(100 * time.Millisecond) // longer than idle_timeout
	tr.works("private/buy", "{}")
	other := s.connect(e)
	other.works("private/buy", withAccess(got.Access))
	wouldRefuse := func() float64 {
		return gathered(t, "caddy_token_auth_decisions_total", "outcome=would_refuse reason=revoked_credential")
	}
	before := wouldRefuse()
	tr.skip()
	tr.says(callOf(99, "private/logout", "{}"))
	tr.getsCall("private/logout")
	tr.isLoggedOut() // by the API
	other.works("private/buy", withAccess(got.Access))
	if n := wouldRefuse() - before; n != 1 {
		t.Errorf("the logout is not recorded: %v calls would be refused", n)
	}
}

// Whatever way connections end, and however many at a time.
func TestNothingIsLeftOfRPCSockets(t *testing.T) {
	s, e := startExchange(t, "websocket {\nidle_timeout 20s\non_unexpected_close call private/cancel_all\ncancel_on_disconnect on\n}")
	warm := s.connect(e)
	warm.logsIn()
	_ = warm.socket.conn.Close()
	warm.getsCall("public/auth")
	warm.getsCall("private/cancel_all")
	warm.wantEnd(0)
	s.wantNothingLeft()
	before := runtime.NumGoroutine()
	for range 3 {
		var all sync.WaitGroup
		for i := range 60 {
			tr := s.connect(e)
			all.Go(func() {
				tr.logsIn()
				for range 20 {
					tr.works("private/buy", "{}")
				}
				switch i % 4 {
				case 0:
					tr.says(callOf(999, "private/logout", "{}"))
					tr.isLoggedOut()
					tr.wantEnd(1000)
				case 1:
					tr.sends(ws.NewCloseFrame(ws.NewCloseFrameBody(1000, "")))
					tr.wantEnd(1000)
					_ = tr.socket.conn.Close()
				case 2:
					_ = tr.socket.conn.Close()
					tr.wantEnd(0)
				default:
					tr.says(callOf(999, "public/auth", byCredentials))
					tr.says(callOf(1000, "private/buy", "{}"))
					_ = tr.socket.conn.Close()
					tr.wantEnd(0)
				}
			})
		}
		all.Wait()
		s.wantNothingLeft()
	}
	s.eventually(func() bool { return runtime.NumGoroutine() <= before+5 })
}
