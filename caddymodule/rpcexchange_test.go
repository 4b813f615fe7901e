package caddymodule_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gobwas/ws"
)

// exchange is an API that speaks JSON-RPC over WebSocket, as far as tests need it. It takes
// whatever tokens it is given: what refuses them is the sidecar.
type exchange struct {
	t *testing.T

	opened chan *peer

	mu     sync.Mutex // guards what follows
	script func(call rpcMessage) (answer string, ok bool)
	issued int
}

// answers has script give the answer to a call, in place of the usual one; "" is none.
func (e *exchange) answers(script func(call rpcMessage) (answer string, ok bool)) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.script = script
}

// rpcMessage is a JSON-RPC message.
type rpcMessage struct {
	ID     json.RawMessage `json:"id"`
	Method string          `json:"method"`
	Params map[string]any  `json:"params"`
	Result json.RawMessage `json:"result"`
	Error  json.RawMessage `json:"error"`
}

// peer is the API's side of one connection.
type peer struct {
	t      *testing.T
	conn   net.Conn
	header http.Header
	path   string
	got    chan string // messages, in their order
	end    chan error  // the code of a close frame, or what reading has failed with
	mu     sync.Mutex  // serialises writes
}

func newExchange(t *testing.T) *exchange {
	return &exchange{t: t, opened: make(chan *peer, 1000)}
}

func (e *exchange) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Header.Get("Upgrade") == "" {
		e.serveHTTP(w, r)
		return
	}
	conn, buffer, _, err := ws.UpgradeHTTP(r, w)
	if err != nil {
		return
	}
	defer conn.Close()
	p := &peer{t: e.t, conn: conn, header: r.Header, path: r.URL.Path, got: make(chan string, 10000), end: make(chan error, 1)}
	e.opened <- p
	var message []byte
	closing := false
	for {
		f, err := readFrame(buffer.Reader)
		if err != nil {
			p.end <- err
			return
		}
		f = ws.UnmaskFrameInPlace(f)
		switch f.Header.OpCode {
		case ws.OpPing, ws.OpPong:
		case ws.OpClose:
			code, _ := ws.ParseCloseFrameData(f.Payload)
			if !closing {
				p.write(f)
			}
			p.end <- closeFrameError(code)
			return
		case ws.OpText, ws.OpBinary, ws.OpContinuation:
			if message = append(message, f.Payload...); !f.Header.Fin {
				continue
			}
			p.got <- string(message)
			if answer := e.answer(message); answer == endOfSession {
				closing = true
				p.write(ws.NewCloseFrame(ws.NewCloseFrameBody(ws.StatusNormalClosure, "logout")))
			} else if answer != "" {
				p.send(answer)
			}
			message = nil
		}
	}
}

// endOfSession is an answer that is none: the connection is closed, as documented.
const endOfSession = "close"

// serveHTTP takes the calls that are made over HTTP.
func (e *exchange) serveHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	if len(body) == 0 {
		body = fmt.Appendf(nil, `{"id":1,"method":%q,"params":{"grant_type":%q}}`,
			strings.TrimPrefix(r.URL.Path, "/api/v2/"), r.URL.Query().Get("grant_type"))
	}
	w.Header().Set("Content-Type", "application/json")
	_, _ = io.WriteString(w, e.answer(body))
}

func (e *exchange) answer(payload []byte) string {
	var batch []json.RawMessage
	if err := json.Unmarshal(payload, &batch); err == nil {
		answers := make([]string, 0, len(batch))
		for _, one := range batch {
			answers = append(answers, e.answer(one))
		}
		return "[" + strings.Join(answers, ",") + "]"
	}
	var call rpcMessage
	if err := json.Unmarshal(payload, &call); err != nil {
		return `{"error":"unreadable"}`
	}
	e.mu.Lock()
	script := e.script
	e.mu.Unlock()
	if script != nil {
		if answer, ok := script(call); ok {
			return answer
		}
	}
	switch call.Method {
	case "private/logout":
		return endOfSession
	case "public/auth", "public/fork_token", "public/exchange_token":
		scope, _ := call.Params["scope"].(string)
		if name, ok := call.Params["session_name"].(string); ok {
			scope = "session:" + name
		}
		return e.grant(call.ID, "connection mainaccount "+scope, 31536000)
	case "private/enable_cancel_on_disconnect", "private/disable_cancel_on_disconnect", "public/set_heartbeat":
		return fmt.Sprintf(`{"jsonrpc":"2.0","id":%s,"result":"ok"}`, call.ID)
	}
	return fmt.Sprintf(`{"jsonrpc":"2.0","id":%s,"result":%q}`, call.ID, call.Method)
}

