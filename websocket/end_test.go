package websocket

import (
	"bytes"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
	"unicode/utf8"

	"github.com/gobwas/ws"
)

var bye = Closing{Code: 4001, Reason: "bye"}

// byeFrame is what the client gets for it, and byeReply what a client answers.
var (
	byeFrame = server(ws.OpClose, true, closing(4001, "bye"))
	byeReply = client(ws.OpClose, true, closing(4001, ""))
)

// after fails the test unless c ends after the given time, not sooner and not later.
func after(t *testing.T, c *Conn, want time.Duration) {
	t.Helper()
	begun := time.Now()
	<-c.Done()
	if took := time.Since(begun); took != want {
		t.Errorf("the end came after %s, want %s", took, want)
	}
}

func TestDisconnectWaitsForTheClientsAnswer(t *testing.T) {
	for _, answers := range []bool{true, false} {
		for _, o := range []Options{{CloseWait: 3 * time.Second}, {CloseWait: 3 * time.Second, FromClient: pass(new([]string))}} {
			synctest.Test(t, func(t *testing.T) {
				s := newStream(text("a"))
				c := open(t, s, o)
				u := read(c)
				synctest.Wait()
				c.Disconnect(bye)
				gets(t, s, byeFrame)
				if c.Err() != nil || s.isClosed() {
					t.Fatal("ended without waiting")
				}
				if answers {
					s.send(text("what was on its way"), byeReply)
					after(t, c, 0)
				} else {
					after(t, c, 3*time.Second)
				}
				forwarded, err := u.wait()
				if !bytes.Equal(forwarded, text("a")) || !errors.Is(err, ErrClosed) || errors.Is(err, io.EOF) {
					t.Errorf("the upstream gets %q, %v", forwarded, err)
				}
				var asked *DisconnectError
				if !errors.As(err, &asked) || asked.Closing != bye || !errors.As(c.Err(), &asked) {
					t.Errorf("%v, %v", err, c.Err())
				}
				if code, ok := c.ClientClose(); ok != answers || ok && code != 4001 {
					t.Errorf("the client's close frame: %d, %v", code, ok)
				}
				if synctest.Wait(); !s.isClosed() {
					t.Error("the stream is open")
				}
			})
		}
	}
}

func TestAFrameThatDoesNotEndIsCutWithoutACloseFrame(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStream()
		c := open(t, s, Options{})
		u := read(c)
		begun := server(ws.OpText, true, "never completed")[:7]
		write(t, c, begun)
		c.Disconnect(bye)
		after(t, c, DefaultCloseWait)
		gets(t, s, begun)
		if _, err := u.wait(); !errors.Is(err, ErrClosed) {
			t.Error(err)
		}
		if _, err := c.Write([]byte("x")); !errors.Is(err, ErrClosed) {
			t.Error(err)
		}
	})
}

// One client that does not read holds up neither the end of its own connection nor those
// of others, which the same caller disconnects next.
func TestDisconnectDoesNotWaitForAClientThatDoesNotRead(t *testing.T) {
	for _, busy := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) {
			s := newStream()
			s.stall(true)
			c := open(t, s, Options{})
			u := read(c)
			written := make(chan error, 1)
			if busy {
				go func() {
					_, err := c.Write(server(ws.OpText, true, "x"))
					written <- err
				}()
				synctest.Wait()
			}
			begun := time.Now()
			c.Disconnect(bye)
			if time.Since(begun) > 0 {
				t.Error("Disconnect has waited")
			}
			after(t, c, DefaultCloseWait)
			if _, err := u.wait(); !errors.Is(err, ErrClosed) {
				t.Error(err)
			}
			if busy {
				if err := <-written; !errors.Is(err, ErrClosed) {
					t.Error(err)
				}
			}
		})
	}
}

// The proxy may be blocked in writing to an upstream that does not read.
func TestDisconnectDoesNotNeedRead(t *testing.T) {
	for _, graceful := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) {
			s := newStream(text("a"))
			c := open(t, s, Options{})
			if _, err := c.Read(make([]byte, 100)); err != nil {
				t.Fatal(err)
			}
			c.Disconnect(Closing{Code: 4001, Graceful: graceful})
			if graceful {
				after(t, c, 2*DefaultCloseWait)
			} else {
				after(t, c, DefaultCloseWait)
			}
		})
	}
}

