package caddymodule

import "fmt"

// Login describes the call that issues tokens. Its answer is watched, never
// changed, unless the client may not log in from its address.
type Login struct {
	// Path of the call, which is a POST.
	Path string `json:"path,omitempty"`
	// Access is where the answer has the access token: member names of nested JSON
	// objects, joined by dots.
	Access string `json:"access,omitempty"`
	// Refresh is where the answer has the refresh token.
	Refresh string `json:"refresh,omitempty"`
	// Client is where the answer has the client's identifier. It is used where the
	// access token names no client.
	Client string `json:"client,omitempty"`
}

// Refresh describes the call that takes a refresh token and issues new tokens. Its
// answer has them where the login's has.
type Refresh struct {
	// Path of the call, which is a POST with a JSON body.
	Path string `json:"path,omitempty"`
	// Token is where the request has the refresh token: member names of nested JSON
	// objects, joined by dots.
	Token string `json:"token,omitempty"`
	// Rotate revokes the refresh token that was used once another has been issued
	// for it. Default: true.
	Rotate *bool `json:"rotate,omitempty"`
}

// Logout describes the call that is answered here.
type Logout struct {
	// Path of the call, which is a POST. A body is ignored.
	Path string `json:"path,omitempty"`
	// Scope is what a logout revokes: every token of the "client", of the
	// "session", or the one "token" that was presented. Default: client.
	Scope string `json:"scope,omitempty"`
}

// preset returns the settings of a documented API, or nil.
func preset(api string) *Handler {
	if api != "octopus_cards" {
		return nil
	}
	return &Handler{
		Login: &Login{
			Path:    "/auth/login",
			Access:  "data.access_token",
			Refresh: "data.refresh_token",
			Client:  "data.client_id",
		},
		Refresh:   &Refresh{Path: "/auth/refresh", Token: "refresh_token"},
		Logout:    &Logout{Path: "/auth/logout", Scope: "client"},
		Responses: "octopus_cards",
	}
}

// checkPreset refuses the name of a preset that does not exist.
func checkPreset(api string) error {
	if api != "" && preset(api) == nil {
		return fmt.Errorf("unknown API %q: want octopus_cards", api)
	}
	return nil
}

// effective holds the endpoints with the preset's and the general defaults filled in.
type effective struct {
	login   Login
	refresh Refresh
	logout  Logout
	format  string
}

// effective returns the settings of h, completed by its preset.
func (h *Handler) effective() effective {
	e := effective{format: "octopus_cards"}
	e.logout.Scope = "client"
	for _, from := range []*Handler{preset(h.API), h} {
		if from == nil {
			continue
		}
		if from.Login != nil {
			override(&e.login.Path, from.Login.Path)
			override(&e.login.Access, from.Login.Access)
			override(&e.login.Refresh, from.Login.Refresh)
			override(&e.login.Client, from.Login.Client)
		}
		if from.Refresh != nil {
			override(&e.refresh.Path, from.Refresh.Path)
			override(&e.refresh.Token, from.Refresh.Token)
			if from.Refresh.Rotate != nil {
				e.refresh.Rotate = from.Refresh.Rotate
			}
		}
		if from.Logout != nil {
			override(&e.logout.Path, from.Logout.Path)
			override(&e.logout.Scope, from.Logout.Scope)
		}
		override(&e.format, from.Responses)
	}
	return e
}

func override(to *string, with string) {
	if with != "" {
		*to = with
	}
}
