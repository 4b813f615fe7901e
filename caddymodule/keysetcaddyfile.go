package caddymodule

import (
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
	err := unmarshalBlock(d, blockOptions{
		"issuer": text(&set.Issuer), "allow_http": flag(&set.AllowHTTP),
		"refresh": positive(&set.Refresh), "max_stale": positive(&set.MaxStale),
		"cooldown": positive(&set.Cooldown), "timeout": positive(&set.Timeout),
	})
	if err != nil {
		return err
	}
	h.KeySets = append(h.KeySets, set)
	return nil
}