func TestGracefulEndWaitsForTheUpstreamsAnswer(t *testing.T) {
	for _, c := range []struct {
		name   string
		answer func(*Conn) // what the upstream does
		took   time.Duration
	}{
		{"a close frame", func(c *Conn) { _, _ = c.Write(server(ws.OpClose, true, closing(1000, ""))) }, 0},
		{"data, then a close frame", func(c *Conn) {
			_, _ = c.Write(slices.Concat(server(ws.OpText, true, "x"), server(ws.OpClose, true, "")))
		}, 0},
		{"its end", func(c *Conn) { _ = c.CloseWrite() }, 0},
		{"nothing", func(*Conn) {}, 2 * DefaultCloseWait},
		{"data", func(c *Conn) { _, _ = c.Write(server(ws.OpText, true, "x")) }, 2 * DefaultCloseWait},
	} {
		synctest.Test(t, func(t *testing.T) {
			s := newStream()
			conn := open(t, s, Options{FromClient: script})
			u := read(conn)
			s.send(text("leave"), byeReply)
			synctest.Wait()
			if conn.Err() != nil {
				t.Fatalf("%s: ended before the upstream has answered", c.name)
			}
			sent := frames(t, u.bytes())
			if len(sent) != 1 || sent[0].Header.OpCode != ws.OpClose || !sent[0].Header.Masked || string(sent[0].Payload) != closing(1000, "") {
				t.Errorf("%s: the upstream gets %v", c.name, sent)
			}
			c.answer(conn)
			after(t, conn, c.took)
			gets(t, s, server(ws.OpClose, true, closing(1000, "")))
		})
	}
}

func TestGracefulEndHasTheCodeThatTheUpstreamIsToGet(t *testing.T) {
	for code, want := range map[ws.StatusCode]ws.StatusCode{0: 1000, 1001: 1001, 3000: 3000, 1006: 1011, 5000: 1011} {
		synctest.Test(t, func(t *testing.T) {
			s := newStream()
			conn := open(t, s, Options{})
			u := read(conn)
			conn.Disconnect(Closing{Code: 4001, Graceful: true, UpstreamCode: code})
			s.send(client(ws.OpClose, true, closing(4001, "")))
			synctest.Wait()
			sent := frames(t, u.bytes())
			if len(sent) != 1 || sent[0].Header.OpCode != ws.OpClose || string(sent[0].Payload) != closing(want, "") {
				t.Errorf("%d: the upstream gets %v, want %d", code, sent, want)
			}
			_ = conn.CloseWrite()
		})
	}
}

// The mask of what is not the client's own cannot be foreseen (§5.3).
func TestMasksDiffer(t *testing.T) {
	f := ws.NewTextFrame([]byte("12345678"))
	if a, b := masked(f), masked(f); bytes.Equal(a, b) && bytes.Equal(a, masked(f)) {
		t.Errorf("%x three times", a)
	}
	if string(f.Payload) != "12345678" {
		t.Error("the payload has changed")
	}
}

// Where messages are not inspected the upstream may be inside a frame of the client.
func TestGracefulEndInsideAClientsFrame(t *testing.T) {
	frame := text("0123456789")
	for _, completes := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) {
			s := newStream(frame[:9])
			c := open(t, s, Options{})
			u := read(c)
			synctest.Wait()
			c.Disconnect(Closing{Code: 1000, Graceful: true})
			if completes {
				s.send(frame[9:11])
				synctest.Wait()
				s.send(frame[11:], text("not this one"), byeReply)
			} else {
				s.send(frame[9:11])
			}
			synctest.Wait()
			if completes {
				sent := frames(t, u.bytes())
				if len(sent) != 2 || string(sent[0].Payload) != "0123456789" || sent[1].Header.OpCode != ws.OpClose {
					t.Errorf("the upstream gets %v", sent)
				}
				_, _ = c.Write(server(ws.OpClose, true, ""))
				after(t, c, 0)
				return
			}
			after(t, c, DefaultCloseWait)
			if forwarded, err := u.wait(); !bytes.Equal(forwarded, frame[:11]) || !errors.Is(err, ErrClosed) {
				t.Errorf("%x, %v", forwarded, err)
			}
		})
	}
}

