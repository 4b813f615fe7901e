package caddymodule_test

import (
	"encoding/json"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/gobwas/ws"
)

// isLoggedOut checks that a logout has no answer and closes the connection as documented.
func (tr *trader) isLoggedOut() {
	tr.socket.t.Helper()
	tr.wantClose(1000, "logout")
	if f, err := readFrame(tr.from); err == nil {
		tr.socket.t.Errorf("after the close frame: %x %s", f.Header.OpCode, f.Payload)
	}
}

func TestRPCLogoutRevokesTheSessionAndCutsItsOtherConnections(t *testing.T) {
	for name, params := range map[string]string{
		"by default": "{}", "null": "null", "true": `{"invalidate_token":true}`, "with its token": "own",
	} {
		t.Run(name, func(t *testing.T) {
			s, e := startExchange(t, "")
			tr := s.connect(e)
			got := tr.logsIn()
			forked := tr.authenticates("public/fork_token", `{"refresh_token":"`+got.Refresh+`","session_name":"x"}`)
			if params == "own" {
				params = withAccess(got.Access)
			}
			stranger, byToken, byFork, refreshed := s.connect(e), s.connect(e), s.connect(e), s.connect(e)
			stranger.logsIn()
			byToken.works("private/subscribe", withAccess(got.Access))
			byFork.works("private/subscribe", withAccess(forked.Access))
			refreshed.authenticates("public/auth", withRefresh(got.Refresh))
			tr.skip()
			tr.says(callOf(42, "private/logout", params) + "\n")
			tr.isLoggedOut()
			tr.wantEnd(1000)
			tr.getsCall("private/logout")
			tr.gotNothing()
			for _, other := range []*trader{byToken, byFork, refreshed} {
				other.wantCut("revoked")
				other.wantEnd(0)
			}
			stranger.works("private/buy", "{}")
			for _, raw := range []string{got.Access, forked.Access} {
				stranger.isRefused("private/buy", withAccess(raw), errUnauthorized)
				s.do("GET", "/api/v2/private/buy?id=7", "", bearer(raw)).want(t, "over HTTP", 400, fmt.Sprintf(rpcUnauthorized, `"id":7,`))
			}
			for _, raw := range []string{got.Refresh, forked.Refresh} {
				stranger.isRefused("public/auth", withRefresh(raw), errUnauthorized)
			}
			stranger.works("private/buy", "{}")
		})
	}
}

func TestRPCLogoutThatKeepsTheTokens(t *testing.T) {
	s, e := startExchange(t, "opaque known")
	tr := s.connect(e)
	got := tr.logsIn()
	other := s.connect(e)
	other.works("private/subscribe", withAccess(got.Access))
	tr.says(callOf(42, "private/logout", `{"invalidate_token":false}`))
	tr.isLoggedOut()
	tr.wantEnd(1000)
	other.works("private/buy", withAccess(got.Access))
	again := s.connect(e)
	again.works("private/buy", withAccess(got.Access))
	again.authenticates("public/auth", withRefresh(got.Refresh))
	again.works("private/buy", "{}")
}

// The first revocation of several must not cut the connection that asks for them.
func TestRPCLogoutOfManySessionsEndsAsALogout(t *testing.T) {
	s, e := startExchange(t, "opaque known\nwebsocket {\non_unexpected_close call private/cancel_all\ncancel_on_disconnect on\n}")
	tr := s.connect(e)
	raw := make([]string, 0, 40)
	for i := range cap(raw) {
		got := tr.authenticates("public/auth", fmt.Sprintf(`{"grant_type":"client_credentials","scope":"session:desk-%d"}`, i))
		raw = append(raw, got.Access)
		tr.works("private/buy", withAccess(got.Access))
	}
	tr.skip()
	tr.says(callOf(42, "private/logout", "{}"))
	tr.isLoggedOut()
	tr.wantEnd(1000)
	tr.getsCall("private/logout")
	tr.gotNothing()
	other := s.connect(e)
	for _, token := range raw {
		other.isRefused("private/buy", withAccess(token), errUnauthorized)
	}
}

