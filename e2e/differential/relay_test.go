package differential

import (
	"bytes"
	"context"
	"io"
	"net"
	"regexp"
	"sync"
	"testing"
	"time"
)

// relay stands between the sidecar and an upstream and sees what both say, also what the
// sidecar withholds from the client.
type relay struct {
	addr string
	to   string

	mu      sync.Mutex
	sent    bytes.Buffer // by the sidecar
	answers bytes.Buffer
}

// newRelay starts a relay to an upstream.
func newRelay(t *testing.T, to string) *relay {
	t.Helper()
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	r := &relay{addr: l.Addr().String(), to: to}
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			running.Go(func() { r.serve(ctx, conn) })
		}
	})
	t.Cleanup(func() {
		cancel()
		_ = l.Close() // never fails
		running.Wait()
	})
	return r
}

func (r *relay) serve(ctx context.Context, from net.Conn) {
	defer from.Close()
	to, err := new(net.Dialer).DialContext(ctx, "tcp", r.to)
	if err != nil {
		return
	}
	defer to.Close()
	stop := context.AfterFunc(ctx, func() {
		_ = from.Close() // never fails, nor does the next
		_ = to.Close()
	})
	defer stop()
	done := make(chan struct{})
	go func() {
		defer close(done)
		_, _ = io.Copy(to, io.TeeReader(from, &recorder{r, &r.sent})) // ends with the connection
		_ = to.(*net.TCPConn).CloseWrite()
	}()
	_, _ = io.Copy(from, io.TeeReader(to, &recorder{r, &r.answers})) // ends with the connection
	_ = from.Close()
	<-done
}

type recorder struct {
	r  *relay
	to *bytes.Buffer
}

func (w *recorder) Write(p []byte) (int, error) {
	w.r.mu.Lock()
	defer w.r.mu.Unlock()
	return w.to.Write(p)
}

var reportField = regexp.MustCompile(`(?i)\r\nX-Report: ?([^\r\n]*)\r\n`)

// take returns what went through since the last call: what the sidecar has sent, and the
// reports in what the upstream has answered.
func (r *relay) take() (sent string, reports []string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	sent = r.sent.String()
	for _, match := range reportField.FindAllSubmatch(r.answers.Bytes(), -1) {
		reports = append(reports, string(match[1]))
	}
	r.sent.Reset()
	r.answers.Reset()
	return sent, reports
}

// exchange sends a request as it is and returns what is answered until the connection is
// closed, which it asks for.
func exchange(ctx context.Context, addr, request string) (string, error) {
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", addr)
	if err != nil {
		return "", err
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(patience)); err != nil {
		return "", err
	}
	if _, err := io.WriteString(conn, request); err != nil {
		return "", err
	}
	answer, err := io.ReadAll(conn)
	return string(answer), err
}

// patience bounds one request.
const patience = 15 * time.Second
