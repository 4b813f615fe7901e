package natsstore

import (
	"encoding/hex"
	"strings"

	"example.com/caddy-token-auth/revocation"
)

// layout says where in NATS things are. It is that of a key-value bucket, so that the
// usual tools can show it.
type layout struct {
	stream string
	prefix string // of all subjects
}

func newLayout(bucket string) layout {
	return layout{stream: "KV_" + bucket, prefix: "$KV." + bucket + "."}
}

// subjects is what the stream takes.
func (l layout) subjects() string { return l.prefix + ">" }

// barrier is the subject of the messages that only mark a place in the stream.
func (l layout) barrier() string { return l.prefix + "barrier" }

// entry is the subject of the entry with the given key: its bytes in hexadecimal.
func (l layout) entry(key revocation.Key) string { return l.prefix + hex.EncodeToString(key[:]) }

// key returns the key whose subject it is. ok is false for a subject of something else.
func (l layout) key(subject string) (key revocation.Key, ok bool) {
	digits, ok := strings.CutPrefix(subject, l.prefix)
	if !ok || len(digits) != hex.EncodedLen(len(key)) {
		return key, false
	}
	if _, err := hex.Decode(key[:], []byte(digits)); err != nil {
		return revocation.Key{}, false
	}
	return key, l.entry(key) == subject // upper-case digits are not ours
}