func TestLastMessageComesBeforeEveryEnd(t *testing.T) {
	reset := errors.New("connection reset")
	for _, c := range []struct {
		name string
		act  func(*Conn, *fakeStream)
		then []byte // what the upstream gets after the last message
		err  error
	}{
		{"end of the stream", func(_ *Conn, s *fakeStream) { s.finish(io.EOF) }, nil, io.EOF},
		{"end inside a message", func(_ *Conn, s *fakeStream) {
			s.send(client(ws.OpText, false, "x"))
			s.finish(io.EOF)
		}, nil, io.EOF},
		{"reset", func(_ *Conn, s *fakeStream) { s.finish(reset) }, nil, reset},
		{"close frame", func(_ *Conn, s *fakeStream) {
			s.send(byeReply)
			s.finish(io.EOF)
		}, byeReply, io.EOF},
		{"disconnected", func(c *Conn, _ *fakeStream) { c.Disconnect(bye) }, nil, ErrClosed},
		{"disconnected, and the client answers", func(c *Conn, s *fakeStream) {
			c.Disconnect(bye)
			s.send(byeReply)
		}, nil, ErrClosed},
		{"decision", func(_ *Conn, s *fakeStream) { s.send(text("close")) }, nil, ErrClosed},
		{"violation", func(_ *Conn, s *fakeStream) { s.send(server(ws.OpText, true, "")) }, nil, ErrClosed},
		{"upstream's violation", func(c *Conn, _ *fakeStream) { _, _ = c.Write(text("")) }, nil, ErrClosed},
		{"failed write", func(c *Conn, s *fakeStream) {
			s.set(func() { s.writeErr = reset })
			if _, err := c.Write(server(ws.OpText, true, "x")); err != nil {
				t.Errorf("Write returned before the upstream has got its last message: %v", err)
			}
		}, nil, reset},
		{"graceful", func(c *Conn, _ *fakeStream) { c.Disconnect(Closing{Code: 1000, Graceful: true}) }, []byte("close"), ErrClosed},
	} {
		for _, message := range []string{"", "cancel"} {
			synctest.Test(t, func(t *testing.T) {
				calls := 0
				s := newStream(text("a"))
				conn := open(t, s, Options{FromClient: script, LastMessage: func() []byte {
					calls++
					if message == "" {
						return nil
					}
					return []byte(message)
				}})
				u := read(conn)
				synctest.Wait()
				c.act(conn, s)
				forwarded, err := u.wait()
				if calls != 1 || !errors.Is(err, c.err) {
					t.Errorf("%s: %d calls, %v", c.name, calls, err)
				}
				rest, ok := bytes.CutPrefix(forwarded, text("a"))
				if !ok {
					t.Fatalf("%s: %x", c.name, forwarded)
				}
				last := frames(t, rest)
				if message != "" {
					if len(last) == 0 || string(last[0].Payload) != message || !last[0].Header.Masked || last[0].Header.OpCode != ws.OpText {
						t.Fatalf("%s: the upstream gets %v", c.name, last)
					}
					last = last[1:]
				}
				if len(last) > 1 || len(last) == 0 != (c.then == nil) || len(last) == 1 && last[0].Header.OpCode != ws.OpClose {
					t.Errorf("%s: the upstream gets %v", c.name, last)
				}
			})
		}
	}
}

// What a client does about a close frame that it has got is not an end of its own, however
// fast it is.
func TestLastMessageIsNotCalledWhereTheServerCloses(t *testing.T) {
	for name, act := range map[string]func(*fakeStream){
		"answered":      func(s *fakeStream) { s.send(byeReply) },
		"end of stream": func(s *fakeStream) { s.finish(io.EOF) },
		"reset":         func(s *fakeStream) { s.finish(errors.New("connection reset")) },
		"answered and at its end": func(s *fakeStream) {
			s.send(byeReply)
			s.finish(io.EOF)
		},
	} {
		synctest.Test(t, func(t *testing.T) {
			s := newStream()
			c := open(t, &answering{s, func() { act(s); synctest.Wait() }}, Options{FromClient: script, LastMessage: func() []byte {
				t.Errorf("%s: the last message is asked for", name)
				return nil
			}})
			u := read(c)
			write(t, c, byeFrame)
			if act(s); name == "answered" {
				s.finish(io.EOF)
			}
			_, _ = u.wait()
		})
	}
}

