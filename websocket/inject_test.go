package websocket

import (
	"bytes"
	"errors"
	"io"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gobwas/ws"
)

// write writes b to c and fails the test unless that succeeds.
func write(t *testing.T, c *Conn, b ...[]byte) {
	t.Helper()
	joined := slices.Concat(b...)
	if n, err := c.Write(joined); n != len(joined) || err != nil {
		t.Fatalf("%d of %d bytes: %v", n, len(joined), err)
	}
}

// gets fails the test unless the client has got exactly want, when all is quiet.
func gets(t *testing.T, s *fakeStream, want ...[]byte) {
	t.Helper()
	synctest.Wait()
	if got := s.got(); !bytes.Equal(got, slices.Concat(want...)) {
		t.Fatalf("the client has got %q, want %q", got, slices.Concat(want...))
	}
}

func TestInjectionWhereTheServerIs(t *testing.T) {
	ours, frame := server(ws.OpText, true, "ours"), server(ws.OpBinary, true, "0123456789")
	first, middle, last := server(ws.OpText, false, "fi"), server(ws.OpContinuation, false, "mi"), server(ws.OpContinuation, true, "la")
	ping := server(ws.OpPing, true, "ping")
	bye := server(ws.OpClose, true, closing(4001, "bye"))
	for _, c := range []struct {
		name         string
		before       []byte // what the server has sent when something is injected
		after        []byte // and sends then
		data, ending []byte // what the client has got in the end: with Send, with Disconnect
	}{
		{"idle at the beginning", nil, frame, slices.Concat(ours, frame), bye},
		{"idle after a frame", frame, frame, slices.Concat(frame, ours, frame), slices.Concat(frame, bye)},
		{"in a header", append(slices.Clone(frame), frame[:1]...), frame[1:], slices.Concat(frame, ours, frame), slices.Concat(frame, bye)},
		{"in a frame", frame[:7], append(slices.Clone(frame[7:]), frame...), slices.Concat(frame, ours, frame), slices.Concat(frame, bye)},
		{"at the last byte", frame[:len(frame)-1], frame[len(frame)-1:], slices.Concat(frame, ours), slices.Concat(frame, bye)},
		{"in a control frame", ping[:3], ping[3:], slices.Concat(ours, ping), bye},
		{"in a fragment", first[:3], slices.Concat(first[3:], ping, last, frame), slices.Concat(first, ping, last, ours, frame), slices.Concat(first, bye)},
		{"between fragments", first, slices.Concat(middle, last, frame), slices.Concat(first, middle, last, ours, frame), slices.Concat(first, bye)},
		{"in the last fragment", slices.Concat(first, last[:3]), slices.Concat(last[3:], frame), slices.Concat(first, last, ours, frame), slices.Concat(first, last, bye)},
		{"between a fragment and a ping", first, slices.Concat(ping, last), slices.Concat(first, ping, last, ours), slices.Concat(first, bye)},
	} {
		for name, segments := range cuts(c.after) {
			synctest.Test(t, func(t *testing.T) {
				s := newStream()
				conn := open(t, s, Options{})
				write(t, conn, c.before)
				if err := conn.Send(ws.OpText, []byte("ours")); err != nil {
					t.Fatal(err)
				}
				for _, b := range segments {
					write(t, conn, b)
				}
				if got := s.got(); !bytes.Equal(got, c.data) {
					t.Errorf("%s, %s: Send gives %q, want %q", c.name, name, got, c.data)
				}

				s = newStream()
				conn = open(t, s, Options{})
				write(t, conn, c.before)
				conn.Disconnect(Closing{Code: 4001, Reason: "bye"})
				synctest.Wait()
				for _, b := range segments {
					write(t, conn, b) // succeeds, so that the proxy waits for the end
				}
				if got := s.got(); !bytes.Equal(got, c.ending) {
					t.Errorf("%s, %s: Disconnect gives %q, want %q", c.name, name, got, c.ending)
				}
			})
		}
	}
}

func TestWaitingDataGoesOutBeforeTheCloseFrameIfItMay(t *testing.T) {
	for _, whole := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) {
			s := newStream()
			c := open(t, s, Options{})
			begun := server(ws.OpText, whole, "begun")
			write(t, c, begun[:4])
			if err := c.Send(ws.OpText, []byte("answer")); err != nil {
				t.Fatal(err)
			}
			c.Disconnect(Closing{Code: 4001})
			write(t, c, begun[4:])
			want := slices.Concat(begun, server(ws.OpText, true, "answer"), server(ws.OpClose, true, closing(4001, "")))
			if !whole { // the message is not complete: no data frame may come in between
				want = slices.Concat(begun, server(ws.OpClose, true, closing(4001, "")))
			}
			gets(t, s, want)
		})
	}
}

