package caddymodule

import (
	"strings"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
)

// unmarshalEndpoint reads the path of a call and a block of options. The path may be left
// out where a preset has it.
func unmarshalEndpoint(d *caddyfile.Dispenser, path *string, options blockOptions, repeatable ...string) error {
	if d.NextArg() {
		*path = d.Val()
	}
	if d.NextArg() {
		return d.ArgErr()
	}
	return unmarshalBlock(d, options, repeatable...)
}

func (h *Handler) unmarshalLogin(d *caddyfile.Dispenser) error {
	l := new(Login)
	h.Login = l
	return unmarshalEndpoint(d, &l.Path, blockOptions{
		"methods": texts(&l.Methods),
		"access":  text(&l.Access), "refresh": text(&l.Refresh), "client": text(&l.Client), "session": text(&l.Session),
		"access_expires": text(&l.AccessExpires), "refresh_expires": text(&l.RefreshExpires),
	})
}

func (h *Handler) unmarshalRefresh(d *caddyfile.Dispenser) error {
	r := new(Refresh)
	h.Refresh = r
	return unmarshalEndpoint(d, &r.Path, blockOptions{
		"token": places(&r.Token), "rotate": onOff(&r.Rotate), "grace": positive(&r.Grace),
	}, "token")
}

func (h *Handler) unmarshalLogout(d *caddyfile.Dispenser) error {
	l := new(Logout)
	h.Logout = l
	return unmarshalEndpoint(d, &l.Path, blockOptions{
		"methods": texts(&l.Methods), "scope": text(&l.Scope), "scope_when": scopeWhen(&l.ScopeWhen),
		"token": places(&l.Token), "accept_expired": optionalFlag(&l.AcceptExpired), "forward": optionalFlag(&l.Forward),
	}, "token", "scope_when")
}

// scopeWhen reads one rule: scope_when query|json|header <name>=<value> <scope>.
func scopeWhen(to *[]ScopeRule) func(*caddyfile.Dispenser) error {
	return func(d *caddyfile.Dispenser) error {
		args := d.RemainingArgs()
		if len(args) != 3 {
			return d.ArgErr()
		}
		name, value, _ := strings.Cut(args[1], "=")
		*to = append(*to, ScopeRule{In: args[0], Name: name, Value: value, Scope: args[2]})
		if _, err := newScopeRules(*to); err != nil {
			return d.WrapErr(err)
		}
		return noBlock(d)
	}
}

func (h *Handler) unmarshalOpaque(d *caddyfile.Dispenser) error {
	if !d.NextArg() {
		return d.ArgErr()
	}
	h.Opaque = &Opaque{Mode: d.Val()}
	if h.Opaque.Mode != opaqueIntrospect {
		if d.NextArg() {
			return d.ArgErr()
		}
		if err := h.Opaque.check(); err != nil {
			return d.WrapErr(err)
		}
		return noBlock(d)
	}
	if !d.NextArg() {
		return d.ArgErr()
	}
	in := &Introspection{URL: d.Val()}
	h.Opaque.Introspection = in
	if d.NextArg() {
		return d.ArgErr()
	}
	err := unmarshalBlock(d, blockOptions{
		"client_id": text(&in.ClientID), "client_secret": text(&in.ClientSecret), "client_auth": text(&in.ClientAuth),
		"bearer": text(&in.Bearer), "timeout": positive(&in.Timeout), "cache": positive(&in.Cache),
		"allow_http": flag(&in.AllowHTTP),
	})
	if err != nil {
		return err
	}
	if err := h.Opaque.check(); err != nil {
		return d.WrapErr(err)
	}
	return nil
}

func (h *Handler) unmarshalAPIKey(d *caddyfile.Dispenser) error {
	a := new(APIKey)
	h.APIKey = a
	if d.NextArg() {
		a.Header = d.Val()
	}
	if d.NextArg() {
		return d.ArgErr()
	}
	return unmarshalBlock(d, blockOptions{
		"key": func(d *caddyfile.Dispenser) error {
			args := d.RemainingArgs()
			if len(args) != 2 {
				return d.ArgErr()
			}
			if a.Keys == nil {
				a.Keys = make(map[string]string)
			}
			if _, twice := a.Keys[args[0]]; twice {
				return d.Errf("key %s is given twice", args[0])
			}
			a.Keys[args[0]] = args[1]
			return noBlock(d)
		},
		"file":           texts(&a.Files),
		"session_header": text(&a.SessionHeader),
		"session_cookie": text(&a.SessionCookie),
	}, "key", "file")
}
