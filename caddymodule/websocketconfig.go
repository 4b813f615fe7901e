package caddymodule

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"

	"example.com/caddy-token-auth/jsonrpc"
	"example.com/caddy-token-auth/request"
)

// WebSocket says how WebSockets at certain paths are followed. At all other paths, frames
// are followed and not looked into or, if one has a protocol, none is let through.
type WebSocket struct {
	// Paths of the handshakes. A slash at the end of one makes no difference. They may be left
	// out where a preset has them.
	Paths []string `json:"paths,omitempty"`
	// Protocol is "jsonrpc" for JSON-RPC 2.0 as Deribit's API has it: the handshake needs
	// no credential, but each call of a method that is not public does. Or "none":
	// messages are not looked into, and the handshake needs a credential. Default: none.
	Protocol string `json:"protocol,omitempty"`

	// Logout is "close" to end private/logout here, so that the API sees its WebSocket
	// closed normally, or "forward" to pass the call on first, and to record the logout once
	// the API has closed the connection. Default: close, or what the preset says.
	Logout string `json:"logout,omitempty"`
	// IdleTimeout is after what time a connection ends on which nothing at all comes from
	// the client. Default: never.
	IdleTimeout caddy.Duration `json:"idle_timeout,omitempty"`
	// UnexpectedCloseCall is a method that is called, for an API that does not cancel orders
	// by itself, before a connection ends without a logout on which orders are to be
	// cancelled then. Default: none.
	UnexpectedCloseCall string `json:"unexpected_close_call,omitempty"`
	// UnexpectedCloseTimeout is how long its answer is awaited. Default: 5s.
	UnexpectedCloseTimeout caddy.Duration `json:"unexpected_close_timeout,omitempty"`
	// CancelOnDisconnect is whether accounts have orders cancelled where nothing else is
	// known. Default: false.
	CancelOnDisconnect *bool `json:"cancel_on_disconnect,omitempty"`

	// Limits of the connections. Default: those that all WebSockets have.
	Limits *WebSocketLimits `json:"limits,omitempty"`
}

const (
	protocolNone    = "none"
	protocolJSONRPC = "jsonrpc"

	logoutClose   = "close"
	logoutForward = "forward"

	defaultUnexpectedCloseTimeout = 5 * time.Second
	// maxUnexpectedCloseTimeout bounds how long the end of a connection can be delayed.
	maxUnexpectedCloseTimeout = time.Minute
)

func (ws *WebSocket) override(with *WebSocket) {
	if with.Protocol == protocolNone {
		*ws = WebSocket{Paths: ws.Paths, Limits: ws.Limits}
	}
	overrideList(&ws.Paths, with.Paths)
	overrideAny(&ws.Protocol, with.Protocol)
	overrideAny(&ws.Logout, with.Logout)
	overrideAny(&ws.IdleTimeout, with.IdleTimeout)
	overrideAny(&ws.UnexpectedCloseCall, with.UnexpectedCloseCall)
	overrideAny(&ws.UnexpectedCloseTimeout, with.UnexpectedCloseTimeout)
	overrideAny(&ws.CancelOnDisconnect, with.CancelOnDisconnect)
	overrideAny(&ws.Limits, with.Limits)
}

// overrideWebSockets completes the settings of a preset, if to has them, by those that name
// none of its paths or one of them, and adds the others.
func overrideWebSockets(to *[]*WebSocket, with []*WebSocket) {
	preset := len(*to)
	for _, ws := range with {
		if preset == 1 && ((*to)[0].shares(ws) || len(ws.Paths) == 0) {
			(*to)[0].override(ws)
			continue
		}
		*to = append(*to, ws)
	}
}

// shares reports whether both have a path in common.
func (ws *WebSocket) shares(other *WebSocket) bool {
	for _, a := range ws.Paths {
		for _, b := range other.Paths {
			if request.NewPathSkeleton(loosePath(a)) == request.NewPathSkeleton(loosePath(b)) {
				return true
			}
		}
	}
	return false
}