func TestMaxPending(t *testing.T) {
	s := newStream()
	c := open(t, s, Options{MaxPending: 100})
	write(t, c, server(ws.OpText, false, "")) // a message has begun
	payload := make([]byte, 48)
	for i, want := range []error{nil, nil, ErrPending, ErrPending} {
		if err := c.Send(ws.OpBinary, payload); !errors.Is(err, want) {
			t.Errorf("%d: %v", i, err)
		}
	}
	write(t, c, server(ws.OpContinuation, true, ""))
	if n := len(frames(t, s.got())); n != 4 {
		t.Errorf("%d frames", n)
	}
	if err := c.Send(ws.OpBinary, make([]byte, 101)); !errors.Is(err, ErrPending) {
		t.Errorf("more than ever fits: %v", err)
	}
	if err := c.Send(ws.OpBinary, payload); err != nil {
		t.Errorf("after that: %v", err)
	}
}

// A client that makes the sidecar answer and never reads does not make it keep the answers.
func TestAnswersThatCannotBeDeliveredEndTheConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStream()
		c := open(t, s, Options{FromClient: script, MaxPending: 100})
		write(t, c, server(ws.OpText, false, ""))
		s.send(bytes.Repeat(text("answer "+strings.Repeat("x", 48)), 3))
		_, err := read(c).wait()
		var violated *ViolationError
		if !errors.As(err, &violated) || !errors.Is(err, ErrPending) || violated.Code != 1008 {
			t.Errorf("%v", err)
		}
	})
}

// But one that reads slowly gets all of them: its messages wait.
func TestAnswersWaitForASlowClient(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStream()
		c := open(t, s, Options{FromClient: script, MaxPending: 100})
		s.stall(true)
		go func() { _, _ = c.Write(server(ws.OpText, true, "from the upstream")) }()
		synctest.Wait()
		s.send(bytes.Repeat(text("answer "+strings.Repeat("x", 48)), 10))
		s.finish(io.EOF)
		u := read(c)
		synctest.Wait()
		if n := len(c.pending); n > 100 {
			t.Errorf("%d bytes wait", n)
		}
		s.stall(false)
		if _, err := u.wait(); !errors.Is(err, io.EOF) || len(frames(t, s.got())) != 11 {
			t.Errorf("%d frames, %v", len(frames(t, s.got())), err)
		}
	})
}

func TestSendRefusesWhatIsNoMessage(t *testing.T) {
	s := newStream()
	c := open(t, s, Options{})
	for _, op := range []ws.OpCode{ws.OpContinuation, ws.OpClose, ws.OpPing, 3, 0x81} {
		if c.Send(op, nil) == nil {
			t.Errorf("opcode %#x", byte(op))
		}
	}
	if err := c.Send(ws.OpText, []byte("\xff")); !errors.Is(err, ErrUTF8) {
		t.Error(err)
	}
	write(t, c, server(ws.OpClose, true, ""))
	if err := c.Send(ws.OpText, nil); !errors.Is(err, ErrClosed) {
		t.Errorf("after a close frame: %v", err)
	}
	if !bytes.Equal(s.got(), server(ws.OpClose, true, "")) {
		t.Errorf("%x", s.got())
	}
}

// Whatever happens at the same time, the client gets whole frames, data frames only
// between messages, and one close frame as the last thing.
func TestConcurrentWritersKeepTheFramesWhole(t *testing.T) {
	for range 20 {
		s := newStream()
		c := open(t, s, Options{FromClient: script, FromServer: script, CloseWait: 50 * time.Millisecond, MaxPending: 1 << 20})
		u := read(c)
		down := slices.Concat(
			server(ws.OpText, true, strings.Repeat("x", 300)), server(ws.OpText, false, "a"), server(ws.OpPing, true, ""), server(ws.OpContinuation, true, "b"),
		)
		var all sync.WaitGroup
		all.Go(func() {
			for range 50 {
				for i := 0; i < len(down); i += 7 {
					if _, err := c.Write(down[i:min(i+7, len(down))]); err != nil {
						return
					}
				}
			}
		})
		for range 3 {
			all.Go(func() {
				for range 50 {
					_ = c.Send(ws.OpBinary, []byte("sent"))
				}
			})
		}
		all.Go(func() {
			for range 50 {
				s.send(text("answer to a"), text("pass"))
			}
			s.send(client(ws.OpClose, true, ""))
		})
		for range 2 {
			all.Go(func() {
				<-time.After(time.Millisecond)
				c.Disconnect(Closing{Code: 4001})
				_, _ = c.ClientClose()
				_ = c.Err()
			})
		}
		all.Wait()
		<-c.Done()
		if _, err := u.wait(); !errors.Is(err, ErrClosed) {
			t.Error(err)
		}
		_ = c.Close()
		inside, closed := false, false
		for _, f := range frames(t, s.got()) {
			switch op := f.Header.OpCode; {
			case closed:
				t.Fatal("a frame after the close frame")
			case op == ws.OpClose:
				closed = true
			case !op.IsControl() && inside != (op == ws.OpContinuation):
				t.Fatalf("opcode %d, inside a message: %v", op, inside)
			}
			if !f.Header.OpCode.IsControl() {
				inside = !f.Header.Fin
			}
		}
		if !closed {
			t.Error("no close frame")
		}
	}
}
