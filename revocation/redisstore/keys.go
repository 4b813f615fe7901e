package redisstore

import (
	"encoding/base64"
	"fmt"
	"strings"

	"example.com/caddy-token-auth/revocation"
)

// partitions is how many parts the list is divided into. An entry and the feed that
// tells of it are written by one script, and a cluster runs a script only if all its
// keys are in one hash slot: a partition is one slot. The number is part of what is
// stored and never changes.
const partitions = 16

// tags are the hash tags of the partitions: small numbers whose slots lie one in each
// sixteenth of the slots, so that a cluster whose nodes have equal ranges gets equal
// shares.
var tags = [partitions]string{"10", "3", "61", "43", "11", "2", "60", "42", "12", "1", "63", "41", "13", "0", "62", "40"}

// partitionOf returns the partition of a key, by a byte that neither the caches nor the
// counters of revocation.List use.
func partitionOf(key revocation.Key) int { return int(key[3]) % partitions }

// keyEncoding is how a revocation.Key is written in the name of its entry: in bytes that
// can be read on a terminal and stand for themselves in a pattern.
var keyEncoding = base64.RawURLEncoding

// layout makes the names of all keys in the store:
//
//	<prefix>{<tag>}:<revocation.Key in base64url>   an entry, see encodeRecord
//	<prefix>{<tag>}:feed                            the stream of a partition's changes
//	<prefix>{<tag>}:probe                           never exists, see Store.fromPrimary
type layout struct {
	// heads are the beginnings of the names, one for each partition.
	heads [partitions]string
	feeds [partitions]string
	// pattern matches all names, for SCAN, and is cheap to compare with.
	pattern string
}

func newLayout(prefix string) layout {
	var l layout
	for p, tag := range tags {
		l.heads[p] = prefix + "{" + tag + "}:"
		l.feeds[p] = l.heads[p] + "feed"
	}
	l.pattern = globQuote.Replace(prefix) + "{*"
	return l
}

var globQuote = strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`, `[`, `\[`, `]`, `\]`)

// entry returns the name of the entry with the given key.
func (l *layout) entry(key revocation.Key) string {
	return l.heads[partitionOf(key)] + keyEncoding.EncodeToString(key[:])
}

// probe returns the name of the key that never exists.
func (l *layout) probe(partition int) string { return l.heads[partition] + "probe" }

// parse returns the key of the entry with the given name. ok is false for every other
// name.
func (l *layout) parse(name string) (key revocation.Key, ok bool) {
	encoded := name[strings.LastIndexByte(name, ':')+1:]
	if len(encoded) != keyEncoding.EncodedLen(len(key)) {
		return key, false
	}
	if _, err := keyEncoding.Decode(key[:], []byte(encoded)); err != nil {
		return revocation.Key{}, false
	}
	return key, l.entry(key) == name
}

// checkPrefix reports what is wrong with a prefix.
func checkPrefix(prefix string) error {
	switch {
	case len(prefix) > maxPrefix:
		return fmt.Errorf("key prefix of %d bytes: want at most %d", len(prefix), maxPrefix)
	case strings.ContainsAny(prefix, "{}"):
		return fmt.Errorf("key prefix %q: braces are taken by the hash tags", prefix)
	}
	return nil
}

// maxPrefix bounds what the prefix adds to every entry.
const maxPrefix = 128
