package caddymodule

import (
	"net/http"
	"slices"
	"strings"

	"golang.org/x/net/http/httpguts"
)

// checkUpgrade reports whether the request may be proxied as far as a change of
// protocol is concerned. reverse_proxy tunnels whatever is asked for, and later
// requests inside of a tunnel would pass unseen, so only WebSocket may upgrade.
//
// An offer of h2c, as some HTTP clients make with every first request, is taken
// off the request, which a server is free to ignore (RFC 9110 §7.8).
func checkUpgrade(r *http.Request) bool {
	if r.Method == http.MethodConnect {
		// Extended CONNECT (RFC 8441, RFC 9220): quic-go gives the protocol as Proto.
		return (r.ProtoMajor == 2 && r.Header.Get(":protocol") == "websocket") ||
			(r.ProtoMajor == 3 && r.Proto == "websocket")
	}
	if r.ProtoMajor >= 2 || len(r.Header["Upgrade"]) == 0 {
		return true
	}
	if !httpguts.HeaderValuesContainsToken(r.Header["Connection"], "upgrade") {
		r.Header.Del("Upgrade")
		return true
	}
	offers := strings.Split(strings.Join(r.Header["Upgrade"], ","), ",")
	for _, offer := range offers {
		switch strings.ToLower(strings.TrimSpace(offer)) {
		case "websocket":
			if len(offers) > 1 {
				return false
			}
		case "h2c":
			r.Header.Del("Upgrade")
			r.Header.Del("HTTP2-Settings")
			setConnection(r.Header, nil)
		default:
			return false
		}
	}
	return true
}

// asksForWebSocket reports whether a request for which checkUpgrade was true asks for
// WebSocket.
func asksForWebSocket(r *http.Request) bool {
	return r.Method == http.MethodConnect || len(r.Header["Upgrade"]) > 0
}

// hopByHop are the options of the field Connection that mean something here. All others name
// fields that end with this hop (RFC 9110 §7.6.1).
var hopByHop = []string{"close", "keep-alive", "upgrade", "http2-settings", "te", "proxy-connection"}

// endHop takes off a request what its field Connection names, and the names with it. The
// proxy would take it off too, but after the request was judged: by its media type, say.
func endHop(h http.Header) {
	values := h["Connection"]
	if len(values) == 0 {
		return
	}
	kept := make([]string, 0, 2)
	ended := false
	for _, value := range values {
		for name := range strings.SplitSeq(value, ",") {
			name = strings.TrimSpace(name)
			if slices.ContainsFunc(hopByHop, func(option string) bool { return strings.EqualFold(option, name) }) {
				kept = append(kept, name)
				continue
			}
			delete(h, http.CanonicalHeaderKey(name))
			ended = true
		}
	}
	if ended {
		setConnection(h, kept)
	}
}

// setConnection sets the field Connection.
func setConnection(h http.Header, options []string) {
	if len(options) == 0 {
		delete(h, "Connection")
		return
	}
	h["Connection"] = []string{strings.Join(options, ", ")}
}
