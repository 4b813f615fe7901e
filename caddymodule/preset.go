package caddymodule

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"
)

// presets are the settings of documented APIs.
var presets = map[string]func() *Handler{
	"octopus_cards": octopusCards,
	"ecgrid":        ecgrid,
	"deribit":       deribit,
	"oauth":         oauth,
}

// octopusCards: access and refresh tokens are JWTs; a logout ends all of the client's.
func octopusCards() *Handler {
	return &Handler{
		Login: &Login{
			Path:           "/auth/login",
			Access:         "data.access_token",
			Refresh:        "data.refresh_token",
			Client:         "data.client_id",
			AccessExpires:  "data.access_expires_at",
			RefreshExpires: "data.refresh_expires_at",
		},
		Refresh:   &Refresh{Path: "/auth/refresh", Token: []TokenPlace{{In: inJSON, Name: "refresh_token"}}},
		Logout:    &Logout{Path: "/auth/logout", Scope: "client"},
		Responses: "octopus_cards",
	}
}

// ecgrid: one token, a JWT, which a refresh exchanges; or an API key with its session. A
// logout ends the token or the session, a reset all of a user's.
func ecgrid() *Handler {
	return &Handler{
		Login: &Login{
			Path:          "/v2/auth/login",
			Access:        "data.token",
			Client:        "data.userId",
			AccessExpires: "data.expiresAt",
		},
		Refresh: &Refresh{
			Path:  "/v2/auth/refresh",
			Token: []TokenPlace{{In: inJSON, Name: "token"}, {In: inJSON, Name: "refreshToken"}},
		},
		Logout:    &Logout{Path: "/v2/auth/logout", Scope: "token"},
		Reset:     &Reset{Path: "/v2/users/reset/"},
		APIKey:    &APIKey{Header: "X-API-Key", SessionHeader: "X-Session-ID"},
		Responses: "ecgrid",
	}
}

// deribitLifetime is how long the API's tokens live by its documentation: 31,536,000 s.
const deribitLifetime = 365 * 24 * time.Hour

// deribit: opaque tokens, and over HTTP a signature scheme of its own. A logout exists on a
// WebSocket alone.
func deribit() *Handler {
	return &Handler{
		Login: &Login{
			Access:        "result.access_token",
			Refresh:       "result.refresh_token",
			Session:       "result.sid",
			AccessExpires: "result.expires_in",
		},
		// Nothing says that an exchanged refresh token ends.
		Refresh: &Refresh{Rotate: new(false)},
		Logout:  &Logout{Scope: "session"},
		JSONRPC: &JSONRPC{Path: "/api/v2"},
		// The API cancels orders after every end but its own logout.
		WebSockets:  []*WebSocket{{Paths: []string{"/ws/api/v2"}, Protocol: protocolJSONRPC, Logout: logoutForward}},
		Opaque:      &Opaque{Mode: opaquePass},
		PassSchemes: []string{"deri-hmac-sha256"},
		Responses:   "deribit",
		lifetime:    deribitLifetime,
	}
}

// oauthLifetime is how long refresh tokens live at most servers, which do not say so in their
// answers.
const oauthLifetime = 90 * 24 * time.Hour

// oauth: the token endpoint of RFC 6749 in front of which the sidecar stands, and its
// formats.
func oauth() *Handler {
	return &Handler{
		Login: &Login{
			Path:          "/oauth/token",
			Access:        "access_token",
			Refresh:       "refresh_token",
			AccessExpires: "expires_in",
		},
		Refresh:   &Refresh{Path: "/oauth/token", Token: []TokenPlace{{In: inForm, Name: "refresh_token"}}},
		Logout:    &Logout{Path: "/oauth/logout", Scope: "client"},
		Responses: "oauth",
		lifetime:  oauthLifetime,
	}
}

// preset returns the settings of a documented API, or nil.
func preset(api string) *Handler {
	if p, ok := presets[api]; ok {
		return p()
	}
	return nil
}

