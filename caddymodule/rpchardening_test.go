package caddymodule_test

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/gobwas/ws"
)

var upgradeFields = []string{"Upgrade: websocket", "Connection: Upgrade", "Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="}

// Many servers take a WebSocket at any path. Where messages are not looked into, nobody
// would judge the calls in them.
func TestOnlyNamedPathsTakeAWebSocketWhereCallsAreJudged(t *testing.T) {
	s, e := startExchange(t, "public /public\nwebsocket /named")
	for path, header := range map[string][]string{
		"/api/v2/public/test": nil, "/api/v2": nil, "/api/v2/public/auth?grant_type=client_credentials": nil, "/API/v2/public/test": nil,
		"/api/v2/private/buy": {bearer(deribitAccess)}, "/elsewhere": {bearer(deribitAccess)}, "/public": nil, "/Named": {bearer(deribitAccess)},
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

func TestRefreshTokensAreNoCredentialsOfHandshakes(t *testing.T) {
	for _, mode := range []string{"pass", "known"} {
		s, e := startExchange(t, "opaque "+mode)
		got := s.connect(e).logsIn()
		if _, err := s.open("/ws/api/v2", bearer(got.Refresh)); err == nil {
			t.Error("a refresh token opens a WebSocket")
		}
		if a := s.do("GET", "/elsewhere", "", bearer(got.Access)); a.status != 200 {
			t.Errorf("an access token: %d %s", a.status, a.body)
		}
	}
}

func TestLogoutsOnWebSocketsAreCounted(t *testing.T) {
	s, e := startExchange(t, "")
	count := func(labels string) float64 { return gathered(t, "caddy_token_auth_logouts_total", labels) }
	const bySession, unproven = "outcome=done scope=session", "outcome=unproven scope=token"
	before := [2]float64{count(bySession), count(unproven)}
	tr := s.connect(e)
	tr.logsIn()
	tr.says(callOf(42, "private/logout", "{}"))
	tr.isLoggedOut()
	tr = s.connect(e)
	tr.says(callOf(42, "private/logout", withAccess(deribitAccess)))
	tr.isLoggedOut()
	if n, m := count(bySession)-before[0], count(unproven)-before[1]; n != 1 || m != 1 {
		t.Errorf("%v and %v logouts counted", n, m)
	}
}

func TestDryRunSendsAndEndsNothingOfItsOwn(t *testing.T) {
	s, e := startExchange(t, "dry_run\nwebsocket {\non_unexpected_close call private/cancel_all\nmax_message_size 1KiB\n}")
	tr := s.connect(e)
	tr.logsIn()
	tr.works("private/enable_cancel_on_disconnect", "{}")
	tr.works("public/test", fmt.Sprintf(`{"x":%q}`, strings.Repeat("x", 2000)))
	tr.skip()
	_ = tr.socket.conn.Close()
	tr.wantEnd(0)
	tr.gotNothing()
}

// sessions has each login of an exchange begin a session of its own, the n-th with a token
// that lives for the n-th of these times in seconds, or for the last.
func (e *exchange) sessions(expiresIn ...int) {
	n := 0
	e.answers(func(call rpcMessage) (string, bool) {
		if call.Method != "public/auth" || call.Params["grant_type"] != "client_credentials" {
			return "", false
		}
		n++
		grant := e.grant(call.ID, "mainaccount", expiresIn[min(n, len(expiresIn))-1])
		return strings.Replace(grant, `"token_type"`, fmt.Sprintf(`"sid":"s%d","token_type"`, n), 1), true
	})
}

// What the session before has opened on the connection, such as a subscription, lasts.
func TestLogoutOfAnEarlierSessionOfTheConnectionCutsIt(t *testing.T) {
	s, e := startExchange(t, "")
	e.sessions(3600)
	tr, same := s.connect(e), s.connect(e)
	first := tr.logsIn()
	tr.works("private/subscribe", `{"channels":["user.orders.any.any.raw"]}`)
	tr.logsIn()
	got := same.logsIn()
	same.authenticates("public/auth", withRefresh(got.Refresh))
	s.connect(e).says(callOf(42, "private/logout", withAccess(first.Access)))
	tr.wantCut("revoked")
	same.works("private/buy", "{}")
}

// A client logs in anew before its token expires, and the API begins another session.
func TestTokenOfAnEarlierSessionOfTheConnectionMayExpire(t *testing.T) {
	s, e := startExchange(t, "leeway 0s\nopaque known")
	e.sessions(2, 3600)
	tr, other := s.connect(e), s.connect(e)
	first := tr.logsIn()
	other.works("private/buy", withAccess(first.Access))
	tr.logsIn()
	other.wantCut("expired")
	tr.works("private/buy", "{}")
}

// A refresh whose answer is withheld has not spent the token.
func TestRefreshThatIsRefusedSpendsNothing(t *testing.T) {
	s, e := startExchange(t, "refresh {\nrotate on\n}")
	got := s.connect(e).logsIn()
	tr := s.connect(e)
	for i := range 64 {
		tr.works("private/buy", withAccess(fmt.Sprintf("1.a.made-up-%d", i)))
	}
	if answer := tr.calls("public/auth", withRefresh(got.Refresh)); answer.Error == nil {
		t.Fatal("the connection takes one more token")
	}
	s.connect(e).authenticates("public/auth", withRefresh(got.Refresh))
}

// Another request has a refresh with the same token under way, and the API does not answer.
func TestConnectionThatWaitsForARefreshElsewhereIsCutAtOnce(t *testing.T) {
	s, e := startExchange(t, "opaque known\nrefresh {\nrotate on\n}")
	tr := s.connect(e)
	got := tr.logsIn()
	hangs, release := make(chan struct{}), make(chan struct{})
	e.answers(func(call rpcMessage) (string, bool) {
		if string(call.ID) == "77" {
			close(hangs)
			<-release
		}
		return "", false
	})
	done := make(chan struct{})
	go func() {
		defer close(done)
		_, _ = s.try("POST", "/api/v2/public/auth", callOf(77, "public/auth", withRefresh(got.Refresh)))
	}()
	<-hangs
	defer func() { close(release); <-done }()
	tr.skip()
	tr.says(callOf(5, "public/auth", withRefresh(got.Refresh)))
	tr.getsCall("public/auth")
	// The answer to this one is behind that of the refresh, which waits.
	tr.says(callOf(6, "public/test", "{}"))
	tr.getsCall("public/test")
	begun := time.Now()
	s.connect(e).says(callOf(42, "private/logout", withAccess(got.Access)))
	for {
		f := tr.hears()
		if f.Header.OpCode == ws.OpClose {
			break
		}
		if bytes.Contains(f.Payload, []byte("access_token")) {
			t.Fatalf("%s", f.Payload)
		}
	}
	tr.wantEnd(0)
	if took := time.Since(begun); took > 4*time.Second {
		t.Errorf("it took %s", took)
	}
}

func TestMessagesOfCallsHaveALimitOfTheirOwn(t *testing.T) {
	s, e := startExchange(t, "")
	tr := s.connect(e)
	tr.works("public/test", fmt.Sprintf(`{"x":%q}`, strings.Repeat("x", 64<<10-100)))
	tr.says(callOf(9, "public/test", fmt.Sprintf(`{"x":%q}`, strings.Repeat("x", 64<<10))))
	tr.wantText(`{"jsonrpc":"2.0","id":null,"error":{"code":-32600,"message":"request entity too large"}}`)
	tr.wantClose(1009, "message is too long")
}

// The credential of a handshake may be all that the API goes by.
func TestConnectionEndsWithTheCredentialOfItsHandshakeWhateverReplacesIt(t *testing.T) {
	s, e := startExchange(t, "opaque known\nlogout {\nscope token\n}")
	got := s.connect(e).logsIn()
	tr := s.connect(e, bearer(got.Access))
	tr.works("private/buy", withAccess(got.Access))
	tr.authenticates("public/auth", withRefresh(got.Refresh))
	s.connect(e).says(callOf(42, "private/logout", withAccess(got.Access)))
	tr.wantCut("revoked")
}

// A handler behind another one sees only the close frame that the first one sends.
func TestLogoutThroughTwoHandlersIsALogoutForBoth(t *testing.T) {
	const one = "api deribit\nwebsocket {\non_unexpected_close call private/cancel_all\n}"
	e := newExchange(t)
	s := start(t, e, one+"\nrealm a\n}\ntoken_auth {\nrealm b\n"+one)
	tr := s.connect(e)
	tr.logsIn()
	tr.works("private/enable_cancel_on_disconnect", "{}")
	tr.skip()
	tr.says(callOf(42, "private/logout", "{}"))
	tr.isLoggedOut()
	tr.wantEnd(1000)
	tr.getsCall("private/logout")
	tr.gotNothing()
}
