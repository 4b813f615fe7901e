package caddymodule

import (
	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
)

// unmarshalKeySet reads one jwks option.
func (h *Handler) unmarshalKeySet(d *caddyfile.Dispenser) error {
	if !d.NextArg() {
		return d.ArgErr()
	}
	set := KeySet{Source: d.Val()}
	if d.NextArg() {
		return d.ArgErr()
	}
	durations := map[string]*caddy.Duration{
		"refresh": &set.Refresh, "max_stale": &set.MaxStale, "cooldown": &set.Cooldown, "timeout": &set.Timeout,
	}
	seen := make(map[string]bool)
	for nesting := d.Nesting(); d.NextBlock(nesting); {
		option := d.Val()
		if seen[option] {
			return d.Errf("%s is given twice", option)
		}
		seen[option] = true
		if option == "allow_http" {
			if d.NextArg() {
				return d.ArgErr()
			}
			set.AllowHTTP = true
			continue
		}
		text, err := oneArg(d)
		if err != nil {
			return err
		}
		to, isDuration := durations[option]
		switch {
		case option == "issuer":
			set.Issuer = text
		case !isDuration:
			return d.Errf("unknown option %q of jwks", option)
		default:
			duration, err := caddy.ParseDuration(text)
			if err != nil || duration <= 0 {
				return d.Errf("%s %q: want a duration above zero, such as 1h", option, text)
			}
			*to = caddy.Duration(duration)
		}
	}
	h.KeySets = append(h.KeySets, set)
	return nil
}
