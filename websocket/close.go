package websocket

import (
	"crypto/rand"
	"strings"
	"unicode/utf8"

	"github.com/gobwas/ws"
)

// maxReason is what a close frame has room for besides its code (§5.5).
const maxReason = ws.MaxControlFramePayloadSize - 2

// sendable says whether code may be in a close frame: one that RFC 6455 §7.4.1 or the
// registry of §11.7 defines for that (1012 to 1014 came later), or one of a library or
// an application. ws.CheckCloseFrameData refuses the later ones and accepts those above
// 4999.
func sendable(code ws.StatusCode) bool {
	switch {
	case code < 1000, code > 4999, code == ws.StatusNoMeaningYet,
		code == ws.StatusNoStatusRcvd, code == ws.StatusAbnormalClosure:
		return false
	}
	return code <= 1014 || code >= 3000
}

// closeFrame is the frame that tells the client about cl.
func closeFrame(cl Closing) []byte {
	reason := strings.ToValidUTF8(cl.Reason, "\uFFFD")
	if len(reason) > maxReason {
		end := maxReason
		for !utf8.RuneStart(reason[end]) {
			end--
		}
		reason = reason[:end]
	}
	return encode(ws.NewCloseFrame(ws.NewCloseFrameBody(cl.Code, reason)))
}

// masked is f as a client sends it, with a mask that nobody can foresee (§5.3).
func masked(f ws.Frame) []byte {
	var mask [4]byte
	_, _ = rand.Read(mask[:]) // never fails: see crypto/rand
	return encode(ws.MaskFrameWith(f, mask))
}

// encode cannot fail: it writes to memory, and no length is negative.
func encode(f ws.Frame) []byte { return ws.MustCompileFrame(f) }
