package caddymodule

import (
	"context"
	"fmt"
	"net/http"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"github.com/gobwas/ws"

	"example.com/caddy-token-auth/dialect"
	"example.com/caddy-token-auth/revocation"
	"example.com/caddy-token-auth/websocket"
)

const (
	// abortAfter is how long a response that is cut may take to end by itself, once its
	// context is cancelled, before its connection is broken off.
	abortAfter = time.Second

	// codeCut is the code of the close frame that a client gets whose credential is no
	// longer good (RFC 6455 §7.4.2: for private use).
	codeCut = 4001
)

// cutCause is why something live was ended.
type cutCause uint8

const (
	cutRevoked cutCause = iota + 1
	cutExpired
	// cutAddress means that the client may no longer call from its address.
	cutAddress
	// cutUnavailable means that no configuration uses the list any more that has let the
	// client in, so that nobody would tell of a revocation.
	cutUnavailable
)

// cutCauses has the label of each in the metric, what a WebSocket is told, and what is
// answered to a request that waits.
var cutCauses = map[cutCause]struct {
	label   string
	closing websocket.Closing
	refusal dialect.Reason
}{
	cutRevoked: {"revoked", websocket.Closing{Code: codeCut, Reason: "revoked"}, dialect.RevokedCredential},
	cutExpired: {"expired", websocket.Closing{Code: codeCut, Reason: "expired"}, dialect.ExpiredCredential},
	cutAddress: {"address", websocket.Closing{Code: codeCut, Reason: "forbidden"}, dialect.AddressForbidden},
	// To both sides, the end of a configuration looks as the proxy makes it.
	cutUnavailable: {"unavailable", websocket.Closing{
		Code: ws.StatusGoingAway, Graceful: true, UpstreamCode: ws.StatusGoingAway,
	}, dialect.Unavailable},
}

// liveRequest is a request that was let through, for as long as it lasts.
type liveRequest struct {
	handler *Handler
	w       liveWriter
	cancel  context.CancelFunc
	tap     func(*liveRequest) websocket.Options
	limits  *WebSocketLimits
	addr    netip.Addr // of the client, where that matters
	// withdrawn and ages are those of the caller who has begun it.
	withdrawn func() bool
	ages      time.Time
	young     youngPlace

	mu        sync.Mutex
	deps      []*dependency
	resolve   resolver               // nil: it is known who has begun it
	counted   map[revocation.Key]int // see countSocket; nil: not counted
	aborting  *time.Timer            // calls abort; nil unless it is cut
	held      bool                   // it is in the set, and holds the allow-list
	leaving   bool
	upgrading bool // the client is told that it is upgraded
	conn      *websocket.Conn
	cause     cutCause
	ended     bool

	// first and ofFirst are memory for deps where there is no other.
	first   dependency
	ofFirst [1]*dependency
}

// followed says how a request that was let through is followed.
type followed struct {
	// identity is what let it through, nil if nothing did that could be revoked. A
	// connection can depend on others later on.
	identity *revocation.Identity
	// judged says that a credential was found good, which counts as a decision.
	judged bool
	// withdrawn, ages and resolve are those of the caller.
	withdrawn func() bool
	ages      time.Time
	resolve   resolver
	// tap returns how the messages of a WebSocket are looked at; nil: they are not. It is
	// called once, before the first byte passes. What it leaves unset of the limits is
	// taken from limits.
	tap func(*liveRequest) websocket.Options
	// limits are those of a WebSocket; nil: the defaults.
	limits *WebSocketLimits
}

// follow lets a request through and ends it early if what it depends on is revoked or
// expires meanwhile, or if the client may no longer call from its address. It returns when
// the request, or the connection that it was upgraded to, has ended.
func (h *Handler) follow(w http.ResponseWriter, r *http.Request, next caddyhttp.Handler, f followed) error {
	from, isConnect := r.Context(), r.Method == http.MethodConnect
	if isConnect {
		from = context.WithoutCancel(from)
	}
	ctx, cancel := context.WithCancel(from)
	l := &liveRequest{handler: h, cancel: cancel, withdrawn: f.withdrawn, ages: f.ages, resolve: f.resolve, tap: f.tap, limits: f.limits}
	if h.AllowIPs != nil {
		l.addr = clientAddr(r)
	}
	if f.identity != nil {
		l.first = dependency{live: l, identity: f.identity}
		l.ofFirst[0] = &l.first
		l.deps = l.ofFirst[:]
	}
	l.w.ResponseWriter, l.w.live = w, l
	defer l.end()
	if isConnect {
		defer context.AfterFunc(r.Context(), l.clientGone)()
	}
	var watched http.ResponseWriter = &l.w
	isSocket := asksForWebSocket(r)
	if isSocket {
		defer cancel()
		r = r.WithContext(ctx)
	} else {
		// In place: what placeholders read of the body, they put back into this request. So
		// ctx is not cancelled afterwards; it ends with that of the server.
		*r = *r.WithContext(ctx)
	}
	switch {
	case !isSocket:
		if !l.set().young.add(l) {
			l.cut(cutUnavailable)
		}
	case !l.countSocket(f.identity):
		return h.refuse(w, r, &refusal{reason: dialect.TooManyConnections})
	case !h.follows && f.tap == nil && !f.limits.limitsFrames():
		watched = w // nothing has to be known of its frames
	case isConnect:
		connect, err := newConnectWriter(ctx, &l.w, r.Body)
		if err != nil {
			return h.refuse(w, r, &refusal{reason: dialect.UpgradeRefused, err: err})
		}
		watched, r.Body = connect, connect.body
		l.watch(ctx)
	default:
		watched = &upgradeWriter{liveWriter: &l.w, ctx: ctx}
		l.watch(ctx)
	}
	if cause := l.cutBefore(); cause != 0 {
		return h.refuse(w, r, &refusal{reason: cutCauses[cause].refusal})
	}
	if f.judged {
		decisions.allowed.Inc()
	}
	err := next.ServeHTTP(watched, r)
	cause := l.cutBefore()
	if cause == 0 || l.w.begun || err == nil && !l.w.withheld {
		return err
	}
	return h.refuseAllowed(w, r, &refusal{reason: cutCauses[cause].refusal, err: err})
}

