package caddymodule

import (
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
)

func TestWebSocketLimitsAreRead(t *testing.T) {
	var l WebSocketLimits
	err := unmarshalBlock(caddyfileBlock(`
		max_connections_per_client off
		max_connections_per_token 3
		max_messages_per_second 100
		max_message_size 64KiB
		max_pending 1MB
	`), l.blockOptions())
	want := WebSocketLimits{
		MaxConnectionsPerClient: -1, MaxConnectionsPerToken: 3, MaxMessagesPerSecond: 100,
		MaxMessageSize: 64 << 10, MaxPending: 1_000_000,
	}
	if err != nil || l != want {
		t.Errorf("got %+v, %v", l, err)
	}
	if err := l.check(); err != nil {
		t.Error(err)
	}
}

func TestWebSocketLimitsAreChecked(t *testing.T) {
	for line, want := range map[string]string{
		"max_connections_per_client 0":            "above zero",
		"max_connections_per_token -1":            "above zero",
		"max_messages_per_second many":            "above zero",
		"max_message_size 2GiB":                   "at most 1GiB",
		"max_pending 0":                           "above zero",
		"max_pending":                             "argument",
		"max_pending 1KiB 2KiB":                   "argument",
		"max_pending 1KiB\nmax_pending 1KiB":      "twice",
		"max_connections 7":                       "unknown option",
		"max_connections_per_client 3 {\nmore\n}": "block",
	} {
		err := unmarshalBlock(caddyfileBlock(line), new(WebSocketLimits).blockOptions())
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", line, err)
		}
	}
	for _, l := range []*WebSocketLimits{
		{MaxConnectionsPerClient: -2},
		{MaxConnectionsPerToken: -2},
		{MaxMessagesPerSecond: -1},
		{MaxMessageSize: -1},
		{MaxPending: maxWebSocketBytes + 1},
	} {
		if l.check() == nil {
			t.Errorf("%+v is accepted", l)
		}
	}
	if err := (*WebSocketLimits)(nil).check(); err != nil {
		t.Error(err)
	}
}

// caddyfileBlock returns what reads the lines of a block.
func caddyfileBlock(lines string) *caddyfile.Dispenser {
	d := caddyfile.NewTestDispenser("websocket {\n" + lines + "\n}")
	d.Next()
	return d
}
