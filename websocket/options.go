package websocket

import (
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/gobwas/ws"
)

const (
	// DefaultMaxMessage is the longest message that is inspected, in bytes of payload.
	DefaultMaxMessage = 1 << 20
	// DefaultMaxAwaitedServerMessage is the default of Options.MaxAwaitedServerMessage: room
	// for a large answer that happens to come while a small one is awaited.
	DefaultMaxAwaitedServerMessage = 16 << 20
	// DefaultMaxFragments is how many frames an inspected message may have. It bounds
	// what empty fragments cost.
	DefaultMaxFragments = 1024
	// DefaultMaxPending is how many bytes may wait for the client to read.
	DefaultMaxPending = 64 << 10
	// DefaultCloseWait is how long the end of a connection waits for each of the two
	// sides.
	DefaultCloseWait = time.Second

	// keepBuffer is what a connection keeps of each of its buffers after a message. More
	// is given back: there are many connections, and most messages are small. It has room
	// for what Caddy reads at once, 32 KiB, and the message that began before.
	keepBuffer = 40 << 10
	keepFrames = 64
)

// Options of a Conn. The zero value follows frames and looks at no message.
//
// Where messages are looked at, permessage-deflate (RFC 7692) must not be in use: its bit
// RSV1 is a violation then. Otherwise it is accepted on the first frame of a message.
type Options struct {
	// FromClient, if set, gets every complete message of the client and decides about it.
	// It is called by Read, one call at a time, and may take its time: the client's
	// further messages wait. It may use the Conn, except for Read.
	FromClient func(Message) Decision
	// FromServer, if set, gets complete messages of the upstream and decides about them.
	// It is called by Write, one call at a time, also while the connection is being ended
	// and the client gets nothing any more. It may use the Conn, except for Write,
	// CloseWrite and Close.
	FromServer func(Message) Decision
	// InspectServer, if set, says whether FromServer is to get the message that begins.
	// The others are passed on as they come. It is called as FromServer is.
	InspectServer func() bool
	// LastMessage, if set, is called once, when the client's direction is about to end:
	// with its close frame, by its disappearance, or because of Disconnect or a
	// violation. What it returns, unless that is nil, is the last text message that the
	// upstream gets from this connection: the end, or a close frame, comes after
	// Conn.UpstreamAnswered, the upstream's own end, or AnswerWait. It is not called if the
	// upstream or the proxy closes the connection first. It is called by Read and needs
	// FromClient.
	LastMessage func() []byte
	// ServerClosing, if set, is called once, before the client is told that the upstream or
	// the proxy ends the connection: by a close frame, by the end of its stream, or by Close.
	// It gets what the close frame says, 1005 if that has no code, or 0 if there is none.
	// Pass lets the end go on as it is, and Disconnect tells the client something else in
	// its place; the upstream's close frame is answered then, if the Closing is graceful.
	// After Close it no longer counts. It is called as FromServer is, or by Close, and needs
	// FromServer.
	ServerClosing func(code ws.StatusCode, reason string) Decision
	// TooLong, if set, returns what the client is told, in a text message, before a message
	// longer than MaxMessage ends the connection. It is called as FromClient is.
	TooLong func() []byte

	// MaxMessage is how long a message for FromClient may be, in bytes of payload.
	// Default: DefaultMaxMessage.
	MaxMessage int
	// MessagesPerSecond is how many messages and control frames the client may send, on
	// average, whether they are inspected or not. Default: any number.
	MessagesPerSecond float64
	// MessageBurst is how many it may send at once. Default: those of one second.
	MessageBurst int

	// MaxServerMessage is how long a message for FromServer may be, in bytes of payload.
	// Default: DefaultMaxMessage.
	MaxServerMessage int
	// RefuseLongServerMessage, if set, is asked about a longer one, or one with more frames.
	// If it returns true, FromServer gets a message of up to MaxAwaitedServerMessage bytes,
	// and one beyond that, or with too many frames, is a violation. Otherwise the message is
	// passed on as it comes, and FromServer is not called for it. It is called as FromServer is.
	RefuseLongServerMessage func() bool
	// MaxAwaitedServerMessage is described there. Default: DefaultMaxAwaitedServerMessage, or
	// MaxServerMessage if that is more.
	MaxAwaitedServerMessage int
	// MaxFragments is how many frames a message for FromClient or FromServer may have.
	// Default: DefaultMaxFragments.
	MaxFragments int

	// MaxPending is how many bytes of Send and Answer may wait until the server's frame
	// or fragmented message is complete. Default: DefaultMaxPending.
	MaxPending int
	// CloseWait is how long the end of the connection waits for the end of the server's
	// frame that is under way and for the client's answer to the close frame, and then
	// once more for the upstream. Default: DefaultCloseWait.
	CloseWait time.Duration
	// AnswerWait is how long the end waits for the upstream's answer to its last message, and
	// for a FromClient before that, which keeps Read from asking for the message. Default:
	// CloseWait.
	AnswerWait time.Duration

	// Now is the clock of MessagesPerSecond and Conn.Heard. Default: time.Now.
	Now func() time.Time
}

// withDefaults checks o and returns it with the defaults filled in.
func (o Options) withDefaults() (Options, error) {
	switch {
	case o.MaxMessage < 0, o.MaxFragments < 0, o.MaxServerMessage < 0, o.MaxAwaitedServerMessage < 0, o.MaxPending < 0, o.MessageBurst < 0:
		return o, errors.New("a limit is negative")
	case math.IsNaN(o.MessagesPerSecond) || o.MessagesPerSecond < 0:
		return o, fmt.Errorf("%v messages per second", o.MessagesPerSecond)
	case o.CloseWait < 0, o.AnswerWait < 0:
		return o, fmt.Errorf("waiting time %s is negative", min(o.CloseWait, o.AnswerWait))
	case o.InspectServer != nil && o.FromServer == nil:
		return o, errors.New("messages of the upstream are to be inspected, but there is nothing to do it")
	case o.ServerClosing != nil && o.FromServer == nil:
		return o, errors.New("the end of the upstream is to be decided about, but its messages are not inspected")
	case o.LastMessage != nil && o.FromClient == nil:
		return o, errors.New("a last message needs inspection: without it the upstream may be in the middle of a frame")
	}
	o.MaxMessage = orDefault(o.MaxMessage, DefaultMaxMessage)
	o.MaxFragments = orDefault(o.MaxFragments, DefaultMaxFragments)
	o.MaxServerMessage = orDefault(o.MaxServerMessage, DefaultMaxMessage)
	o.MaxAwaitedServerMessage = orDefault(o.MaxAwaitedServerMessage, max(DefaultMaxAwaitedServerMessage, o.MaxServerMessage))
	o.MaxPending = orDefault(o.MaxPending, DefaultMaxPending)
	o.CloseWait = orDefault(o.CloseWait, DefaultCloseWait)
	o.AnswerWait = orDefault(o.AnswerWait, o.CloseWait)
	o.MessageBurst = orDefault(o.MessageBurst, int(min(max(1, math.Ceil(o.MessagesPerSecond)), math.MaxInt32)))
	if o.Now == nil {
		o.Now = time.Now
	}
	return o, nil
}

func orDefault[T int | time.Duration](value, byDefault T) T {
	if value == 0 {
		return byDefault
	}
	return value
}

// inspects says whether messages are looked at, in either direction.
func (o Options) inspects() bool { return o.FromClient != nil || o.FromServer != nil }
