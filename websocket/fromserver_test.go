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

	"github.com/gobwas/ws"
)

func TestOnlyWhatPassesReachesTheClient(t *testing.T) {
	a := server(ws.OpText, true, "a")
	b := slices.Concat(server(ws.OpBinary, false, "b"), server(ws.OpContinuation, true, "c"))
	sent := slices.Concat(
		a, server(ws.OpText, true, "drop this"),
		server(ws.OpText, false, "dr"), server(ws.OpPing, true, "!"), server(ws.OpContinuation, true, "op"),
		b, server(ws.OpText, false, "answer"), server(ws.OpContinuation, true, " instead"), a,
	)
	want := slices.Concat(a, server(ws.OpPing, true, "!"), b, server(ws.OpText, true, "instead"), a)
	for name, segments := range cuts(sent) {
		if got, c := serverRun(t, Options{FromServer: script}, segments); !bytes.Equal(got, want) || !c.isOpen() {
			t.Errorf("%s: %q", name, got)
		}
	}
}

// What is held back is no beginning of anything: others may speak meanwhile.
func TestInjectionWhileAMessageIsHeldBack(t *testing.T) {
	first, last := server(ws.OpText, false, "held"), server(ws.OpContinuation, true, "back")
	ours := server(ws.OpText, true, "ours")
	for _, before := range [][]byte{first[:1], first[:3], first, slices.Concat(first, last[:3])} {
		synctest.Test(t, func(t *testing.T) {
			rest := slices.Concat(first, last)[len(before):]
			s := newStream()
			c := open(t, s, Options{FromServer: script})
			write(t, c, before)
			if err := c.Send(ws.OpText, []byte("ours")); err != nil {
				t.Fatal(err)
			}
			gets(t, s, ours)
			write(t, c, rest)
			gets(t, s, ours, first, last)
			write(t, c, before)
			c.Disconnect(bye)
			gets(t, s, ours, first, last, byeFrame)
			write(t, c, rest)
			gets(t, s, ours, first, last, byeFrame)
		})
	}
}

func TestServersMessageEndsTheConnection(t *testing.T) {
	for word, want := range map[string]ws.StatusCode{"close": 4001, "zero": 1011, "answer \xff": 1011} {
		for name, segments := range cuts(slices.Concat(server(ws.OpText, true, "a"), server(ws.OpText, true, word), server(ws.OpText, true, "b"))) {
			got, c := serverRun(t, Options{FromServer: script}, segments)
			_ = ended(t, c)
			all := frames(t, got)
			if code, _ := lastClose(t, got); code != want || len(all) != 2 || string(all[0].Payload) != "a" {
				t.Errorf("%s, %s: the client gets %q", word, name, got)
			}
		}
	}
}

func TestInspectServerChoosesWhenAMessageBegins(t *testing.T) {
	wanted := false
	var inspected []string
	o := Options{FromServer: pass(&inspected), InspectServer: func() bool { return wanted }}
	s := newStream()
	c := open(t, s, o)
	first, last := server(ws.OpText, false, "un"), server(ws.OpContinuation, true, "seen")
	write(t, c, first)
	if wanted = true; !bytes.Equal(s.got(), first) {
		t.Error("it was kept back")
	}
	write(t, c, last, first)
	if wanted = false; !bytes.Equal(s.got(), slices.Concat(first, last)) {
		t.Error("a message that is looked at was passed on before its end")
	}
	write(t, c, last, last[:0], server(ws.OpText, true, "unseen too"))
	if !slices.Equal(inspected, []string{"unseen"}) || len(frames(t, s.got())) != 5 {
		t.Errorf("%q, %d frames", inspected, len(frames(t, s.got())))
	}
}

