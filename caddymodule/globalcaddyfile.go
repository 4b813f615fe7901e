package caddymodule

import (
	"strconv"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"
)

func init() {
	httpcaddyfile.RegisterGlobalOption("token_auth", parseGlobalOption)
}

// parseGlobalOption sets up the app from the global option:
//
//	token_auth {
//		store              <module> [<args...>]
//		cache_size         <verdicts>
//		max_token_lifetime <duration>
//		max_staleness      <duration>
//		on_store_failure   reject|allow
//		digest_key         <key>
//	}
func parseGlobalOption(d *caddyfile.Dispenser, previous any) (any, error) {
	d.Next() // token_auth
	if previous != nil {
		return nil, d.Err("token_auth is configured already")
	}
	if d.NextArg() {
		return nil, d.ArgErr()
	}
	app := new(App)
	seen := make(map[string]bool)
	for d.NextBlock(0) {
		option := d.Val()
		if seen[option] {
			return nil, d.Errf("%s is given twice", option)
		}
		seen[option] = true
		if err := app.unmarshalOption(d, option); err != nil {
			return nil, err
		}
	}
	return httpcaddyfile.App{Name: "token_auth", Value: caddyconfig.JSON(app, nil)}, nil
}

func (a *App) unmarshalOption(d *caddyfile.Dispenser, option string) error {
	switch option {
	case "store":
		if !d.NextArg() {
			return d.ArgErr()
		}
		name := d.Val()
		id := "token_auth.stores." + name
		unmarshaler, err := caddyfile.UnmarshalModule(d, id)
		if err != nil {
			return err
		}
		a.StoreRaw = caddyconfig.JSONModuleObject(unmarshaler, "module", name, nil)
	case "cache_size":
		text, err := oneArg(d)
		if err != nil {
			return err
		}
		size, err := strconv.Atoi(text)
		if err != nil || size <= 0 {
			return d.Errf("cache_size %q: want a number of verdicts above zero", text)
		}
		a.CacheSize = size
	case "max_token_lifetime":
		text, err := oneArg(d)
		if err != nil {
			return err
		}
		lifetime, err := caddy.ParseDuration(text)
		if err != nil || lifetime <= 0 {
			return d.Errf("max_token_lifetime %q: want a duration above zero, such as 7d", text)
		}
		a.MaxTokenLifetime = caddy.Duration(lifetime)
	case "max_staleness":
		return positive(&a.MaxStaleness)(d)
	case "on_store_failure":
		var err error
		if a.OnStoreFailure, err = oneArg(d); err != nil {
			return err
		}
		if _, err = allowsUnchecked(a.OnStoreFailure); err != nil {
			return d.Errf("on_store_failure %v", err)
		}
	case "digest_key":
		var err error
		a.DigestKey, err = oneArg(d)
		return err
	default:
		return d.Errf("unknown option %q of token_auth: want store, cache_size, max_token_lifetime, max_staleness, on_store_failure or digest_key", option)
	}
	return nil
}

// oneArg returns the one argument of an option that takes neither more nor a block.
func oneArg(d *caddyfile.Dispenser) (string, error) {
	args := d.RemainingArgs()
	if len(args) != 1 {
		return "", d.ArgErr()
	}
	return args[0], noBlock(d)
}

// noBlock refuses a block after an option that has none.
func noBlock(d *caddyfile.Dispenser) error {
	if d.NextBlock(d.Nesting()) {
		return d.Err("a block is not expected here")
	}
	return nil
}
