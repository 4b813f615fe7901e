package jsonrpc

import (
	"strings"

	"example.com/caddy-token-auth/request"
)

// role is what a method means to a session beyond being public or not.
type role uint8

const (
	noRole role = iota
	// authenticates: its tokens also become the connection's own.
	authenticates
	// issues tokens for use elsewhere.
	issues
	logsOut
	enablesCancel
	disablesCancel
	readsCancel
	setsHeartbeat
	disablesHeartbeat
	answersHeartbeat
)

const methodAuth = "public/auth"

var roles = map[string]role{
	methodAuth:                             authenticates,
	"public/fork_token":                    issues,
	"public/exchange_token":                issues,
	"private/logout":                       logsOut,
	"private/enable_cancel_on_disconnect":  enablesCancel,
	"private/disable_cancel_on_disconnect": disablesCancel,
	"private/get_cancel_on_disconnect":     readsCancel,
	"public/set_heartbeat":                 setsHeartbeat,
	"public/disable_heartbeat":             disablesHeartbeat,
	"public/test":                          answersHeartbeat,
}

var methodNames = func() lookAlikes {
	names := make([]string, 0, len(roles))
	for name := range roles {
		names = append(names, name)
	}
	return request.NewNames(names...)
}()

// asksForTokens reports whether the answer may hold tokens.
func (r role) asksForTokens() bool { return r == authenticates || r == issues }

// switchesCancel reports whether the call is about cancelling orders on disconnect.
func (r role) switchesCancel() bool {
	return r == enablesCancel || r == disablesCancel || r == readsCancel
}

// observed reports whether the answer changes the session, so that it must be known
// which one it is.
func (r role) observed() bool {
	switch r {
	case noRole, logsOut, answersHeartbeat:
		return false
	default:
		return true
	}
}

// mustBeObserved reports whether the call is refused where its answer could not be
// told from others. Heartbeats are the server's to watch, too.
func (r role) mustBeObserved() bool {
	return r.observed() && r != setsHeartbeat && r != disablesHeartbeat
}

// needsNames reports whether the call's parameters must be known.
func (r role) needsNames() bool { return r == logsOut || r.mustBeObserved() }

// maxMethod is how long a method may be. The longest of Deribit's has half of it.
const maxMethod = 128

// knownForm reports whether method can only be taken for itself: words with single
// slashes between them. A server that makes a path of it must not arrive at another.
func knownForm(method string) bool {
	if len(method) > maxMethod || methodNames.has(method) {
		return false
	}
	for word := range strings.SplitSeq(method, "/") {
		if strings.Trim(word, ".") == "" || !consistsOf(word, "_-.:") {
			return false
		}
	}
	return true
}

// isPublic reports whether a method of known form needs no credential.
func isPublic(method string) bool {
	name, found := strings.CutPrefix(method, "public/")
	return found && consistsOf(name, "_")
}

// consistsOf reports whether text has only ASCII letters, digits and the characters of
// others.
func consistsOf(text, others string) bool {
	for _, r := range text {
		letter := 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9'
		if !letter && !strings.ContainsRune(others, r) {
			return false
		}
	}
	return true
}

// KnownMethod reports whether a method can only be taken for itself: one that it does not
// know is refused like one that looks like another.
func KnownMethod(method string) bool { return knownForm(method) }

// PublicMethod reports whether a method of known form needs no credential.
func PublicMethod(method string) bool { return isPublic(method) }

// LooksLikeParam reports whether a parameter's name may be taken for one that counts,
// such as access_token.
func LooksLikeParam(name string) bool { return paramNames.has(name) }
