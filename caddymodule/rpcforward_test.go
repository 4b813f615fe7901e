package caddymodule_test

import (
	"fmt"
	"io"
	"net"
	"testing"
	"time"

	"github.com/gobwas/ws"
)

// silentLogout has the API give no sign of what becomes of a logout.
func (e *exchange) silentLogout() {
	e.answers(func(call rpcMessage) (string, bool) { return "", call.Method == "private/logout" })
}

// stays checks that a call does not go on to the API yet.
func (tr *trader) stays(text string) {
	tr.socket.t.Helper()
	tr.says(text)
	tr.sends(ws.NewPingFrame(nil)) // in vain, behind it
	time.Sleep(20 * time.Millisecond)
	tr.gotNothing()
}

// The API is asked first, and its close is what the client sees, once the logout is recorded.
func TestLogoutIsTheAPIsToCarryOut(t *testing.T) {
	s, e := startExchange(t, "")
	e.silentLogout()
	tr := s.connect(e)
	got := tr.logsIn()
	tr.skip()
	logout := callOf(42, "private/logout", `{"invalidate_token":true}`) + "\n"
	tr.says(logout)
	tr.gets(logout)
	tr.stays(callOf(43, "private/buy", "{}"))
	s.connect(e).works("private/buy", withAccess(got.Access)) // nothing is revoked yet
	tr.send(`{"jsonrpc":"2.0","method":"subscription","params":{}}`)
	tr.wantText(`{"jsonrpc":"2.0","method":"subscription","params":{}}`)
	tr.write(ws.NewCloseFrame(ws.NewCloseFrameBody(1000, "bye")))
	tr.wantClose(1000, "bye")
	// It is recorded by now, and the API's close frame has been answered.
	s.connect(e).isRefused("private/buy", withAccess(got.Access), errUnauthorized)
	tr.wantEnd(1000)
	tr.gotNothing()
}

// A logout that the API refuses, such as one with a token that it has never issued, has not
// taken place.
func TestLogoutThatTheAPIRefusesHasNotTakenPlace(t *testing.T) {
	s, e := startExchange(t, "")
	const refused = `{"jsonrpc":"2.0","id":42,"error":{"code":13009,"message":"unauthorized","data":{"reason":"invalid_token"}}}`
	e.answers(func(call rpcMessage) (string, bool) { return refused, call.Method == "private/logout" })
	tr := s.connect(e)
	got := tr.logsIn()
	watching := s.connect(e)
	watching.works("private/subscribe", withAccess("a.b.never-issued"))
	for _, params := range []string{withAccess("a.b.never-issued"), "{}"} {
		tr.says(callOf(42, "private/logout", params))
		tr.wantText(refused)
		tr.works("private/buy", "{}")
	}
	watching.works("private/buy", withAccess("a.b.never-issued"))
	// The next one may be carried out.
	e.answers(nil)
	tr.says(callOf(43, "private/logout", "{}"))
	tr.isLoggedOut()
	s.connect(e).isRefused("private/buy", withAccess(got.Access), errUnauthorized)
}

func TestLogoutEndsHoweverTheAPIEndsTheConnection(t *testing.T) {
	for name, end := range map[string]func(tr *trader){
		"close frame without a code": func(tr *trader) { tr.write(ws.NewCloseFrame(nil)) },
		"end of TCP":                 func(tr *trader) { _ = tr.peer.conn.Close() },
		"half-close":                 func(tr *trader) { _ = tr.peer.conn.(*net.TCPConn).CloseWrite() },
		"an answer":                  func(tr *trader) { tr.send(`{"jsonrpc":"2.0","id":42,"result":"ok"}`) },
	} {
		t.Run(name, func(t *testing.T) {
			s, e := startExchange(t, "websocket {\non_unexpected_close call private/cancel_all\ncancel_on_disconnect on\n}")
			e.silentLogout()
			tr := s.connect(e)
			got := tr.logsIn()
			tr.skip()
			tr.says(callOf(42, "private/logout", "{}"))
			tr.getsCall("private/logout")
			end(tr)
			tr.wantClose(1000, "logout")
			s.connect(e).isRefused("private/buy", withAccess(got.Access), errUnauthorized)
			<-tr.end
			tr.gotNothing()
		})
	}
}

func TestLogoutThatTheAPIDoesNotAnswerIsOneAllTheSame(t *testing.T) {
	t.Parallel()
	s, e := startExchange(t, "")
	e.silentLogout()
	tr := s.connect(e)
	got := tr.logsIn()
	begun := time.Now()
	tr.says(callOf(42, "private/logout", "{}"))
	tr.isLoggedOut()
	if took := time.Since(begun); took < 4*time.Second {
		t.Errorf("after %s", took)
	}
	tr.wantEnd(1000)
	s.connect(e).isRefused("private/buy", withAccess(got.Access), errUnauthorized)
}