func TestRPCLogoutHasTheScopeOfTheConfiguration(t *testing.T) {
	s, e := startExchange(t, "opaque known\nlogout {\nscope token\n}")
	tr := s.connect(e)
	first := tr.logsIn()
	second := tr.authenticates("public/auth", withRefresh(first.Refresh))
	tr.says(callOf(42, "private/logout", "{}"))
	tr.isLoggedOut()
	other := s.connect(e)
	other.isRefused("private/buy", withAccess(second.Access), errUnauthorized)
	other.works("private/buy", withAccess(first.Access))
	other.authenticates("public/auth", withRefresh(second.Refresh))
}

// A session is the API's own where it names one, and otherwise that of the token which the
// tokens were issued for, wherever that was.
func TestSessionsReachFromHTTPToWebSocketsAndBack(t *testing.T) {
	s, e := startExchange(t, "")
	overHTTP := func(params string) grantedTokens {
		t.Helper()
		a := s.do("POST", "/api/v2/public/auth", callOf(1, "public/auth", params))
		var answer struct{ Result grantedTokens }
		if err := json.Unmarshal([]byte(a.body), &answer); err != nil || answer.Result.Access == "" {
			t.Fatalf("%d %s", a.status, a.body)
		}
		return answer.Result
	}
	for _, loggedOutBy := range []int{0, 1, 2, 3} {
		first := overHTTP(byCredentials)
		tr := s.connect(e)
		second := tr.authenticates("public/auth", withRefresh(first.Refresh))
		third := overHTTP(withRefresh(second.Refresh))
		chain := []grantedTokens{first, second, third}
		if loggedOutBy == 3 {
			tr.says(callOf(42, "private/logout", "{}"))
		} else {
			other := s.connect(e)
			other.says(callOf(42, "private/logout", withAccess(chain[loggedOutBy].Access)))
			other.isLoggedOut()
			tr.wantCut("revoked")
		}
		reader := s.connect(e)
		for i, got := range chain {
			reader.isRefused("private/buy", withAccess(got.Access), errUnauthorized)
			reader.isRefused("public/auth", withRefresh(got.Refresh), errUnauthorized)
			if t.Failed() {
				t.Fatalf("logged out by %d, token %d works", loggedOutBy, i)
			}
		}
	}
}

func TestSessionsThatTheAPINamesAreItsOwn(t *testing.T) {
	s, e := startExchange(t, "")
	e.answers(func(call rpcMessage) (string, bool) {
		sid, ok := call.Params["want_sid"].(string)
		if !ok {
			return "", false
		}
		return strings.Replace(e.grant(call.ID, "connection", 3600), `"token_type"`, `"sid":"`+sid+`","token_type"`, 1), true
	})
	one, two, three := s.connect(e), s.connect(e), s.connect(e)
	one.authenticates("public/auth", `{"want_sid":"s1"}`)
	two.authenticates("public/auth", `{"want_sid":"s1"}`)
	three.authenticates("public/auth", `{"want_sid":"s2"}`)
	one.says(callOf(42, "private/logout", "{}"))
	one.isLoggedOut()
	two.wantCut("revoked")
	three.works("private/buy", "{}")
	// A new login in a session of that name is a new session.
	four := s.connect(e)
	four.authenticates("public/auth", `{"want_sid":"s1"}`)
	four.works("private/buy", "{}")
}

