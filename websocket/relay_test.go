package websocket

import (
	"bytes"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/gobwas/ws"
)

// exchange is what both sides of a connection send, with all that is legal.
func exchange() (up, down []byte) {
	long := strings.Repeat("é", 70_000)
	up = slices.Concat(
		text(`{"id":1}`), text(""), client(ws.OpBinary, true, "\xff\x00"),
		client(ws.OpText, false, "frag"), client(ws.OpPing, true, "in between"), client(ws.OpContinuation, false, ""),
		client(ws.OpPong, true, ""), client(ws.OpContinuation, true, "mented \xe2\x82\xac"),
		client(ws.OpText, false, "split \xe2"), client(ws.OpContinuation, true, "\x82\xac"),
		text(long), client(ws.OpPong, true, strings.Repeat("p", 125)),
		client(ws.OpBinary, false, "never completed"), client(ws.OpClose, true, closing(1000, "bye")),
	)
	down = slices.Concat(
		server(ws.OpText, true, "hello"), server(ws.OpBinary, false, "a"), server(ws.OpPing, true, "?"),
		server(ws.OpContinuation, true, "b"), server(ws.OpText, true, long), server(ws.OpText, true, ""),
		server(ws.OpText, false, "the end comes in between"), server(ws.OpClose, true, closing(1000, "")),
	)
	return up, down
}

func TestEverySegmentationGivesTheSame(t *testing.T) {
	up, down := exchange()
	wantMessages := []string{`{"id":1}`, "", "\xff\x00", "fragmented €", "split €", strings.Repeat("é", 70_000)}
	wantObserved := []string{"hello", "ab", strings.Repeat("é", 70_000), ""}
	for name, segments := range cuts(up) {
		t.Run("up/"+name, func(t *testing.T) {
			forwarded, c, _ := clientRun(t, Options{}, segments)
			if code, ok := c.ClientClose(); !bytes.Equal(forwarded, up) || !c.isOpen() || code != 1000 || !ok {
				t.Errorf("not inspected: %d bytes of %d, code %d", len(forwarded), len(up), code)
			}
			var messages []string
			forwarded, c, _ = clientRun(t, Options{FromClient: pass(&messages)}, segments)
			if !slices.Equal(messages, wantMessages) {
				t.Errorf("%d messages", len(messages))
			}
			// Control frames overtake the message that they interrupt, and the message that
			// never came to its end stays here.
			want := slices.Concat(
				text(`{"id":1}`), text(""), client(ws.OpBinary, true, "\xff\x00"),
				client(ws.OpPing, true, "in between"), client(ws.OpPong, true, ""),
				client(ws.OpText, false, "frag"), client(ws.OpContinuation, false, ""), client(ws.OpContinuation, true, "mented \xe2\x82\xac"),
				client(ws.OpText, false, "split \xe2"), client(ws.OpContinuation, true, "\x82\xac"),
				text(strings.Repeat("é", 70_000)), client(ws.OpPong, true, strings.Repeat("p", 125)),
				client(ws.OpClose, true, closing(1000, "bye")),
			)
			if code, ok := c.ClientClose(); !bytes.Equal(forwarded, want) || !c.isOpen() || code != 1000 || !ok {
				t.Errorf("inspected: %d bytes of %d, code %d", len(forwarded), len(want), code)
			}
		})
	}
	for name, segments := range cuts(down) {
		t.Run("down/"+name, func(t *testing.T) {
			var observed []string
			got, c := serverRun(t, Options{FromServer: pass(&observed)}, segments)
			want := slices.Concat(
				server(ws.OpText, true, "hello"), server(ws.OpPing, true, "?"), server(ws.OpBinary, false, "a"),
				server(ws.OpContinuation, true, "b"), server(ws.OpText, true, strings.Repeat("é", 70_000)), server(ws.OpText, true, ""),
				server(ws.OpClose, true, closing(1000, "")),
			)
			if code, ok := c.ServerClose(); !bytes.Equal(got, want) || !c.isOpen() || !slices.Equal(observed, wantObserved) || code != 1000 || !ok {
				t.Errorf("inspected: %d bytes of %d, %d messages, %v", len(got), len(want), len(observed), c.Err())
			}
			// And the same bytes as ever if they turn out to be none that have to be inspected.
			got, c = serverRun(t, Options{FromServer: pass(new([]string)), InspectServer: func() bool { return false }}, segments)
			if !bytes.Equal(got, down) || !c.isOpen() {
				t.Errorf("not to be inspected: %d bytes of %d, %v", len(got), len(down), c.Err())
			}
			got, c = serverRun(t, Options{}, segments)
			if code, ok := c.ServerClose(); !bytes.Equal(got, down) || !c.isOpen() || code != 1000 || !ok {
				t.Errorf("%d bytes of %d, code %d", len(got), len(down), code)
			}
		})
	}
}