// grant is an answer with new tokens: the n-th are access-n and refresh-n.
func (e *exchange) grant(id json.RawMessage, scope string, expiresIn int) string {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.issued++
	return fmt.Sprintf(`{"jsonrpc":"2.0","id":%s,"result":{"access_token":"1554817622000.1GkAOfQz.access-%d","expires_in":%d,"refresh_token":"1554817622000.1GkAOfQz.refresh-%d","scope":%q,"token_type":"bearer"}}`,
		id, e.issued, expiresIn, e.issued, scope)
}

func (p *peer) write(f ws.Frame) {
	p.mu.Lock()
	defer p.mu.Unlock()
	_ = ws.WriteFrame(p.conn, f) // the test sees what arrives
}

// send sends a message to the client.
func (p *peer) send(text string) { p.write(ws.NewTextFrame([]byte(text))) }

// gets waits for the next message of the client and compares it.
func (p *peer) gets(want string) {
	p.t.Helper()
	select {
	case got := <-p.got:
		if got != want {
			p.t.Fatalf("the API gets %s\nwant %s", got, want)
		}
	case <-time.After(soon):
		p.t.Fatalf("the API does not get %s", want)
	}
}

// getsCall waits for the next message of the client, which is a call of this method, and
// returns its parameters.
func (p *peer) getsCall(method string) map[string]any {
	p.t.Helper()
	select {
	case got := <-p.got:
		var call rpcMessage
		if err := json.Unmarshal([]byte(got), &call); err != nil || call.Method != method || call.ID == nil {
			p.t.Fatalf("the API gets %s, want a call of %s", got, method)
		}
		return call.Params
	case <-time.After(soon):
		p.t.Fatalf("the API does not get a call of %s", method)
	}
	return nil
}

// skip forgets the messages that have come.
func (p *peer) skip() {
	for len(p.got) > 0 {
		<-p.got
	}
}

// gotNothing checks that no message has come since.
func (p *peer) gotNothing() {
	p.t.Helper()
	if len(p.got) > 0 {
		p.t.Errorf("the API gets %s", <-p.got)
	}
}

// wantEnd waits for the end: with a close frame of this code, or abnormally if it is 0.
func (p *peer) wantEnd(code ws.StatusCode) {
	p.t.Helper()
	select {
	case err := <-p.end:
		closed, ok := errors.AsType[closeFrameError](err)
		if ok != (code != 0) || ok && ws.StatusCode(closed) != code {
			p.t.Errorf("for the API, the connection has ended by %v, want code %d (0: abnormally)", err, code)
		}
	case <-time.After(soon):
		p.t.Fatal("the connection to the API stays open")
	}
}

// startExchange runs the sidecar in front of an exchange.
func startExchange(t *testing.T, options string) (*site, *exchange) {
	t.Helper()
	e := newExchange(t)
	return start(t, e, "api deribit\n"+options), e
}

// trader is a client of an exchange.
type trader struct {
	*socket
	*peer  // at the other end
	id     int
	access string // a token of its own
}

// connect opens a WebSocket; header fields are given as "Name: value".
func (s *site) connect(e *exchange, header ...string) *trader {
	s.t.Helper()
	k, err := s.open("/ws/api/v2", header...)
	if err != nil {
		s.t.Fatal(err)
	}
	return &trader{socket: k, peer: <-e.opened}
}

func (s *site) open(path string, header ...string) (*socket, error) {
	fields := make(ws.HandshakeHeaderHTTP)
	for _, field := range header {
		name, value, _ := strings.Cut(field, ": ")
		fields[name] = append(fields[name], value)
	}
	dialer := ws.Dialer{Header: fields, Timeout: soon}
	conn, early, _, err := dialer.Dial(s.t.Context(), "ws://"+s.addr+path)
	if err != nil {
		return nil, err
	}
	k := &socket{t: s.t, conn: conn, from: conn}
	if early != nil {
		k.from = early
	}
	_ = conn.SetDeadline(time.Now().Add(2 * soon))
	s.t.Cleanup(func() { _ = conn.Close() })
	return k, nil
}

