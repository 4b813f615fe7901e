package websocket

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gobwas/ws"
)

// script decides by what a message says: "drop", "answer …", "close", "leave" or anything
// else, which passes.
func script(m Message) Decision {
	word, rest, _ := strings.Cut(string(m.Payload), " ")
	switch word {
	case "drop":
		return Drop()
	case "answer":
		return Answer([]byte(rest))
	case "close":
		return Disconnect(Closing{Code: 4001, Reason: "revoked"})
	case "leave":
		return Disconnect(Closing{Code: 1000, Graceful: true})
	case "zero":
		return Decision{}
	}
	return Pass()
}

func TestOnlyWhatPassesGoesOn(t *testing.T) {
	a, b := text("a"), slices.Concat(client(ws.OpBinary, false, "b"), client(ws.OpContinuation, true, "c"))
	sent := slices.Concat(
		a, text("drop this"), client(ws.OpText, false, "dr"), client(ws.OpPing, true, ""), client(ws.OpContinuation, true, "op"),
		b, text("answer 1"), client(ws.OpBinary, true, "answer \xff"), client(ws.OpText, false, "answer"), client(ws.OpContinuation, true, " 2"), a,
	)
	for name, segments := range cuts(sent) {
		forwarded, c, s := clientRun(t, Options{FromClient: script}, segments)
		if want := slices.Concat(a, client(ws.OpPing, true, ""), b, a); !bytes.Equal(forwarded, want) || !c.isOpen() {
			t.Errorf("%s: %x", name, forwarded)
		}
		want := slices.Concat(server(ws.OpText, true, "1"), server(ws.OpBinary, true, "\xff"), server(ws.OpText, true, "2"))
		if !bytes.Equal(s.got(), want) {
			t.Errorf("%s: the client gets %q", name, s.got())
		}
	}
}

func TestDisconnectDecisionIsTheLastThing(t *testing.T) {
	for word, want := range map[string]ws.StatusCode{"close": 4001, "leave": 1000, "zero": 1011} {
		for name, segments := range cuts(slices.Concat(text("a"), text(word), text("b"), client(ws.OpPing, true, ""), text("answer c"))) {
			synctest.Test(t, func(t *testing.T) {
				var messages []string
				s := newStream(segments...)
				c := open(t, s, Options{FromClient: func(m Message) Decision {
					messages = append(messages, string(m.Payload))
					return script(m)
				}})
				forwarded, err := read(c).wait()
				if !errors.Is(err, ErrClosed) || errors.Is(err, io.EOF) {
					t.Errorf("%s, %s: %v", word, name, err)
				}
				if !slices.Equal(messages, []string{"a", word}) {
					t.Errorf("%s, %s: decided about %q", word, name, messages)
				}
				if code, _ := lastClose(t, s.got()); code != want || len(frames(t, s.got())) != 1 {
					t.Errorf("%s, %s: the client gets %x", word, name, s.got())
				}
				if !bytes.HasPrefix(forwarded, text("a")) {
					t.Fatalf("%s, %s: %x went on", word, name, forwarded)
				}
				rest := frames(t, forwarded[len(text("a")):])
				graceful := len(rest) == 1 && rest[0].Header.OpCode == ws.OpClose && rest[0].Header.Masked &&
					string(rest[0].Payload) == closing(1000, "")
				if word == "leave" && !graceful || word != "leave" && len(rest) > 0 {
					t.Errorf("%s, %s: the upstream gets %v", word, name, rest)
				}
			})
		}
	}
}

// An answer that must not be sent is our own mistake, and no reason to go on without it.
func TestBadAnswerEndsTheConnection(t *testing.T) {
	_, c, s := clientRun(t, Options{FromClient: script}, [][]byte{client(ws.OpText, true, "answer a"), text("b")})
	if len(s.got()) == 0 || !c.isOpen() {
		t.Fatal("a good one is not sent")
	}
	answer := func(Message) Decision { return Answer([]byte("\xff")) }
	_, c, s = clientRun(t, Options{FromClient: answer}, [][]byte{text("a")})
	err := ended(t, c)
	if code, _ := lastClose(t, s.got()); code != 1011 || !errors.Is(err, ErrUTF8) {
		t.Error(code, c.Err())
	}
}

