package websocket

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"strings"
	"testing"

	"github.com/gobwas/ws"
)

// clientRun gives a Conn what a client sends, in segments and then its end, and returns
// what goes on to the upstream and why the connection ended.
func clientRun(t testing.TB, o Options, segments [][]byte) ([]byte, *Conn, *fakeStream) {
	t.Helper()
	s := newStream(segments...)
	s.finish(io.EOF)
	c := open(t, s, o)
	forwarded, err := read(c).wait()
	if c.isOpen() != errors.Is(err, io.EOF) {
		t.Fatalf("open %v, but Read returned %v", c.isOpen(), err)
	}
	return forwarded, c, s
}

// serverRun gives a Conn what the upstream sends, and returns what the client gets.
func serverRun(t testing.TB, o Options, segments [][]byte) ([]byte, *Conn) {
	t.Helper()
	s := newStream()
	s.finish(io.EOF)
	c := open(t, s, o)
	_, _ = read(c).wait() // the client is done, so that nobody waits for its answer
	for _, b := range segments {
		if n, err := c.Write(b); err != nil && !errors.Is(err, ErrClosed) || err == nil && n != len(b) {
			t.Fatalf("Write of %d bytes: %d, %v", len(b), n, err)
		}
	}
	return s.got(), c
}

// header is a header as its parts say, right or wrong.
func header(first byte, masked bool, form byte, length uint64) []byte {
	b := []byte{first, form}
	switch form {
	case 126:
		b = binary.BigEndian.AppendUint16(b, uint16(length))
	case 127:
		b = binary.BigEndian.AppendUint64(b, length)
	}
	if masked {
		b[1] |= 0x80
		b = append(b, testMask[:]...)
	}
	return b
}

func TestBoundaryLengthsArePassedOnUnchanged(t *testing.T) {
	for _, length := range []int{0, 1, 125, 126, 127, 65535, 65536} {
		t.Run(fmt.Sprint(length), func(t *testing.T) {
			payload := strings.Repeat("x", length)
			up := bytes.Join([][]byte{client(ws.OpBinary, true, payload), text("next"), client(ws.OpPing, true, "")}, nil)
			down := bytes.Join([][]byte{server(ws.OpText, true, payload), server(ws.OpPong, true, "p"), server(ws.OpBinary, true, "next")}, nil)

			var messages []string
			forwarded, c, _ := clientRun(t, Options{FromClient: pass(&messages)}, [][]byte{up})
			if !bytes.Equal(forwarded, up) || !c.isOpen() || len(messages) != 2 || messages[0] != payload {
				t.Errorf("inspected: %d bytes of %d, %d messages", len(forwarded), len(up), len(messages))
			}
			forwarded, c, _ = clientRun(t, Options{}, [][]byte{up})
			if !bytes.Equal(forwarded, up) || !c.isOpen() {
				t.Errorf("client to server: %d bytes of %d", len(forwarded), len(up))
			}
			got, c := serverRun(t, Options{}, [][]byte{down})
			if !bytes.Equal(got, down) || !c.isOpen() || c.server.left != 0 {
				t.Errorf("server to client: %d bytes of %d", len(got), len(down))
			}
		})
	}
}

