package caddymodule_test

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/gobwas/ws"
)

// liveAPI is the example API with a WebSocket that answers every frame by the same one,
// an event stream, and a call that waits.
type liveAPI struct {
	http.Handler

	// ends has how each WebSocket has ended: the code of a close frame, or what reading
	// has failed with.
	ends chan error
	// left has the path of every request to the others that was abandoned.
	left chan string
}

type closeFrameError ws.StatusCode

func (c closeFrameError) Error() string { return fmt.Sprintf("close frame with code %d", uint16(c)) }

func newLiveAPI(t *testing.T) *liveAPI {
	t.Helper()
	api := &liveAPI{ends: make(chan error, 1000), left: make(chan string, 100)}
	mux := http.NewServeMux()
	mux.Handle("/", newAPI(t, time.Now))
	mux.HandleFunc("/ws", api.serveWebSocket)
	mux.HandleFunc("/events", api.serveEvents)
	mux.HandleFunc("/plain", func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, "this is no frame of a server, whatever asked for it")
	})
	mux.HandleFunc("/none", http.NotFound)
	mux.HandleFunc("/poll", func(_ http.ResponseWriter, r *http.Request) {
		<-r.Context().Done()
		api.left <- r.URL.Path
	})
	api.Handler = mux
	return api
}

func (api *liveAPI) serveWebSocket(w http.ResponseWriter, r *http.Request) {
	conn, buffer, _, err := ws.UpgradeHTTP(r, w)
	if err != nil {
		api.ends <- err
		return
	}
	defer conn.Close()
	for {
		f, err := readFrame(buffer.Reader)
		if err != nil {
			api.ends <- err
			return
		}
		f = ws.UnmaskFrameInPlace(f)
		switch f.Header.OpCode {
		case ws.OpPing:
			f.Header.OpCode = ws.OpPong
		case ws.OpText, ws.OpBinary, ws.OpContinuation, ws.OpPong:
		case ws.OpClose:
			code, _ := ws.ParseCloseFrameData(f.Payload)
			_ = ws.WriteFrame(conn, f)
			api.ends <- closeFrameError(code)
			return
		}
		if err := ws.WriteFrame(conn, f); err != nil {
			api.ends <- err
			return
		}
	}
}

func (api *liveAPI) serveEvents(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "text/event-stream")
	_, _ = io.WriteString(w, "data: one\n\n")
	_ = http.NewResponseController(w).Flush()
	<-r.Context().Done()
	api.left <- r.URL.Path
}

// endsAbnormally waits until one WebSocket has ended for the upstream, without a close frame.
func (api *liveAPI) endsAbnormally(t *testing.T) {
	t.Helper()
	select {
	case err := <-api.ends:
		if _, closed := errors.AsType[closeFrameError](err); closed {
			t.Errorf("the upstream got a %v, want an abnormal end", err)
		}
	case <-time.After(10 * time.Second):
		t.Fatal("the connection to the upstream stays open")
	}
}

// readFrame reads one frame of what these tests send.
func readFrame(r io.Reader) (ws.Frame, error) {
	header, err := ws.ReadHeader(r)
	if err != nil {
		return ws.Frame{}, err
	}
	if header.Length > 2<<20 {
		return ws.Frame{}, ws.ErrHeaderLengthUnexpected
	}
	f := ws.Frame{Header: header, Payload: make([]byte, header.Length)}
	_, err = io.ReadFull(r, f.Payload)
	return f, err
}

// startLive runs the sidecar in front of a liveAPI.
func startLive(t *testing.T, options string) (*site, *liveAPI) {
	t.Helper()
	api := newLiveAPI(t)
	return start(t, api, "api octopus_cards\nsecret "+testSecret+"\n"+options), api
}

// socket is a WebSocket client.
type socket struct {
	t    *testing.T
	conn stream
	from io.Reader
}

// stream is what a socket is about: a connection, or a stream of one.
type stream interface {
	io.ReadWriteCloser
	SetDeadline(t time.Time) error
	SetReadDeadline(t time.Time) error
}

func (s *site) dial(raw string) (*socket, error) {
	dialer := ws.Dialer{
		Header:  ws.HandshakeHeaderHTTP{"Authorization": {"Bearer " + raw}},
		Timeout: 10 * time.Second,
	}
	conn, early, _, err := dialer.Dial(s.t.Context(), "ws://"+s.addr+"/ws")
	if errors.Is(err, io.EOF) || errors.Is(err, syscall.ECONNRESET) {
		conn, early, _, err = dialer.Dial(s.t.Context(), "ws://"+s.addr+"/ws") // for the reason that do has
	}
	if err != nil {
		return nil, err
	}
	k := &socket{t: s.t, conn: conn, from: conn}
	if early != nil {
		k.from = early
	}
	_ = conn.SetDeadline(time.Now().Add(20 * time.Second))
	s.t.Cleanup(func() { _ = conn.Close() })
	return k, nil
}

