package e2e

import (
	"bufio"
	"errors"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gobwas/ws"
)

// TestEndIsAnnouncedBeforeThePortIsClosed: load balancers get the time to find out, and
// whoever still comes is served as before.
func TestEndIsAnnouncedBeforeThePortIsClosed(t *testing.T) {
	t.Parallel()
	a := newStreamingAPI(t)
	p := newPod(t, "local", a.addr(), nil)
	p.start()
	kept, good, leaving := p.client(), mint(a.newClient()), mint(a.newClient())
	defer kept.close()
	kept.wantLive(t, good)
	if kept.conn == nil {
		t.Error("a connection was closed before the end had begun")
	}

	end := p.delete()
	p.await("ready", p.container.ReadinessProbe, false)
	if !p.live() {
		t.Error("it is not alive any more: Kubernetes would kill it")
	}
	if kept.wantLive(t, good); kept.conn != nil {
		t.Error("a connection was kept that will be closed in a moment")
	}
	late := p.client()
	late.wantLive(t, good)
	late.logout(t, leaving)
	late.wantRevoked(t, leaving)
	s, err := openSocket(t.Context(), p.addr, good.access)
	if err != nil {
		t.Fatalf("a WebSocket before the port is closed: %v", err)
	}
	defer s.close()
	if err := s.say("hello"); err != nil {
		t.Error(err)
	}
	if time.Since(end.begun) > podDelay {
		t.Fatal("this machine is too slow for what has to happen before the port is closed")
	}
	if took := end.wait(); took < podDelay {
		t.Errorf("the port was open for %s only", took)
	}

	p.start()
	p.sidecar().check([]pair{leaving}, []pair{good}, nil)
	p.delete().wait()
}

// TestStreamsEndWithinTheGracePeriod opens one of each kind. What can finish does.
func TestStreamsEndWithinTheGracePeriod(t *testing.T) {
	t.Parallel()
	a := newStreamingAPI(t)
	p := newPod(t, "local", a.addr(), nil)
	p.start()
	good := mint(a.newClient())
	s, err := openSocket(t.Context(), p.addr, good.access)
	if err != nil {
		t.Fatal(err)
	}
	defer s.close()
	if err := s.say("hello"); err != nil {
		t.Fatal(err)
	}
	events, poll := p.open(eventsPath, good.access), p.open(pollPath, good.access)
	if line, err := events.ReadString('\n'); err != nil || line != "HTTP/1.1 200 OK\r\n" {
		t.Fatalf("%q, %v", line, err)
	}
	slow := make(chan answer, 1)
	go func() {
		c := p.client()
		defer c.close()
		a, err := c.do(http.MethodGet, slowPath, good.access, "")
		if err != nil {
			t.Errorf("a request under way: %v", err)
		}
		slow <- a
	}()

	end := p.delete()
	for p.accepts() { // until the port is closed
		time.Sleep(10 * time.Millisecond)
	}
	if took := time.Since(end.begun); took < podDelay {
		t.Errorf("the port was closed after %s", took)
	}
	if err := s.say("still there"); err != nil {
		t.Errorf("a WebSocket while others finish: %v", err)
	}
	close(a.slow)
	if got := <-slow; !got.is(http.StatusOK, slowAnswer) {
		t.Errorf("a request under way: %s", got)
	}
	// The stream and the poll do not end by themselves: they are why it takes so long.
	code, err := s.closing()
	if err != nil || code != ws.StatusGoingAway {
		t.Errorf("the WebSocket was closed with %d, %v", code, err)
	}
	if took := time.Since(end.begun); took < podDelay+podGrace {
		t.Errorf("the WebSocket was closed after %s", took)
	}
	took := end.wait()
	rest := readAll(events)
	if n := strings.Count(rest, "event: tick"); n < int(podDelay/time.Second) {
		t.Errorf("%d events in %s", n, took)
	}
	// It may be cut off before it can be told to come back.
	if got := readAll(poll); got != "" && (!strings.HasPrefix(got, "HTTP/1.1 503 ") || !strings.Contains(got, "\r\nRetry-After: ")) {
		t.Errorf("the poll was answered with %q", got)
	}
	t.Logf("it took %s", took)
}

