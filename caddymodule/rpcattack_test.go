package caddymodule_test

import (
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gobwas/ws"
	"github.com/golang-jwt/jwt/v5"

	"example.com/caddy-token-auth/revocation"
	"example.com/caddy-token-auth/revocation/redisstore"
)

// hold has the exchange answer calls of this method only after the function returned was
// called.
func (e *exchange) hold(method string) (release func()) {
	held := make(chan struct{})
	e.answers(func(call rpcMessage) (string, bool) {
		if call.Method == method {
			<-held
		}
		return "", false
	})
	return func() { close(held) }
}

func TestLogoutBehindALoginRevokesWhatThatHandsOut(t *testing.T) {
	s, e := startExchange(t, "opaque known")
	release := e.hold("public/auth")
	tr := s.connect(e)
	tr.says(callOf(1, "public/auth", byCredentials))
	tr.getsCall("public/auth")
	tr.says(callOf(2, "private/logout", "{}"))
	tr.says(callOf(3, "public/test", "{}"))
	release()
	if f := tr.hears(); !strings.Contains(string(f.Payload), "access-1") {
		t.Fatalf("%s", f.Payload)
	}
	tr.isLoggedOut()
	tr.wantEnd(1000)
	tr.getsCall("private/logout")
	tr.gotNothing()
	other := s.connect(e)
	other.isRefused("private/buy", withAccess("1554817622000.1GkAOfQz.access-1"), errUnauthorized)
	other.isRefused("public/auth", withRefresh("1554817622000.1GkAOfQz.refresh-1"), errUnauthorized)
}

func TestLogoutElsewhereDuringARefreshWinsOnAWebSocketToo(t *testing.T) {
	s, e := startExchange(t, "opaque known")
	first := s.connect(e).logsIn()
	release := e.hold("public/auth")
	tr := s.connect(e)
	tr.says(callOf(1, "public/auth", withRefresh(first.Refresh)))
	tr.getsCall("public/auth")
	other := s.connect(e)
	other.says(callOf(42, "private/logout", withAccess(first.Access)))
	other.isLoggedOut()
	release()
	tr.wantText(`{"jsonrpc":"2.0","id":1,"error":` + errUnauthorized + `}`)
	tr.isRefused("private/buy", "{}", errUnauthorized)
	tr.isRefused("private/buy", withAccess("1554817622000.1GkAOfQz.access-2"), errUnauthorized)
}

func TestOfSeveralRefreshesWithOneTokenOneSucceeds(t *testing.T) {
	s, e := startExchange(t, "opaque known\nrefresh {\nrotate on\n}")
	first := s.connect(e).logsIn()
	release := e.hold("public/auth")
	traders := make([]*trader, 5)
	for i := range traders {
		traders[i] = s.connect(e)
		traders[i].says(callOf(1, "public/auth", withRefresh(first.Refresh)))
		traders[i].getsCall("public/auth")
	}
	release()
	got := 0
	for _, tr := range traders {
		if f := tr.hears(); strings.Contains(string(f.Payload), "access_token") {
			got++
			tr.works("private/buy", "{}")
		} else if !strings.Contains(string(f.Payload), "13009") {
			t.Errorf("%s", f.Payload)
		}
	}
	if got != 1 {
		t.Errorf("%d of %d get tokens", got, len(traders))
	}
}

// A login that began before the logout of its session hands out nothing that works.
func TestLogoutDuringALoginCoversItsTokensOnAWebSocketToo(t *testing.T) {
	s, e := startExchange(t, "opaque known")
	var held atomic.Pointer[chan struct{}]
	e.answers(func(call rpcMessage) (string, bool) {
		if call.Method != "public/auth" {
			return "", false
		}
		if wait := held.Load(); wait != nil {
			<-*wait
		}
		return strings.Replace(e.grant(call.ID, "connection", 3600), `"token_type"`, `"sid":"s1","token_type"`, 1), true
	})
	one, two := s.connect(e), s.connect(e)
	one.logsIn()
	held.Store(new(make(chan struct{})))
	two.says(callOf(1, "public/auth", byCredentials))
	two.getsCall("public/auth")
	one.says(callOf(42, "private/logout", "{}"))
	one.isLoggedOut()
	close(*held.Load())
	two.wantText(`{"jsonrpc":"2.0","id":1,"error":` + errUnauthorized + `}`)
	two.wantCut("revoked")
	two.wantEnd(0)
	other := s.connect(e)
	other.isRefused("private/buy", withAccess("1554817622000.1GkAOfQz.access-2"), errUnauthorized)
	held.Store(nil)
	other.logsIn()
	other.works("private/buy", "{}")
}

