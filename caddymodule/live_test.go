package caddymodule_test

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/gobwas/ws"
	"github.com/golang-jwt/jwt/v5"

	"example.com/caddy-token-auth/revocation"
	"example.com/caddy-token-auth/revocation/redisstore"
)

func TestLogoutEndsTheWebSocketsOfTheClient(t *testing.T) {
	s, api := startLive(t, "")
	mine, other := s.login(42), s.login(43)
	one, two, stays := s.mustDial(mine.Access), s.mustDial(s.login(42).Access), s.mustDial(other.Access)
	s.wantWatched(3)
	s.logout(mine.Access)
	one.wantCut("revoked")
	two.wantCut("revoked")
	api.endsAbnormally(t)
	api.endsAbnormally(t)
	stays.works("still here")
	s.wantWatched(1)
	if _, err := s.dial(mine.Access); err == nil {
		t.Error("a revoked token opens another one")
	}
	_ = stays.conn.Close()
	s.wantNothingLeft()
}

// The frames of both sides arrive as they were sent, until the end comes between two.
func TestFramesOfAWatchedWebSocketAreNotChanged(t *testing.T) {
	s, _ := startLive(t, "")
	k := s.mustDial(s.login(42).Access)
	large := bytes.Repeat([]byte("0123456789abcdef"), 1<<16)
	for name, f := range map[string]ws.Frame{
		"text": ws.NewTextFrame([]byte("grüße")), "binary": ws.NewBinaryFrame([]byte{0, 1, 0xff}),
		"empty": ws.NewTextFrame(nil), "1 MiB": ws.NewBinaryFrame(large),
	} {
		if got := k.echoes(f); got.Header.OpCode != f.Header.OpCode || !got.Header.Fin || !bytes.Equal(got.Payload, f.Payload) {
			t.Errorf("%s: came back as %+v", name, got.Header)
		}
	}
	if got := k.echoes(ws.NewPingFrame([]byte("p"))); got.Header.OpCode != ws.OpPong || string(got.Payload) != "p" {
		t.Errorf("ping: came back as %+v", got.Header)
	}
	for i, f := range []ws.Frame{
		ws.NewFrame(ws.OpText, false, []byte("a")), ws.NewFrame(ws.OpPing, true, []byte("between")),
		ws.NewFrame(ws.OpContinuation, false, []byte("b")), ws.NewFrame(ws.OpContinuation, true, []byte("c")),
	} {
		if got := k.echoes(f); got.Header.Fin != f.Header.Fin || !bytes.Equal(got.Payload, f.Payload) {
			t.Errorf("fragment %d: came back as %+v", i, got.Header)
		}
	}
	if got := k.echoes(ws.NewCloseFrame(ws.NewCloseFrameBody(1000, "bye"))); got.Header.OpCode != ws.OpClose {
		t.Errorf("close: came back as %+v", got.Header)
	}
	_ = k.conn.Close()
	s.wantNothingLeft()
}

