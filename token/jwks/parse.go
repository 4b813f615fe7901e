package jwks

import (
	"bytes"
	"errors"
	"fmt"

	"github.com/go-json-experiment/json/jsontext"

	"example.com/caddy-token-auth/token"
	"example.com/caddy-token-auth/token/internal/strictjson"
)

const (
	// maxSize bounds a JWK set or a discovery document, in bytes. It leaves room for
	// sets whose keys come with long certificate chains.
	maxSize = 1 << 20
	// maxEntries bounds the keys of a set, usable or not, and so what reading it costs.
	maxEntries = 1024
)

var (
	// ErrNotKeySet: the document is no JWK set (RFC 7517 §5) in strict JSON.
	ErrNotKeySet = errors.New("not a JWK set")
	// ErrTooLarge: the document has more than 1 MiB or 1024 keys.
	ErrTooLarge = fmt.Errorf("larger than %d bytes or %d keys", maxSize, maxEntries)
	// ErrNoUsableKey: the JWK set has no key that could verify a token.
	ErrNoUsableKey = errors.New("no usable key in the JWK set")
)

// Reason is why a key of a set is not used.
type Reason string

// The reasons for which keys are passed over.
const (
	// SkippedType: a key type or curve that no supported algorithm has.
	SkippedType Reason = "type"
	// SkippedSymmetric: a shared secret ("kty":"oct"). Whoever can read the set could
	// sign with it.
	SkippedSymmetric Reason = "symmetric"
	// SkippedPrivate: the private half is there too, so that anybody may have signed.
	SkippedPrivate Reason = "private"
	// SkippedUse: use is not "sig", or key_ops does not have "verify" (RFC 7517 §4.2, §4.3).
	SkippedUse Reason = "use"
	// SkippedAlgorithm: alg is not one that is supported for such a key (RFC 7517 §4.4).
	SkippedAlgorithm Reason = "algorithm"
	// SkippedWeak: an RSA key of fewer than 2048 bits (RFC 7518 §3.3).
	SkippedWeak Reason = "weak"
	// SkippedInvalid: members are missing or of the wrong type, or they make no key.
	SkippedInvalid Reason = "invalid"
	// SkippedDuplicate: the same key with the same kid and use was there before.
	SkippedDuplicate Reason = "duplicate"
	// SkippedExcess: there are token.MaxKeys usable keys before it.
	SkippedExcess Reason = "excess"
)

// Set is what a JWK set holds.
type Set struct {
	// Keys that can verify tokens, at most token.MaxKeys, in the order of the document.
	Keys []token.VerificationKey
	// Skipped counts the other keys.
	Skipped map[Reason]int
}

// Parse reads a JWK set (RFC 7517 §5). Keys that cannot be used are counted and passed
// over, as §5 asks for. kid, alg, use and key_ops are honoured; certificates (x5c, x5u,
// x5t) are not looked at. Keys of one kid are all kept.
//
// Duplicate names, invalid UTF-8 and text behind the object make the whole document
// ErrNotKeySet. A set without a usable key gives ErrNoUsableKey together with the counts.
func Parse(doc []byte) (Set, error) {
	if len(doc) > maxSize {
		return Set{}, ErrTooLarge
	}
	var keys []byte
	err := strictjson.Members(doc, func(name string, value jsontext.Value) error {
		if name == "keys" {
			keys = value.Clone()
		}
		return nil
	})
	if err != nil || len(keys) == 0 || keys[0] != '[' {
		return Set{}, ErrNotKeySet
	}
	set := Set{Skipped: make(map[Reason]int)}
	dec := jsontext.NewDecoder(bytes.NewBuffer(keys))
	if _, err := dec.ReadToken(); err != nil {
		return Set{}, ErrNotKeySet
	}
	for entries := 1; dec.PeekKind() != ']'; entries++ {
		value, err := dec.ReadValue()
		switch {
		case err != nil:
			return Set{}, ErrNotKeySet
		case entries > maxEntries:
			return Set{}, ErrTooLarge
		}
		set.add(value)
	}
	if len(set.Keys) == 0 {
		return set, ErrNoUsableKey
	}
	return set, nil
}

func (s *Set) add(value jsontext.Value) {
	if len(s.Keys) == token.MaxKeys {
		s.Skipped[SkippedExcess]++
		return
	}
	key, reason := parseKey(value)
	if reason != "" {
		s.Skipped[reason]++
		return
	}
	for _, other := range s.Keys {
		if identical(key, other) {
			s.Skipped[SkippedDuplicate]++
			return
		}
	}
	s.Keys = append(s.Keys, key)
}

func identical(a, b token.VerificationKey) bool {
	return a.ID() == b.ID() && a.String() == b.String() // algorithms and fingerprint
}
