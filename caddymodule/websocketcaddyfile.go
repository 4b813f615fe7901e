package caddymodule

import (
	"maps"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
)

// unmarshalWebSocket reads one WebSocket:
//
//	websocket [<path>...] {
//		protocol                    jsonrpc|none
//		logout                      close|forward
//		idle_timeout                <duration>
//		on_unexpected_close         call <method>
//		on_unexpected_close_timeout <duration>
//		cancel_on_disconnect        on|off
//		<limits, see WebSocketLimits>
//	}
func (h *Handler) unmarshalWebSocket(d *caddyfile.Dispenser) error {
	ws := &WebSocket{Paths: d.RemainingArgs()}
	for _, other := range h.WebSockets {
		if len(ws.Paths)+len(other.Paths) == 0 {
			return d.Err("websocket without a path is given twice")
		}
		if ws.shares(other) {
			return d.Err("websocket: another one has this path")
		}
	}
	limits := new(WebSocketLimits)
	options := blockOptions{
		"protocol": text(&ws.Protocol), "logout": text(&ws.Logout), "idle_timeout": positive(&ws.IdleTimeout),
		"on_unexpected_close":         callOf(&ws.UnexpectedCloseCall),
		"on_unexpected_close_timeout": positive(&ws.UnexpectedCloseTimeout),
		"cancel_on_disconnect":        onOff(&ws.CancelOnDisconnect),
	}
	maps.Copy(options, limits.blockOptions())
	if err := unmarshalBlock(d, options); err != nil {
		return err
	}
	if *limits != (WebSocketLimits{}) {
		ws.Limits = limits
	}
	h.WebSockets = append(h.WebSockets, ws)
	if err := ws.check(); err != nil {
		return d.WrapErr(err)
	}
	return nil
}

// callOf reads what is done: call <method>.
func callOf(to *string) func(*caddyfile.Dispenser) error {
	return func(d *caddyfile.Dispenser) error {
		args := d.RemainingArgs()
		if len(args) != 2 || args[0] != "call" || args[1] == "" {
			return d.ArgErr()
		}
		*to = args[1]
		return noBlock(d)
	}
}
