package caddymodule_test

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gobwas/ws"
)

// The upstream has not answered the handshake yet.
func TestLogoutDuringTheHandshakeIsAnswered(t *testing.T) {
	s, api := startLive(t, "")
	p := s.login(42)
	answered := make(chan answer, 1)
	go func() {
		a, err := s.try("GET", "/poll", "", bearer(p.Access), "Connection: Upgrade", "Upgrade: websocket",
			"Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==")
		if err != nil {
			t.Error(err)
		}
		answered <- a
	}()
	s.wantWatched(1)
	s.logout(p.Access)
	a := <-answered
	a.want(t, "the handshake", 401, bodyInvalid)
	for _, name := range []string{"Upgrade", "Sec-Websocket-Accept"} {
		if value := a.header.Get(name); value != "" {
			t.Errorf("%s: %s", name, value)
		}
	}
	<-api.left
	s.wantNothingLeft()
}

// A client that has ended its own direction still gets its close frame.
func TestHalfClosedWebSocketIsCut(t *testing.T) {
	halfClosed, ended := make(chan error, 1), make(chan error, 1)
	mux := http.NewServeMux()
	mux.Handle("/", newAPI(t, time.Now))
	mux.HandleFunc("/ws", func(w http.ResponseWriter, r *http.Request) {
		conn, _, _, err := ws.UpgradeHTTP(r, w)
		if err != nil {
			t.Error(err)
			return
		}
		defer conn.Close()
		err = ws.WriteFrame(conn, ws.NewTextFrame([]byte("hello")))
		if err == nil {
			_, err = io.Copy(io.Discard, conn)
		}
		halfClosed <- err
		for err == nil {
			err = ws.WriteFrame(conn, ws.NewTextFrame([]byte("still here")))
			time.Sleep(time.Millisecond)
		}
		ended <- err
	})
	s := start(t, mux, "api octopus_cards\nsecret "+testSecret)
	p := s.login(42)
	k, err := s.dial(p.Access)
	if err != nil {
		t.Fatal(err)
	}
	// Before the server has handed the connection over, it takes the end of the client's
	// direction for that of the client.
	if f, err := readFrame(k.from); err != nil || string(f.Payload) != "hello" {
		t.Fatalf("got %q, %v", f.Payload, err)
	}
	if err := k.conn.(*net.TCPConn).CloseWrite(); err != nil {
		t.Fatal(err)
	}
	if err := <-halfClosed; err != nil {
		t.Errorf("the upstream got %v", err)
	}
	s.logout(p.Access)
	for {
		f, err := readFrame(k.from)
		if err != nil {
			t.Fatalf("no close frame: %v", err)
		}
		if f.Header.OpCode == ws.OpText {
			continue
		}
		if code, reason := ws.ParseCloseFrameData(f.Payload); code != 4001 || reason != "revoked" {
			t.Errorf("got %x with %d %q", f.Header.OpCode, code, reason)
		}
		break
	}
	<-ended
	s.wantNothingLeft()
}

func TestWebSocketOfAClientThatDoesNotReadIsCut(t *testing.T) {
	s, api := startLive(t, "")
	p := s.login(42)
	k := s.mustDial(p.Access)
	flooded := k.flood()
	s.logout(p.Access)
	api.endsAbnormally(t)
	s.wantNothingLeft()
	_ = k.conn.Close()
	<-flooded
}

// A logout that is repeated while the connections end changes nothing.
func TestLogoutsAtOnceCutOnce(t *testing.T) {
	s, api := startLive(t, "")
	before := gathered(t, "caddy_token_auth_cut_total", "reason=revoked")
	p, q := s.login(42), s.login(42)
	const count = 20
	sockets := make([]*socket, count)
	for i := range sockets {
		sockets[i] = s.mustDial(p.Access)
	}
	s.wantWatched(count)
	var tasks sync.WaitGroup
	for _, raw := range []string{p.Access, q.Access, p.Refresh, q.Refresh} {
		tasks.Go(func() {
			if _, err := s.try("POST", "/auth/logout", "", bearer(raw)); err != nil {
				t.Error(err)
			}
		})
	}
	for _, k := range sockets {
		tasks.Go(func() { k.wantCut("revoked") }) // all at once: each has a second to answer
	}
	tasks.Wait()
	for range sockets {
		api.endsAbnormally(t)
	}
	s.wantNothingLeft()
	if n := gathered(t, "caddy_token_auth_cut_total", "reason=revoked") - before; n != count {
		t.Errorf("%v were cut, want %d", n, count)
	}
}

// Whichever comes first, each connection ends with one of the two close frames.
func TestLogoutAndReloadAtOnceEndEachConnectionOnce(t *testing.T) {
	s, api := startLive(t, "")
	const count = 20
	for round := range 3 {
		p := s.login(42)
		sockets := make([]*socket, count)
		for i := range sockets {
			sockets[i] = s.mustDial(p.Access)
		}
		s.options = fmt.Sprintf("api octopus_cards\nsecret %s\nleeway %ds", testSecret, round+1)
		var tasks sync.WaitGroup
		tasks.Go(func() {
			if err := s.load(); err != nil {
				t.Error(err)
			}
		})
		tasks.Go(func() {
			// The connection may be one that the reload closes.
			for range 3 {
				if a, err := s.try("POST", "/auth/logout", "", bearer(p.Access)); err == nil && a.status == 200 {
					return
				}
			}
			t.Error("not logged out")
		})
		for _, k := range sockets {
			f, err := readFrame(k.from)
			code, _ := ws.ParseCloseFrameData(f.Payload)
			if err != nil || f.Header.OpCode != ws.OpClose || code != 4001 && code != ws.StatusGoingAway {
				t.Errorf("got %x %d, %v", f.Header.OpCode, code, err)
			}
			if _, err := readFrame(k.from); err == nil {
				t.Error("something follows the close frame")
			}
			_ = k.conn.Close()
			<-api.ends
		}
		tasks.Wait()
		s.wantNothingLeft()
	}
}