// clientGone is told that the client has reset the stream of an extended CONNECT. An
// upstream that is connected may have to get a last message before the end.
func (l *liveRequest) clientGone() {
	if conn := l.socket(); conn != nil {
		conn.Disconnect(websocket.Closing{Code: ws.StatusGoingAway})
		return
	}
	l.cancel()
}

// watch puts the request into the set and checks it. It may be cut then.
func (l *liveRequest) watch(ctx context.Context) {
	for _, d := range l.hold() {
		l.set().check(ctx, d)
	}
}

// set returns the set that the request belongs to.
func (l *liveRequest) set() *liveSet { return l.handler.app.shared.live }

// hold puts the request into the set, unless it has ended, or cuts it if the set is closed.
// It returns what is to be checked then.
func (l *liveRequest) hold() []*dependency {
	if !l.handler.follows {
		return nil
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case l.ended || l.held:
		return nil
	case !l.set().hold(l):
		l.cutLocked(cutUnavailable)
		return nil
	}
	l.held = true
	l.handler.allowed.retain()
	lives.Inc()
	for _, d := range l.deps {
		l.set().add(d)
	}
	return slices.Clone(l.deps)
}

// cutBefore returns why the request was cut before it was upgraded, or 0.
func (l *liveRequest) cutBefore() cutCause {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.conn != nil {
		return 0
	}
	return l.cause
}

// cutBy returns why the request was cut, or 0.
func (l *liveRequest) cutBy() cutCause {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.cause
}

// cut ends the request: a WebSocket connection by a close frame between two of the
// upstream's frames, any other by its context. It does not wait for the end.
func (l *liveRequest) cut(cause cutCause) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.cutLocked(cause)
}

func (l *liveRequest) cutLocked(cause cutCause) {
	if l.ended || l.cause != 0 {
		return
	}
	l.cause = cause
	cuts[cause].Inc()
	switch {
	case l.conn != nil:
		l.conn.Disconnect(cutCauses[cause].closing)
	case l.upgrading: // the connection is ended as soon as it is there
	default:
		l.cancel()
		l.aborting = time.AfterFunc(abortAfter, l.abort)
	}
}

// addressAllowed reports whether the client of id may call from where the request came
// from.
func (l *liveRequest) addressAllowed(id *revocation.Identity) bool {
	return l.handler.allowed.get().allows(id.Client(), l.addr)
}

// abort breaks off the connection, or stream, of a response that goes on in spite of its
// context.
func (l *liveRequest) abort() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.ended || l.conn != nil {
		return
	}
	// What cannot be set is not a connection of its own: an answer that is held back.
	control := http.NewResponseController(l.w.ResponseWriter)
	_ = control.SetWriteDeadline(time.Unix(1, 0))
	_ = control.SetReadDeadline(time.Unix(1, 0))
}

// end takes the request out of the set. A connection does not outlive the handler that
// has upgraded it.
func (l *liveRequest) end() {
	l.young.remove(l)
	l.mu.Lock()
	l.ended = true
	if l.aborting != nil {
		l.aborting.Stop()
	}
	held, conn, deps, counted := l.held, l.conn, l.deps, l.counted
	l.deps, l.counted = nil, nil
	l.mu.Unlock()
	if conn != nil {
		_ = conn.Close() // what it returns was the proxy's to know
		limitCounters.note(conn.Err())
	}
	l.set().sockets.give(counted)
	if !held {
		return
	}
	for _, d := range deps {
		l.set().remove(d)
	}
	l.set().giveUp(l)
	lives.Dec()
	l.handler.allowed.close()
}

// followsLive reads the option on_revoked.
func followsLive(option string) (bool, error) {
	switch option {
	case "", "close":
		return true, nil
	case "ignore":
		return false, nil
	default:
		return false, fmt.Errorf("%q: want close or ignore", option)
	}
}
