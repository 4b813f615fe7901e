package e2e

import (
	"bytes"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/gobwas/ws"
)

// conformance is what is done with connections of one kind. All of it must look the same
// to both ends, whoever stands between them.
type conformance struct {
	name string
	// do acts at both ends. What they have received is noted when it returns.
	do func(*ends)
	// uninspected says that the client sends what is no message of an API, which may be
	// refused where messages are looked at.
	uninspected bool
}

// message returns a message of exactly size bytes: a call of JSON-RPC, if there is room
// for one.
func message(size int) []byte {
	const before, after = `{"method":"public/a","params":{"a":"`, `"}}`
	switch padding := size - len(before) - len(after); {
	case size < isMessage:
		return bytes.Repeat([]byte("x"), size)
	case padding < 0:
		return append([]byte(`{"method":"public/a"}`), bytes.Repeat([]byte(" "), size-isMessage)...)
	default:
		return []byte(before + strings.Repeat("a", padding) + after)
	}
}

// isMessage is the size from which on message returns a call.
const isMessage = len(`{"method":"public/a"}`)

// frames returns a message in fragments that end at these places.
func frames(op ws.OpCode, payload []byte, cuts ...int) []ws.Frame {
	var all []ws.Frame
	from := 0
	for _, cut := range append(cuts, len(payload)) {
		all = append(all, ws.NewFrame(op, cut == len(payload) && len(all) == len(cuts), payload[from:cut]))
		op, from = ws.OpContinuation, cut
	}
	return all
}

func cases() []conformance {
	var all []conformance
	for _, op := range []ws.OpCode{ws.OpText, ws.OpBinary} {
		for _, size := range []int{0, 1, isMessage, 124, 125, 126, 127, 65535, 65536, 1 << 20, 16 << 20} {
			all = append(all, conformance{
				name:        fmt.Sprintf("%s of %d bytes to the server", opName(op), size),
				do:          func(e *ends) { exchange(e.client, e.server, 1, frames(op, message(size))...) },
				uninspected: size < isMessage,
			}, conformance{
				name: fmt.Sprintf("%s of %d bytes to the client", opName(op), size),
				do:   func(e *ends) { exchange(e.server, e.client, 1, frames(op, message(size))...) },
			})
		}
	}
	all = append(all, fragmentations()...)
	all = append(all, closings()...)
	all = append(all, abruptEnds()...)
	return append(all, conformance{name: "nothing", do: func(*ends) {}})
}

// exchange sends frames and waits for the messages in them.
func exchange(from, to *wire, messages int, frames ...ws.Frame) {
	from.send(frames...)
	to.awaitMessages(messages)
}

// fragmentations are all ways to cut a short message, with pings and pongs in every place.
func fragmentations() []conformance {
	var all []conformance
	for _, toServer := range []bool{true, false} {
		way := func(e *ends) (from, to *wire) {
			if toServer {
				return e.client, e.server
			}
			return e.server, e.client
		}
		name := map[bool]string{true: " to the server", false: " to the client"}[toServer]
		all = append(all, conformance{
			name: "every cut of a few bytes" + name,
			do: func(e *ends) {
				from, to := way(e)
				const size = 7
				for set := range 1 << (size - 1) {
					from.send(frames(ws.OpText, message(size), bits(set)...)...)
				}
				to.awaitMessages(1 << (size - 1))
			},
			uninspected: toServer,
		}, conformance{
			name: "every cut into three, empty fragments too" + name,
			do: func(e *ends) {
				from, to := way(e)
				n := 0
				for first := range isMessage + 1 {
					for second := first; second <= isMessage; second++ {
						from.send(frames(ws.OpBinary, message(isMessage), first, second)...)
						n++
					}
				}
				to.awaitMessages(n)
			},
		}, conformance{
			name: "each byte a fragment, a ping or pong behind each" + name,
			do: func(e *ends) {
				from, to := way(e)
				cuts := make([]int, isMessage-1)
				for i := range cuts {
					cuts[i] = i + 1
				}
				var all []ws.Frame
				for i, f := range frames(ws.OpText, message(isMessage), cuts...) {
					ping := ws.NewPingFrame(bytes.Repeat([]byte{byte(i)}, i*125/isMessage))
					if i%3 == 0 {
						ping.Header.OpCode = ws.OpPong
					}
					all = append(all, f, ping)
				}
				exchange(from, to, 1, all...)
				to.awaitControls(isMessage)
			},
		}, conformance{
			name: "every segmentation into two" + name,
			do: func(e *ends) {
				from, to := way(e)
				whole := from.encoded(append(frames(ws.OpText, message(isMessage), 5), ws.NewPingFrame([]byte("ping")))...)
				for cut := range whole {
					from.write(whole[:cut])
					from.write(whole[cut:])
				}
				to.awaitMessages(len(whole))
				to.awaitControls(len(whole))
			},
		})
	}
	return all
}

