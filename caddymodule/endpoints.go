package caddymodule

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2"

	"example.com/caddy-token-auth/revocation"
)

// Login describes the call that issues tokens. Its answer is watched, never
// changed, unless the client may not log in from its address.
type Login struct {
	// Path of the call.
	Path string `json:"path,omitempty"`
	// Methods of the call. Default: POST.
	Methods []string `json:"methods,omitempty"`
	// Access is where the answer has the access token: member names of nested JSON
	// objects, joined by dots.
	Access string `json:"access,omitempty"`
	// Refresh is where the answer has the refresh token.
	Refresh string `json:"refresh,omitempty"`
	// Client is where the answer has the client's identifier. It is used where the
	// tokens name no client.
	Client string `json:"client,omitempty"`
	// Session is where the answer has the session's identifier. It is used where the
	// tokens name no session. Default: one is made up for each login.
	Session string `json:"session,omitempty"`
	// AccessExpires and RefreshExpires are where the answer says when a token that is no
	// JWT expires: a number of seconds from now (below 10^9), a Unix time in seconds or,
	// from 10^12 on, in milliseconds, or a text as in RFC 3339.
	AccessExpires  string `json:"access_expires,omitempty"`
	RefreshExpires string `json:"refresh_expires,omitempty"`
}

// Refresh describes the call that takes a refresh token and issues new tokens. Its
// answer has them where the login's has.
type Refresh struct {
	// Path of the call, which is a POST. It may be that of the login: then a request
	// without a refresh token is a login.
	Path string `json:"path,omitempty"`
	// Token is where the request may have the refresh token.
	Token []TokenPlace `json:"token,omitempty"`
	// Rotate revokes the refresh token that was used once another has been issued
	// for it. Default: true.
	Rotate *bool `json:"rotate,omitempty"`
	// Grace is how long a token that was exchanged still works, for clients that race
	// themselves; at most 5m. Default: 0.
	Grace caddy.Duration `json:"grace,omitempty"`
}

// Logout describes the call that is answered here.
type Logout struct {
	// Path of the call. A body is ignored, unless Token or ScopeWhen look into it.
	Path string `json:"path,omitempty"`
	// Methods of the call. Default: POST.
	Methods []string `json:"methods,omitempty"`
	// Scope is what a logout revokes: every token of the "client", of the
	// "session", or the one "token" that was presented. Default: client.
	Scope string `json:"scope,omitempty"`
	// ScopeWhen are the scopes that a request may ask for. The first that fits counts.
	ScopeWhen []ScopeRule `json:"scope_when,omitempty"`
	// Token is where the request may have a refresh token, which is revoked too and may
	// stand in for a missing access token.
	Token []TokenPlace `json:"token,omitempty"`
	// AcceptExpired takes an access token that is genuine but has expired.
	// Default: false.
	AcceptExpired *bool `json:"accept_expired,omitempty"`
	// Forward passes the call on to the API once the revocation is recorded, and the
	// API's answer back. Default: false.
	Forward *bool `json:"forward,omitempty"`
}

// ScopeRule is a scope that a logout request may ask for.
type ScopeRule struct {
	// In is "query", "json" (a path within the body) or "header".
	In string `json:"in"`
	// Name of the parameter, path or header field.
	Name string `json:"name"`
	// Value that it must have: a string, an integer, true or false.
	Value string `json:"value"`
	// Scope is then what is revoked.
	Scope string `json:"scope"`
}

// Reset describes the API's call that ends all sessions of a client other than the
// caller. It needs a credential and is forwarded; if it succeeds, every token of that
// client is revoked before its answer goes out.
type Reset struct {
	// Path of the call, a POST, up to the client's identifier, which is its last segment.
	Path string `json:"path"`
}