// checkPreset refuses the name of a preset that does not exist.
func checkPreset(api string) error {
	if _, ok := presets[api]; ok || api == "" {
		return nil
	}
	names := make([]string, 0, len(presets))
	for name := range presets {
		names = append(names, name)
	}
	slices.Sort(names)
	return fmt.Errorf("unknown API %q: want %s", api, strings.Join(names, ", "))
}

// effective returns the settings of h, completed by those of its preset and by general
// defaults. Endpoints are completed line by line, everything else as a whole.
func (h *Handler) effective() Handler {
	e := Handler{Login: new(Login), Refresh: new(Refresh), Logout: new(Logout), Responses: "octopus_cards"}
	e.Logout.Scope = "client"
	for _, from := range []*Handler{preset(h.API), h} {
		if from == nil {
			continue
		}
		if from.Login != nil {
			e.Login.override(from.Login)
		}
		if from.Refresh != nil {
			e.Refresh.override(from.Refresh)
		}
		if from.Logout != nil {
			e.Logout.override(from.Logout)
		}
		if from.APIKey != nil {
			if e.APIKey == nil {
				e.APIKey = new(APIKey)
			}
			e.APIKey.override(from.APIKey)
		}
		overrideAny(&e.Reset, from.Reset)
		overrideAny(&e.JSONRPC, from.JSONRPC)
		overrideWebSockets(&e.WebSockets, from.WebSockets)
		overrideAny(&e.Opaque, from.Opaque)
		overrideList(&e.PassSchemes, from.PassSchemes)
		overrideAny(&e.Responses, from.Responses)
		overrideAny(&e.lifetime, from.lifetime)
	}
	return e
}

func (l *Login) override(with *Login) {
	overrideAny(&l.Path, with.Path)
	overrideList(&l.Methods, with.Methods)
	overrideAny(&l.Access, with.Access)
	overrideAny(&l.Refresh, with.Refresh)
	overrideAny(&l.Client, with.Client)
	overrideAny(&l.Session, with.Session)
	overrideAny(&l.AccessExpires, with.AccessExpires)
	overrideAny(&l.RefreshExpires, with.RefreshExpires)
}

func (r *Refresh) override(with *Refresh) {
	overrideAny(&r.Path, with.Path)
	overrideList(&r.Token, with.Token)
	overrideAny(&r.Rotate, with.Rotate)
	overrideAny(&r.Grace, with.Grace)
}

func (l *Logout) override(with *Logout) {
	overrideAny(&l.Path, with.Path)
	overrideList(&l.Methods, with.Methods)
	overrideAny(&l.Scope, with.Scope)
	overrideList(&l.ScopeWhen, with.ScopeWhen)
	overrideList(&l.Token, with.Token)
	overrideAny(&l.AcceptExpired, with.AcceptExpired)
	overrideAny(&l.Forward, with.Forward)
}

func (a *APIKey) override(with *APIKey) {
	overrideAny(&a.Header, with.Header)
	overrideAny(&a.SessionHeader, with.SessionHeader)
	overrideAny(&a.SessionCookie, with.SessionCookie)
	overrideList(&a.Files, with.Files)
	if len(with.Keys) > 0 {
		a.Keys = with.Keys
	}
}

// overrideAny sets a value where another is given.
func overrideAny[T comparable](to *T, with T) {
	var none T
	if with != none {
		*to = with
	}
}

func overrideList[T any](to *[]T, with []T) {
	if len(with) > 0 {
		*to = with
	}
}

// durationOr returns a configured duration, or otherwise.
func durationOr(d *caddy.Duration, otherwise time.Duration) time.Duration {
	if d == nil {
		return otherwise
	}
	return time.Duration(*d)
}

func orDefault(value, otherwise string) string {
	if value == "" {
		return otherwise
	}
	return value
}
