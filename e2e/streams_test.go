package e2e

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/gobwas/ws"
	"github.com/gobwas/ws/wsutil"
)

const (
	socketPath = "/v1/socket" // a WebSocket that sends back what it gets
	pollPath   = "/v1/poll"   // a long poll: an answer that does not come
	slowPath   = "/v1/slow"   // an answer that comes once it is asked for
	eventsPath = "/v1/events" // the example API's own stream
)

// streamingAPI is the example API with connections that stay open.
type streamingAPI struct {
	api
	// slow is closed to have the answers of slowPath sent.
	slow    chan struct{}
	sockets sync.WaitGroup
}

const slowAnswer = "at last"

func newStreamingAPI(t *testing.T) *streamingAPI {
	t.Helper()
	rest, err := apiHandler()
	if err != nil {
		t.Fatal(err)
	}
	a := &streamingAPI{slow: make(chan struct{})}
	a.server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case socketPath:
			a.echo(w, r)
		case pollPath:
			<-r.Context().Done()
		case slowPath:
			select {
			case <-a.slow:
				fmt.Fprint(w, slowAnswer)
			case <-r.Context().Done():
			}
		default:
			rest.ServeHTTP(w, r)
		}
	}))
	t.Cleanup(func() {
		a.server.CloseClientConnections()
		a.server.Close()
		a.sockets.Wait()
	})
	return a
}

// echo serves a WebSocket.
func (a *streamingAPI) echo(w http.ResponseWriter, r *http.Request) {
	conn, _, _, err := ws.UpgradeHTTP(r, w)
	if err != nil {
		return // it has answered
	}
	a.sockets.Go(func() {
		defer conn.Close()
		for {
			text, kind, err := wsutil.ReadClientData(conn)
			if err != nil {
				return
			}
			// In one piece: Caddy's own close frame does not wait for the end of another one.
			frame, err := ws.CompileFrame(ws.NewFrame(kind, true, text))
			if err != nil {
				return
			}
			if _, err := conn.Write(frame); err != nil {
				return
			}
		}
	})
}

// socket is a client's WebSocket.
type socket struct {
	conn net.Conn
	from io.Reader // what comes on conn
}

// openSocket opens a WebSocket at addr. An error that is a ws.StatusError has the status of
// a refusal.
func openSocket(ctx context.Context, addr, token string) (*socket, error) {
	ctx, cancel := context.WithTimeout(ctx, exchangeTimeout)
	defer cancel()
	dialer := ws.Dialer{Header: ws.HandshakeHeaderHTTP{"Authorization": {"Bearer " + token}}}
	conn, early, _, err := dialer.Dial(ctx, "ws://"+addr+socketPath)
	if err != nil {
		return nil, err
	}
	s := &socket{conn: conn, from: conn}
	if early != nil { // a close frame came with the handshake
		s.from = io.MultiReader(io.LimitReader(early, int64(early.Buffered())), conn)
	}
	return s, nil
}

// closedError is the code of a close frame.
type closedError ws.StatusCode

func (e closedError) Error() string { return fmt.Sprintf("closed with %d", int(e)) }

// say sends a text and receives it. A closedError came in its place; every other error is a
// failure.
func (s *socket) say(text string) error {
	if err := s.conn.SetDeadline(time.Now().Add(exchangeTimeout)); err != nil {
		return err
	}
	// What is sent when the other end has closed already makes an error, but what it had
	// sent before that can still be read.
	writeErr := wsutil.WriteClientText(s.conn, []byte(text))
	got, err := s.read()
	var closed closedError
	switch {
	case errors.As(err, &closed):
		return closed
	case err != nil:
		return errors.Join(writeErr, err)
	case got != text:
		return fmt.Errorf("got %q for %q", got, text)
	}
	return nil
}

// read receives a text. A close frame is not answered: the other end does not wait for that.
func (s *socket) read() (string, error) {
	header, err := ws.ReadHeader(s.from)
	if err != nil {
		return "", err
	}
	const most = 1 << 10 // of what these tests say
	if header.Length > most {
		return "", fmt.Errorf("got a frame of %d bytes", header.Length)
	}
	payload := make([]byte, header.Length)
	if _, err := io.ReadFull(s.from, payload); err != nil {
		return "", err
	}
	switch header.OpCode {
	case ws.OpText:
		return string(payload), nil
	case ws.OpClose:
		code, _ := ws.ParseCloseFrameData(payload)
		return "", closedError(code)
	default:
		return "", fmt.Errorf("got a frame of type %d", header.OpCode)
	}
}

// closing waits for the close frame and returns its code.
func (s *socket) closing() (ws.StatusCode, error) {
	if err := s.conn.SetDeadline(time.Now().Add(exchangeTimeout)); err != nil {
		return 0, err
	}
	_, err := s.read()
	var closed closedError
	if !errors.As(err, &closed) {
		return 0, fmt.Errorf("no close frame: %w", err)
	}
	return ws.StatusCode(closed), nil
}

func (s *socket) close() { s.conn.Close() }
