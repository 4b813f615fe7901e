package websocket

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/gobwas/ws"
)

// chunk is what is read or written at once.
const chunk = 64 << 10

// ring returns frames from a reader that never ends, in chunks that do not care about
// their boundaries.
type ring struct {
	b  []byte
	at int
}

func newRing(frame []byte) *ring { return &ring{b: bytes.Repeat(frame, 1+4*chunk/len(frame))} }

func (r *ring) Read(p []byte) (int, error) {
	n := copy(p, r.b[r.at:])
	if r.at += n; r.at == len(r.b) {
		r.at = 0
	}
	return n, nil
}

// sink copies what is written to it, as a socket does.
type sink struct {
	*ring
	to [chunk]byte
}

func (s *sink) Write(p []byte) (int, error) { return copy(s.to[:], p), nil }
func (s *sink) Close() error                { return nil }

// What following the frames adds to copying the bytes.
func BenchmarkFollow(b *testing.B) {
	for _, size := range []int{1 << 10, 64 << 10} {
		payload := strings.Repeat("x", size)
		up, down := client(ws.OpBinary, true, payload), server(ws.OpBinary, true, payload)
		for _, c := range []struct {
			name string
			conn func(frame []byte) io.ReadWriteCloser
		}{
			{"bare", func(frame []byte) io.ReadWriteCloser { return &sink{ring: newRing(frame)} }},
			{"followed", func(frame []byte) io.ReadWriteCloser {
				return open(b, &sink{ring: newRing(frame)}, Options{})
			}},
		} {
			b.Run(fmt.Sprintf("read/frame=%d/%s", size, c.name), func(b *testing.B) {
				conn, p := c.conn(up), make([]byte, chunk)
				b.SetBytes(chunk)
				b.ReportAllocs()
				for b.Loop() {
					if _, err := io.ReadFull(conn, p); err != nil {
						b.Fatal(err)
					}
				}
			})
			b.Run(fmt.Sprintf("write/frame=%d/%s", size, c.name), func(b *testing.B) {
				conn, from, p := c.conn(up), newRing(down), make([]byte, chunk)
				b.SetBytes(chunk)
				b.ReportAllocs()
				for b.Loop() {
					_, _ = io.ReadFull(from, p)
					if _, err := conn.Write(p); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}

// With the buffer that Caddy's reverse proxy has by default.
func BenchmarkInspect(b *testing.B) {
	for _, size := range []int{200, 1 << 10, 64 << 10} {
		for _, op := range []ws.OpCode{ws.OpText, ws.OpBinary} {
			frame := client(op, true, strings.Repeat("x", size))
			b.Run(fmt.Sprintf("message=%d/op=%d", size, op), func(b *testing.B) {
				conn := open(b, &sink{ring: newRing(frame)}, Options{FromClient: func(Message) Decision { return Pass() }})
				p := make([]byte, 32<<10)
				b.SetBytes(int64(len(p)))
				b.ReportAllocs()
				for b.Loop() {
					if _, err := io.ReadFull(conn, p); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}

func BenchmarkInspectServer(b *testing.B) {
	for _, wanted := range []bool{true, false} {
		b.Run(fmt.Sprintf("wanted=%v", wanted), func(b *testing.B) {
			down := newRing(server(ws.OpText, true, strings.Repeat("x", 1<<10)))
			conn := open(b, &sink{ring: newRing(text("x"))}, Options{
				FromServer:    func(Message) Decision { return Pass() },
				InspectServer: func() bool { return wanted },
			})
			p := make([]byte, 32<<10)
			b.SetBytes(int64(len(p)))
			b.ReportAllocs()
			for b.Loop() {
				_, _ = io.ReadFull(down, p)
				if _, err := conn.Write(p); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// What a connection costs from its beginning to its end.
func BenchmarkConn(b *testing.B) {
	s := &sink{ring: newRing(text("x"))}
	b.ReportAllocs()
	for b.Loop() {
		c, err := New(s, nil, Options{FromClient: func(Message) Decision { return Pass() }})
		if err != nil {
			b.Fatal(err)
		}
		_ = c.Close()
	}
}