// bits returns the numbers of the bits that are set, counted from 1.
func bits(set int) []int {
	var all []int
	for i := 1; set != 0; i, set = i+1, set>>1 {
		if set&1 != 0 {
			all = append(all, i)
		}
	}
	return all
}

// closeCodes are all that may be sent (RFC 6455 §7.4), and none.
var closeCodes = []ws.StatusCode{0, 1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014, 3000, 4999}

// closings are closing handshakes, begun by each end.
func closings() []conformance {
	var all []conformance
	for _, code := range closeCodes {
		for _, reason := range []string{"", "why it ends", strings.Repeat("é", 61)} {
			var body []byte
			if code != 0 {
				body = ws.NewCloseFrameBody(code, reason)
			} else if reason != "" {
				continue
			}
			handshake := func(from, to *wire) {
				from.send(ws.NewCloseFrame(body))
				to.awaitControls(1)
				to.send(ws.NewCloseFrame(body[:min(2, len(body))]))
				from.awaitControls(1)
			}
			all = append(all, conformance{
				name: fmt.Sprintf("close %d %q by the client", code, reason),
				do: func(e *ends) {
					handshake(e.client, e.server)
					_ = e.server.conn.Close() // the server ends the connection (RFC 6455 §7.1.1)
					e.awaitEnds()
				},
			}, conformance{
				name: fmt.Sprintf("close %d %q by the server", code, reason),
				do: func(e *ends) {
					handshake(e.server, e.client)
					_ = e.server.conn.Close()
					e.awaitEnds()
				},
			})
		}
	}
	return all
}

// abruptEnds are ends without a closing handshake.
func abruptEnds() []conformance {
	var all []conformance
	part := func(w *wire) []byte {
		whole := w.encoded(ws.NewTextFrame(message(1000)))
		return whole[:500]
	}
	for name, end := range map[string]func(*wire){
		"closed":                  func(w *wire) { _ = w.conn.Close() },
		"reset":                   func(w *wire) { w.reset() },
		"closed within a frame":   func(w *wire) { w.write(part(w)); _ = w.conn.Close() },
		"reset within a frame":    func(w *wire) { w.write(part(w)); w.reset() },
		"closed within a header":  func(w *wire) { w.write(part(w)[:3]); _ = w.conn.Close() },
		"closed within a message": func(w *wire) { w.send(frames(ws.OpText, message(100), 50)[0]); _ = w.conn.Close() },
		"closed after a message":  func(w *wire) { w.send(ws.NewTextFrame(message(100))); _ = w.conn.Close() },
		"closed after a pong":     func(w *wire) { w.send(ws.NewPongFrame(nil)); _ = w.conn.Close() },
	} {
		all = append(all, conformance{
			name: "the client's connection is " + name,
			do: func(e *ends) {
				exchange(e.server, e.client, 1, ws.NewTextFrame(message(200)))
				end(e.client)
				e.awaitEnds()
			},
		}, conformance{
			name: "the server's connection is " + name,
			do: func(e *ends) {
				exchange(e.client, e.server, 1, ws.NewTextFrame(message(200)))
				end(e.server)
				e.awaitEnds()
			},
		})
	}
	return all
}

// parallelConnections is how many connections are open at the same time.
const parallelConnections = 300

