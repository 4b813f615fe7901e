package differential

import (
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strings"
)

// finding is what is wrong with how an upstream has read a request.
type finding struct {
	// class says it without the values.
	class string
	// spend is a refresh token that must be spent; the request is fine if it is.
	spend string
}

// judged is a request that was sent.
type judged struct {
	setup   *setup
	request *request
	live    pair // its refresh token was made for this request
	revoked pair
	// forwarded is what the sidecar has sent on.
	forwarded string
}

// judge returns what is wrong with a report.
func (j *judged) judge(r report) []finding {
	s := j.setup
	var found []finding
	say := func(format string, args ...any) {
		found = append(found, finding{class: s.name + ": " + fmt.Sprintf(format, args...)})
	}
	exchanged := ""
	if s.refresh != "" && r.Route == s.refresh {
		for place, texts := range r.Read {
			if !strings.HasSuffix(place, " refresh_token") || place == "cookie refresh_token" && !s.cookieRefresh {
				continue
			}
			switch {
			case hasAny(texts, j.revoked.access, j.revoked.refresh):
				exchanged = place
				say("exchanges a revoked refresh token from %s", place)
			case hasAny(texts, j.live.refresh):
				exchanged = place
				found = append(found, finding{s.name + ": exchanges an unspent refresh token from " + place, j.live.refresh})
			}
		}
	}
	// What is public for the sidecar may be no route of the upstream's.
	needsNone := r.Route == "public" || r.Route == "rpc public" || s.login != "" && r.Route == s.login && exchanged == "" ||
		r.Route == "other" && j.needsNone()
	for place, texts := range r.Read {
		if !needsNone && s.isCredential(r.Route, place, texts) && hasAny(texts, j.revoked.access, j.revoked.refresh) {
			say("reads a revoked token from %s at %s", place, r.Route)
		}
	}
	if s.logout != "" && r.Route == s.logout {
		say("takes the logout")
	}
	sentLive := j.request.mentions("{LIVE}") || !s.learns && j.request.mentions("{RLIVE}")
	sentRefresh := j.request.mentions("{RLIVE}")
	switch {
	case needsNone, exchanged != "", sentLive, j.isPreflight():
	case r.Route == s.protected:
		say("takes a protected route without a live token")
	case !sentRefresh && !j.needsNone():
		say("reaches %s without a live token", r.Route)
	}
	if s.learns && s.login != "" && r.Route == s.login && !j.needsNone() {
		say("takes the login, which nobody watches")
	}
	return found
}

// isCredential reports whether texts that were read from place count as a credential. A
// bearer token does, also where Authorization is none of the places. A parameter of a
// JSON-RPC call is one there alone.
func (s *setup) isCredential(route, place string, texts []string) bool {
	if strings.HasSuffix(place, "access_token") && route != s.protected {
		return false
	}
	return slices.Contains(s.credentials, place) || place == authorization && slices.ContainsFunc(texts, bearer.MatchString)
}

var bearer = regexp.MustCompile(`(?i)^\s*bearer\s`)

// plainPublic is what the sidecar forwards of paths that are public.
var plainPublic = regexp.MustCompile(`^\w+ (/status|/static/[^/]*)(\?\S*)?$`)

// needsNone reports whether what was forwarded is, as it stands, a call that needs no
// credential, which the upstream's router has no route for.
func (j *judged) needsNone() bool {
	method, rest, _ := strings.Cut(j.forwarded, " ")
	target, _, _ := strings.Cut(rest, " ")
	path, query, hasQuery := strings.Cut(target, "?")
	// Every upstream decodes letters, or has no such route.
	if decoded, err := url.PathUnescape(path); err == nil {
		path = decoded
	}
	line := method + " " + path
	if hasQuery {
		line += "?" + query
	}
	return j.isPreflight() || plainPublic.MatchString(line) || j.setup.loginPath != "" && path == j.setup.loginPath && method == "POST"
}

// isPreflight reports whether what was forwarded is a CORS preflight, for whatever path.
func (j *judged) isPreflight() bool {
	return strings.HasPrefix(j.forwarded, "OPTIONS ") && strings.Contains(j.forwarded, "\r\nOrigin:") &&
		strings.Contains(j.forwarded, "\r\nAccess-Control-Request-Method:")
}

// hasAny reports whether one of the texts has one of the tokens in it.
func hasAny(texts []string, tokens ...string) bool {
	return slices.ContainsFunc(texts, func(text string) bool {
		return slices.ContainsFunc(tokens, func(token string) bool { return strings.Contains(text, token) })
	})
}