// What came with the handshake is looked at like the rest, even the first part of a frame.
func TestBufferedBytesComeFirst(t *testing.T) {
	sent := slices.Concat(text("early"), text("late"))
	for cut := range len(sent) {
		s := newStream(slices.Clone(sent[cut:]))
		s.finish(io.EOF)
		var messages []string
		c, err := New(s, sent[:cut], Options{FromClient: pass(&messages)})
		if err != nil {
			t.Fatal(err)
		}
		forwarded, err := read(c).wait()
		if !bytes.Equal(forwarded, sent) || !errors.Is(err, io.EOF) || !slices.Equal(messages, []string{"early", "late"}) {
			t.Errorf("%d bytes early: %x, %q, %v", cut, forwarded, messages, err)
		}
		_ = c.Close()
	}
}

// Payload is passed on as it comes, without a copy and without waiting for the rest.
func TestPayloadIsNotKeptBackWhereNothingIsInspected(t *testing.T) {
	frame := text(strings.Repeat("x", 1000))
	s := newStream(frame[:100])
	c := open(t, s, Options{})
	p := make([]byte, 4096)
	if n, err := c.Read(p); n != 100 || err != nil || !bytes.Equal(p[:n], frame[:100]) {
		t.Fatalf("%d bytes, %v", n, err)
	}
	down := server(ws.OpText, true, strings.Repeat("x", 1000))
	if _, err := c.Write(down[:100]); err != nil || !bytes.Equal(s.got(), down[:100]) {
		t.Fatalf("%d bytes, %v", len(s.got()), err)
	}
}

// Neither side gets the beginning of a frame that may turn out to be bad.
func TestHeadersAndControlFramesAreKeptUntilComplete(t *testing.T) {
	for _, frame := range [][]byte{header(0x82, true, 127, 70_000), client(ws.OpPing, true, "ping"), client(ws.OpClose, true, closing(1000, "x"))} {
		s := newStream()
		c := open(t, s, Options{})
		u := read(c)
		for _, b := range frame[:len(frame)-1] {
			s.send([]byte{b})
		}
		down := encode(ws.UnmaskFrame(ws.NewFrame(ws.OpPing, true, []byte("ping"))))
		if _, err := c.Write(down[:len(down)-1]); err != nil {
			t.Fatal(err)
		}
		s.finish(io.EOF)
		if forwarded, _ := u.wait(); len(forwarded) > 0 || len(s.got()) > 0 {
			t.Errorf("%x went up, %x down", forwarded, s.got())
		}
		if _, err := c.Write(down[len(down)-1:]); err != nil || !bytes.Equal(s.got(), down) {
			t.Errorf("%x went down", s.got())
		}
	}
}

func TestReadFitsAnyBuffer(t *testing.T) {
	up, _ := exchange()
	up = up[:5000]
	for _, size := range []int{1, 2, 13, 500} {
		for _, o := range []Options{{}, {FromClient: pass(new([]string))}} {
			s := newStream(up)
			s.finish(io.EOF)
			c := open(t, s, o)
			var got []byte
			p := make([]byte, size, size+100)
			guard := p[size : size+100]
			for {
				n, err := c.Read(p)
				got = append(got, p[:n]...)
				if err != nil {
					break
				}
			}
			if o.FromClient == nil && !bytes.Equal(got, up) || !bytes.Equal(guard, make([]byte, 100)) {
				t.Errorf("buffer of %d bytes: %d bytes of %d", size, len(got), len(up))
			}
		}
	}
}

func TestNothingIsAllocatedForAFrameOrAMessage(t *testing.T) {
	up := bytes.Repeat(text(strings.Repeat("x", 500)), 10)
	down := bytes.Repeat(server(ws.OpText, true, strings.Repeat("x", 500)), 10)
	for _, o := range []Options{
		{},
		{MessagesPerSecond: 1e9},
		{FromClient: func(Message) Decision { return Pass() }, FromServer: func(Message) Decision { return Pass() }},
		{FromServer: func(Message) Decision { return Pass() }, InspectServer: func() bool { return false }},
	} {
		s := &endless{segments: [][]byte{up[:3], up[3:1000], up[1000:]}}
		c := open(t, s, o)
		p := make([]byte, 8192)
		round := func() {
			for total := 0; total < len(up); {
				n, err := c.Read(p)
				if err != nil {
					t.Fatal(err)
				}
				total += n
			}
			for _, b := range [][]byte{down[:1001], down[1001:1003], down[1003:]} {
				if _, err := c.Write(b); err != nil {
					t.Fatal(err)
				}
			}
		}
		round()
		if n := testing.AllocsPerRun(100, round); n != 0 {
			t.Errorf("%v allocations, inspected: %v", n, o.FromClient != nil)
		}
	}
}

// endless is a stream that has the same segments again and again and takes everything.
type endless struct {
	segments [][]byte
	next     int
}

func (s *endless) Read(p []byte) (int, error) {
	n := copy(p, s.segments[s.next])
	s.next = (s.next + 1) % len(s.segments)
	return n, nil
}
func (s *endless) Write(p []byte) (int, error) { return len(p), nil }
func (s *endless) Close() error                { return nil }