func TestCallsBehindALoginWaitForItsAnswer(t *testing.T) {
	s, e := startExchange(t, "opaque known")
	release := e.hold("public/auth")
	tr := s.connect(e)
	for i, method := range []string{"public/auth", "public/auth", "private/buy"} {
		tr.says(callOf(i, method, "{}"))
	}
	tr.getsCall("public/auth")
	tr.gotNothing()
	release()
	for range 3 {
		if f := tr.hears(); strings.Contains(string(f.Payload), "error") {
			t.Errorf("%s", f.Payload)
		}
	}
	tr.getsCall("public/auth")
	tr.getsCall("private/buy")
}

// A call that waits for an answer that does not come does not keep a connection from
// being cut, nor the API from being told.
func TestConnectionThatWaitsIsCutAtOnce(t *testing.T) {
	s, e := startExchange(t, "opaque known\nwebsocket {\non_unexpected_close call private/cancel_all\ncancel_on_disconnect on\n}")
	tr := s.connect(e)
	got := tr.logsIn()
	e.answers(func(call rpcMessage) (string, bool) { return "", call.Method == "public/auth" })
	tr.skip()
	tr.says(callOf(99, "public/auth", byCredentials))
	tr.getsCall("public/auth")
	tr.says(callOf(100, "private/buy", "{}"))
	begun := time.Now()
	s.connect(e).says(callOf(42, "private/logout", withAccess(got.Access)))
	tr.wantCut("revoked")
	tr.getsCall("private/cancel_all")
	tr.wantEnd(0)
	if took := time.Since(begun); took > 5*time.Second {
		t.Errorf("it took %s", took)
	}
}

// Tokens in answers to anything but a call for tokens are nobody's.
func TestOnlyAnswersToCallsForTokensHandThemOut(t *testing.T) {
	s, e := startExchange(t, "opaque known")
	e.answers(func(call rpcMessage) (string, bool) {
		return e.grant(call.ID, "connection", 3600), call.Method == "public/get_time"
	})
	tr := s.connect(e)
	got := tr.authenticates("public/get_time", `{"grant_type":"client_credentials"}`)
	tr.isRefused("private/buy", "{}", errUnauthorized)
	tr.isRefused("private/buy", withAccess(got.Access), errUnauthorized)
	tr.send(e.grant([]byte("99"), "connection", 3600))
	tr.hears()
	tr.isRefused("private/buy", "{}", errUnauthorized)
	tr.isRefused("private/buy", withAccess("1554817622000.1GkAOfQz.access-2"), errUnauthorized)
}

// A request that only looks like a handshake may be a call for an API that does not mind.
func TestHandshakesThatMayBeCallsAreRefused(t *testing.T) {
	s, e := startExchange(t, "jsonrpc /ws/api/v2")
	upgrade := []string{"Upgrade: websocket", "Connection: Upgrade", "Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="}
	invalid := fmt.Sprintf(rpcParams, `"id":7,`)
	body := callOf(7, "private/buy", withAccess(deribitAccess))
	s.do("POST", "/ws/api/v2", body, upgrade...).want(t, "a call", 400, invalid)
	s.do("GET", "/ws/api/v2?id=7", body, upgrade...).want(t, "with a body", 400, invalid)
	for _, query := range []string{"access_token=a.b.c", "method=private/buy", "METHOD=private/buy", "Access_Token=a.b.c", "access%5Ftoken=a.b.c", "refresh_token=a.b.c"} {
		s.do("GET", "/ws/api/v2?id=7&"+query, "", upgrade...).want(t, query, 400, invalid)
	}
	if len(e.opened) > 0 {
		t.Error("the API has seen one")
	}
	if _, err := s.open("/ws/api/v2?version=2"); err != nil {
		t.Error(err)
	}
}

