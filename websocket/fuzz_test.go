package websocket

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"math/rand/v2"
	"slices"
	"testing"
	"unicode/utf8"

	"github.com/gobwas/ws"
)

// verdict is what becomes of the bytes of one direction.
type verdict struct {
	passed   []byte
	messages []string
	rule     error // the violation, if there is one
	closed   bool  // there was a close frame
}

// judge is the reference: it has all bytes at once and reads whole frames with ws.
// inspect holds messages back until they are complete; extended accepts RSV1.
func judge(b []byte, state ws.State, inspect, extended bool, limit, fragments int) (v verdict) {
	var message, frames []byte
	var op ws.OpCode
	count := 0
	for r := bytes.NewReader(b); r.Len() > 0; {
		start := len(b) - r.Len()
		if v.closed {
			return v // what follows is discarded
		}
		h, err := ws.ReadHeader(r)
		if errors.Is(err, ws.ErrHeaderLengthMSB) {
			v.rule = ErrLength
			return v
		}
		if err != nil {
			return v // incomplete
		}
		var again bytes.Buffer
		if err := ws.WriteHeader(&again, h); err != nil || again.Len() != len(b)-r.Len()-start {
			v.rule = ErrLength
			return v
		}
		allowed := state
		if extended && h.Rsv1() && !h.Rsv2() && !h.Rsv3() && (h.OpCode == ws.OpText || h.OpCode == ws.OpBinary) {
			allowed = allowed.Set(ws.StateExtended)
		}
		if err := ws.CheckHeader(h, allowed); err != nil {
			v.rule = err
			return v
		}
		data := !h.OpCode.IsControl()
		if data && inspect {
			switch {
			case h.Length > int64(limit-len(message)):
				v.rule = ErrMessageTooLong
				return v
			case count == fragments:
				v.rule = ErrTooManyFragments
				return v
			}
			count++
		}
		payload := make([]byte, min(h.Length, int64(r.Len())))
		_, _ = io.ReadFull(r, payload)
		raw := b[start : len(b)-r.Len()]
		whole := int64(len(payload)) == h.Length
		if h.Masked {
			ws.Cipher(payload, h.Mask, 0)
		}
		if data {
			state = state.Clear(ws.StateFragmented)
			if !h.Fin {
				state = state.Set(ws.StateFragmented)
			}
		}
		switch {
		case !whole && (!data || inspect):
			return v
		case !data:
			if h.OpCode == ws.OpClose {
				if v.rule = judgeClose(payload); v.rule != nil {
					return v
				}
				v.closed = true
			}
			v.passed = append(v.passed, raw...)
		case !inspect:
			v.passed = append(v.passed, raw...)
		default:
			if h.OpCode != ws.OpContinuation {
				op = h.OpCode
			}
			message, frames = append(message, payload...), append(frames, raw...)
			if !h.Fin {
				break
			}
			if op == ws.OpText && state.ServerSide() && !utf8.Valid(message) {
				v.rule = ErrUTF8
				return v
			}
			v.messages = append(v.messages, string(message))
			v.passed = append(v.passed, frames...)
			message, frames, count = nil, nil, 0
		}
	}
	return v
}

func judgeClose(payload []byte) error {
	if len(payload) == 0 {
		return nil
	}
	if len(payload) == 1 {
		return ErrClosePayload
	}
	switch code := binary.BigEndian.Uint16(payload); {
	case code >= 3000 && code < 5000:
	case code >= 1012 && code <= 1014: // registered later than ws knows
	default:
		if code >= 5000 || ws.CheckCloseFrameData(ws.StatusCode(code), "") != nil {
			return ErrClosePayload
		}
	}
	if !utf8.Valid(payload[2:]) {
		return ErrUTF8
	}
	return nil
}

// pieces cuts b at random.
func pieces(b []byte, random *rand.Rand) (all [][]byte) {
	longest := 1 + random.IntN(40)
	for len(b) > 0 {
		n := min(1+random.IntN(longest), len(b))
		all = append(all, slices.Clone(b[:n]))
		b = b[n:]
	}
	return all
}

func violated(err error) error {
	if v, ok := errors.AsType[*ViolationError](err); ok {
		return v.Err
	}
	return nil
}

