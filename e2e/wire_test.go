package e2e

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/gobwas/ws"
)

// wireTimeout bounds every wait for what the other end of a connection has sent.
const wireTimeout = 30 * time.Second

// wire is one end of a WebSocket connection, which sends frames of any kind and notes
// everything that it receives. It answers nothing by itself.
type wire struct {
	conn   net.Conn
	client bool
	// handshake is what the two have agreed on, as this end sees it.
	handshake string

	mu      sync.Mutex // guards all below
	changed chan struct{}
	// messages and controls are what was received, each in its order. The order of the
	// one among the other is not noted: a control frame may overtake a fragmented message.
	messages, controls []string
	// ended says how it has ended, "" while it has not.
	ended string
}

// newWire returns an end of a connection after its handshake. in has what was received.
func newWire(conn net.Conn, in *bufio.Reader, client bool) *wire {
	w := &wire{conn: conn, client: client, changed: make(chan struct{})}
	if in == nil {
		in = bufio.NewReader(conn)
	}
	go w.receive(in)
	return w
}

// note changes what was received.
func (w *wire) note(change func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	change()
	close(w.changed)
	w.changed = make(chan struct{})
}

// receive notes frames until the connection ends.
func (w *wire) receive(in *bufio.Reader) {
	var message bytes.Buffer
	var fragments []string
	var op ws.OpCode
	closed := false
	for {
		_ = w.conn.SetReadDeadline(time.Now().Add(wireTimeout)) // the read fails if this does
		header, err := ws.ReadHeader(in)
		if err == nil {
			err = readPayload(in, header, &message)
		}
		if err != nil {
			w.note(func() { w.ended = howEnded(err, closed) })
			return
		}
		payload := message.Bytes()
		if header.OpCode.IsControl() {
			payload = payload[message.Len()-int(header.Length):]
			w.note(func() { w.controls = append(w.controls, describeControl(header, payload)) })
			closed = closed || header.OpCode == ws.OpClose
			message.Truncate(message.Len() - len(payload))
			continue
		}
		if header.OpCode != ws.OpContinuation {
			op = header.OpCode
		}
		fragments = append(fragments, fmt.Sprint(header.Length))
		if header.Rsv != 0 {
			fragments = append(fragments, fmt.Sprintf("(rsv %d)", header.Rsv))
		}
		if !header.Fin {
			continue
		}
		digest := sha256.Sum256(payload)
		text := fmt.Sprintf("%s %d bytes %x in %s", opName(op), message.Len(), digest[:4], strings.Join(fragments, "+"))
		w.note(func() { w.messages = append(w.messages, text) })
		message.Reset()
		fragments = nil
	}
}

// readPayload adds a frame's payload, without its mask.
func readPayload(in io.Reader, header ws.Header, to *bytes.Buffer) error {
	before := to.Len()
	if _, err := io.CopyN(to, in, header.Length); err != nil {
		return err
	}
	if header.Masked {
		ws.Cipher(to.Bytes()[before:], header.Mask, 0)
	}
	return nil
}

// howEnded says whether a connection has ended after a close frame. Whether the end was
// that of the stream or a reset depends on who is in between, and on luck.
func howEnded(err error, closed bool) string {
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded):
		return "TIMEOUT"
	case closed:
		return "closed"
	}
	return "lost"
}

func opName(op ws.OpCode) string {
	names := map[ws.OpCode]string{ws.OpText: "text", ws.OpBinary: "binary", ws.OpPing: "ping", ws.OpPong: "pong", ws.OpClose: "close"}
	if name, ok := names[op]; ok {
		return name
	}
	return fmt.Sprintf("opcode %d", op)
}

func describeControl(header ws.Header, payload []byte) string {
	text := opName(header.OpCode)
	if header.OpCode == ws.OpClose && len(payload) >= 2 {
		code, reason := ws.ParseCloseFrameData(payload)
		return fmt.Sprintf("%s %d %q", text, code, reason)
	}
	return fmt.Sprintf("%s %q", text, payload)
}

// encoded returns frames as this end sends them.
func (w *wire) encoded(frames ...ws.Frame) []byte {
	var out bytes.Buffer
	for _, f := range frames {
		if w.client {
			f = ws.MaskFrame(f)
		}
		_ = ws.WriteFrame(&out, f) // a buffer takes everything
	}
	return out.Bytes()
}

// send sends frames. That the other end has gone away shows in what it has received.
func (w *wire) send(frames ...ws.Frame) { w.write(w.encoded(frames...)) }

func (w *wire) write(bytes []byte) {
	_ = w.conn.SetWriteDeadline(time.Now().Add(wireTimeout))
	_, _ = w.conn.Write(bytes)
}

// reset ends the connection with a TCP reset.
func (w *wire) reset() {
	if tcp, ok := w.conn.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0)
	}
	_ = w.conn.Close()
}

// await waits until there is what is wanted, or the end. It returns false after too long.
func (w *wire) await(enough func() bool) bool {
	timeout := time.NewTimer(wireTimeout)
	defer timeout.Stop()
	for {
		w.mu.Lock()
		ok, changed := enough() || w.ended != "", w.changed
		w.mu.Unlock()
		if ok {
			return true
		}
		select {
		case <-changed:
		case <-timeout.C:
			w.note(func() { w.controls = append(w.controls, "TIMEOUT") })
			return false
		}
	}
}

func (w *wire) awaitMessages(n int) bool {
	return w.await(func() bool { return len(w.messages) >= n })
}

func (w *wire) awaitControls(n int) bool {
	return w.await(func() bool { return len(w.controls) >= n })
}
func (w *wire) awaitEnd() bool { return w.await(func() bool { return false }) }

// seen returns what was received.
func (w *wire) seen() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return fmt.Sprintf("messages %s; controls %s; %s", strings.Join(w.messages, ", "), strings.Join(w.controls, ", "), w.ended)
}