// After the upstream's close frame there is no answer, and nothing wrong with that.
func TestAnswersAfterTheUpstreamsCloseFrameAreDropped(t *testing.T) {
	s := newStream(text("answer a"))
	s.finish(io.EOF)
	c := open(t, s, Options{FromClient: script})
	bye := server(ws.OpClose, true, closing(1000, ""))
	write(t, c, bye)
	if _, err := read(c).wait(); !errors.Is(err, io.EOF) || !c.isOpen() || !bytes.Equal(s.got(), bye) {
		t.Errorf("%x, %v", s.got(), err)
	}
}

// The callback may use the Conn, and what it asked for first counts.
func TestCallbacksMayUseTheConn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStream(text("a"))
		var c *Conn
		c = open(t, s, Options{
			FromClient: func(Message) Decision {
				if err := c.Send(ws.OpText, []byte("before the end")); err != nil {
					t.Error(err)
				}
				c.Disconnect(Closing{Code: 4001})
				return Answer([]byte("nobody gets this"))
			},
			FromServer: func(Message) Decision {
				if err := c.Send(ws.OpText, []byte("beside it")); err != nil {
					t.Error(err)
				}
				return Pass()
			},
		})
		hello := server(ws.OpText, true, "hello")
		write(t, c, hello)
		_, err := read(c).wait()
		asked, ok := errors.AsType[*DisconnectError](err)
		if !ok || asked.Code != 4001 {
			t.Error(err)
		}
		gets(t, s, hello, server(ws.OpText, true, "beside it"), server(ws.OpText, true, "before the end"), server(ws.OpClose, true, closing(4001, "")))
	})
}

// A callback that was already running cannot bring a dead connection back to life.
func TestNothingGoesOnAfterDisconnect(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, o := range []Options{{}, {FromClient: pass(new([]string))}} {
			s := newStream()
			c := open(t, s, o)
			u := read(c)
			s.send(text("before"))
			synctest.Wait()
			c.Disconnect(Closing{Code: 4001})
			s.send(text("after"), client(ws.OpPing, true, ""))
			s.send(client(ws.OpClose, true, closing(4001, "")), text("even after that"))
			forwarded, err := u.wait()
			if !bytes.Equal(forwarded, text("before")) || !errors.Is(err, ErrClosed) {
				t.Errorf("%x, %v", forwarded, err)
			}
		}
	})
}

func TestMessageLimit(t *testing.T) {
	for _, c := range []struct {
		name string
		sent []byte
		ok   bool
	}{
		{"as long as allowed", text(strings.Repeat("x", 1000)), true},
		{"in fragments", slices.Concat(client(ws.OpText, false, strings.Repeat("x", 500)), client(ws.OpPing, true, strings.Repeat("x", 100)), client(ws.OpContinuation, true, strings.Repeat("x", 500))), true},
		{"one byte more", text(strings.Repeat("x", 1001)), false},
		{"one byte more in fragments", slices.Concat(client(ws.OpText, false, strings.Repeat("x", 1000)), client(ws.OpContinuation, true, "x")), false},
		{"one after the other", bytes.Repeat(text(strings.Repeat("x", 600)), 3), true},
		{"8 fragments", slices.Concat(client(ws.OpText, false, ""), bytes.Repeat(client(ws.OpContinuation, false, ""), 6), client(ws.OpContinuation, true, "")), true},
		{"9 fragments", slices.Concat(client(ws.OpText, false, ""), bytes.Repeat(client(ws.OpContinuation, false, ""), 7), client(ws.OpContinuation, true, "")), false},
	} {
		_, conn, _ := clientRun(t, Options{FromClient: pass(new([]string)), MaxMessage: 1000, MaxFragments: 8}, [][]byte{c.sent})
		if conn.isOpen() != c.ok {
			t.Errorf("%s: open %v", c.name, conn.isOpen())
		}
	}
}

// An announced length costs nothing, and a long message is forgotten.
// endingStream is a fakeStream whose last segment comes with its end.
type endingStream struct{ *fakeStream }

func (s endingStream) Read(p []byte) (int, error) {
	n, err := s.fakeStream.Read(p)
	s.mu.Lock()
	defer s.mu.Unlock()
	if err == nil && len(s.segments) == 0 {
		err = s.end
	}
	return n, err
}