// answering is a stream whose client acts on what it gets before the write has returned.
type answering struct {
	*fakeStream
	act func()
}

func (a *answering) Write(p []byte) (int, error) {
	n, err := a.fakeStream.Write(p)
	a.act()
	return n, err
}

func TestTheClientsOwnEndIsPassedOn(t *testing.T) {
	reset := errors.New("connection reset")
	for _, end := range []error{io.EOF, io.ErrUnexpectedEOF, reset} {
		synctest.Test(t, func(t *testing.T) {
			s := newStream(text("a")[:3])
			s.finish(end)
			c := open(t, s, Options{})
			if forwarded, err := read(c).wait(); len(forwarded) != 0 && len(forwarded) != 3 || err != end { //nolint:errorlint // unchanged
				t.Errorf("%x, %v", forwarded, err)
			}
			write(t, c, server(ws.OpText, true, "still open")) // a half-close is none of ours
			gets(t, s, server(ws.OpText, true, "still open"))
			c.Disconnect(bye)
			after(t, c, 0) // it has nothing to answer with
			gets(t, s, server(ws.OpText, true, "still open"), byeFrame)
		})
	}
}

func TestAFailedWriteIsTheEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		reset := errors.New("connection reset")
		s := newStream()
		s.writeErr = reset
		c := open(t, s, Options{})
		u := read(c)
		if _, err := c.Write(server(ws.OpText, true, "x")); !errors.Is(err, reset) || !errors.Is(err, ErrClosed) {
			t.Error(err)
		}
		if _, err := u.wait(); !errors.Is(err, reset) || c.Err() != reset { //nolint:errorlint // itself
			t.Error(err, c.Err())
		}
	})
}

func TestThereIsOneCloseFrame(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStream()
		c := open(t, s, Options{})
		c.Disconnect(bye)
		c.Disconnect(Closing{Code: 4002, Graceful: true})
		synctest.Wait()
		write(t, c, server(ws.OpClose, true, closing(1000, "")), []byte("garbage"))
		gets(t, s, byeFrame)
		after(t, c, DefaultCloseWait)
		var asked *DisconnectError
		if !errors.As(c.Err(), &asked) || asked.Code != 4001 || asked.Graceful {
			t.Errorf("%v", c.Err())
		}

		s = newStream()
		c = open(t, s, Options{})
		frame := server(ws.OpClose, true, closing(1001, ""))
		write(t, c, frame)
		c.Disconnect(bye)
		after(t, c, DefaultCloseWait)
		gets(t, s, frame)
	})
}

// A client that has sent its close frame has nothing more to answer, and the upstream has
// got the only one that it gets.
func TestDisconnectAfterTheClientsCloseFrame(t *testing.T) {
	for _, graceful := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) {
			own := client(ws.OpClose, true, closing(1000, ""))
			s := newStream(own)
			c := open(t, s, Options{})
			u := read(c)
			synctest.Wait()
			c.Disconnect(Closing{Code: 4001, Reason: "bye", Graceful: graceful})
			synctest.Wait()
			if graceful {
				_, _ = c.Write(server(ws.OpClose, true, ""))
			}
			after(t, c, 0)
			gets(t, s, byeFrame)
			if forwarded, _ := u.wait(); !bytes.Equal(forwarded, own) {
				t.Errorf("the upstream gets %x", forwarded)
			}
		})
	}
}