func TestLogoutCountsAlthoughTheClientHasGone(t *testing.T) {
	for name, leave := range map[string]func(tr *trader){
		"close frame": func(tr *trader) { tr.sends(ws.NewCloseFrame(ws.NewCloseFrameBody(1000, ""))) },
		"end of TCP":  func(tr *trader) { _ = tr.socket.conn.Close() },
		"reset": func(tr *trader) {
			_ = tr.socket.conn.(*net.TCPConn).SetLinger(0)
			_ = tr.socket.conn.Close()
		},
		"violation": func(tr *trader) { _, _ = io.WriteString(tr.socket.conn, "no frame") },
	} {
		t.Run(name, func(t *testing.T) {
			s, e := startExchange(t, "websocket {\non_unexpected_close call private/cancel_all\ncancel_on_disconnect on\n}")
			e.silentLogout()
			tr, other := s.connect(e), s.connect(e)
			got := tr.logsIn()
			other.works("private/subscribe", withAccess(got.Access))
			tr.skip()
			tr.says(callOf(42, "private/logout", "{}"))
			tr.getsCall("private/logout")
			leave(tr)
			// The API has the time to carry it out, and its close frame is answered.
			if name != "close frame" {
				select {
				case err := <-tr.end:
					t.Fatalf("the API sees the end before it has closed the connection: %v", err)
				case <-time.After(50 * time.Millisecond):
				}
				tr.write(ws.NewCloseFrame(ws.NewCloseFrameBody(1000, "")))
			}
			tr.wantEnd(1000)
			other.wantCut("revoked")
			tr.gotNothing()
		})
	}
}

// What ends the connection while the API is asked does not undo the logout.
func TestLogoutCountsAlthoughTheConnectionIsCutMeanwhile(t *testing.T) {
	s, e := startExchange(t, "opaque known\nleeway 0s\nlogout {\nscope session\n}")
	lifetimes := map[string]int{"short": 1, "long": 3600}
	e.answers(func(call rpcMessage) (string, bool) {
		for name, seconds := range lifetimes {
			if call.Params["want"] == name {
				return e.grant(call.ID, "connection", seconds), true
			}
		}
		return "", call.Method == "private/logout" && call.Params["hold"] == "yes"
	})
	for name, c := range map[string]struct {
		want string
		cut  func(carried string)
	}{
		"revoked": {"long", func(carried string) {
			s.connect(e).says(callOf(1, "private/logout", withAccess(carried)))
		}},
		"expired": {"short", func(string) {}},
	} {
		carried := s.connect(e).authenticates("public/auth", fmt.Sprintf(`{"want":%q}`, c.want))
		tr := s.connect(e)
		got := tr.authenticates("public/auth", `{"want":"long"}`)
		tr.works("private/buy", withAccess(carried.Access))
		tr.skip()
		tr.says(callOf(42, "private/logout", `{"hold":"yes"}`))
		tr.getsCall("private/logout")
		c.cut(carried.Access)
		tr.wantCut(name)
		tr.write(ws.NewCloseFrame(ws.NewCloseFrameBody(1000, "")))
		tr.wantEnd(1000)
		s.connect(e).isRefused("private/buy", withAccess(got.Access), errUnauthorized)
	}
}

func TestLogoutDuringAReloadIsRecorded(t *testing.T) {
	s, e := startExchange(t, "")
	e.silentLogout()
	tr := s.connect(e)
	got := tr.logsIn()
	tr.skip()
	tr.says(callOf(42, "private/logout", "{}"))
	tr.getsCall("private/logout")
	s.options += "\nleeway 1s"
	s.mustLoad()
	if f := tr.hears(); f.Header.OpCode != ws.OpClose {
		t.Errorf("the client gets frame %x %x", f.Header.OpCode, f.Payload)
	}
	<-tr.end
	s.connect(e).isRefused("private/buy", withAccess(got.Access), errUnauthorized)
}

func TestForwardedLogoutThatKeepsTheTokens(t *testing.T) {
	s, e := startExchange(t, "")
	tr := s.connect(e)
	got := tr.logsIn()
	tr.skip()
	tr.says(callOf(42, "private/logout", `{"invalidate_token":false}`))
	if params := tr.getsCall("private/logout"); params["invalidate_token"] != false {
		t.Errorf("%v", params)
	}
	tr.isLoggedOut()
	tr.wantEnd(1000)
	s.connect(e).works("private/buy", withAccess(got.Access))
}

// The option that ends the call here stays.
func TestLogoutThatIsNotForwardedIsCarriedOutHere(t *testing.T) {
	s, e := startExchange(t, "websocket {\nlogout close\n}")
	tr := s.connect(e)
	got := tr.logsIn()
	tr.skip()
	tr.says(callOf(42, "private/logout", "{}"))
	tr.isLoggedOut()
	tr.wantEnd(1000)
	tr.gotNothing()
	s.connect(e).isRefused("private/buy", withAccess(got.Access), errUnauthorized)
}