// provisionEndpoints reads everything that has to do with paths.
func (h *Handler) provisionEndpoints(settings *Handler) error {
	var err error
	for _, e := range []struct {
		option string
		path   string
		to     *endpoint
	}{
		{"login", settings.Login.Path, &h.login},
		{"refresh", settings.Refresh.Path, &h.refreshAt},
		{"logout", settings.Logout.Path, &h.logout},
		{"ready", h.Ready, &h.readyAt},
	} {
		if e.path == "" {
			continue
		}
		if *e.to, err = newEndpoint(e.path); err != nil {
			return fieldError(e.option, err)
		}
	}
	if h.issue, err = newAnswerPaths(settings.Login); err != nil {
		return fieldError("login", err)
	}
	if h.loginMethods, err = newMethods(settings.Login.Methods); err != nil {
		return fieldError("login", err)
	}
	if err := h.provisionRefresh(settings.Refresh); err != nil {
		return fieldError("refresh", err)
	}
	if err := h.provisionLogout(settings.Logout); err != nil {
		return fieldError("logout", err)
	}
	if settings.Reset != nil {
		if h.reset, err = newPrefix(settings.Reset.Path); err != nil {
			return fieldError("reset", err)
		}
	}
	if h.public, err = newPublicPaths(h.Public); err != nil {
		return fieldError("public", err)
	}
	if h.passPreflight, err = passesPreflight(h.CORSPreflight); err != nil {
		return fieldError("cors_preflight", err)
	}
	return h.checkDistinct()
}

func (h *Handler) provisionRefresh(settings *Refresh) error {
	var err error
	if h.refreshToken, err = newTokenPlaces(settings.Token); err != nil {
		return err
	}
	if settings.Path != "" && len(settings.Token) == 0 {
		return errors.New("where the request has the refresh token is not named: add a line token <json path>")
	}
	h.rotates = settings.Rotate == nil || *settings.Rotate
	h.rotateGrace, err = boundedGrace(settings.Grace)
	return err
}

func (h *Handler) provisionLogout(settings *Logout) error {
	var err error
	if h.logoutScope, err = revocation.ParseScope(settings.Scope); err != nil {
		return err
	}
	if h.logoutMethods, err = newMethods(settings.Methods); err != nil {
		return err
	}
	if h.logoutToken, err = newTokenPlaces(settings.Token); err != nil {
		return err
	}
	if h.scopeRules, err = newScopeRules(settings.ScopeWhen); err != nil {
		return err
	}
	h.acceptExpired = settings.AcceptExpired != nil && *settings.AcceptExpired
	h.forwardLogout = settings.Forward != nil && *settings.Forward
	return nil
}

// methods are those that a call may be made with.
type methods []string

// newMethods checks method names. None means POST.
func newMethods(names []string) (methods, error) {
	if len(names) == 0 {
		return methods{http.MethodPost}, nil
	}
	for i, name := range names {
		switch name {
		case http.MethodGet, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete:
		default:
			return nil, fmt.Errorf("unknown method %q: want GET, POST, PUT, PATCH or DELETE", name)
		}
		if slices.Contains(names[:i], name) {
			return nil, fmt.Errorf("method %s is named twice", name)
		}
	}
	return names, nil
}

func (m methods) has(name string) bool { return slices.Contains(m, name) }

// allow is the field Allow of a 405 (RFC 9110 §10.2.1).
func (m methods) allow() string { return strings.Join(m, ", ") }

// passesPreflight reads the option cors_preflight.
func passesPreflight(option string) (bool, error) {
	switch option {
	case "", "pass":
		return true, nil
	case "check":
		return false, nil
	default:
		return false, fmt.Errorf("%q: want pass or check", option)
	}
}

// checkDistinct refuses two endpoints that a request could not tell apart. One call may
// serve as login and refresh: the token tells which it is.
func (h *Handler) checkDistinct() error {
	names := []string{"login", "refresh", "logout", "ready"}
	endpoints := []endpoint{h.login, h.refreshAt, h.logout, h.readyAt}
	for i, a := range endpoints {
		for j, b := range endpoints[:i] {
			if a.exact != "" && a.skeleton == b.skeleton && (i >= 2 || a.exact != b.exact) {
				return fieldError(names[i], fmt.Errorf("path %q is also that of %s", a.exact, names[j]))
			}
		}
	}
	return nil
}