// FuzzClient compares what becomes of a client's bytes, in any segmentation, with the
// reference.
func FuzzClient(f *testing.F) {
	up, _ := exchange()
	f.Add(up[:200], uint64(1))
	f.Fuzz(func(t *testing.T, b []byte, seed uint64) {
		for _, inspect := range []bool{true, false} {
			want := judge(b, ws.StateServerSide, inspect, !inspect, 300, 5)
			for _, segments := range [][][]byte{{b}, pieces(b, rand.New(rand.NewPCG(seed, 1)))} {
				var messages []string
				o := Options{MaxMessage: 300, MaxFragments: 5}
				if inspect {
					o.FromClient = pass(&messages)
				}
				passed, c, _ := clientRun(t, o, segments)
				_ = c.Close()
				if !bytes.Equal(passed, want.passed) || !slices.Equal(messages, want.messages) {
					t.Fatalf("inspected %v: %x passes, %q; want %x, %q", inspect, passed, messages, want.passed, want.messages)
				}
				if rule := violated(c.Err()); rule != want.rule { //nolint:errorlint // the very same
					t.Fatalf("inspected %v: %v; want %v", inspect, c.Err(), want.rule)
				}
				if _, ok := c.ClientClose(); ok != want.closed {
					t.Fatalf("inspected %v: close frame %v", inspect, ok)
				}
			}
		}
	})
}

const marker = "injected by the test"

// FuzzServer does so for a server's bytes, and injects messages and a close frame
// anywhere.
func FuzzServer(f *testing.F) {
	_, down := exchange()
	f.Add(down[:200], uint64(1))
	f.Fuzz(func(t *testing.T, b []byte, seed uint64) {
		if bytes.Contains(b, []byte(marker)) {
			return
		}
		for _, inspect := range []bool{true, false} {
			want := judge(b, ws.StateClientSide, inspect, !inspect, 300, 5)
			for _, segments := range [][][]byte{{b}, pieces(b, rand.New(rand.NewPCG(seed, 1)))} {
				var messages []string
				o := Options{MaxServerMessage: 300, MaxAwaitedServerMessage: 300, MaxFragments: 5, RefuseLongServerMessage: func() bool { return true }}
				if inspect {
					o.FromServer = pass(&messages)
				}
				got, c := serverRun(t, o, segments)
				if rest, ok := bytes.CutPrefix(got, want.passed); !ok || len(rest) > 0 && (want.rule == nil || want.closed) {
					t.Fatalf("inspected %v: %x passes; want %x", inspect, got, want.passed)
				}
				if rule := violated(c.Err()); rule != want.rule || !slices.Equal(messages, want.messages) { //nolint:errorlint // the very same
					t.Fatalf("inspected %v: %v, %q; want %v, %q", inspect, c.Err(), messages, want.rule, want.messages)
				}
				_ = c.Close()
			}
		}

		want := judge(b, ws.StateClientSide, false, true, 0, 0)
		random := rand.New(rand.NewPCG(seed, 2))
		s := newStream()
		s.finish(io.EOF)
		c := open(t, s, Options{})
		_, _ = read(c).wait()
		sent := 0
		for _, piece := range pieces(b, random) {
			_, _ = c.Write(piece)
			if random.IntN(4) == 0 && c.Send(ws.OpBinary, []byte(marker)) == nil {
				sent++
			}
		}
		c.Disconnect(Closing{Code: 4001})
		_ = c.CloseWrite()
		_ = c.Close()

		if seen := judge(s.got(), ws.StateClientSide, false, true, 0, 0); seen.rule != nil || !bytes.Equal(seen.passed, s.got()) {
			t.Fatalf("the client gets %x: %v", s.got(), seen.rule)
		}
		ours := server(ws.OpBinary, true, marker)
		if n := bytes.Count(s.got(), ours); n > sent {
			t.Fatalf("%d messages for %d", n, sent)
		}
		rest := bytes.ReplaceAll(s.got(), ours, nil)
		if cut, ok := bytes.CutPrefix(rest, want.passed); !ok || len(cut) > 0 && cut[0] != 0x88 {
			t.Fatalf("the client gets %x, want %x", rest, want.passed)
		}
	})
}
