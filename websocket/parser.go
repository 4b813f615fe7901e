package websocket

import (
	"encoding/binary"
	"unicode/utf8"

	"github.com/gobwas/ws"
)

// part is what parser.next has found.
type part uint8

const (
	partHeld    part = iota // bytes of a header or of a control frame that is incomplete
	partHeader              // the header of a data frame is complete
	partPayload             // payload of a data frame
	partControl             // a control frame is complete
)

// stage is which bytes a parser waits for next.
type stage uint8

const (
	stageStart   stage = iota // the two bytes that say how long the header is
	stageHeader               // the rest of the header
	stageControl              // the payload of a control frame
)

// maxHeld is the longest header with the longest payload of a control frame. Control
// frames have short headers; the sum is generous.
const maxHeld = ws.MaxHeaderSize + ws.MaxControlFramePayloadSize

// parser follows the frames of one direction through segments of any size. Of payload
// it only counts the bytes.
type parser struct {
	// state is what the Conn is for the sender, ws.StateServerSide for a client.
	state ws.State
	// deflate accepts RSV1 on the first frame of a message (RFC 7692 §6).
	deflate bool

	header     ws.Header // of the current frame, or the one before
	left       int64     // bytes of a data frame's payload that are still to come
	fragmented bool      // the last frame of the message is still to come

	closed    bool          // there was a close frame
	closeCode ws.StatusCode // 1005 if it has none
	reason    string        // of that frame

	stage stage
	have  int // bytes of raw that have arrived, of a header or control frame that is incomplete
	need  int // bytes of raw that make the stage complete
	size  int // bytes of raw that are the last complete header or control frame
	raw   [maxHeld]byte
}

// held are the bytes of an incomplete header or control frame.
func (s *parser) held() []byte { return s.raw[:s.have] }

// complete are the bytes of the header or control frame that next has just found. They
// are good until the following call.
func (s *parser) complete() []byte { return s.raw[:s.size] }

// next takes bytes of one part from the front of b, which must not be empty. After an
// error, or a close frame, the parser cannot go on.
func (s *parser) next(b []byte) (n int, kind part, err error) {
	if s.left > 0 {
		n = int(min(int64(len(b)), s.left))
		s.left -= int64(n)
		return n, partPayload, nil
	}
	if s.have == 0 {
		s.stage, s.need = stageStart, ws.MinHeaderSize
	}
	for {
		taken := copy(s.raw[s.have:s.need], b[n:])
		s.have += taken
		n += taken
		if s.have < s.need {
			return n, partHeld, nil
		}
		switch s.stage {
		case stageStart:
			s.stage, s.need = stageHeader, headerSize(s.raw[1])
		case stageHeader:
			if err := s.readHeader(); err != nil {
				return n, partHeld, err
			}
			if !s.header.OpCode.IsControl() {
				s.fragmented = !s.header.Fin
				s.left = s.header.Length
				s.size, s.have = s.have, 0
				return n, partHeader, nil
			}
			s.stage, s.need = stageControl, s.need+int(s.header.Length)
		case stageControl:
			if s.header.OpCode == ws.OpClose {
				if err := s.readClose(); err != nil {
					return n, partHeld, err
				}
			}
			s.size, s.have = s.have, 0
			return n, partControl, nil
		}
	}
}

// headerSize is the length of a header whose second byte is b.
func headerSize(b byte) int {
	n := ws.MinHeaderSize
	switch b & 0x7f {
	case 126:
		n += 2
	case 127:
		n += 8
	}
	if b&0x80 != 0 {
		n += 4
	}
	return n
}

// readHeader decodes and checks the header in raw (§5.2). ws.ReadHeader reads from an
// io.Reader, which would have to block between segments, and it accepts lengths that
// are encoded in too many bytes.
func (s *parser) readHeader() error {
	h := ws.Header{
		Fin:    s.raw[0]&0x80 != 0,
		Rsv:    s.raw[0] >> 4 & 0x07,
		OpCode: ws.OpCode(s.raw[0] & 0x0f),
		Masked: s.raw[1]&0x80 != 0,
	}
	rest := s.raw[2:s.have]
	switch length := s.raw[1] & 0x7f; length {
	case 126:
		h.Length = int64(binary.BigEndian.Uint16(rest))
		rest = rest[2:]
		if h.Length < 126 {
			return ErrLength
		}
	case 127:
		h.Length = int64(binary.BigEndian.Uint64(rest))
		rest = rest[8:]
		if h.Length <= 0xffff { // or negative: its top bit is set
			return ErrLength
		}
	default:
		h.Length = int64(length)
	}
	copy(h.Mask[:], rest)

	state := s.state
	if s.fragmented {
		state = state.Set(ws.StateFragmented)
	}
	if s.deflate && h.Rsv == ws.Rsv(true, false, false) && (h.OpCode == ws.OpText || h.OpCode == ws.OpBinary) {
		state = state.Set(ws.StateExtended)
	}
	if err := ws.CheckHeader(h, state); err != nil {
		return err
	}
	s.header = h
	return nil
}

// readClose reads the payload of the close frame in raw (§5.5.1).
func (s *parser) readClose() error {
	s.closeCode = ws.StatusNoStatusRcvd
	if n := int(s.header.Length); n > 0 {
		var payload [ws.MaxControlFramePayloadSize]byte
		copy(payload[:n], s.raw[s.have-n:s.have])
		ws.Cipher(payload[:n], s.header.Mask, 0)
		if n == 1 {
			return ErrClosePayload
		}
		s.closeCode = ws.StatusCode(binary.BigEndian.Uint16(payload[:]))
		if !sendable(s.closeCode) {
			return ErrClosePayload
		}
		if !utf8.Valid(payload[2:n]) {
			return ErrUTF8
		}
		s.reason = string(payload[2:n])
	}
	s.closed = true
	return nil
}