// says sends a message.
func (k *socket) says(text string) {
	k.t.Helper()
	k.sends(ws.NewTextFrame([]byte(text)))
}

func (k *socket) sends(frames ...ws.Frame) {
	k.t.Helper()
	for _, f := range frames {
		if err := ws.WriteFrame(k.conn, ws.MaskFrame(f)); err != nil {
			k.t.Fatal(err)
		}
	}
}

// hears waits for the next frame.
func (k *socket) hears() ws.Frame {
	k.t.Helper()
	f, err := readFrame(k.from)
	if err != nil {
		k.t.Fatal(err)
	}
	return f
}

// wantText waits for the next message and compares it.
func (k *socket) wantText(want string) {
	k.t.Helper()
	if f := k.hears(); f.Header.OpCode != ws.OpText || string(f.Payload) != want {
		k.t.Fatalf("the client gets frame %x %s\nwant %s", f.Header.OpCode, f.Payload, want)
	}
}

// wantClose waits for a close frame and answers it.
func (k *socket) wantClose(code ws.StatusCode, reason string) {
	k.t.Helper()
	f := k.hears()
	gotCode, gotReason := ws.ParseCloseFrameData(f.Payload)
	if f.Header.OpCode != ws.OpClose || gotCode != code || gotReason != reason {
		k.t.Fatalf("the client gets frame %x %d %q, want a close frame with %d %q", f.Header.OpCode, gotCode, gotReason, code, reason)
	}
	k.sends(ws.NewCloseFrame(f.Payload))
}

func callOf(id int, method, params string) string {
	return fmt.Sprintf(`{"jsonrpc":"2.0","id":%d,"method":%q,"params":%s}`, id, method, params)
}

// calls makes a call and returns the answer.
func (tr *trader) calls(method, params string) rpcMessage {
	tr.socket.t.Helper()
	tr.id++
	tr.says(callOf(tr.id, method, params))
	f := tr.hears()
	var answer rpcMessage
	if err := json.Unmarshal(f.Payload, &answer); err != nil || string(answer.ID) != fmt.Sprint(tr.id) {
		tr.socket.t.Fatalf("the answer to %s is %x %s (%v)", method, f.Header.OpCode, f.Payload, err)
	}
	return answer
}

// works checks that a call goes to the API and its answer comes back.
func (tr *trader) works(method, params string) {
	tr.socket.t.Helper()
	if answer := tr.calls(method, params); answer.Error != nil {
		tr.socket.t.Fatalf("%s: %s", method, answer.Error)
	}
}

const (
	errUnauthorized = `{"code":13009,"message":"unauthorized","data":{"reason":"invalid_token"}}`
	errUnavailable  = `{"code":13028,"message":"temporarily_unavailable"}`
)

// isRefused checks that a call is answered with this error, and does not reach the API.
func (tr *trader) isRefused(method, params, want string) {
	tr.socket.t.Helper()
	tr.skip()
	if answer := tr.calls(method, params); string(answer.Error) != want {
		tr.socket.t.Fatalf("%s %s: %s, want the error %s", method, params, answer.Error, want)
	}
	tr.gotNothing()
}

// grantedTokens are what a login hands out.
type grantedTokens struct {
	Access  string `json:"access_token"`
	Refresh string `json:"refresh_token"`
}

// authenticates makes a call that hands out tokens.
func (tr *trader) authenticates(method, params string) grantedTokens {
	tr.socket.t.Helper()
	answer := tr.calls(method, params)
	var got grantedTokens
	if err := json.Unmarshal(answer.Result, &got); err != nil || got.Access == "" {
		tr.socket.t.Fatalf("%s: %s %s (%v)", method, answer.Result, answer.Error, err)
	}
	return got
}

const byCredentials = `{"grant_type":"client_credentials","client_id":"a","client_secret":"b"}`

// logsIn authenticates the connection.
func (tr *trader) logsIn() grantedTokens {
	tr.socket.t.Helper()
	return tr.authenticates("public/auth", byCredentials)
}

func withAccess(raw string) string { return fmt.Sprintf(`{"access_token":%q}`, raw) }

func withRefresh(raw string) string {
	return fmt.Sprintf(`{"grant_type":"refresh_token","refresh_token":%q}`, raw)
}
