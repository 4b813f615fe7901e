package websocket

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/gobwas/ws"
)

// fakeStream is the client's stream. What the client sends is put in by send, in
// segments that Read returns one by one; what it gets is in got.
type fakeStream struct {
	mu       sync.Mutex
	changed  sync.Cond
	segments [][]byte
	end      error // of the client's direction, after the segments
	out      []byte
	writes   int
	stalled  bool // the client does not read
	writeErr error
	half     bool // CloseWrite was called
	closed   bool
}

var errStreamClosed = errors.New("stream is closed")

func newStream(segments ...[]byte) *fakeStream {
	s := &fakeStream{segments: slices.Clone(segments)}
	s.changed.L = &s.mu
	return s
}

// set changes s and wakes those who wait for it.
func (s *fakeStream) set(change func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change()
	s.changed.Broadcast()
}

func (s *fakeStream) send(b ...[]byte) {
	s.set(func() { s.segments = append(s.segments, slices.Concat(b...)) })
}
func (s *fakeStream) finish(err error) { s.set(func() { s.end = err }) }
func (s *fakeStream) stall(on bool)    { s.set(func() { s.stalled = on }) }

func (s *fakeStream) got() []byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	return bytes.Clone(s.out)
}

func (s *fakeStream) isClosed() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.closed
}

func (s *fakeStream) Read(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for {
		switch {
		case s.closed:
			return 0, errStreamClosed
		case len(s.segments) > 0:
			n := copy(p, s.segments[0])
			if s.segments[0] = s.segments[0][n:]; len(s.segments[0]) == 0 {
				s.segments = s.segments[1:]
			}
			return n, nil
		case s.end != nil:
			return 0, s.end
		}
		s.changed.Wait()
	}
}

func (s *fakeStream) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for s.stalled && !s.closed {
		s.changed.Wait()
	}
	switch {
	case s.closed, s.half:
		return 0, errStreamClosed
	case s.writeErr != nil:
		return 0, s.writeErr
	}
	s.writes++
	s.out = append(s.out, p...)
	return len(p), nil
}

func (s *fakeStream) Close() error {
	s.set(func() { s.closed = true })
	return nil
}

func (s *fakeStream) CloseWrite() error {
	s.set(func() { s.half = true })
	return nil
}

// open returns a Conn on s that is closed at the end of the test.
func open(t testing.TB, s io.ReadWriteCloser, o Options) *Conn {
	t.Helper()
	c, err := New(s, nil, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// ended returns why c has ended, and fails the test if nothing has begun to end it.
func ended(t testing.TB, c *Conn) error {
	t.Helper()
	if c.isOpen() {
		t.Fatal("the connection is open")
	}
	<-c.Done()
	return c.Err()
}

// upstream is the part of a proxy that reads from a Conn.
type upstream struct {
	mu   sync.Mutex
	got  []byte
	err  error
	over chan struct{}
}

// read reads all that comes from c until there is an error.
func read(c *Conn) *upstream {
	u := &upstream{over: make(chan struct{})}
	go func() {
		defer close(u.over)
		p := make([]byte, 4096)
		for {
			n, err := c.Read(p)
			u.mu.Lock()
			u.got, u.err = append(u.got, p[:n]...), err
			u.mu.Unlock()
			if err != nil {
				return
			}
		}
	}()
	return u
}

func (u *upstream) bytes() []byte {
	u.mu.Lock()
	defer u.mu.Unlock()
	return bytes.Clone(u.got)
}

// wait returns all bytes and the error at the end.
func (u *upstream) wait() ([]byte, error) {
	<-u.over
	return u.got, u.err
}

// Frames. What a client sends has a fixed mask, so that it can be compared.

var testMask = [4]byte{0x37, 0xfa, 0x21, 0x3d}

func client(op ws.OpCode, fin bool, payload string) []byte {
	return encode(ws.MaskFrameWith(ws.NewFrame(op, fin, []byte(payload)), testMask))
}

func server(op ws.OpCode, fin bool, payload string) []byte {
	return encode(ws.NewFrame(op, fin, []byte(payload)))
}

func text(payload string) []byte { return client(ws.OpText, true, payload) }

func closing(code ws.StatusCode, reason string) string {
	return string(ws.NewCloseFrameBody(code, reason))
}

// frames parses b with ws and fails the test unless it has whole frames only.
func frames(t testing.TB, b []byte) []ws.Frame {
	t.Helper()
	var all []ws.Frame
	for r := bytes.NewReader(b); r.Len() > 0; {
		h, err := ws.ReadHeader(r)
		if err != nil {
			t.Fatalf("header after %d frames: %v", len(all), err)
		}
		payload := make([]byte, h.Length)
		if _, err := io.ReadFull(r, payload); err != nil {
			t.Fatalf("payload after %d frames: %v", len(all), err)
		}
		if h.Masked {
			ws.Cipher(payload, h.Mask, 0)
		}
		all = append(all, ws.Frame{Header: h, Payload: payload})
	}
	return all
}

// lastClose returns the code and reason of the close frame at the end of b.
func lastClose(t testing.TB, b []byte) (ws.StatusCode, string) {
	t.Helper()
	all := frames(t, b)
	if len(all) == 0 || all[len(all)-1].Header.OpCode != ws.OpClose {
		t.Fatalf("no close frame at the end of %d frames", len(all))
	}
	return ws.ParseCloseFrameData(all[len(all)-1].Payload)
}

// cuts are ways to cut b into segments: not at all, into single bytes, and at random.
func cuts(b []byte) map[string][][]byte {
	all := map[string][][]byte{"whole": {b}, "bytes": nil}
	for i := range b {
		all["bytes"] = append(all["bytes"], b[i:i+1])
	}
	for _, longest := range []int{3, 20, 200} {
		random := rand.New(rand.NewPCG(1, uint64(longest)))
		name := "random-" + string(rune('a'+longest%26))
		for rest := b; len(rest) > 0; {
			n := min(1+random.IntN(longest), len(rest))
			all[name] = append(all[name], rest[:n])
			rest = rest[n:]
		}
	}
	return all
}

// pass is a FromClient that lets everything pass, and records it.
func pass(messages *[]string) func(Message) Decision {
	return func(m Message) Decision {
		*messages = append(*messages, string(m.Payload))
		return Pass()
	}
}

// withDeadlines is a fakeStream that has them.
type withDeadlines struct {
	*fakeStream
	read, write time.Time
}

func (s *withDeadlines) SetReadDeadline(t time.Time) error  { s.read = t; return nil }
func (s *withDeadlines) SetWriteDeadline(t time.Time) error { s.write = t; return os.ErrClosed }