// An answer that is too long to be read might hold tokens that nobody has recorded.
func TestAnswerThatHidesTokensByItsLengthEndsTheConnection(t *testing.T) {
	s, e := startExchange(t, "")
	e.answers(func(call rpcMessage) (string, bool) {
		size := 1 << 20
		if string(call.ID) == "2" {
			size = 16 << 20
		}
		long := fmt.Sprintf(`{"id":%s,"result":%q}`, call.ID, strings.Repeat("x", size))
		return long, call.Method == "public/get_instruments"
	})
	tr := s.connect(e)
	tr.says(callOf(1, "public/get_instruments", "{}"))
	if f := tr.hears(); len(f.Payload) < 1<<20 {
		t.Errorf("%d bytes", len(f.Payload))
	}
	tr.says("[" + callOf(2, "public/get_instruments", "{}") + "," + callOf(3, "public/auth", byCredentials) + "]")
	tr.wantClose(1011, "upstream error")
	tr.wantEnd(0)
}

func TestAConnectionTakesAFewTokensAndNotMany(t *testing.T) {
	s, e := startExchange(t, "")
	tr := s.connect(e)
	for i := range 64 {
		tr.works("private/buy", withAccess(fmt.Sprintf("a.b.token-%d", i)))
	}
	tr.isRefused("private/buy", withAccess("a.b.one-more"), `{"code":10028,"message":"too_many_requests"}`)
	tr.works("private/buy", withAccess("a.b.token-7"))
	s.connect(e).says(callOf(1, "private/logout", withAccess("a.b.token-7")))
	tr.wantCut("revoked")
}

func TestMadeUpTokensCannotFillTheListByLogouts(t *testing.T) {
	s, e := startExchange(t, "")
	refused := false
	for i := range 30 {
		tr := s.connect(e, fmt.Sprintf("X-Forwarded-For: 192.0.2.%d", 77))
		tr.says(callOf(1, "private/logout", withAccess(fmt.Sprintf("a.b.made-up-%d", i))))
		if f := tr.hears(); f.Header.OpCode == ws.OpText {
			refused = strings.Contains(string(f.Payload), "10028")
			break
		}
	}
	if !refused {
		t.Error("each of 30 leaves a record")
	}
}

// JWTs are judged like those of requests, and a logout ends their session.
func TestJWTsOnAnRPCSocket(t *testing.T) {
	s, e := startExchange(t, "secret "+testSecret+"\nopaque known\nleeway 0s")
	of := func(change func(jwt.MapClaims)) string {
		claims := claimsAt(time.Now())
		claims["sid"] = "s1"
		change(claims)
		return withAccess(sign(t, claims))
	}
	tr := s.connect(e)
	good := of(func(jwt.MapClaims) {})
	same := of(func(c jwt.MapClaims) { c["jti"] = "another" })
	other := of(func(c jwt.MapClaims) { c["sid"], c["jti"] = "s2", "of another session" })
	tr.works("private/buy", good)
	for name, params := range map[string]string{
		"expired":      of(func(c jwt.MapClaims) { c["exp"] = time.Now().Unix() - 1 }),
		"no session":   of(func(c jwt.MapClaims) { delete(c, "sid") }),
		"bad":          withAccess(sign(t, claimsAt(time.Now())) + "x"),
		"no signature": withAccess("eyJhbGciOiJub25lIn0.eyJzdWIiOiI0MiJ9."),
	} {
		tr.isRefused("private/buy", params, errUnauthorized)
		if t.Failed() {
			t.Fatal(name)
		}
	}
	next := s.connect(e)
	next.works("private/subscribe", other)
	s.connect(e).says(callOf(1, "private/logout", same))
	tr.wantCut("revoked")
	next.works("private/buy", other)
	next.isRefused("private/buy", good, errUnauthorized)
}