// violations of a client. What comes before them passes.
var clientViolations = []struct {
	name  string
	bytes []byte
	rule  error
	code  ws.StatusCode
	// payload says that only an inspection can see it.
	payload bool
}{
	{"unmasked", server(ws.OpText, true, "x"), ws.ErrProtocolMaskRequired, 1002, false},
	{"unmasked and empty", server(ws.OpText, true, ""), ws.ErrProtocolMaskRequired, 1002, false},
	{"unmasked ping", server(ws.OpPing, true, ""), ws.ErrProtocolMaskRequired, 1002, false},
	{"RSV2", header(0xa1, true, 1, 0), ws.ErrProtocolNonZeroRsv, 1002, false},
	{"RSV3", header(0x91, true, 1, 0), ws.ErrProtocolNonZeroRsv, 1002, false},
	{"RSV1 and RSV2", header(0xe1, true, 1, 0), ws.ErrProtocolNonZeroRsv, 1002, false},
	{"RSV1 on a ping", header(0xc9, true, 0, 0), ws.ErrProtocolNonZeroRsv, 1002, false},
	{"RSV1 on a continuation", append(client(ws.OpText, false, "x"), header(0xc0, true, 0, 0)...), ws.ErrProtocolNonZeroRsv, 1002, false},
	{"opcode 3", header(0x83, true, 0, 0), ws.ErrProtocolOpCodeReserved, 1002, false},
	{"opcode 7", header(0x87, true, 0, 0), ws.ErrProtocolOpCodeReserved, 1002, false},
	{"opcode 11", header(0x8b, true, 0, 0), ws.ErrProtocolOpCodeReserved, 1002, false},
	{"opcode 15", header(0x8f, true, 0, 0), ws.ErrProtocolOpCodeReserved, 1002, false},
	{"fragmented ping", header(0x09, true, 0, 0), ws.ErrProtocolControlNotFinal, 1002, false},
	{"fragmented close", header(0x08, true, 0, 0), ws.ErrProtocolControlNotFinal, 1002, false},
	{"long ping", header(0x89, true, 126, 126), ws.ErrProtocolControlPayloadOverflow, 1002, false},
	{"huge pong", header(0x8a, true, 127, math.MaxInt64), ws.ErrProtocolControlPayloadOverflow, 1002, false},
	{"continuation of nothing", client(ws.OpContinuation, true, "x"), ws.ErrProtocolContinuationUnexpected, 1002, false},
	{"continuation after the end", append(text("x"), client(ws.OpContinuation, false, "x")...), ws.ErrProtocolContinuationUnexpected, 1002, false},
	{"message inside a message", append(client(ws.OpText, false, "x"), text("y")...), ws.ErrProtocolContinuationExpected, 1002, false},
	{"0 in two bytes", header(0x81, true, 126, 0), ErrLength, 1002, false},
	{"125 in two bytes", header(0x81, true, 126, 125), ErrLength, 1002, false},
	{"125 in eight bytes", header(0x81, true, 127, 125), ErrLength, 1002, false},
	{"65535 in eight bytes", header(0x82, true, 127, 65535), ErrLength, 1002, false},
	{"top bit of the length", header(0x82, true, 127, 1<<63), ErrLength, 1002, false},
	{"all bits of the length", header(0x82, true, 127, math.MaxUint64), ErrLength, 1002, false},
	{"ping length in two bytes", header(0x89, true, 126, 3), ErrLength, 1002, false},
	{"close with one byte", client(ws.OpClose, true, "\x03"), ErrClosePayload, 1002, false},
	{"close with half a good code", client(ws.OpClose, true, "\x0f"), ErrClosePayload, 1002, false},
	{"close with a reason that is not UTF-8", client(ws.OpClose, true, closing(1000, "\xff")), ErrUTF8, 1007, false},

	{"RSV1", header(0xc1, true, 1, 0), ws.ErrProtocolNonZeroRsv, 1002, true},
	{"text that is not UTF-8", text("\xff"), ErrUTF8, 1007, true},
	{"text that ends inside a character", text("a\xe2\x82"), ErrUTF8, 1007, true},
	{"a surrogate", text("\xed\xa0\x80"), ErrUTF8, 1007, true},
	{"a fragment that makes it invalid", append(client(ws.OpText, false, "\xe2\x82"), client(ws.OpContinuation, true, "a")...), ErrUTF8, 1007, true},
	{"long message", header(0x81, true, 126, 1001), ErrMessageTooLong, 1009, true},
	{"long message of 2^63-1", header(0x82, true, 127, math.MaxInt64), ErrMessageTooLong, 1009, true},
	{"long message in fragments", append(client(ws.OpText, false, strings.Repeat("x", 600)), header(0x80, true, 126, 401)...), ErrMessageTooLong, 1009, true},
	{"many fragments", append(client(ws.OpText, false, ""), bytes.Repeat(client(ws.OpContinuation, false, ""), 16)...), ErrTooManyFragments, 1009, true},
}