// What a message waits for may be the answer to one in the same segment.
func TestAMessageThatWaitsHoldsUpWhatIsBehindItAndNothingElse(t *testing.T) {
	fragmented := slices.Concat(client(ws.OpText, false, "la"), client(ws.OpPing, true, "p"), client(ws.OpContinuation, true, "ter"))
	for name, message := range map[string][]byte{"in a frame": text("later"), "in fragments": fragmented} {
		for cut, segments := range cuts(slices.Concat(text("first"), message, text("behind"), byeReply)) {
			synctest.Test(t, func(t *testing.T) {
				s := newStream(segments...)
				s.finish(io.EOF)
				released, asked := make(chan struct{}), 0
				var seen []string
				c := open(t, endingStream{s}, Options{FromClient: func(m Message) Decision {
					seen = append(seen, string(m.Payload))
					if string(m.Payload) == "later" {
						if asked++; asked <= 2 {
							return Later(func() { <-released })
						}
					}
					return Pass()
				}})
				u := read(c)
				synctest.Wait()
				before := text("first")
				if name == "in fragments" {
					before = append(before, client(ws.OpPing, true, "p")...)
				}
				if got := u.bytes(); !bytes.Equal(got, before) {
					t.Fatalf("%s, %s: %q before it may go on", name, cut, got)
				}
				close(released)
				want := slices.Concat(before, text("later"), text("behind"), byeReply)
				if name == "in fragments" {
					want = slices.Concat(before, client(ws.OpText, false, "la"), client(ws.OpContinuation, true, "ter"), text("behind"), byeReply)
				}
				if got, err := u.wait(); !bytes.Equal(got, want) || !errors.Is(err, io.EOF) {
					t.Errorf("%s, %s: %q, %v", name, cut, got, err)
				}
				if !slices.Equal(seen, []string{"first", "later", "later", "later", "behind"}) {
					t.Errorf("%s, %s: %q", name, cut, seen)
				}
			})
		}
	}
}

// A callback that waits for something else finds out that nobody waits for it any more.
func TestACallbackIsToldThatTheConnectionIsBeingEnded(t *testing.T) {
	for name, end := range map[string]func(*Conn){
		"disconnected": func(c *Conn) { c.Disconnect(bye) },
		"closed":       func(c *Conn) { _ = c.Close() },
		"failed write": func(c *Conn) { _, _ = c.Write(server(ws.OpText, true, "x")) },
	} {
		synctest.Test(t, func(t *testing.T) {
			s := newStream(text("wait"), text("behind"))
			var c *Conn
			waiting, asked := true, 0
			c = open(t, s, Options{
				FromClient: func(m Message) Decision {
					if string(m.Payload) == "behind" {
						t.Errorf("%s: a message goes on that waits", name)
					}
					return Later(func() {
						<-c.Ending()
						waiting = false
					})
				},
				LastMessage: func() []byte { asked++; return nil },
			})
			u := read(c)
			synctest.Wait()
			if !waiting {
				t.Fatalf("%s: told too early", name)
			}
			s.set(func() { s.writeErr = errStreamClosed })
			end(c)
			_, _ = u.wait()
			if waiting || name != "closed" && asked != 1 {
				t.Errorf("%s: waiting is %t, %d last messages", name, waiting, asked)
			}
		})
	}
}

func TestHeardIsWhenTheClientHasSentSomething(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStream()
		c := open(t, s, Options{})
		made := c.Heard()
		read(c)
		time.Sleep(time.Minute)
		if _, err := c.Write(server(ws.OpText, true, "x")); err != nil || !c.Heard().Equal(made) || !time.Now().Add(-time.Minute).Equal(made) {
			t.Errorf("heard at %s, %v", c.Heard(), err)
		}
		s.send(text("y")[:3])
		synctest.Wait()
		if !c.Heard().Equal(time.Now()) {
			t.Errorf("heard at %s", c.Heard())
		}
	})
}

func TestTooLongMessageIsAnsweredBeforeTheEnd(t *testing.T) {
	s := newStream(text("12345"), byeReply)
	c := open(t, s, Options{FromClient: pass(new([]string)), MaxMessage: 4, TooLong: func() []byte { return []byte("too long") }})
	if forwarded, err := io.ReadAll(c); len(forwarded) > 0 || !errors.Is(err, ErrMessageTooLong) {
		t.Errorf("the upstream gets %x, %v", forwarded, err)
	}
	got := frames(t, s.got())
	if len(got) != 2 || got[0].Header.OpCode != ws.OpText || string(got[0].Payload) != "too long" || string(got[1].Payload[:2]) != closing(1009, "") {
		t.Errorf("the client gets %v", got)
	}
}

