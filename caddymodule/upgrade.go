package caddymodule

import (
	"net/http"
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
			removeConnectionTokens(r.Header, func(name string) bool {
				return strings.EqualFold(name, "upgrade") || strings.EqualFold(name, "http2-settings")
			})
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

// removeConnectionTokens takes the names for which drop is true out of the
// Connection header field (RFC 9110 §7.6.1).
func removeConnectionTokens(h http.Header, drop func(name string) bool) {
	values := h["Connection"]
	if len(values) == 0 {
		return
	}
	var kept []string
	for _, value := range values {
		for name := range strings.SplitSeq(value, ",") {
			if name = strings.TrimSpace(name); name != "" && !drop(name) {
				kept = append(kept, name)
			}
		}
	}
	if len(kept) == 0 {
		h.Del("Connection")
		return
	}
	h["Connection"] = []string{strings.Join(kept, ", ")}
}
