package caddymodule

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"github.com/gobwas/ws"
	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"

	"example.com/caddy-token-auth/dialect"
	"example.com/caddy-token-auth/jsonrpc"
	"example.com/caddy-token-auth/token"
	"example.com/caddy-token-auth/websocket"
)

// serveRPCSocket forwards a WebSocket whose messages are calls. The handshake needs no
// credential. One that it has is judged like any other, and the connection ends with it,
// since the API may have taken it; for calls it counts for nothing.
func (h *Handler) serveRPCSocket(w http.ResponseWriter, r *http.Request, next caddyhttp.Handler, s *socket) error {
	if err := checkHandshake(r); err != nil {
		return h.refuseOr(w, r, &refusal{reason: dialect.InvalidRequest, err: err}, next)
	}
	var c caller
	judged := false
	found, err := h.sources.find(r)
	if errors.Is(err, token.ErrMissing) {
		h.sources.apiKey.removeSession(r.Header)
		if r.Method != http.MethodConnect && !h.dryRun {
			w = &handshakeWriter{ResponseWriterWrapper: caddyhttp.ResponseWriterWrapper{ResponseWriter: w}}
		}
	} else {
		var refused *refusal
		if c, refused = h.authorizeFound(r, found, err); refused != nil {
			return h.refuseOr(w, r, refused, next)
		}
		w = h.prepare(w, r, &c)
		judged = true
	}
	// Messages are read here: nothing may be agreed on that changes their bytes.
	delete(r.Header, "Sec-Websocket-Extensions")
	conn, err := h.newRPCConnection(r, s)
	if err != nil {
		return h.refuseOr(w, r, &refusal{reason: dialect.Unavailable, err: err}, next)
	}
	defer conn.stop()
	conn.auth.handshake = c.identity
	r = r.WithContext(context.WithValue(r.Context(), rpcConnectionKey{}, conn))
	return h.follow(w, r, next, followed{identity: c.identity, judged: judged, withdrawn: c.withdrawn, ages: c.ages, resolve: c.resolve, tap: conn.tap, limits: s.Limits})
}

// errNoSocket says that nobody would judge the calls on a WebSocket at this path.
var errNoSocket = errors.New("no WebSocket is expected at this path")

// errHandshake says that an API which does not change the protocol might carry out a call.
var errHandshake = errors.New("the handshake of a WebSocket has a body, or may be a call itself")

// checkHandshake refuses a handshake that an API could take for a call over HTTP, whose
// credential nobody has judged.
func checkHandshake(r *http.Request) error {
	isCall := r.Method != http.MethodConnect && (r.Method != http.MethodGet || r.ContentLength != 0)
	query, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil || isCall {
		return errHandshake
	}
	for name := range query {
		if name == "access_token" || name == "refresh_token" || strings.EqualFold(name, "method") || jsonrpc.LooksLikeParam(name) {
			return errHandshake
		}
	}
	return nil
}

// Reasons and codes of close frames that are the sidecar's own (RFC 6455 §7.4.1).
const (
	codeIdle        = ws.StatusPolicyViolation
	reasonIdle      = "idle timeout"
	reasonHeartbeat = "heartbeat failed"
)

// silences counts connections that ended for these reasons, like those that are cut.
var silences = map[string]prometheus.Counter{
	reasonIdle:      cutVec.WithLabelValues("idle"),
	reasonHeartbeat: cutVec.WithLabelValues("heartbeat"),
}

// rpcConnection is one WebSocket whose messages are calls.
type rpcConnection struct {
	handler *Handler
	socket  *socket
	request *http.Request // the handshake; see the method
	bind    sync.Once     // guards request
	session *jsonrpc.Session
	auth    *rpcAuthorizer
	inFront *rpcConnection // the same one in a handler before this one, or nil
	live    *liveRequest   // from tap on

	mu      sync.Mutex // guards what follows
	beat    *time.Timer
	idle    *time.Timer
	logout  *time.Timer
	stopped bool
}

// rpcConnectionKey is what the context of a handshake has its connection under, for a
// handler that comes behind.
type rpcConnectionKey struct{}

