package caddymodule

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.uber.org/zap"

	"example.com/caddy-token-auth/dialect"
	"example.com/caddy-token-auth/revocation"
	"example.com/caddy-token-auth/websocket"
)

const (
	// longAfter is how long a request may take before it is watched for what happens to
	// its credential. Most take less, and pay for a timer alone.
	longAfter = time.Second
	// abortAfter is how long a response that is cut may take to end by itself, once its
	// context is cancelled, before its connection is broken off.
	abortAfter = time.Second

	// codeCut is the code of the close frame that a client gets (RFC 6455 §7.4.2: for
	// private use).
	codeCut = 4001
)

// cutCause is why something live was ended.
type cutCause uint8

const (
	cutRevoked cutCause = iota + 1
	cutExpired
)

// String is the reason in the close frame and the label of the metric.
func (c cutCause) String() string {
	if c == cutExpired {
		return "expired"
	}
	return "revoked"
}

// liveRequest is a request that was let through, for as long as it lasts.
type liveRequest struct {
	shared  *sharedList
	store   string // the identity of the shared list, by which it is held
	w       liveWriter
	cancel  context.CancelFunc
	tap     func(*liveRequest) websocket.Options
	ignores bool // what becomes of its credential

	mu      sync.Mutex
	deps    []*dependency
	timer   *time.Timer // calls watch, or abort once it is cut
	held    bool        // it is in the set, and holds the shared list
	leaving bool
	conn    *websocket.Conn
	cause   cutCause
	ended   bool
}

// followed says how a request that was let through is followed.
type followed struct {
	// identity is what let it through, nil if nothing did that could be revoked. A
	// connection can depend on others later on.
	identity *revocation.Identity
	// tap returns how the messages of a WebSocket are looked at; nil: they are not. It is
	// called once, before the first byte passes.
	tap func(*liveRequest) websocket.Options
}

// follow lets a request through and ends it early if what it depends on is revoked or
// expires meanwhile. It returns when the request, or the connection that it was upgraded
// to, has ended.
func (h *Handler) follow(w http.ResponseWriter, r *http.Request, next caddyhttp.Handler, f followed) error {
	if r.Method == http.MethodConnect {
		// A WebSocket over HTTP/2 or HTTP/3 is never hijacked, so it could not be ended.
		return h.refuse(w, r, &refusal{reason: dialect.UpgradeRefused})
	}
	ctx, cancel := context.WithCancel(r.Context())
	l := &liveRequest{shared: h.app.shared, store: h.app.sharedBy, cancel: cancel, tap: f.tap, ignores: !h.follows}
	if f.identity != nil && h.follows {
		l.deps = []*dependency{{live: l, identity: f.identity}}
	}
	l.w.ResponseWriter, l.w.live = w, l
	defer l.end()
	l.mu.Lock()
	l.timer = time.AfterFunc(longAfter, l.watch)
	l.mu.Unlock()
	var watched http.ResponseWriter = &l.w
	if len(r.Header["Upgrade"]) > 0 {
		watched = &upgradeWriter{liveWriter: &l.w, ctx: ctx}
	}
	err := next.ServeHTTP(watched, r.WithContext(ctx))
	cause := l.cutBefore()
	if cause == 0 || l.w.begun || err == nil && !l.w.withheld {
		return err
	}
	refused := &refusal{reason: dialect.RevokedCredential, err: err}
	if cause == cutExpired {
		refused.reason = dialect.ExpiredCredential
	}
	return h.refuse(w, r, refused)
}

// liveWriter is the response to a request that is followed.
type liveWriter struct {
	caddyhttp.ResponseWriterWrapper
	live *liveRequest
	// begun says that the response has begun.
	begun bool
	// withheld says that the request was cut before its response began.
	withheld bool
}

// statusClientClosed is what the proxy gives as the status of a request whose context has
// ended before the upstream has answered, for the log.
const statusClientClosed = 499

// WriteHeader implements http.ResponseWriter. The client of a request that was cut is
// there, and gets an answer of its own.
func (w *liveWriter) WriteHeader(status int) {
	if status == statusClientClosed && w.live.cutBefore() != 0 {
		w.withheld = true
		return
	}
	w.begun = w.begun || status >= http.StatusOK
	w.ResponseWriter.WriteHeader(status)
}

// Write implements http.ResponseWriter. Nothing follows a status that was withheld.
func (w *liveWriter) Write(p []byte) (int, error) {
	if w.withheld {
		return 0, errCut
	}
	return w.ResponseWriter.Write(p)
}

// watch puts the request into the set.
func (l *liveRequest) watch() {
	for _, d := range l.hold() {
		l.shared.live.check(context.Background(), d)
	}
}

// hold puts the request into the set, unless it has ended, and has it keep the list open.
// It returns what is to be checked then.
func (l *liveRequest) hold() []*dependency {
	shared, err := acquireList(l.store)
	if err != nil {
		l.cut(cutRevoked)
		return nil
	}
	deps, ok := l.holdBy(shared)
	if !ok {
		l.giveBack()
	}
	return deps
}

func (l *liveRequest) holdBy(shared *sharedList) ([]*dependency, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case l.ended || l.held:
		return nil, false
	case shared != l.shared:
		// The list that let it through is closed: nobody would tell of a revocation.
		l.cutLocked(cutRevoked)
		return nil, false
	}
	l.held = true
	lives.Inc()
	for _, d := range l.deps {
		l.shared.live.add(d)
	}
	return slices.Clone(l.deps), true
}

// giveBack gives the shared list back.
func (l *liveRequest) giveBack() {
	if err := releaseList(l.store); err != nil {
		caddy.Log().Named("token_auth").Error("revocation list not closed", zap.Error(err))
	}
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
	if l.conn != nil {
		l.conn.Disconnect(l.closing())
		return
	}
	l.timer.Stop()
	l.cancel()
	l.timer = time.AfterFunc(abortAfter, l.abort)
}

// closing is what a client is told whose connection is cut.
func (l *liveRequest) closing() websocket.Closing {
	return websocket.Closing{Code: codeCut, Reason: l.cause.String()}
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
	l.cancel()
	l.mu.Lock()
	l.ended = true
	l.timer.Stop()
	held, conn, deps := l.held, l.conn, l.deps
	l.deps = nil
	l.mu.Unlock()
	if conn != nil {
		_ = conn.Close() // what it returns was the proxy's to know
	}
	if held {
		for _, d := range deps {
			l.shared.live.remove(d)
		}
		lives.Dec()
		l.giveBack()
	}
}

// followsLive reads the option on_revoked.
func followsLive(option string) (bool, error) {
	switch option {
	case "close":
		return true, nil
	case "", "ignore":
		return false, nil
	default:
		return false, fmt.Errorf("%q: want close or ignore", option)
	}
}