// TestWebSocketsDoNotHoldUpTheEnd: they are told to go away as soon as all else is done, also
// in the midst of a talk.
func TestWebSocketsDoNotHoldUpTheEnd(t *testing.T) {
	t.Parallel()
	a := newStreamingAPI(t)
	p := newPod(t, "local", a.addr(), nil)
	p.start()
	raw := mint(a.newClient()).access
	var sockets sync.WaitGroup
	for range 100 {
		s, err := openSocket(t.Context(), p.addr, raw)
		if err != nil {
			t.Fatal(err)
		}
		sockets.Go(func() {
			defer s.close()
			var err error
			for err == nil {
				err = s.say("hello")
				time.Sleep(time.Millisecond) // so many that they leave others some time
			}
			if !errors.Is(err, closedError(ws.StatusGoingAway)) {
				t.Errorf("a WebSocket ended with %v", err)
			}
		})
	}
	if took := p.delete().wait(); took >= podDelay+podGrace {
		t.Errorf("it took %s", took)
	}
	sockets.Wait()
}

// TestReloadAnnouncesThatItClosesAPort: who asks there for readiness hears of it, and nobody
// else does.
func TestReloadAnnouncesThatItClosesAPort(t *testing.T) {
	t.Parallel()
	s := newSidecar(t, newAPI(t))
	s.global, s.handler = "shutdown_delay "+podDelay.String(), "ready /ready"
	leaving := freeAddr(t)
	stays := s.caddyfile()
	s.start()
	both := stays + "http://:" + port(t, leaving) + " {\n\tbind 127.0.0.1\n\ttoken_auth {\n\t\tsecret {env.JWT_SECRET}\n\t\tready /ready\n\t}\n}\n"
	if status, body, err := s.load(both); err != nil || status != http.StatusOK {
		t.Fatalf("%d %s, %v", status, body, err)
	}
	ready := func(addr string) int {
		c := &client{addr: addr}
		defer c.close()
		return c.must(t, http.MethodGet, "/ready", "", "").status
	}
	if got := ready(leaving); got != http.StatusOK {
		t.Errorf("before the reload: %d", got)
	}
	loaded := make(chan error, 1)
	go func() {
		_, _, err := s.load(stays) // returns once the port is closed
		loaded <- err
	}()
	begun := time.Now()
	for ready(leaving) == http.StatusOK {
		if time.Since(begun) > podDelay {
			t.Fatal("it is ready for as long as it is there")
		}
		time.Sleep(10 * time.Millisecond)
	}
	if got := ready(s.addr); got != http.StatusOK {
		t.Errorf("the port that stays: %d", got)
	}
	if err := <-loaded; err != nil {
		t.Error(err)
	}
	s.stop()
}

// open sends a request and leaves its answer to be read.
func (p *pod) open(path, token string) *bufio.Reader {
	p.t.Helper()
	conn, err := (&net.Dialer{Timeout: exchangeTimeout}).DialContext(p.t.Context(), "tcp", p.addr)
	if err != nil {
		p.t.Fatal(err)
	}
	p.t.Cleanup(func() { conn.Close() })
	if err := conn.SetDeadline(time.Now().Add(time.Minute)); err != nil {
		p.t.Fatal(err)
	}
	request := "GET " + path + " HTTP/1.1\r\nHost: " + p.addr + "\r\nAuthorization: Bearer " + token + "\r\n\r\n"
	if _, err := conn.Write([]byte(request)); err != nil {
		p.t.Fatal(err)
	}
	return bufio.NewReader(conn)
}

// accepts reports whether the port is open.
func (p *pod) accepts() bool {
	conn, err := (&net.Dialer{Timeout: exchangeTimeout}).DialContext(p.t.Context(), "tcp", p.addr)
	if err == nil {
		conn.Close()
	}
	return err == nil
}

// readAll returns what comes until the connection is gone, however it ends.
func readAll(r *bufio.Reader) string {
	var all strings.Builder
	_, _ = r.WriteTo(&all) // the end is an error or none: that there is one is what matters
	return all.String()
}
