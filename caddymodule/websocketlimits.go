package caddymodule

import (
	"errors"
	"fmt"
	"strconv"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/dustin/go-humanize"

	"example.com/caddy-token-auth/websocket"
)

const (
	// DefaultMaxConnectionsPerClient is how many WebSockets a client may have open.
	DefaultMaxConnectionsPerClient = 1000
	// DefaultMaxConnectionsPerToken is how many of them one token may have opened.
	DefaultMaxConnectionsPerToken = 500
)

// WebSocketLimits are the limits of WebSocket connections, each on one replica.
type WebSocketLimits struct {
	// MaxConnectionsPerClient is how many a client may have open at a time; one more is
	// refused with 429. -1 is any number. Default: 1000.
	MaxConnectionsPerClient int `json:"max_connections_per_client,omitempty"`
	// MaxConnectionsPerToken is how many a token may have open at a time; one more is
	// refused with 429. -1 is any number. Default: 500.
	MaxConnectionsPerToken int `json:"max_connections_per_token,omitempty"`
	// MaxMessagesPerSecond is how many messages and control frames a client may send on
	// one connection, on average and at once; one more ends it with close code 1008.
	// Default: any number.
	MaxMessagesPerSecond int `json:"max_messages_per_second,omitempty"`
	// MaxMessageSize is how long a client's message may be, in bytes of payload, where
	// messages are looked into; a longer one ends the connection with close code 1009.
	// Others may have any length. Default: 64 KiB.
	MaxMessageSize int `json:"max_message_size,omitempty"`
	// MaxPending is how many bytes of the sidecar's own answers may wait for the client
	// of one connection to read, where messages are looked into; more end it with close
	// code 1008. Default: 64 KiB.
	MaxPending int `json:"max_pending,omitempty"`
}

// maxWebSocketBytes bounds what may be configured to be kept of one connection.
const maxWebSocketBytes = 1 << 30

// check returns what is wrong with the limits. None at all are in order.
func (l *WebSocketLimits) check() error {
	switch {
	case l == nil:
		return nil
	case l.MaxConnectionsPerClient < -1:
		return errors.New("max_connections_per_client: want a number above zero, or -1")
	case l.MaxConnectionsPerToken < -1:
		return errors.New("max_connections_per_token: want a number above zero, or -1")
	case l.MaxMessagesPerSecond < 0:
		return errors.New("max_messages_per_second: want a number above zero")
	}
	for name, n := range map[string]int{"max_message_size": l.MaxMessageSize, "max_pending": l.MaxPending} {
		if n < 0 || n > maxWebSocketBytes {
			return fmt.Errorf("%s: want at most 1 GiB", name)
		}
	}
	return nil
}

// perClient and perToken return the limits of connections, negative for none.
func (l *WebSocketLimits) perClient() int {
	if l == nil || l.MaxConnectionsPerClient == 0 {
		return DefaultMaxConnectionsPerClient
	}
	return l.MaxConnectionsPerClient
}

func (l *WebSocketLimits) perToken() int {
	if l == nil || l.MaxConnectionsPerToken == 0 {
		return DefaultMaxConnectionsPerToken
	}
	return l.MaxConnectionsPerToken
}

// limitsFrames reports whether frames have to be followed for a limit.
func (l *WebSocketLimits) limitsFrames() bool { return l != nil && l.MaxMessagesPerSecond > 0 }

// complete sets what o leaves unset. The defaults of sizes are those of o.
func (l *WebSocketLimits) complete(o *websocket.Options) {
	if l == nil {
		return
	}
	if o.MessagesPerSecond == 0 {
		o.MessagesPerSecond = float64(l.MaxMessagesPerSecond)
	}
	if o.MaxMessage == 0 {
		o.MaxMessage = l.MaxMessageSize
	}
	if o.MaxPending == 0 {
		o.MaxPending = l.MaxPending
	}
}

// blockOptions are the words of a Caddyfile block for the limits:
//
//	max_connections_per_client <n>|off
//	max_connections_per_token  <n>|off
//	max_messages_per_second    <n>|off
//	max_message_size           <size>
//	max_pending                <size>
func (l *WebSocketLimits) blockOptions() blockOptions {
	return blockOptions{
		"max_connections_per_client": numberOrOff(&l.MaxConnectionsPerClient, -1),
		"max_connections_per_token":  numberOrOff(&l.MaxConnectionsPerToken, -1),
		"max_messages_per_second":    numberOrOff(&l.MaxMessagesPerSecond, 0),
		"max_message_size":           byteSize(&l.MaxMessageSize),
		"max_pending":                byteSize(&l.MaxPending),
	}
}

// numberOrOff reads a whole number above zero, or off for none.
func numberOrOff(to *int, none int) func(*caddyfile.Dispenser) error {
	return func(d *caddyfile.Dispenser) error {
		name := d.Val()
		value, err := oneArg(d)
		if err != nil {
			return err
		}
		if value == "off" {
			*to = none
			return nil
		}
		n, err := strconv.Atoi(value)
		if err != nil || n <= 0 {
			return d.Errf("%s %q: want a number above zero, or off", name, value)
		}
		*to = n
		return nil
	}
}

// byteSize reads a size in bytes, at most maxWebSocketBytes.
func byteSize(to *int) func(*caddyfile.Dispenser) error {
	return func(d *caddyfile.Dispenser) error {
		name := d.Val()
		value, err := oneArg(d)
		if err != nil {
			return err
		}
		n, err := humanize.ParseBytes(value)
		if err != nil || n == 0 || n > maxWebSocketBytes {
			return d.Errf("%s %q: want a size above zero, such as 1MiB, and at most 1GiB", name, value)
		}
		*to = int(n)
		return nil
	}
}