func (h *Handler) newRPCConnection(r *http.Request, s *socket) (*rpcConnection, error) {
	c := &rpcConnection{handler: h, socket: s, request: r}
	c.inFront, _ = r.Context().Value(rpcConnectionKey{}).(*rpcConnection)
	c.auth = newRPCAuthorizer(c)
	var err error
	c.session, err = jsonrpc.NewSession(jsonrpc.Config{
		Authorizer:          c.auth,
		Dialect:             h.rpcDialect,
		ForwardLogout:       s.Logout == logoutForward || h.dryRun,
		CancelOnDisconnect:  s.CancelOnDisconnect != nil && *s.CancelOnDisconnect,
		UnexpectedCloseCall: s.UnexpectedCloseCall,
		MaxMessage:          s.maxMessage(),
	})
	return c, err
}

// tap begins to follow the connection.
func (c *rpcConnection) tap(l *liveRequest) websocket.Options {
	c.live = l
	c.mu.Lock()
	defer c.mu.Unlock()
	if d := time.Duration(c.socket.IdleTimeout); d > 0 && !c.stopped {
		c.idle = time.AfterFunc(d, c.checkIdle)
	}
	answerWait := time.Duration(c.socket.UnexpectedCloseTimeout)
	if answerWait == 0 {
		answerWait = defaultUnexpectedCloseTimeout
	}
	o := websocket.Options{
		FromClient: c.fromClient, FromServer: c.fromServer, InspectServer: c.session.Awaits,
		LastMessage: c.lastMessage, ServerClosing: c.serverClosing, TooLong: c.tooLong, RefuseLongServerMessage: c.session.AwaitsTokens,
		MaxMessage: c.socket.maxMessage(), AnswerWait: answerWait,
	}
	if c.handler.dryRun {
		// The session says what it would refuse; what it cannot be shown is not held back.
		o.TooLong, o.RefuseLongServerMessage = nil, nil
		o.MaxMessage = max(o.MaxMessage, dryRunMaxMessage)
	}
	return o
}

// dryRunMaxMessage is how long a client's message may be in a dry run. Nothing can pass
// unread, and what is longer still ends the connection.
const dryRunMaxMessage = 16 << 20

