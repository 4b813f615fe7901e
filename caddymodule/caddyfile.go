package caddymodule

import (
	"strconv"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"example.com/caddy-token-auth/dialect"
	"example.com/caddy-token-auth/revocation"
	"example.com/caddy-token-auth/token/apikey"
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
//		types            <typ>...
//		sender_constrained refuse|ignore
//		leeway           <duration>
//		iat_leeway       <duration>
//		realm            <name>
//		from             header Authorization Bearer | header <name> | cookie <name> | query <name>
//		pass_schemes     <scheme>...
//		opaque           pass|known
//		opaque introspect <url> {
//			client_id     <id>
//			client_secret <secret>
//			client_auth   client_secret_basic|client_secret_post
//			bearer        <token>
//			timeout       <duration>
//			cache         <duration>
//			allow_http
//		}
//		api_key [<header>] {
//			key            <name> <hash>
//			file           <path>...
//			session_header <header>
//			session_cookie <cookie>
//		}
//		client_claim     <claim>
//		session_claim    <claim>
//
//		login [<path>] {
//			methods         <method>...
//			access          <json path>
//			refresh         <json path>
//			client          <json path>
//			session         <json path>
//			access_expires  <json path>
//			refresh_expires <json path>
//		}
//		refresh [<path>] {
//			token  [json|form|query|cookie] <name>
//			rotate on|off
//			grace  <duration>
//		}
//		logout [<path>] {
//			methods    <method>...
//			scope      client|session|token
//			scope_when query|json|header <name>=<value> client|session|token
//			token      [json|form|query|cookie] <name>
//			accept_expired
//			forward
//		}
//		reset            <path>
//		jsonrpc          <path>
//		websocket [<path>...] {
//			protocol                    jsonrpc|none
//			logout                      close|forward
//			idle_timeout                <duration>
//			on_unexpected_close         call <method>
//			on_unexpected_close_timeout <duration>
//			cancel_on_disconnect        on|off
//			max_connections_per_client  <n>|off
//			max_connections_per_token   <n>|off
//			max_messages_per_second     <n>|off
//			max_message_size            <size>
//			max_pending                 <size>
//		}
//		public           <path>...
//		ready            <path>
//		cors_preflight   pass|check
//
//		allow_ips        <client> <cidr>...
//		allow_ips file   <path>
//		responses [<format>] {
//			<reason> <status> <body> [<content type>]
//		}
//		forward_identity <header> <claim>...
//		on_revoked       close|ignore
//		dry_run
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
		if _, err = newMethods(h.Login.Methods); err != nil {
			return err
		}
		err = checkEndpoint(h.Login.Path)
	case "refresh":
		if _, err = boundedGrace(h.Refresh.Grace); err != nil {
			return err
		}
		err = checkEndpoint(h.Refresh.Path)
	case "logout":
		if h.Logout.Scope != "" {
			if _, err = revocation.ParseScope(h.Logout.Scope); err != nil {
				return err
			}
		}
		if _, err = newMethods(h.Logout.Methods); err != nil {
			return err
		}
		err = checkEndpoint(h.Logout.Path)
	case "reset":
		_, err = newPrefix(h.Reset.Path)
	case "jsonrpc":
		_, err = newRPCPaths(h.JSONRPC)
	case "pass_schemes":
		err = new(sources).pass(h.PassSchemes)
	case "api_key":
		_, err = newAPIKeySource(h.APIKey)
		if err == nil {
			_, err = apikey.NewKeys(h.APIKey.Keys)
		}
	case "ready":
		err = validatePath(h.Ready)
	case "public":
		_, err = newPublicPaths(h.Public)
	case "cors_preflight":
		_, err = passesPreflight(h.CORSPreflight)
	case "sender_constrained":
		_, err = allowsBound(h.SenderConstrained)
	case "on_revoked":
		_, err = followsLive(h.OnRevoked)
	case "allow_ips":
		_, err = newAllowList(h.AllowIPs.Clients)
	case "responses":
		_, err = newDialect(h.effective().Responses, h.ResponseRules)
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
	"pass_schemes": true, "websocket": true, "types": true,
}

func (h *Handler) unmarshalOption(d *caddyfile.Dispenser, option string) error {
	lists := map[string]*[]string{
		"secret": &h.Secrets, "public_key": &h.PublicKeys, "algorithms": &h.Algorithms,
		"issuer": &h.Issuers, "audience": &h.Audiences, "public": &h.Public, "pass_schemes": &h.PassSchemes,
		"types": &h.Types,
	}
	single := map[string]*string{
		"api": &h.API, "realm": &h.Realm, "client_claim": &h.ClientClaim, "session_claim": &h.SessionClaim,
		"cors_preflight": &h.CORSPreflight, "ready": &h.Ready, "on_revoked": &h.OnRevoked, "sender_constrained": &h.SenderConstrained,
	}
	durations := map[string]**caddy.Duration{"leeway": &h.Leeway, "iat_leeway": &h.IATLeeway}

	if to, ok := lists[option]; ok {
		return texts(to)(d)
	}
	if to, ok := single[option]; ok {
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
		return h.unmarshalLogin(d)
	case "refresh":
		return h.unmarshalRefresh(d)
	case "logout":
		return h.unmarshalLogout(d)
	case "opaque":
		return h.unmarshalOpaque(d)
	case "api_key":
		return h.unmarshalAPIKey(d)
	case "reset":
		h.Reset = new(Reset)
		return text(&h.Reset.Path)(d)
	case "jsonrpc":
		h.JSONRPC = new(JSONRPC)
		return text(&h.JSONRPC.Path)(d)
	case "websocket":
		return h.unmarshalWebSocket(d)
	case "dry_run":
		return flag(&h.DryRun)(d)
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
		if _, err := newDialect(h.effective().Responses, append(h.ResponseRules, rule)); err != nil {
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