func (s *site) mustDial(raw string) *socket {
	s.t.Helper()
	k, err := s.dial(raw)
	if err != nil {
		s.t.Fatal(err)
	}
	k.works("hello")
	return k
}

// echoes sends a frame and returns what comes back.
func (k *socket) echoes(f ws.Frame) ws.Frame {
	k.t.Helper()
	if err := ws.WriteFrame(k.conn, ws.MaskFrame(f)); err != nil {
		k.t.Fatal(err)
	}
	got, err := readFrame(k.from)
	if err != nil {
		k.t.Fatal(err)
	}
	return got
}

// flood sends frames and reads nothing of what comes back, until nothing goes on any more.
// It returns a channel that is closed when the connection has ended.
func (k *socket) flood() <-chan struct{} {
	k.t.Helper()
	var sent atomic.Int64
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		frame := ws.MaskFrame(ws.NewBinaryFrame(make([]byte, 1<<16)))
		for ws.WriteFrame(k.conn, frame) == nil {
			sent.Add(1)
		}
	}()
	for before := int64(0); ; time.Sleep(300 * time.Millisecond) {
		now := sent.Load()
		if now > 0 && now == before {
			return ended
		}
		before = now
	}
}

func (k *socket) works(text string) {
	k.t.Helper()
	if got := k.echoes(ws.NewTextFrame([]byte(text))); !bytes.Equal(got.Payload, []byte(text)) {
		k.t.Fatalf("%q came back as %q", text, got.Payload)
	}
}

// wantCut waits for the close frame of a connection that is cut, and for its end.
func (k *socket) wantCut(reason string) {
	k.t.Helper()
	_ = k.conn.SetReadDeadline(time.Now().Add(soon))
	f, err := readFrame(k.from)
	if err != nil {
		k.t.Fatalf("no close frame: %v", err)
	}
	code, text := ws.ParseCloseFrameData(f.Payload)
	if f.Header.OpCode != ws.OpClose || code != 4001 || text != reason {
		k.t.Fatalf("got frame %x with %d %q, want 4001 %q", f.Header.OpCode, code, text, reason)
	}
	if err := ws.WriteFrame(k.conn, ws.MaskFrame(ws.NewCloseFrame(f.Payload))); err != nil {
		k.t.Fatal(err)
	}
	if _, err := readFrame(k.from); !errors.Is(err, io.EOF) {
		k.t.Errorf("after the close frame: %v, want the end", err)
	}
}

// soon is how long an end may take that does not wait for the next general check.
const soon = 10 * time.Second

// wantBroken reads a stream to its end, which must come soon and not as that of a complete
// response.
func wantBroken(t *testing.T, body io.Reader) {
	t.Helper()
	begun := time.Now()
	if rest, err := io.ReadAll(body); err == nil {
		t.Errorf("the stream ended as if it were complete, with %q", rest)
	}
	if took := time.Since(begun); took > soon {
		t.Errorf("the stream ended after %s", took)
	}
}

// wantNothingLeft waits until nothing is watched any more.
func (s *site) wantNothingLeft() {
	s.t.Helper()
	s.wantWatched(0)
}

func (s *site) wantWatched(n int) {
	s.t.Helper()
	s.eventually(func() bool { return gathered(s.t, "caddy_token_auth_live", "") == float64(n) })
}

func (s *site) logout(raw string) {
	s.t.Helper()
	s.do("POST", "/auth/logout", "", bearer(raw)).want(s.t, "logout", 200, bodyLoggedOut)
}

// events opens an event stream and reads its first event.
func (s *site) events(raw string) (*http.Response, *bufio.Reader) {
	s.t.Helper()
	r, err := http.NewRequestWithContext(s.t.Context(), http.MethodGet, s.url("/events"), http.NoBody)
	if err != nil {
		s.t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+raw)
	resp, err := s.client.Do(r)
	if err != nil {
		s.t.Fatal(err)
	}
	body := bufio.NewReader(resp.Body)
	if line, err := body.ReadString('\n'); err != nil || line != "data: one\n" {
		s.t.Fatalf("got %q, %v", line, err)
	}
	return resp, body
}