// A connection that is not upgraded cannot be followed, so it is not handed out.
func TestUpgradeThatWasNotAskedForIsNotLetThrough(t *testing.T) {
	upstream := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		conn, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		defer conn.Close()
		_, _ = io.WriteString(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n\x81\x02hi")
	})
	s := start(t, upstream, "api octopus_cards\nsecret "+testSecret)
	a, err := s.try("GET", "/", "", bearer(sign(t, claimsAt(time.Now()))))
	if err == nil && a.status == http.StatusSwitchingProtocols {
		t.Errorf("got %d %q", a.status, a.body)
	}
	s.wantNothingLeft()
}

func TestClientThatLosesItsAddressLosesItsConnections(t *testing.T) {
	file := filepath.Join(t.TempDir(), "allowed")
	write := func(text string) {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("42 127.0.0.1\n43 127.0.0.1\n")
	s, api := startLive(t, "allow_ips file "+file)
	k, stays := s.mustDial(s.login(42).Access), s.mustDial(s.login(43).Access)
	resp, body := s.events(s.login(42).Access)
	defer resp.Body.Close()
	s.wantWatched(3)
	write("43 127.0.0.1\n42 10.0.0.0/8 # no longer here\n")
	k.wantCut("forbidden")
	wantBroken(t, body)
	<-api.left
	api.endsAbnormally(t)
	stays.works("still here")
	if _, err := s.dial(s.login(43).Access); err != nil {
		t.Error(err)
	}
	_ = stays.conn.Close()
}

// What the list of the configuration before says holds for what that has let through, also
// when it changes later.
func TestAllowListOutlivesAReloadWithItsConnections(t *testing.T) {
	file := filepath.Join(t.TempDir(), "allowed")
	if err := os.WriteFile(file, []byte("42 127.0.0.1\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	api := newLiveAPI(t)
	s := prepare(t, api, "api octopus_cards\nsecret "+testSecret+"\nallow_ips file "+file)
	s.proxy = "stream_close_delay 1m"
	s.mustLoad()
	k := s.mustDial(s.login(42).Access)
	s.options = "api octopus_cards\nsecret " + testSecret
	s.mustLoad()
	k.works("after a reload")
	if err := os.WriteFile(file, []byte("42 10.0.0.0/8\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	k.wantCut("forbidden")
	s.wantNothingLeft()
}

func TestClientHasNoMoreConnectionsThanItMay(t *testing.T) {
	const limit = 500 // of a token
	s, _ := startLive(t, "")
	raw := s.login(42).Access
	before := gathered(t, "caddy_token_auth_websocket_limited_total", "limit=connections_per_token")
	var sockets []*socket
	for range limit {
		k, err := s.dial(raw)
		if err != nil {
			t.Fatal(err)
		}
		sockets = append(sockets, k)
	}
	handshake := []string{
		bearer(raw), "Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
	}
	a := s.do("GET", "/ws", "", handshake...)
	if a.status != 429 || !strings.Contains(a.body, "TOO_MANY_REQUESTS") || a.header.Get("Retry-After") == "" {
		t.Errorf("one too many: %d %s", a.status, a.body)
	}
	if n := gathered(t, "caddy_token_auth_websocket_limited_total", "limit=connections_per_token") - before; n != 1 {
		t.Errorf("counted %v times", n)
	}
	other := s.mustDial(s.login(42).Access)
	_ = sockets[0].conn.Close()
	s.eventually(func() bool {
		k, err := s.dial(raw)
		if err == nil {
			sockets = append(sockets, k)
		}
		return err == nil
	})
	for _, k := range append(sockets, other) {
		_ = k.conn.Close()
	}
	s.wantNothingLeft()
}

// Bytes of the upstream that are not complete are not torn: the close frame comes after
// them, or not at all.
func TestCloseFrameDoesNotStandInsideAFrame(t *testing.T) {
	goOn := make(chan struct{})
	mux := http.NewServeMux()
	mux.Handle("/", newAPI(t, time.Now))
	mux.HandleFunc("/ws", func(w http.ResponseWriter, r *http.Request) {
		conn, _, _, err := ws.UpgradeHTTP(r, w)
		if err != nil {
			t.Error(err)
			return
		}
		defer conn.Close()
		frame, _ := ws.CompileFrame(ws.NewTextFrame([]byte("complete")))
		_, _ = conn.Write(frame[:5])
		<-goOn
		_, _ = conn.Write(frame[5:])
		_, _ = io.Copy(io.Discard, conn)
	})
	s := start(t, mux, "api octopus_cards\nsecret "+testSecret)
	p := s.login(42)
	k, err := s.dial(p.Access)
	if err != nil {
		t.Fatal(err)
	}
	var first [5]byte
	if _, err := io.ReadFull(k.from, first[:]); err != nil {
		t.Fatal(err)
	}
	s.logout(p.Access)
	close(goOn)
	k.from = io.MultiReader(bytes.NewReader(first[:]), k.from)
	if f, err := readFrame(k.from); err != nil || string(f.Payload) != "complete" {
		t.Fatalf("got %q, %v", f.Payload, err)
	}
	k.wantCut("revoked")
	s.wantNothingLeft()
}