// Disconnect comes at the moment when the client's close frame goes on.
func TestTheUpstreamGetsOneCloseFrame(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		own := client(ws.OpClose, true, closing(1000, ""))
		s := newStream(own)
		var c *Conn
		c = open(t, s, Options{FromClient: script, LastMessage: func() []byte {
			c.Disconnect(Closing{Code: 1000, Graceful: true})
			return nil
		}})
		if forwarded, err := read(c).wait(); !bytes.Equal(forwarded, own) || !errors.Is(err, ErrClosed) {
			t.Errorf("the upstream gets %x, %v", forwarded, err)
		}
	})
}

func TestCloseEndsEverything(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, disconnected := range []bool{false, true} {
			s := newStream()
			s.stall(true)
			c := open(t, s, Options{})
			u := read(c)
			written, sent := make(chan error, 1), make(chan error, 1)
			go func() {
				_, err := c.Write(server(ws.OpText, true, "x"))
				written <- err
			}()
			synctest.Wait()
			go func() {
				_, err := c.Write(server(ws.OpText, true, "waits for its turn"))
				sent <- err
			}()
			synctest.Wait()
			if disconnected {
				c.Disconnect(bye)
			}
			begun := time.Now()
			if err := c.Close(); err != nil || time.Since(begun) > 0 {
				t.Error(err, time.Since(begun))
			}
			before := s.writes
			_, readErr := u.wait()
			for i, err := range []error{readErr, <-written, <-sent, c.Send(ws.OpText, nil), c.CloseWrite(), c.Close()} {
				if i < 5 && !errors.Is(err, ErrClosed) || i == 5 && err != nil {
					t.Errorf("%d: %v", i, err)
				}
			}
			c.Disconnect(bye)
			if <-c.Done(); s.writes != before || !disconnected && c.Err() != ErrClosed { //nolint:errorlint // itself
				t.Error("written after Close", c.Err())
			}
		}
	})
}

// Not even what had been accepted before.
func TestNothingIsReadAfterClose(t *testing.T) {
	s := newStream(text("0123456789"))
	c := open(t, s, Options{FromClient: script})
	if n, err := c.Read(make([]byte, 3)); n != 3 || err != nil {
		t.Fatal(n, err)
	}
	_ = c.Close()
	if n, err := c.Read(make([]byte, 3)); n != 0 || !errors.Is(err, ErrClosed) {
		t.Error(n, err)
	}
}

// stubborn is a stream that takes its time with a Write although it is closed.
type stubborn struct {
	*fakeStream
	release chan struct{}
}

func (s *stubborn) Write([]byte) (int, error) {
	<-s.release
	return 0, errStreamClosed
}

// After Close a handler returns, and what it has written to is no longer its own.
func TestNothingIsBeingWrittenWhenCloseReturns(t *testing.T) {
	for name, begin := range map[string]func(*Conn){
		"Write":      func(c *Conn) { _, _ = c.Write(server(ws.OpText, true, "x")) },
		"Send":       func(c *Conn) { _ = c.Send(ws.OpText, nil) },
		"Disconnect": func(c *Conn) { c.Disconnect(bye) },
	} {
		synctest.Test(t, func(t *testing.T) {
			s := &stubborn{newStream(), make(chan struct{})}
			c := open(t, s, Options{})
			go begin(c)
			synctest.Wait()
			closed, refused := make(chan error, 1), make(chan error, 1)
			go func() {
				_, err := c.Write([]byte("waits for its turn"))
				refused <- err
			}()
			synctest.Wait()
			go func() { closed <- c.Close() }()
			if err := <-refused; !errors.Is(err, ErrClosed) {
				t.Errorf("%s: %v", name, err)
			}
			synctest.Wait()
			select {
			case <-closed:
				t.Errorf("%s: Close has returned during a Write", name)
			default:
			}
			close(s.release)
			<-closed
		})
	}
}

func TestCloseWrite(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStream()
		c := open(t, s, Options{})
		if err := c.CloseWrite(); err != nil || !s.half {
			t.Errorf("%v, passed on: %v", err, s.half)
		}
		if c.Err() != nil {
			t.Error("a half-close is not the end")
		}
		c.Disconnect(bye)
		after(t, c, DefaultCloseWait)

		c = open(t, struct{ io.ReadWriteCloser }{newStream()}, Options{})
		if err := c.CloseWrite(); !errors.Is(err, errors.ErrUnsupported) {
			t.Error(err)
		}

		// While the connection is being ended, the proxy has to wait for the end.
		c = open(t, struct{ io.ReadWriteCloser }{newStream()}, Options{})
		c.Disconnect(bye)
		if err := c.CloseWrite(); err != nil {
			t.Error(err)
		}
	})
}