func TestRefreshOnAConnectionReleasesTheTokenBefore(t *testing.T) {
	s, e := startExchange(t, "opaque known\nrefresh {\nrotate on\n}\nleeway 0s")
	lifetimes := map[string]int{"short": 2, "long": 3600}
	e.answers(func(call rpcMessage) (string, bool) {
		for name, seconds := range lifetimes {
			if call.Params["want"] == name {
				return e.grant(call.ID, "connection", seconds), true
			}
		}
		return "", false
	})
	opener := s.connect(e).authenticates("public/auth", `{"want":"short"}`)
	begun := time.Now()
	opened := s.connect(e, bearer(opener.Access))
	opened.works("private/buy", withAccess(opener.Access))
	opened.authenticates("public/auth", `{"want":"long","grant_type":"refresh_token","refresh_token":"`+opener.Refresh+`"}`)
	stays, ends, changes := s.connect(e), s.connect(e), s.connect(e)
	short := stays.authenticates("public/auth", `{"want":"short"}`)
	stays.works("private/buy", withAccess(short.Access)) // carried by a call, too
	stays.authenticates("public/auth", `{"want":"long","grant_type":"refresh_token","refresh_token":"`+short.Refresh+`"}`)
	ends.authenticates("public/auth", `{"want":"short"}`)
	changes.authenticates("public/auth", `{"want":"short"}`)
	changes.authenticates("public/auth", `{"want":"long"}`) // as somebody else, perhaps
	ends.wantCut("expired")
	if took := time.Since(begun); took < 2*time.Second {
		t.Errorf("cut after %s", took)
	}
	ends.wantEnd(0)
	opened.wantCut("expired") // the API may have taken the credential of the handshake
	stays.works("private/buy", "{}")
	changes.works("private/buy", "{}")
	stays.isRefused("private/buy", withAccess(short.Access), errUnauthorized)
	stays.isRefused("public/auth", withRefresh(short.Refresh), errUnauthorized) // rotated
}

// What is sent and answered before the end, on a connection on which orders are to be
// cancelled.
func TestUnexpectedEndsAreToldToTheAPI(t *testing.T) {
	const enable = "private/enable_cancel_on_disconnect"
	reset := func(tr *trader) {
		_ = tr.socket.conn.(*net.TCPConn).SetLinger(0)
		_ = tr.socket.conn.Close()
	}
	for name, c := range map[string]struct {
		end  func(s *site, e *exchange, tr *trader)
		code ws.StatusCode // that the API sees, 0 for an abnormal end
	}{
		"reset":       {func(_ *site, _ *exchange, tr *trader) { reset(tr) }, 0},
		"end of TCP":  {func(_ *site, _ *exchange, tr *trader) { _ = tr.socket.conn.Close() }, 0},
		"close frame": {func(_ *site, _ *exchange, tr *trader) { tr.sends(ws.NewCloseFrame(ws.NewCloseFrameBody(1000, "bye"))) }, 1000},
		"no code":     {func(_ *site, _ *exchange, tr *trader) { tr.sends(ws.NewCloseFrame(nil)) }, 1005},
		"violation":   {func(_ *site, _ *exchange, tr *trader) { _ = ws.WriteFrame(tr.socket.conn, ws.NewTextFrame(nil)) }, 0},
		"idle":        {func(_ *site, _ *exchange, tr *trader) { tr.wantClose(1008, "idle timeout") }, 0},
		"revoked": {func(s *site, e *exchange, tr *trader) {
			s.connect(e).says(callOf(42, "private/logout", withAccess(tr.access)))
			tr.wantCut("revoked")
		}, 0},
	} {
		for _, configured := range []bool{true, false} {
			for _, enabled := range []bool{true, false} {
				t.Run(fmt.Sprintf("%s, call %t, enabled %t", name, configured, enabled), func(t *testing.T) {
					options := "websocket {\n"
					if name == "idle" {
						options += "idle_timeout 300ms\n"
					}
					if configured {
						options += "on_unexpected_close call private/cancel_all\non_unexpected_close_timeout 1m\n"
					}
					s, e := startExchange(t, options+"}")
					answered := make(chan bool)
					e.answers(func(call rpcMessage) (string, bool) {
						if call.Method == "private/cancel_all" {
							<-answered
						}
						return "", false
					})
					tr := s.connect(e)
					tr.access = tr.logsIn().Access
					if enabled {
						tr.works(enable, `{"scope":"connection"}`)
					}
					tr.skip()
					if !configured || !enabled {
						close(answered)
					}
					c.end(s, e, tr)
					if configured && enabled {
						tr.getsCall("private/cancel_all")
						select {
						case err := <-tr.end:
							t.Errorf("the end comes before the answer: %v", err)
						default:
						}
						close(answered)
					}
					if c.code == 1005 {
						<-tr.end // a close frame without a code
					} else {
						tr.wantEnd(c.code)
					}
					tr.gotNothing()
				})
			}
		}
	}
}