func TestMemoryGrowsWithWhatIsReceivedAndIsGivenBack(t *testing.T) {
	var c *Conn
	s := newStream(header(0x82, true, 127, DefaultMaxMessage), make([]byte, 1000))
	c = open(t, s, Options{FromClient: func(Message) Decision { return Drop() }, FromServer: script})
	s.finish(io.EOF)
	_, _ = read(c).wait()
	if n := cap(c.inspector.held); n > 8<<10 {
		t.Errorf("%d bytes are held for 1000", n)
	}

	long := strings.Repeat("x", DefaultMaxMessage)
	s = newStream(text(long), client(ws.OpText, false, long[:1]), bytes.Repeat(client(ws.OpContinuation, false, ""), 1000), client(ws.OpContinuation, true, long[1:]), text("x"))
	c = open(t, s, Options{FromClient: pass(new([]string)), FromServer: script})
	s.finish(io.EOF)
	_, _ = read(c).wait()
	_, _ = c.Write(server(ws.OpText, true, long))
	if n := cap(c.inspector.frames); n > keepFrames {
		t.Errorf("room for %d frames", n)
	}
	for name, b := range map[string][]byte{"held": c.inspector.held, "out": c.inspector.out, "joined": c.inspector.joined, "held for the client": c.screen.held, "out for the client": c.screen.out} {
		if cap(b) > keepBuffer {
			t.Errorf("%s has %d bytes", name, cap(b))
		}
	}
}

// Also while nothing comes after it.
func TestMemoryIsGivenBackWhileRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStream(text(strings.Repeat("x", DefaultMaxMessage)))
		c := open(t, s, Options{FromClient: pass(new([]string))})
		u := read(c)
		synctest.Wait()
		if n := cap(c.inspector.out) + cap(c.inspector.held); len(u.bytes()) < DefaultMaxMessage || c.ready != nil || n > 2*keepBuffer {
			t.Errorf("%d bytes are kept", n)
		}
		_ = c.Close()
	})
}

func TestMessagesPerSecond(t *testing.T) {
	for _, inspected := range []bool{true, false} {
		now := time.Unix(1000, 0)
		o := Options{MessagesPerSecond: 2, MessageBurst: 3, Now: func() time.Time { return now }}
		if inspected {
			o.FromClient = pass(new([]string))
		}
		s := newStream()
		c := open(t, s, o)
		p := make([]byte, 100)
		some := func(b ...[]byte) error {
			s.send(b...)
			_, err := c.Read(p)
			return err
		}
		fragmented := slices.Concat(client(ws.OpText, false, "a"), bytes.Repeat(client(ws.OpContinuation, false, ""), 10), client(ws.OpContinuation, true, ""))
		if some(text("1"), client(ws.OpPing, true, "2"), fragmented) != nil || !c.isOpen() {
			t.Fatal("the burst is refused")
		}
		now = now.Add(500 * time.Millisecond)
		if some(text("4")) != nil || !c.isOpen() {
			t.Fatal("a message in time is refused")
		}
		s.finish(io.EOF)
		err := some(client(ws.OpPong, true, "5"))
		var violated *ViolationError
		if !errors.As(err, &violated) || !errors.Is(err, ErrTooManyMessages) || violated.Code != 1008 {
			t.Errorf("inspected %v: %v", inspected, err)
		}
	}
}

func TestOptionsAreChecked(t *testing.T) {
	for _, o := range []Options{
		{MaxMessage: -1},
		{MaxFragments: -1},
		{MaxServerMessage: -1},
		{MaxPending: -1},
		{MessageBurst: -1},
		{MessagesPerSecond: -1},
		{CloseWait: -1},
		{LastMessage: func() []byte { return nil }},
		{InspectServer: func() bool { return true }},
	} {
		if c, err := New(newStream(), nil, o); err == nil || c != nil {
			t.Errorf("accepted: %+v", o)
		}
	}
	o, err := Options{MessagesPerSecond: 0.1}.withDefaults()
	if err != nil || o.MessageBurst != 1 || o.MaxMessage != 1<<20 || o.CloseWait != time.Second {
		t.Errorf("%+v, %v", o, err)
	}
}

// Errors reach logs; messages have tokens in them.
func TestErrorsHoldNothingOfWhatWasReceived(t *testing.T) {
	const secret = "s3cret"
	for _, sent := range [][]byte{
		text(secret + "\xff"), server(ws.OpText, true, secret), client(ws.OpClose, true, closing(999, secret)),
		client(ws.OpClose, true, closing(1000, secret+"\xff")), text("close " + secret),
	} {
		_, c, s := clientRun(t, Options{FromClient: script}, [][]byte{sent})
		err := ended(t, c)
		if text := fmt.Sprintf("%v %+v", err, err); strings.Contains(text, secret) || strings.Contains(string(s.got()), secret) {
			t.Errorf("%s", text)
		}
	}
}
