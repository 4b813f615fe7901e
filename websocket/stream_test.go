package websocket

import (
	"bytes"
	"errors"
	"io"
	"net"
	"os"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gobwas/ws"
)

// io.Copy prefers these, and would lead the bytes past the frames.
func TestConnHasNoShortcuts(t *testing.T) {
	for _, stream := range []io.ReadWriteCloser{newStream(), &net.TCPConn{}} {
		var c any = open(t, struct{ io.ReadWriteCloser }{stream}, Options{})
		if _, ok := c.(io.ReaderFrom); ok {
			t.Error("ReadFrom")
		}
		if _, ok := c.(io.WriterTo); ok {
			t.Error("WriteTo")
		}
		if m := map[any]bool{c: true}; !m[c] {
			t.Error("no key of a map")
		}
	}
}

func TestDeadlinesAndAddressesArePassedThrough(t *testing.T) {
	at := time.Unix(1, 0)
	s := &withDeadlines{fakeStream: newStream()}
	c := open(t, s, Options{})
	if err := c.SetDeadline(at); !errors.Is(err, os.ErrClosed) || s.read != at || s.write != at {
		t.Error(err, s.read, s.write)
	}
	c = open(t, newStream(), Options{})
	for _, err := range []error{c.SetDeadline(at), c.SetReadDeadline(at), c.SetWriteDeadline(at)} {
		if !errors.Is(err, errors.ErrUnsupported) {
			t.Error(err)
		}
	}
	if c.LocalAddr() != nil || c.RemoteAddr() != nil {
		t.Error("addresses")
	}
	a, b := net.Pipe()
	defer b.Close()
	c = open(t, a, Options{})
	if c.LocalAddr() != a.LocalAddr() || c.RemoteAddr() != a.RemoteAddr() || c.SetDeadline(time.Now()) != nil {
		t.Error("a net.Conn has all of them")
	}
	if _, err := c.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Error(err)
	}
}

func TestJoinedHalves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, w := newStream(text("up")), newStream()
		c := open(t, Join(r, w), Options{})
		u := read(c)
		write(t, c, server(ws.OpText, true, "down"))
		gets(t, w, server(ws.OpText, true, "down"))
		if got := u.bytes(); !bytes.Equal(got, text("up")) {
			t.Errorf("%q", got)
		}
		if err := c.CloseWrite(); err != nil || !w.half || r.half {
			t.Errorf("%v, %v, %v", err, w.half, r.half)
		}
		if err := c.Close(); err != nil || !r.isClosed() || !w.isClosed() {
			t.Error(err, r.isClosed(), w.isClosed())
		}

		c = open(t, Join(r, struct{ io.WriteCloser }{w}), Options{})
		if err := c.CloseWrite(); !errors.Is(err, errors.ErrUnsupported) {
			t.Error(err)
		}
		if !errors.Is(c.SetDeadline(time.Now()), errors.ErrUnsupported) {
			t.Error("deadlines of nothing")
		}
		d := &withDeadlines{fakeStream: newStream()}
		c = open(t, Join(d, d), Options{})
		if at := time.Unix(1, 0); c.SetDeadline(at) == nil || d.read != at || d.write != at {
			t.Error(d.read, d.write)
		}
	})
}

// socketPair returns both ends of a TCP connection.
func socketPair(t *testing.T) (near, far *net.TCPConn) {
	t.Helper()
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	dialled, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	accepted, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _, _ = dialled.Close(), accepted.Close() })
	return accepted.(*net.TCPConn), dialled.(*net.TCPConn)
}

// A client that is sending when its connection is ended still reads the close frame: the
// socket is not closed, and so reset, over bytes that nobody has read.
func TestTheCloseFrameReachesAClientThatIsSending(t *testing.T) {
	for range 10 {
		near, far := socketPair(t)
		c := open(t, near, Options{})
		u := read(c)
		sent := make(chan struct{})
		go func() {
			defer close(sent)
			frame := client(ws.OpBinary, true, strings.Repeat("x", 10_000))
			for range 200 {
				if _, err := far.Write(frame); err != nil {
					t.Error("reset:", err)
					return
				}
			}
			_, _ = far.Write(byeReply)
		}()
		for len(u.bytes()) == 0 {
			time.Sleep(time.Millisecond)
		}
		c.Disconnect(bye)
		got, err := io.ReadAll(far)
		if <-sent; err != nil || !bytes.Equal(got, byeFrame) {
			t.Fatalf("the client gets %x, %v", got, err)
		}
		if _, err := u.wait(); !errors.Is(err, ErrClosed) {
			t.Error(err)
		}
	}
}

// Both directions through io.Copy, as a proxy does it, with a real end on each side.
func TestRelayedWithIOCopy(t *testing.T) {
	near, far := socketPair(t)
	back, upstreamEnd := socketPair(t)
	var observed []string
	c := open(t, near, Options{FromClient: script, FromServer: pass(&observed)})
	over := make(chan struct{}, 2)
	go func() {
		_, _ = io.Copy(back, c)
		_ = back.CloseWrite()
		over <- struct{}{}
	}()
	go func() {
		_, _ = io.Copy(c, back)
		_ = c.CloseWrite()
		over <- struct{}{}
	}()
	up := slices.Concat(text("one"), text("drop two"), client(ws.OpClose, true, closing(1000, "")))
	if _, err := far.Write(up); err != nil {
		t.Fatal(err)
	}
	want := slices.Concat(text("one"), client(ws.OpClose, true, closing(1000, "")))
	got := make([]byte, len(want))
	if _, err := io.ReadFull(upstreamEnd, got); err != nil || !bytes.Equal(got, want) {
		t.Fatalf("%x, %v", got, err)
	}
	down := slices.Concat(server(ws.OpText, true, "1"), server(ws.OpClose, true, closing(1000, "")))
	if _, err := upstreamEnd.Write(down); err != nil {
		t.Fatal(err)
	}
	_ = upstreamEnd.Close()
	if got, err := io.ReadAll(far); err != nil || !bytes.Equal(got, down) {
		t.Errorf("%x, %v", got, err)
	}
	_ = far.Close()
	<-over
	<-over
	up1, ok1 := c.ClientClose()
	down1, ok2 := c.ServerClose()
	if up1 != 1000 || down1 != 1000 || !ok1 || !ok2 || c.Err() != nil || !slices.Equal(observed, []string{"1"}) {
		t.Error(up1, down1, c.Err(), observed)
	}
}
