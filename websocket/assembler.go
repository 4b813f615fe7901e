package websocket

import (
	"slices"

	"github.com/gobwas/ws"
)

// assembler holds back the frames of one message until it has been decided about.
type assembler struct {
	// out goes on: what may be passed on of the segment, and the message once it may.
	out []byte
	// held are the frames of the message that is not complete yet, as they came.
	held   []byte
	frames []frame
	size   int // bytes of payload that they announce
	op     ws.OpCode
	// joined is the payload of a fragmented message.
	joined []byte
}

// frame is where the payload of a held frame is in assembler.held.
type frame struct {
	start, end int
	mask       [4]byte
}

// expect makes room for all that can go on after n more bytes, unless a large message is
// under way.
func (a *assembler) expect(n int) {
	if n += len(a.held); n <= keepBuffer {
		a.out = slices.Grow(a.out, n)
	}
}

// begin holds back the header of a frame.
func (a *assembler) begin(h ws.Header, raw []byte) {
	if h.OpCode != ws.OpContinuation {
		a.op = h.OpCode
	}
	a.size += int(h.Length)
	a.held = append(a.held, raw...)
	a.frames = append(a.frames, frame{start: len(a.held), end: len(a.held), mask: h.Mask})
}

// add holds back payload of the frame that has begun.
func (a *assembler) add(payload []byte) {
	a.held = append(a.held, payload...)
	a.frames[len(a.frames)-1].end = len(a.held)
}

// holding says whether there is a message that has begun, of which nothing has gone on.
func (a *assembler) holding() bool { return len(a.frames) > 0 }

// message returns what is held, unmasked: in place if it is in one frame, as nearly all
// messages are. pass undoes that.
func (a *assembler) message() Message {
	if len(a.frames) == 1 {
		return Message{Op: a.op, Payload: a.xor(a.frames[0])}
	}
	a.joined = a.joined[:0]
	for _, f := range a.frames {
		start := len(a.joined)
		a.joined = append(a.joined, a.held[f.start:f.end]...)
		ws.Cipher(a.joined[start:], f.mask, 0)
	}
	return Message{Op: a.op, Payload: a.joined}
}

// xor masks or unmasks the payload of a frame in place.
func (a *assembler) xor(f frame) []byte {
	payload := a.held[f.start:f.end]
	if f.mask != [4]byte{} {
		ws.Cipher(payload, f.mask, 0)
	}
	return payload
}

// pass lets the message go on for which message was called.
func (a *assembler) pass() {
	a.keep()
	a.release()
}

// keep is for a message for which message was called, and will be again.
func (a *assembler) keep() {
	if len(a.frames) == 1 {
		a.xor(a.frames[0])
	}
}

// release lets go on what is held, as it is.
func (a *assembler) release() {
	if len(a.out) == 0 && len(a.held) > keepBuffer {
		a.out, a.held = a.held, a.out // without a copy of what is large
	} else {
		a.out = append(a.out, a.held...)
	}
	a.forget()
}

// forget makes room for the next message.
func (a *assembler) forget() {
	a.held, a.joined = emptied(a.held), emptied(a.joined)
	a.frames, a.size = a.frames[:0], 0
	if cap(a.frames) > keepFrames {
		a.frames = nil
	}
}

// emptied is b without content, and without its memory if that is much.
func emptied(b []byte) []byte {
	if cap(b) > keepBuffer {
		return nil
	}
	return b[:0]
}