func TestLongServerMessages(t *testing.T) {
	long := strings.Repeat("x", 101)
	fits := slices.Concat(server(ws.OpText, true, long[1:]), server(ws.OpText, false, ""), server(ws.OpContinuation, false, ""), server(ws.OpContinuation, true, ""))
	for what, c := range map[string]struct {
		sent []byte
		rule error
	}{
		"long":         {server(ws.OpText, true, long), ErrMessageTooLong},
		"in fragments": {slices.Concat(server(ws.OpText, false, long[:60]), server(ws.OpContinuation, false, long[:60]), server(ws.OpContinuation, true, "x")), ErrMessageTooLong},
		"of fragments": {slices.Concat(server(ws.OpText, false, ""), bytes.Repeat(server(ws.OpContinuation, false, ""), 3), server(ws.OpContinuation, true, "")), ErrTooManyFragments},
	} {
		down := slices.Concat(fits, c.sent, server(ws.OpText, true, "short"))
		for name, segments := range cuts(down) {
			var inspected []string
			o := Options{MaxServerMessage: 100, MaxAwaitedServerMessage: 100, MaxFragments: 3, FromServer: pass(&inspected)}
			got, conn := serverRun(t, o, segments)
			if !bytes.Equal(got, down) || !conn.isOpen() || !slices.Equal(inspected, []string{long[1:], "", "short"}) {
				t.Errorf("%s, %s: %d bytes of %d, %d messages", what, name, len(got), len(down), len(inspected))
			}
			refuse := false
			o.RefuseLongServerMessage = func() bool { return refuse }
			if got, conn = serverRun(t, o, segments); !bytes.Equal(got, down) || !conn.isOpen() {
				t.Errorf("%s, %s: %d bytes of %d where it may pass", what, name, len(got), len(down))
			}
			refuse = true
			got, conn = serverRun(t, o, segments)
			violated, ok := errors.AsType[*ViolationError](ended(t, conn))
			if !ok || !errors.Is(violated, c.rule) || violated.Code != 1011 || !violated.Server {
				t.Errorf("%s, %s: %v", what, name, conn.Err())
			}
			if code, _ := lastClose(t, got); code != 1011 || !bytes.HasPrefix(got, fits) || len(frames(t, got)) != 5 {
				t.Errorf("%s, %s: the client gets %x", what, name, got)
			}
		}
	}
}

// The last message may be what cancels orders: it is not cut off unread.
func TestTheEndWaitsForTheAnswerToTheLastMessage(t *testing.T) {
	for _, c := range []struct {
		name string
		act  func(*Conn)
		took time.Duration
	}{
		{"answered", func(c *Conn) { _, _ = c.Write(server(ws.OpText, true, "cancelled")) }, 0},
		{"closed", func(c *Conn) { _, _ = c.Write(server(ws.OpClose, true, "")) }, 0},
		{"gone", func(c *Conn) { _ = c.CloseWrite() }, 0},
		{"something else", func(c *Conn) { _, _ = c.Write(server(ws.OpText, true, "news")) }, 5 * time.Second},
	} {
		synctest.Test(t, func(t *testing.T) {
			s := newStream()
			var conn *Conn
			conn = open(t, s, Options{
				FromClient:  script,
				LastMessage: func() []byte { return []byte("cancel") },
				AnswerWait:  5 * time.Second,
				FromServer: func(m Message) Decision {
					if string(m.Payload) == "cancelled" {
						conn.UpstreamAnswered()
					}
					return Drop()
				},
			})
			u := read(conn)
			conn.Disconnect(bye)
			synctest.Wait()
			s.send(byeReply)
			synctest.Wait()
			if sent := frames(t, u.bytes()); len(sent) != 1 || string(sent[0].Payload) != "cancel" || conn.Err() != nil {
				t.Fatalf("%s: the upstream gets %v, %v", c.name, sent, conn.Err())
			}
			c.act(conn)
			after(t, conn, c.took)
			if _, err := u.wait(); !errors.Is(err, ErrClosed) || errors.Is(err, io.EOF) {
				t.Errorf("%s: %v", c.name, err)
			}
			gets(t, s, byeFrame)
		})
	}
}