// parallel is what is done with many connections at once: each has its own messages in
// both directions, until all are open and have got something.
func (m *mirror) parallel(url string, header http.Header) (string, error) {
	var open sync.WaitGroup
	open.Add(parallelConnections)
	seen := make([]string, parallelConnections)
	errs := make([]error, parallelConnections)
	var done sync.WaitGroup
	for i := range parallelConnections {
		done.Go(func() {
			e, err := m.dial(url, header)
			if err != nil {
				open.Done()
				errs[i] = err
				return
			}
			defer e.close()
			payload := message(isMessage + i)
			for range 10 {
				e.client.send(ws.NewTextFrame(payload))
				e.server.send(frames(ws.OpBinary, payload, 10)...)
			}
			e.client.awaitMessages(10)
			e.server.awaitMessages(10)
			open.Done()
			open.Wait()
			seen[i] = e.client.seen() + "; " + e.server.seen()
		})
	}
	done.Wait()
	for _, err := range errs {
		if err != nil {
			return "", err
		}
	}
	return strings.Join(seen, "\n"), nil
}

// observe does all that a connection to url is to be tested with, and returns what both
// ends have received, by the name of what was done.
func (m *mirror) observe(t *testing.T, url string, header http.Header, all []conformance) map[string]string {
	t.Helper()
	observed := make(map[string]string)
	var mu sync.Mutex
	var running sync.WaitGroup
	room := make(chan struct{}, 16)
	for _, tc := range all {
		room <- struct{}{}
		running.Go(func() {
			defer func() { <-room }()
			e, err := m.dial(url, header)
			if err != nil {
				t.Errorf("%s: %v", tc.name, err)
				return
			}
			handshakes := "client " + e.client.handshake + "; server " + e.server.handshake
			tc.do(e)
			seen := fmt.Sprintf("%s\nthe client has got %s\nthe server has got %s", handshakes, e.client.seen(), e.server.seen())
			e.close()
			mu.Lock()
			defer mu.Unlock()
			observed[tc.name] = seen
		})
	}
	running.Wait()
	seen, err := m.parallel(url, header)
	if err != nil {
		t.Error(err)
	}
	observed["parallel connections"] = seen
	return observed
}

// transparentSite has a path for each way in which connections are treated.
const transparentSite = `
	handle /ready {
		token_auth {
			api octopus_cards
			secret {env.JWT_SECRET}
			ready /ready
		}
	}
	handle /ignored {
		token_auth {
			api octopus_cards
			secret {env.JWT_SECRET}
			on_revoked ignore
		}
	}
	handle /followed {
		token_auth {
			api octopus_cards
			secret {env.JWT_SECRET}
		}
	}
	handle /inspected {
		token_auth {
			secret {env.JWT_SECRET}
			api deribit
			websocket /inspected {
				protocol jsonrpc
				max_message_size 16MiB
			}
		}
	}
`

// good is the header of a client that is let through.
func good() http.Header { return http.Header{"Authorization": {"Bearer " + mint(1).access}} }

// TestWebSocketsAreTransparent compares connections through the sidecar with those that
// go to the API directly.
func TestWebSocketsAreTransparent(t *testing.T) {
	m := newMirror(t)
	g := newGateway(t, m.addr(), transparentSite)
	g.start()
	all := cases()
	direct := m.observe(t, "ws://"+m.addr()+"/direct", nil, all)
	for name, seen := range direct {
		if strings.Contains(seen, "TIMEOUT") {
			t.Fatalf("%s, directly:\n%s", name, seen)
		}
	}
	if _, err := m.dial("ws://"+g.addr+"/followed", nil); err == nil {
		t.Error("let through without a token: the sidecar is not in between")
	}
	for _, path := range []string{"/ignored", "/followed", "/inspected"} {
		t.Run(path[1:], func(t *testing.T) {
			header := good()
			if path == "/inspected" {
				header = nil // it needs none
				all = slices.DeleteFunc(all, func(c conformance) bool { return c.uninspected })
			}
			compare(t, direct, m.observe(t, "ws://"+g.addr+path, header, all))
		})
	}
}

// compare wants everything that was observed to be as it is directly.
func compare(t *testing.T, direct, through map[string]string) {
	t.Helper()
	for name, got := range through {
		if want := direct[name]; got != want {
			t.Errorf("%s:\n%s\ndirectly:\n%s", name, brief(got), brief(want))
		}
	}
}

// brief shortens what was observed.
func brief(seen string) string {
	const shown = 2000
	if len(seen) > shown {
		return seen[:shown] + "…"
	}
	return seen
}