func TestFramesBehindTheHandshakeAreFollowedToo(t *testing.T) {
	s, _ := startLive(t, "")
	conn, err := new(net.Dialer).DialContext(t.Context(), "tcp", s.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(20 * time.Second))
	var frame bytes.Buffer
	if err := ws.WriteFrame(&frame, ws.MaskFrame(ws.NewTextFrame([]byte("early")))); err != nil {
		t.Fatal(err)
	}
	access := s.login(42).Access
	_, err = fmt.Fprintf(conn, "GET /ws HTTP/1.1\r\nHost: %s\r\nAuthorization: Bearer %s\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"+
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n%s", s.addr, access, frame.Bytes())
	if err != nil {
		t.Fatal(err)
	}
	from := bufio.NewReader(conn)
	resp, err := http.ReadResponse(from, nil)
	if err != nil || resp.StatusCode != http.StatusSwitchingProtocols {
		t.Fatalf("%v, %v", resp, err)
	}
	_ = resp.Body.Close()
	f, err := readFrame(from)
	if err != nil || string(f.Payload) != "early" {
		t.Fatalf("got %q, %v", f.Payload, err)
	}
	k := &socket{t: t, conn: conn, from: from}
	k.works("late")
	s.logout(access)
	k.wantCut("revoked")
	s.wantNothingLeft()
}

func TestLogoutOfASessionLeavesTheOthersOpen(t *testing.T) {
	s, _ := startLive(t, "logout /auth/logout {\nscope session\n}")
	of := func(session string) string {
		claims := claimsAt(time.Now())
		claims["jti"], claims["sid"] = "token of "+session, session
		return sign(t, claims)
	}
	one, two := s.mustDial(of("one")), s.mustDial(of("two"))
	s.logout(of("one"))
	one.wantCut("revoked")
	two.works("still here")
	_ = two.conn.Close()
	s.wantNothingLeft()
}

func TestConnectionEndsWithItsToken(t *testing.T) {
	s, api := startLive(t, "leeway 0s")
	now := time.Now()
	raw := sign(t, jwt.MapClaims{"sub": "42", "jti": "short", "iat": now.Unix(), "exp": now.Unix() + 3})
	k := s.mustDial(raw)
	resp, body := s.events(raw)
	defer resp.Body.Close()
	k.wantCut("expired")
	if early := time.Until(time.Unix(now.Unix()+3, 0)); early > 0 {
		t.Errorf("cut %s before the token has expired", early)
	}
	wantBroken(t, body)
	api.endsAbnormally(t)
	s.wantNothingLeft()
}

func TestRefreshCutsNothing(t *testing.T) {
	s, _ := startLive(t, "login /auth/login {\naccess data.access_token\nclient data.client_id\n}\n"+
		"refresh /auth/refresh {\ntoken refresh_token\n}")
	p := s.login(42)
	k := s.mustDial(p.Refresh) // the very token that is rotated
	if a := s.refresh(p.Refresh); a.status != 200 {
		t.Fatalf("refresh: %d %s", a.status, a.body)
	}
	s.refresh(p.Refresh).want(t, "the old one", 401, bodyInvalid)
	k.works("still here")
	s.logout(s.login(42).Access)
	k.wantCut("revoked")
	s.wantNothingLeft()
}

func TestWebSocketThatOutlivesAReloadIsStillCut(t *testing.T) {
	api := newLiveAPI(t)
	s := prepare(t, api, "api octopus_cards\nsecret "+testSecret+"")
	s.proxy = "stream_close_delay 1m"
	s.mustLoad()
	p := s.login(42)
	k := s.mustDial(p.Access)
	for _, leeway := range []string{"1s", "2s"} {
		s.options = "api octopus_cards\nsecret " + testSecret + "\nleeway " + leeway
		s.mustLoad()
		k.works("after a reload")
	}
	s.wantWatched(1)
	s.logout(p.Access)
	k.wantCut("revoked")
	api.endsAbnormally(t)
	s.wantNothingLeft()
}

func TestLogoutEndsStreams(t *testing.T) {
	s, api := startLive(t, "")
	p, other := s.login(42), s.login(43)
	resp, body := s.events(p.Access)
	defer resp.Body.Close()
	stays, _ := s.events(other.Access)
	defer stays.Body.Close()
	s.wantWatched(2)
	s.logout(p.Access)
	wantBroken(t, body)
	if path := <-api.left; path != "/events" {
		t.Errorf("%s was abandoned", path)
	}
	s.wantWatched(1)
	_ = stays.Body.Close()
	<-api.left
	s.wantNothingLeft()
}

// A logout in the first second of a response is not missed.
func TestLogoutRightAfterARequestBeganEndsItToo(t *testing.T) {
	s, api := startLive(t, "")
	p := s.login(42)
	resp, body := s.events(p.Access)
	defer resp.Body.Close()
	s.logout(p.Access)
	wantBroken(t, body)
	<-api.left
	s.wantNothingLeft()
}

func TestRequestThatWaitsIsAnsweredAtLogout(t *testing.T) {
	s, api := startLive(t, "")
	p := s.login(42)
	answered := make(chan answer, 1)
	go func() {
		a, _ := s.try("GET", "/poll", "", bearer(p.Access))
		answered <- a
	}()
	s.wantWatched(1)
	s.logout(p.Access)
	a := <-answered
	a.want(t, "the waiting request", 401, bodyInvalid)
	<-api.left
	s.wantNothingLeft()
}

func TestOpenConnectionsAreLeftAloneWhereThatIsWanted(t *testing.T) {
	s := start(t, newLiveAPI(t), "api octopus_cards\nsecret "+testSecret+"\non_revoked ignore")
	p := s.login(42)
	k := s.mustDial(p.Access)
	s.logout(p.Access)
	k.works("still here")
	s.wantNothingLeft()
}

func TestManyWebSocketsEndAtOnceAndNothingIsLeft(t *testing.T) {
	s, api := startLive(t, "")
	p := s.login(42)
	s.mustDial(p.Access).conn.Close()
	api.endsAbnormally(t)
	s.wantNothingLeft()
	before := runtime.NumGoroutine()
	const count = 200
	sockets := make([]*socket, count)
	var tasks sync.WaitGroup
	for i := range sockets {
		tasks.Go(func() {
			k, err := s.dial(p.Access)
			if err != nil {
				t.Error(err)
				return
			}
			k.works(fmt.Sprintf("socket %d", i))
			sockets[i] = k
		})
	}
	tasks.Wait()
	if t.Failed() {
		return
	}
	s.wantWatched(count)
	s.logout(p.Access)
	for _, k := range sockets {
		tasks.Go(func() { k.wantCut("revoked") })
	}
	tasks.Wait()
	for range sockets {
		api.endsAbnormally(t)
	}
	s.wantNothingLeft()
	s.eventually(func() bool { return runtime.NumGoroutine() <= before+20 })
}

func TestRevocationByAnotherReplicaEndsTheWebSocket(t *testing.T) {
	addr := freeAddr(t)
	startRedis(t, addr)
	s := prepare(t, newLiveAPI(t), "api octopus_cards\nsecret "+testSecret+"\nready /ready")
	s.store = "store redis redis://" + addr
	s.mustLoad()
	s.eventually(func() bool { return s.do("GET", "/ready", "").status == 200 })
	k, stays := s.mustDial(s.login(42).Access), s.mustDial(s.login(43).Access)

	store, err := redisstore.Open(t.Context(), redisstore.Options{Addresses: []string{addr}})
	if err != nil {
		t.Fatal(err)
	}
	replica, err := revocation.Open(t.Context(), store, revocation.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer replica.Close()
	if _, err := replica.RevokeNamed(t.Context(), revocation.ScopeClient, "", "42"); err != nil {
		t.Fatal(err)
	}
	k.wantCut("revoked")
	stays.works("still here")
	_ = stays.conn.Close()
	s.wantNothingLeft()
}

func TestOptionOnRevokedIsChecked(t *testing.T) {
	if err := validate(t, "secret "+testSecret+"\non_revoked reset"); err == nil || !strings.Contains(err.Error(), "close or ignore") {
		t.Errorf("got %v", err)
	}
}

// A reload and a stop of Caddy are ends in good order, for both sides.
func TestReloadAndStopCloseWebSocketsOnBothSides(t *testing.T) {
	s, api := startLive(t, "")
	for name, end := range map[string]func() error{
		"reload": func() error {
			s.options += "\nleeway 20s"
			return s.load()
		},
		"stop": caddy.Stop,
	} {
		s.mustLoad()
		k := s.mustDial(s.login(42).Access)
		if err := end(); err != nil {
			t.Fatal(err)
		}
		f, err := readFrame(k.from)
		if code, _ := ws.ParseCloseFrameData(f.Payload); err != nil || f.Header.OpCode != ws.OpClose || code != ws.StatusGoingAway {
			t.Errorf("%s: the client got %x %d, %v", name, f.Header.OpCode, code, err)
		}
		_ = k.conn.Close()
		if err := <-api.ends; err != closeFrameError(ws.StatusGoingAway) { //nolint:errorlint // it is the value
			t.Errorf("%s: the upstream got %v", name, err)
		}
	}
}

// A placeholder such as {http.request.body} is about the request that the server has made:
// what it reads of the body is put back there, and the upstream has to find it.
func TestPlaceholderOfTheBodyLeavesTheBodyToTheUpstream(t *testing.T) {
	upstream := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		_, _ = fmt.Fprintf(w, "%q %v %q", body, err, r.Header.Get("X-Body"))
	})
	for _, option := range []string{"ignore", "close"} {
		t.Run(option, func(t *testing.T) {
			s := prepare(t, upstream, "api octopus_cards\nsecret "+testSecret+"\non_revoked "+option)
			config, err := adapt(strings.Replace(s.caddyfile(), "\t\treverse_proxy", "\t\trequest_header X-Body {http.request.body}\n\t\treverse_proxy", 1))
			if err != nil {
				t.Fatal(err)
			}
			if err := caddy.Load(config, true); err != nil {
				t.Fatal(err)
			}
			a := s.do("POST", "/v1/cards", `{"a":1}`, bearer(sign(t, claimsAt(time.Now()))))
			if want := `"{\"a\":1}" <nil> "{\"a\":1}"`; a.status != 200 || a.body != want {
				t.Errorf("got %d %s, want %s", a.status, a.body, want)
			}
		})
	}
}