func TestCallsWithoutTheStoreAndRevocationByAnotherReplica(t *testing.T) {
	addr := freeAddr(t)
	e := newExchange(t)
	e.answers(func(call rpcMessage) (string, bool) {
		granted := strings.Replace(e.grant(call.ID, "connection", 3600), `"token_type"`, `"sid":"s1","token_type"`, 1)
		return granted, call.Method == "public/auth"
	})
	s := prepare(t, e, "api deribit\nready /ready\nopaque known\nwebsocket {\non_unexpected_close call private/cancel_all\n}")
	s.store = "store redis redis://" + addr
	s.global = "digest_key 0123456789abcdef0123456789abcdef"
	s.mustLoad()
	tr := s.connect(e)
	tr.works("public/test", "{}")
	tr.isRefused("private/buy", withAccess("a.b.c"), errUnavailable)
	if answer := tr.calls("public/auth", byCredentials); string(answer.Error) != errUnavailable || answer.Result != nil {
		t.Errorf("the client gets tokens that nobody has recorded: %s %s", answer.Result, answer.Error)
	}
	tr.isRefused("private/buy", "{}", errUnauthorized)

	startRedis(t, addr)
	s.eventually(func() bool { return s.do("GET", "/ready", "").body == `{"ready":true}` })
	got := tr.logsIn()
	tr.works("private/enable_cancel_on_disconnect", "{}")
	store, err := redisstore.Open(t.Context(), redisstore.Options{Addresses: []string{addr}})
	if err != nil {
		t.Fatal(err)
	}
	replica, err := revocation.Open(t.Context(), store, revocation.Options{MaxTokenLifetime: 365 * 24 * time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	defer replica.Close()
	tr.skip()
	if _, err := replica.RevokeNamed(t.Context(), revocation.ScopeSession, "", "s1"); err != nil {
		t.Fatal(err)
	}
	tr.wantCut("revoked")
	tr.getsCall("private/cancel_all")
	tr.wantEnd(0)
	s.connect(e).isRefused("private/buy", withAccess(got.Access), errUnauthorized)
}

// A reload ends connections as the proxy does, unless it is told to leave them alone. Then
// they go on as they began.
func TestReloadEndsConnectionsNormally(t *testing.T) {
	s, e := startExchange(t, "websocket {\non_unexpected_close call private/cancel_all\ncancel_on_disconnect on\n}")
	tr := s.connect(e)
	tr.logsIn()
	tr.skip()
	s.options += "\nleeway 1s"
	s.mustLoad()
	if f := tr.hears(); f.Header.OpCode != ws.OpClose || string(f.Payload) != string(ws.NewCloseFrameBody(1001, "")) {
		t.Errorf("the client gets frame %x %x", f.Header.OpCode, f.Payload)
	}
	tr.wantEnd(1001)
	tr.gotNothing()
}

func TestWebSocketsAreCheckedInTheConfiguration(t *testing.T) {
	for options, want := range map[string]string{
		"api deribit\nwebsocket {\nprotocol none\nlogout forward\n}":                         "protocol jsonrpc",
		"opaque pass\nwebsocket {\nprotocol jsonrpc\n}":                                      "no path",
		"opaque pass\nwebsocket /ws {\nidle_timeout 1m\n}":                                   "protocol jsonrpc",
		"opaque pass\nwebsocket /ws {\nprotocol jsonrpc\non_unexpected_close_timeout 1s\n}":  "on_unexpected_close call",
		"api deribit\nwebsocket /other {\nprotocol jsonrpc\n}\nwebsocket /ws/api/v2 /other2": "",
		"api deribit\nwebsocket /ws/api/v2 /other {\nlogout forward\n}\nwebsocket /other":    "another one has this path",
		"api deribit\nwebsocket /ws/api/v2 /other {\nlogout forward\n}\nwebsocket /third":    "",
		"opaque known\nwebsocket /ws {\nprotocol jsonrpc\n}":                                 "",
		"opaque known\nwebsocket /ws":                                                        "would ever be taken",
		"api deribit\nwebsocket /other\nwebsocket /ws/api/v2 /other/":                        "another one has this path",
		"api deribit\nwebsocket /x {\nprotocol jsonrpc\nlogout forward\nidle_timeout 1s\n}":  "",
		"api deribit\nwebsocket /ws/api/v2 /ws/api/v2/":                                      "",
		"api deribit\nwebsocket /ws/api/v2 /ws/api/v2":                                       "named twice",
		"api deribit\nwebsocket /ws/api/v2 /WS/api/v2/":                                      "named twice",
		"api deribit\nwebsocket /ws/api/v2\nwebsocket /ws/api/v2/":                           "another one has this path",
		"api deribit\nwebsocket {\nprotocol none\nmax_messages_per_second 5\n}":              "",
	} {
		err := validate(t, options)
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%q: %v, want %q", options, err, want)
		}
	}
}