// check checks what needs nothing else.
func (ws *WebSocket) check() error {
	for i, path := range ws.Paths {
		if err := validatePath(path); err != nil {
			return err
		}
		for _, other := range ws.Paths[:i] {
			// Some name a path with and without the slash at its end, for servers that care.
			if other == path || !sameSocket(other, path) && strings.EqualFold(loosePath(other), loosePath(path)) {
				return fmt.Errorf("path %q is named twice", path)
			}
		}
	}
	switch {
	case ws.Protocol != "" && ws.Protocol != protocolNone && ws.Protocol != protocolJSONRPC:
		return fmt.Errorf("protocol %q: want jsonrpc or none", ws.Protocol)
	case ws.Logout != "" && ws.Logout != logoutClose && ws.Logout != logoutForward:
		return fmt.Errorf("logout %q: want close or forward", ws.Logout)
	case ws.IdleTimeout < 0 || ws.UnexpectedCloseTimeout < 0:
		return errors.New("a time is negative")
	case time.Duration(ws.UnexpectedCloseTimeout) > maxUnexpectedCloseTimeout:
		return fmt.Errorf("on_unexpected_close_timeout %s: want at most %s", time.Duration(ws.UnexpectedCloseTimeout), maxUnexpectedCloseTimeout)
	case ws.UnexpectedCloseCall != "" && !jsonrpc.KnownMethod(ws.UnexpectedCloseCall):
		return fmt.Errorf("on_unexpected_close: %q is no method", ws.UnexpectedCloseCall)
	}
	return ws.Limits.check()
}

// hasRPC reports whether there is a setting that is for JSON-RPC alone.
func (ws *WebSocket) hasRPC() bool {
	return ws.Logout != "" || ws.IdleTimeout != 0 || ws.UnexpectedCloseCall != "" || ws.UnexpectedCloseTimeout != 0 ||
		ws.CancelOnDisconnect != nil
}

// sockets are the WebSockets whose paths are named.
type sockets []*socket

// socket is one WebSocket, with all settings.
type socket struct {
	*WebSocket
}

func newSockets(config []*WebSocket) (sockets, error) {
	all := make(sockets, 0, len(config))
	for i, ws := range config {
		if err := ws.check(); err != nil {
			return nil, err
		}
		switch {
		case len(ws.Paths) == 0:
			return nil, errors.New("no path is named, and the API has none")
		case ws.Protocol != protocolJSONRPC && ws.hasRPC():
			return nil, errors.New("only limits are for what has no protocol: add a line protocol jsonrpc")
		case ws.UnexpectedCloseTimeout != 0 && ws.UnexpectedCloseCall == "":
			return nil, errors.New("on_unexpected_close_timeout: there is no on_unexpected_close call that could be answered")
		}
		if slices.ContainsFunc(config[:i], ws.shares) {
			return nil, errors.New("two have a path in common")
		}
		all = append(all, &socket{WebSocket: ws})
	}
	return all, nil
}

// sameSocket reports whether two paths are of one WebSocket: a slash at the end makes no
// difference. Clients of the same API have it built in either way.
func sameSocket(a, b string) bool { return strings.TrimSuffix(a, "/") == strings.TrimSuffix(b, "/") }

// at returns the WebSocket that p is certainly the path of, or nil. ok is false if it is
// none, and there must be none: where calls are judged on one WebSocket, a server that takes
// others at any path would take the same calls there, unjudged.
func (all sockets) at(p requestPath) (found *socket, ok bool) {
	for _, s := range all {
		if p.exact != "" && slices.ContainsFunc(s.Paths, func(path string) bool { return sameSocket(path, p.exact) }) {
			return s, true
		}
	}
	return nil, !all.speakRPC()
}

// speakRPC reports whether there is one whose messages are looked into.
func (all sockets) speakRPC() bool {
	return slices.ContainsFunc(all, (*socket).isRPC)
}

func (s *socket) isRPC() bool { return s.Protocol == protocolJSONRPC }

// maxMessage is how long a message of the client may be where messages are looked into. To
// read a call takes many times its length of memory, so the default is that of its package.
func (s *socket) maxMessage() int {
	if s.Limits == nil || s.Limits.MaxMessageSize == 0 {
		return jsonrpc.DefaultMaxMessage
	}
	return s.Limits.MaxMessageSize
}