func TestClientViolations(t *testing.T) {
	before := append(text("before"), client(ws.OpPing, true, "p")...)
	for _, v := range clientViolations {
		for _, inspected := range []bool{true, false} {
			if v.payload && !inspected {
				continue
			}
			t.Run(fmt.Sprintf("%s/inspected=%v", v.name, inspected), func(t *testing.T) {
				var want []byte
				for name, segments := range cuts(append(bytes.Clone(before), v.bytes...)) {
					var messages []string
					o := Options{MaxMessage: 1000, MaxFragments: 16}
					if inspected {
						o.FromClient = pass(&messages)
					}
					forwarded, c, s := clientRun(t, o, segments)
					var got *ViolationError
					if err := ended(t, c); !errors.As(err, &got) || !errors.Is(err, v.rule) || got.Code != v.code || got.Server {
						t.Fatalf("%s: %v; want %v with %d", name, err, v.rule, v.code)
					}
					if code, _ := lastClose(t, s.got()); code != v.code {
						t.Errorf("%s: the client gets code %d", name, code)
					}
					if !bytes.HasPrefix(forwarded, before) {
						t.Errorf("%s: what came before did not go on", name)
					}
					if want == nil {
						want = forwarded
					}
					if !bytes.Equal(forwarded, want) {
						t.Errorf("%s: %x went on; otherwise %x", name, forwarded, want)
					}
					frames(t, forwarded)
				}
			})
		}
	}
}

func TestServerViolations(t *testing.T) {
	before := append(server(ws.OpText, true, "before"), server(ws.OpPing, true, "p")...)
	for _, v := range []struct {
		name  string
		bytes []byte
		rule  error
	}{
		{"masked", text("x"), ws.ErrProtocolMaskUnexpected},
		{"masked ping", client(ws.OpPing, true, ""), ws.ErrProtocolMaskUnexpected},
		{"RSV3", header(0x91, false, 1, 0), ws.ErrProtocolNonZeroRsv},
		{"opcode 3", header(0x83, false, 0, 0), ws.ErrProtocolOpCodeReserved},
		{"fragmented ping", header(0x09, false, 0, 0), ws.ErrProtocolControlNotFinal},
		{"long ping", header(0x89, false, 126, 126), ws.ErrProtocolControlPayloadOverflow},
		{"continuation of nothing", server(ws.OpContinuation, true, "x"), ws.ErrProtocolContinuationUnexpected},
		{"message inside a message", append(server(ws.OpText, false, "x"), server(ws.OpText, true, "y")...), ws.ErrProtocolContinuationExpected},
		{"125 in two bytes", header(0x81, false, 126, 125), ErrLength},
		{"top bit of the length", header(0x82, false, 127, 1<<63), ErrLength},
		{"close with one byte", server(ws.OpClose, true, "\x03"), ErrClosePayload},
		{"close with code 1005", server(ws.OpClose, true, closing(1005, "")), ErrClosePayload},
		{"close with a bad reason", server(ws.OpClose, true, closing(1000, "\xc0\x80")), ErrUTF8},
	} {
		t.Run(v.name, func(t *testing.T) {
			for name, segments := range cuts(append(bytes.Clone(before), v.bytes...)) {
				got, c := serverRun(t, Options{}, segments)
				var violated *ViolationError
				if err := ended(t, c); !errors.As(err, &violated) || !errors.Is(err, v.rule) || violated.Code != 1011 || !violated.Server {
					t.Fatalf("%s: %v; want %v", name, err, v.rule)
				}
				if code, _ := lastClose(t, got); code != 1011 || !bytes.HasPrefix(got, before) {
					t.Errorf("%s: the client gets %x", name, got)
				}
			}
		})
	}
}

