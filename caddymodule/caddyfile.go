package caddymodule

import (
	"strconv"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"example.com/caddy-token-auth/dialect"
	"example.com/caddy-token-auth/revocation"
)

func init() {
	httpcaddyfile.RegisterHandlerDirective("token_auth", parseDirective)
	// After rewrites, before anything that answers or forwards a request.
	httpcaddyfile.RegisterDirectiveOrder("token_auth", httpcaddyfile.Before, "basic_auth")
}

func parseDirective(h httpcaddyfile.Helper) (caddyhttp.MiddlewareHandler, error) {
	handler := new(Handler)
	return handler, handler.UnmarshalCaddyfile(h.Dispenser)
}

// UnmarshalCaddyfile sets up the handler from Caddyfile tokens:
//
//	token_auth [<matcher>] {
//		api              <preset>
//
//		secret           <key>...
//		public_key       <pem file or text>...
//		jwks <url or file> {
//			issuer     <iss>
//			refresh    <duration>
//			max_stale  <duration>
//			cooldown   <duration>
//			timeout    <duration>
//			allow_http
//		}
//		algorithms       <alg>...
//		issuer           <iss>...
//		audience         <aud>...
//		leeway           <duration>
//		iat_leeway       <duration>
//		realm            <name>
//		from             header Authorization Bearer | header <name> | cookie <name> | query <name>
//		client_claim     <claim>
//		session_claim    <claim>
//
//		login <path> {
//			access  <json path>
//			refresh <json path>
//			client  <json path>
//		}
//		refresh <path> {
//			token  <json path>
//			rotate on|off
//		}
//		logout <path> {
//			scope client|session|token
//		}
//		public           <path>...
//		cors_preflight   pass|check
//
//		allow_ips        <client> <cidr>...
//		allow_ips file   <path>
//		responses [<format>] {
//			<reason> <status> <body> [<content type>]
//		}
//		forward_identity <header> <claim>...
//	}
//
// Options that take several values may be repeated; the others may not.
func (h *Handler) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next() // token_auth
	if d.NextArg() {
		return d.ArgErr()
	}
	seen := make(map[string]bool)
	for d.NextBlock(0) {
		option := d.Val()
		if seen[option] && !repeatable[option] {
			return d.Errf("%s is given twice", option)
		}
		seen[option] = true
		if err := h.unmarshalOption(d, option); err != nil {
			return err
		}
		// Provision would find these too, but cannot tell the line.
		if err := h.checkOption(option); err != nil {
			return d.WrapErr(err)
		}
	}
	return nil
}

// checkOption checks the value of an option as far as it needs nothing else.
func (h *Handler) checkOption(option string) error {
	var err error
	switch option {
	case "api":
		err = checkPreset(h.API)
	case "login":
		err = checkEndpoint(h.Login.Path)
	case "refresh":
		err = checkEndpoint(h.Refresh.Path)
	case "logout":
		if h.Logout.Scope != "" {
			if _, err = revocation.ParseScope(h.Logout.Scope); err != nil {
				return err
			}
		}
		err = checkEndpoint(h.Logout.Path)
	case "public":
		_, err = newPublicPaths(h.Public)
	case "cors_preflight":
		_, err = passesPreflight(h.CORSPreflight)
	case "allow_ips":
		_, err = newAllowList(h.AllowIPs.Clients)
	case "responses":
		_, err = newDialect(h.effective().format, h.ResponseRules)
	case "from":
		_, err = newSources(h.From)
	case "forward_identity":
		_, err = newForwarder(h.ForwardIdentity)
	}
	return err
}

// checkEndpoint checks the path of an endpoint, unless it is the preset's.
func checkEndpoint(path string) error {
	if path == "" {
		return nil
	}
	return validatePath(path)
}

// repeatable are the options that add to what was given before.
var repeatable = map[string]bool{
	"secret": true, "public_key": true, "algorithms": true, "issuer": true, "audience": true,
	"public": true, "allow_ips": true, "forward_identity": true, "from": true, "jwks": true,
}