// stop ends what is the connection's own. A logout that the API was told of has taken place,
// whatever has ended the connection since.
func (c *rpcConnection) stop() {
	if c.logsOut() {
		c.finishLogout()
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.stopped = true
	for _, timer := range []*time.Timer{c.beat, c.idle, c.logout} {
		if timer != nil {
			timer.Stop()
		}
	}
}

// fromClient decides about a message of the client.
func (c *rpcConnection) fromClient(m websocket.Message) websocket.Decision {
	c.auth.checked = false
	d := c.session.FromClient(c.handshake().Context(), m.Payload)
	if d.Action == jsonrpc.Wait && !c.handler.dryRun {
		return websocket.Later(func() { c.await(d) })
	}
	c.note(d.Refused)
	c.watchLogout()
	if c.handler.dryRun {
		return websocket.Pass()
	}
	switch d.Action {
	case jsonrpc.Forward:
		if c.auth.checked {
			decisions.allowed.Inc()
		}
		return websocket.Pass()
	case jsonrpc.Answer:
		return websocket.Answer(d.Payload)
	case jsonrpc.Close:
		return websocket.Disconnect(c.closing(d))
	default:
		return websocket.Drop()
	}
}

// await waits until a message can be decided about, or the connection is being ended.
func (c *rpcConnection) await(d jsonrpc.Decision) {
	until := time.NewTimer(time.Until(d.Until))
	defer until.Stop()
	select {
	case <-d.Settled:
	case <-until.C:
	case <-c.live.socket().Ending():
	}
}

// closing is how the connection ends as the session says. The client gets what it is told
// before that.
func (c *rpcConnection) closing(d jsonrpc.Decision) websocket.Closing {
	if d.Payload != nil {
		// What cannot be delivered is not missed: the connection ends.
		_ = c.live.socket().Send(ws.OpText, d.Payload)
	}
	return websocket.Closing{Code: ws.StatusCode(d.Code), Reason: d.Reason, Graceful: c.session.LoggedOut()}
}

// tooLong is what the client is told about a message that is too long to be read.
func (c *rpcConnection) tooLong() []byte {
	d := c.session.TooLarge()
	c.note(d.Refused)
	return d.Payload
}

// lastMessage is what the upstream gets before the end: the call that cancels orders. If it
// has got a logout it has the time to carry that out.
func (c *rpcConnection) lastMessage() []byte {
	switch {
	case c.handler.dryRun:
		return nil
	case c.logsOut():
		c.live.socket().AwaitUpstream()
		_ = c.session.UnexpectedClose() // nothing reaches the client any more
		return nil
	case c.live.cutBy() == cutUnavailable:
		return nil // the end of a configuration is not unexpected
	case c.leftInFront():
		return nil
	}
	return c.session.UnexpectedClose()
}

// logsOut reports whether the API was told of a logout and has not closed the connection yet.
func (c *rpcConnection) logsOut() bool {
	_, ok := c.session.LogoutDue()
	return ok
}

// leftInFront reports whether the client has logged out at a handler before this one, which
// shows this one no logout, but a close frame.
func (c *rpcConnection) leftInFront() bool {
	for front := c.inFront; front != nil; front = front.inFront {
		if front.session.LoggedOut() {
			return true
		}
	}
	return false
}

// fromServer decides about a message of the upstream.
func (c *rpcConnection) fromServer(m websocket.Message) websocket.Decision {
	d := c.session.FromServer(c.handshake().Context(), m.Payload)
	if d.CallAnswered {
		c.live.socket().UpstreamAnswered()
	}
	c.note(d.Refused)
	c.watchHeartbeat()
	switch {
	case d.Action == jsonrpc.Forward, c.handler.dryRun:
		return websocket.Pass()
	case d.Action == jsonrpc.Answer:
		return websocket.Answer(d.Payload)
	case d.Action == jsonrpc.Close:
		return websocket.Disconnect(c.closing(d))
	default:
		return websocket.Drop()
	}
}

// note counts and logs refused calls.
func (c *rpcConnection) note(refused []dialect.Reason) {
	for _, reason := range refused {
		decisions.refuse(reason, c.handler.dryRun)
		level := zap.DebugLevel
		if reason == dialect.Unavailable {
			level = zap.ErrorLevel
		}
		if entry := c.handler.refusals.Check(level, "call refused"); entry != nil {
			entry.Write(zap.Stringer("reason", reason), zap.Error(c.auth.takeErr()))
		}
	}
}

// watchHeartbeat has the connection end unless the client answers the heartbeat that the
// upstream has asked for.
func (c *rpcConnection) watchHeartbeat() {
	if due, ok := c.session.HeartbeatDue(); ok {
		c.schedule(&c.beat, due, c.checkHeartbeat)
	}
}

// schedule has check called when something is due, unless the connection has been stopped. It
// makes the timer, or sets it anew.
func (c *rpcConnection) schedule(timer **time.Timer, due time.Time, check func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.stopped:
	case *timer == nil:
		*timer = time.AfterFunc(time.Until(due), check)
	default:
		(*timer).Reset(time.Until(due))
	}
}

func (c *rpcConnection) checkHeartbeat() {
	due, ok := c.session.HeartbeatDue()
	switch {
	case !ok:
	case time.Now().Before(due):
		c.watchHeartbeat()
	default:
		c.end(codeIdle, reasonHeartbeat)
	}
}

func (c *rpcConnection) checkIdle() {
	timeout, silent := time.Duration(c.socket.IdleTimeout), time.Duration(0)
	if conn := c.live.socket(); conn != nil {
		silent = time.Since(conn.Heard())
	}
	if silent >= timeout {
		c.end(codeIdle, reasonIdle)
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.stopped {
		c.idle.Reset(timeout - silent)
	}
}

// end ends the connection because of what the client has not done: unexpectedly, for the
// upstream.
func (c *rpcConnection) end(code ws.StatusCode, reason string) {
	if conn := c.live.socket(); conn != nil && !c.handler.dryRun {
		silences[reason].Inc()
		conn.Disconnect(websocket.Closing{Code: code, Reason: reason})
	}
}

var _ jsonrpc.Authorizer = (*rpcAuthorizer)(nil)