// What a sender has not taken back in time when it closes is no reason to lose the close
// frame of the other side.
func TestWhatFollowsACloseFrameIsDiscarded(t *testing.T) {
	for name, more := range map[string][]byte{
		"data": text("x"), "ping": client(ws.OpPing, true, ""), "close": client(ws.OpClose, true, closing(1001, "")), "no frame": []byte("junk"),
	} {
		up := bytes.Join([][]byte{text("before"), client(ws.OpClose, true, closing(1000, "bye"))}, nil)
		answer := server(ws.OpClose, true, closing(1000, "bye"))
		for cut, segments := range cuts(append(bytes.Clone(up), more...)) {
			for _, o := range []Options{{}, {FromClient: pass(new([]string)), FromServer: pass(new([]string))}} {
				forwarded, c, s := clientRun(t, o, segments)
				if !bytes.Equal(forwarded, up) || !c.isOpen() {
					t.Errorf("%s, %s: %x went on, open %v", name, cut, forwarded, c.isOpen())
				}
				write(t, c, append(bytes.Clone(answer), server(ws.OpText, true, "x")...), server(ws.OpPing, true, ""))
				if !bytes.Equal(s.got(), answer) {
					t.Errorf("%s, %s: the client gets %x", name, cut, s.got())
				}
				if code, ok := c.ClientClose(); !ok || code != 1000 {
					t.Errorf("%s, %s: %d", name, cut, code)
				}
			}
		}
	}
}

func TestCloseCodes(t *testing.T) {
	good := func(code int) bool {
		return code >= 1000 && code <= 1003 || code >= 1007 && code <= 1014 || code >= 3000 && code <= 4999
	}
	for code := range 1 << 16 {
		if sendable(ws.StatusCode(code)) != good(code) {
			t.Errorf("code %d", code)
		}
	}
	for _, code := range []ws.StatusCode{0, 999, 1000, 1003, 1004, 1005, 1006, 1007, 1011, 1012, 1014, 1015, 2999, 3000, 4001, 4999, 5000, 65535} {
		_, c, _ := clientRun(t, Options{}, [][]byte{client(ws.OpClose, true, closing(code, "bye"))})
		seen, ok := c.ClientClose()
		if ok != good(int(code)) || ok && seen != code || c.isOpen() != ok {
			t.Errorf("client's code %d: %d, %v", code, seen, ok)
		}
		_, c = serverRun(t, Options{}, [][]byte{server(ws.OpClose, true, closing(code, "bye"))})
		seen, ok = c.ServerClose()
		if ok != good(int(code)) || ok && seen != code || c.isOpen() != ok {
			t.Errorf("server's code %d: %d, %v", code, seen, ok)
		}
	}
	_, c, _ := clientRun(t, Options{}, [][]byte{client(ws.OpClose, true, "")})
	if code, ok := c.ClientClose(); !ok || code != 1005 {
		t.Errorf("close without a code: %d, %v", code, ok)
	}
	_, c, _ = clientRun(t, Options{}, [][]byte{text("x")})
	if code, ok := c.ClientClose(); ok {
		t.Errorf("no close frame: %d", code)
	}
}

func TestDeflateIsAcceptedWhereNothingIsInspected(t *testing.T) {
	up := bytes.Join([][]byte{header(0x41, true, 0, 0), client(ws.OpPing, true, ""), client(ws.OpContinuation, true, ""), header(0xc2, true, 0, 0)}, nil)
	if forwarded, c, _ := clientRun(t, Options{}, [][]byte{up}); !bytes.Equal(forwarded, up) || !c.isOpen() {
		t.Error("the client's compressed messages do not go on")
	}
	down := bytes.Join([][]byte{header(0x41, false, 0, 0), server(ws.OpContinuation, true, ""), header(0xc2, false, 0, 0)}, nil)
	if got, c := serverRun(t, Options{}, [][]byte{down}); !bytes.Equal(got, down) || !c.isOpen() {
		t.Error("the server's compressed messages do not go on")
	}
	if _, c := serverRun(t, Options{FromServer: script}, [][]byte{down}); c.isOpen() {
		t.Error("a compressed message was observed")
	}
	if _, c := serverRun(t, Options{FromClient: pass(new([]string))}, [][]byte{down}); c.isOpen() {
		t.Error("the server compresses although the client's messages are inspected")
	}
}
