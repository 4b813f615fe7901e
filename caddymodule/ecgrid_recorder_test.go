package caddymodule_test

import (
	"bufio"
	"bytes"
	"cmp"
	"errors"
	"io"
	"net"
	"net/http"
	"slices"
	"sync"
	"testing"
)

// recorder passes connections on to a site, as they are, and keeps what clients send.
type recorder struct {
	t    *testing.T
	addr string
	to   string

	passing sync.WaitGroup // connections
	mu      sync.Mutex     // guards what follows
	chunks  int
	open    []net.Conn
	sent    []*sentBytes // of each connection
}

// sentBytes is what came on one connection, and when.
type sentBytes struct {
	bytes.Buffer
	chunks []chunk
}

// chunk says that the bytes from begin on came as the recorder's nth.
type chunk struct{ n, begin int }

// record returns a recorder in front of the site, for one test.
func (s *site) record(t *testing.T) *recorder {
	t.Helper()
	ln, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	r := &recorder{t: t, addr: ln.Addr().String(), to: s.addr}
	var accepting sync.WaitGroup
	accepting.Go(func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			r.passing.Go(func() { r.pass(conn) })
		}
	})
	t.Cleanup(func() {
		ln.Close()
		accepting.Wait()
		r.mu.Lock()
		for _, conn := range r.open {
			conn.Close()
		}
		r.mu.Unlock()
		r.passing.Wait()
	})
	return r
}

// pass passes one connection on until both ends have closed it.
func (r *recorder) pass(client net.Conn) {
	defer client.Close()
	server, err := new(net.Dialer).DialContext(r.t.Context(), "tcp", r.to)
	if err != nil {
		r.t.Error(err)
		return
	}
	defer server.Close()
	sent := new(sentBytes)
	r.mu.Lock()
	r.open = append(r.open, client, server)
	r.sent = append(r.sent, sent)
	r.mu.Unlock()
	var answering sync.WaitGroup
	answering.Go(func() {
		_, _ = io.Copy(client, server)
		client.Close()
	})
	keep := func(p []byte) (int, error) {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.chunks++
		sent.chunks = append(sent.chunks, chunk{r.chunks, sent.Len()})
		return sent.Write(p)
	}
	_, _ = io.Copy(server, io.TeeReader(client, writerFunc(keep)))
	_ = server.(*net.TCPConn).CloseWrite()
	answering.Wait()
}

type writerFunc func(p []byte) (int, error)

func (f writerFunc) Write(p []byte) (int, error) { return f(p) }

// recorded is a request as a client has sent it.
type recorded struct {
	method, path string
	header       http.Header
	body         string
	chunk        int // in which it begins
}

// requests returns what clients have sent, in the order in which they began to. It waits
// until they have closed their connections: an answer may be earlier than the end of the
// body.
func (r *recorder) requests() []recorded {
	r.t.Helper()
	r.passing.Wait()
	var all []recorded
	for _, sent := range r.sent {
		unread := bytes.NewReader(sent.Bytes())
		from := bufio.NewReader(unread)
		for {
			begin := sent.Len() - unread.Len() - from.Buffered()
			request, err := http.ReadRequest(from)
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				r.t.Fatal(err)
			}
			body, err := io.ReadAll(request.Body)
			if err != nil {
				r.t.Fatal(err)
			}
			next := slices.IndexFunc(sent.chunks, func(c chunk) bool { return c.begin > begin })
			if next < 0 {
				next = len(sent.chunks)
			}
			all = append(all, recorded{request.Method, request.URL.Path, request.Header, string(body), sent.chunks[next-1].n})
		}
	}
	slices.SortFunc(all, func(a, b recorded) int { return cmp.Compare(a.chunk, b.chunk) })
	return all
}