func TestCloseFrameIsAlwaysWellFormed(t *testing.T) {
	for _, c := range []struct {
		closing Closing
		code    ws.StatusCode
		reason  string
	}{
		{Closing{Code: 4001, Reason: strings.Repeat("x", 123)}, 4001, strings.Repeat("x", 123)},
		{Closing{Code: 4001, Reason: strings.Repeat("x", 124)}, 4001, strings.Repeat("x", 123)},
		{Closing{Code: 4001, Reason: strings.Repeat("x", 122) + "€"}, 4001, strings.Repeat("x", 122)},
		{Closing{Code: 4001, Reason: strings.Repeat("€", 100)}, 4001, strings.Repeat("€", 41)},
		{Closing{Code: 4001, Reason: "a\xffb"}, 4001, "a\uFFFDb"},
		{Closing{}, 1011, ""},
		{Closing{Code: 1005}, 1011, ""},
		{Closing{Code: 1006}, 1011, ""},
		{Closing{Code: 5000}, 1011, ""},
	} {
		synctest.Test(t, func(t *testing.T) {
			s := newStream()
			conn := open(t, s, Options{})
			conn.Disconnect(c.closing)
			<-conn.Done()
			if asked, ok := errors.AsType[*DisconnectError](conn.Err()); !ok || asked.Code != c.code {
				t.Error(conn.Err())
			}
			code, reason := lastClose(t, s.got())
			if code != c.code || reason != c.reason || len(s.got()) > 127 || !utf8.ValidString(reason) {
				t.Errorf("%d %q", code, reason)
			}
		})
	}
}

// The decision may ask a store, and the credential be revoked meanwhile.
func TestMessageInDecisionDoesNotGoOnAfterDisconnect(t *testing.T) {
	for _, wait := range []bool{false, true} {
		s := newStream(slices.Concat(text("private call"), text("another")))
		var c *Conn
		decided := 0
		c = open(t, s, Options{FromClient: func(Message) Decision {
			if decided++; wait && decided == 1 {
				return Later(func() {})
			}
			c.Disconnect(Closing{Code: 4001, Reason: "revoked"}) // by somebody else
			return Pass()
		}, CloseWait: 50 * time.Millisecond})
		if got, _ := read(c).wait(); len(got) > 0 {
			t.Errorf("%d bytes of the client go on after Disconnect", len(got))
		}
		if want := map[bool]int{false: 1, true: 2}[wait]; decided != want {
			t.Errorf("%d decisions, want %d", decided, want)
		}
	}
}

// A store that answers late must not cost a client the call that cancels its orders.
func TestDecisionThatTakesLongDelaysTheLastMessage(t *testing.T) {
	const closeWait, answerWait = time.Second, 10 * time.Second
	for took, want := range map[time.Duration]bool{
		500 * time.Millisecond: true, 3 * time.Second: true, 11900 * time.Millisecond: true, 13 * time.Second: false,
	} {
		synctest.Test(t, func(t *testing.T) {
			s := newStream(text("private call"))
			var c *Conn
			asked := 0
			c = open(t, s, Options{
				FromClient:  func(Message) Decision { time.Sleep(took); return Pass() },
				LastMessage: func() []byte { asked++; return []byte("cancel all") },
				CloseWait:   closeWait, AnswerWait: answerWait,
			})
			u := read(c)
			synctest.Wait()
			c.Disconnect(bye)
			begun := time.Now()
			<-c.Done()
			if longest := 2*closeWait + 2*answerWait + closeWait; time.Since(begun) > longest {
				t.Errorf("%s: the end came after %s", took, time.Since(begun))
			}
			got, _ := u.wait()
			if want != (asked == 1) || want != (len(got) > 0) || want && string(frames(t, got)[0].Payload) != "cancel all" {
				t.Errorf("%s: asked %d times, the upstream gets %q", took, asked, got)
			}
		})
	}
}