// The same where the client ends the connection, or the end is graceful: what would end it
// for the upstream comes after its answer.
func TestEveryEndWaitsForTheAnswerToTheLastMessage(t *testing.T) {
	graceful := Closing{Code: 1000, Graceful: true}
	for _, c := range []struct {
		name string
		act  func(*Conn, *fakeStream)
		then bool // a close frame comes after the answer
		err  error
	}{
		{"end of the stream", func(_ *Conn, s *fakeStream) { s.finish(io.EOF) }, false, io.EOF},
		{"reset", func(_ *Conn, s *fakeStream) { s.finish(errStreamClosed) }, false, errStreamClosed},
		{"close frame", func(_ *Conn, s *fakeStream) {
			s.send(byeReply)
			s.finish(io.EOF)
		}, true, io.EOF},
		{"graceful", func(c *Conn, s *fakeStream) {
			c.Disconnect(graceful)
			s.send(byeReply)
		}, true, ErrClosed},
		{"graceful, and the client does not answer", func(c *Conn, _ *fakeStream) { c.Disconnect(graceful) }, true, ErrClosed},
		{"abnormal", func(c *Conn, s *fakeStream) {
			c.Disconnect(bye)
			s.send(byeReply)
		}, false, ErrClosed},
	} {
		for _, answers := range []bool{true, false} {
			synctest.Test(t, func(t *testing.T) {
				s := newStream()
				conn := open(t, s, Options{FromClient: script, LastMessage: func() []byte { return []byte("cancel") }, AnswerWait: 5 * time.Second})
				u := read(conn)
				synctest.Wait()
				c.act(conn, s)
				time.Sleep(5*time.Second - 1)
				synctest.Wait()
				if sent := frames(t, u.bytes()); len(sent) != 1 || string(sent[0].Payload) != "cancel" {
					t.Fatalf("%s: before the answer the upstream gets %v", c.name, sent)
				}
				if answers {
					conn.UpstreamAnswered()
				} else {
					time.Sleep(DefaultCloseWait + 1) // it may take so long until the message goes out
				}
				synctest.Wait()
				sent := frames(t, u.bytes())
				if closed := len(sent) == 2 && sent[1].Header.OpCode == ws.OpClose; closed != c.then {
					t.Errorf("%s: after the answer the upstream gets %v", c.name, sent)
				}
				if c.err == ErrClosed { //nolint:errorlint // this one and no other
					<-conn.Done()
				}
				if _, err := u.wait(); !errors.Is(err, c.err) {
					t.Errorf("%s: %v", c.name, err)
				}
			})
		}
	}
}

// A large message that comes while an answer is awaited must not end the connection, and
// must not pass unread either.
func TestLongServerMessagesAreReadWhileOneIsAwaited(t *testing.T) {
	const limit = 1000
	for length, fits := range map[int]bool{101: true, limit: true, limit + 1: false} {
		payload := strings.Repeat("x", length)
		for what, sent := range map[string][]byte{
			"whole":     server(ws.OpText, true, payload),
			"fragments": slices.Concat(server(ws.OpText, false, payload[:60]), server(ws.OpContinuation, true, payload[60:])),
		} {
			var inspected []string
			o := Options{
				MaxServerMessage: 100, MaxAwaitedServerMessage: limit, FromServer: pass(&inspected),
				RefuseLongServerMessage: func() bool { return true },
			}
			down := slices.Concat(sent, server(ws.OpText, true, "short"))
			for name, segments := range cuts(down) {
				inspected = nil
				got, conn := serverRun(t, o, segments)
				if fits != conn.isOpen() || fits != bytes.Equal(got, down) || fits != slices.Equal(inspected, []string{payload, "short"}) {
					t.Errorf("%d bytes, %s, %s: open %v, %d bytes pass, %d inspected", length, what, name, conn.isOpen(), len(got), len(inspected))
				}
			}
		}
	}
}