func (h *Handler) unmarshalOption(d *caddyfile.Dispenser, option string) error {
	values := map[string]*[]string{
		"secret": &h.Secrets, "public_key": &h.PublicKeys, "algorithms": &h.Algorithms,
		"issuer": &h.Issuers, "audience": &h.Audiences, "public": &h.Public,
	}
	texts := map[string]*string{
		"api": &h.API, "realm": &h.Realm, "client_claim": &h.ClientClaim, "session_claim": &h.SessionClaim,
		"cors_preflight": &h.CORSPreflight,
	}
	durations := map[string]**caddy.Duration{"leeway": &h.Leeway, "iat_leeway": &h.IATLeeway}

	if to, ok := values[option]; ok {
		args := d.RemainingArgs()
		if len(args) == 0 {
			return d.ArgErr()
		}
		*to = append(*to, args...)
		return noBlock(d)
	}
	if to, ok := texts[option]; ok {
		var err error
		*to, err = oneArg(d)
		return err
	}
	if to, ok := durations[option]; ok {
		text, err := oneArg(d)
		if err != nil {
			return err
		}
		duration, err := caddy.ParseDuration(text)
		if err != nil || duration < 0 {
			return d.Errf("%s %q: want a duration, such as 30s", option, text)
		}
		*to = new(caddy.Duration(duration))
		return nil
	}
	switch option {
	case "jwks":
		return h.unmarshalKeySet(d)
	case "login":
		h.Login = new(Login)
		return unmarshalEndpoint(d, &h.Login.Path, map[string]*string{
			"access": &h.Login.Access, "refresh": &h.Login.Refresh, "client": &h.Login.Client,
		})
	case "refresh":
		return h.unmarshalRefresh(d)
	case "logout":
		h.Logout = new(Logout)
		return unmarshalEndpoint(d, &h.Logout.Path, map[string]*string{"scope": &h.Logout.Scope})
	case "allow_ips":
		return h.unmarshalAllowIPs(d)
	case "responses":
		return h.unmarshalResponses(d)
	case "from":
		args := d.RemainingArgs()
		if len(args) < 2 || len(args) > 3 {
			return d.ArgErr()
		}
		source := Source{In: args[0], Name: args[1]}
		if len(args) == 3 {
			source.Scheme = args[2]
		}
		h.From = append(h.From, source)
		return noBlock(d)
	case "forward_identity":
		args := d.RemainingArgs()
		if len(args) < 2 {
			return d.ArgErr()
		}
		h.ForwardIdentity = append(h.ForwardIdentity, ForwardIdentity{Header: args[0], Claims: args[1:]})
		return noBlock(d)
	default:
		return d.Errf("unknown option %q of token_auth", option)
	}
}

// unmarshalEndpoint reads a path and a block of single values. The path may be left
// out where a preset has it.
func unmarshalEndpoint(d *caddyfile.Dispenser, path *string, options map[string]*string) error {
	if d.NextArg() {
		*path = d.Val()
	}
	if d.NextArg() {
		return d.ArgErr()
	}
	for nesting := d.Nesting(); d.NextBlock(nesting); {
		name := d.Val()
		to, ok := options[name]
		switch {
		case !ok:
			return d.Errf("unknown option %q", name)
		case *to != "":
			return d.Errf("%s is given twice", name)
		}
		var err error
		if *to, err = oneArg(d); err != nil {
			return err
		}
		if *to == "" {
			return d.Errf("%s is empty", name)
		}
	}
	return nil
}

func (h *Handler) unmarshalRefresh(d *caddyfile.Dispenser) error {
	h.Refresh = new(Refresh)
	var rotate string
	err := unmarshalEndpoint(d, &h.Refresh.Path, map[string]*string{"token": &h.Refresh.Token, "rotate": &rotate})
	if err != nil {
		return err
	}
	switch rotate {
	case "":
	case "on", "off":
		h.Refresh.Rotate = new(rotate == "on")
	default:
		return d.Errf("rotate %q: want on or off", rotate)
	}
	return nil
}

func (h *Handler) unmarshalResponses(d *caddyfile.Dispenser) error {
	if d.NextArg() {
		h.Responses = d.Val()
	}
	if d.NextArg() {
		return d.ArgErr()
	}
	for nesting := d.Nesting(); d.NextBlock(nesting); {
		rule := dialect.Rule{On: d.Val()}
		args := d.RemainingArgs()
		if len(args) < 2 || len(args) > 3 {
			return d.ArgErr()
		}
		status, err := strconv.Atoi(args[0])
		if err != nil {
			return d.Errf("status %q: want a number", args[0])
		}
		rule.Status, rule.Body = status, args[1]
		if len(args) == 3 {
			rule.ContentType = args[2]
		}
		// Here, so that the error names the line.
		if _, err := newDialect(h.effective().format, append(h.ResponseRules, rule)); err != nil {
			return d.WrapErr(err)
		}
		h.ResponseRules = append(h.ResponseRules, rule)
	}
	if h.Responses == "" && len(h.ResponseRules) == 0 {
		return d.ArgErr()
	}
	return nil
}

func (h *Handler) unmarshalAllowIPs(d *caddyfile.Dispenser) error {
	args := d.RemainingArgs()
	if len(args) < 2 {
		return d.ArgErr()
	}
	if h.AllowIPs == nil {
		h.AllowIPs = new(AllowIPs)
	}
	client, values := args[0], args[1:]
	if client == "file" {
		h.AllowIPs.Files = append(h.AllowIPs.Files, values...)
		return noBlock(d)
	}
	if h.AllowIPs.Clients == nil {
		h.AllowIPs.Clients = make(map[string][]string)
	}
	h.AllowIPs.Clients[client] = append(h.AllowIPs.Clients[client], values...)
	return noBlock(d)
}
