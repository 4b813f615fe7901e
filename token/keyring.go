package token

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
)

// life tells whether a key is still one that tokens are verified with. A cached token
// knows the life of its key, and goes with it.
type life struct{ ended atomic.Bool }

// forever is the life of all keys that are configured and never change.
var forever = new(life)

// KeyRing holds the public keys of a KeySource as they are now. The zero value has
// none: it is unavailable, and so is whatever is verified with it.
type KeyRing struct {
	writer  sync.Mutex // held while current is replaced
	current atomic.Pointer[keySet]
}

// Replace puts keys in the place of those that r had. A key that r had and that is
// not among keys is good no longer, nor is any cached token that it signed; a key that
// stays, with the same identifier and algorithms, keeps its tokens cached.
//
// It is an error, and changes nothing, if there is no key, if there are more than
// MaxKeys, or if one is the zero value or a shared secret.
func (r *KeyRing) Replace(keys []VerificationKey) error {
	switch {
	case len(keys) == 0:
		return errors.New("no verification key")
	case len(keys) > MaxKeys:
		return fmt.Errorf("%d verification keys: at most %d are accepted", len(keys), MaxKeys)
	}
	for _, key := range keys {
		switch {
		case len(key.algorithms) == 0:
			return errors.New("a verification key is the zero value")
		case key.symmetric():
			return errors.New("a shared secret cannot be a key of a ring")
		}
	}
	r.writer.Lock()
	defer r.writer.Unlock()
	r.put(keys)
	return nil
}

// Clear takes all keys away, so that r is unavailable until the next Replace.
func (r *KeyRing) Clear() {
	r.writer.Lock()
	defer r.writer.Unlock()
	r.put(nil)
}

// put is called with the writer's lock. The new set is there before lives end, so
// that whoever finds a life ended finds the new set too.
func (r *KeyRing) put(keys []VerificationKey) {
	before := r.current.Load()
	live := make([]liveKey, len(keys))
	for i, key := range keys {
		live[i] = liveKey{key, before.lifeOf(key)}
		if live[i].life == nil {
			live[i].life = new(life)
		}
	}
	if len(live) == 0 {
		r.current.Store(nil)
	} else {
		r.current.Store(newKeySet(live))
	}
	if before == nil {
		return
	}
	for _, old := range before.keys {
		if !slices.ContainsFunc(live, func(k liveKey) bool { return k.life == old.life }) {
			old.life.ended.Store(true)
		}
	}
}

// Keys returns the keys that r has now, or nil if it is unavailable.
func (r *KeyRing) Keys() []VerificationKey {
	set := r.current.Load()
	if set == nil {
		return nil
	}
	keys := make([]VerificationKey, len(set.keys))
	for i, key := range set.keys {
		keys[i] = key.VerificationKey
	}
	return keys
}

// Has reports whether a key of r is called kid (RFC 7517 §4.5). No key is called "".
func (r *KeyRing) Has(kid string) bool {
	set := r.current.Load()
	return kid != "" && set != nil && slices.ContainsFunc(set.keys, func(k liveKey) bool { return k.id == kid })
}

func (k VerificationKey) symmetric() bool {
	return slices.ContainsFunc(k.algorithms, func(alg string) bool { return strings.HasPrefix(alg, "HS") })
}

// same reports whether k and other are one key for one use.
func (k VerificationKey) same(other VerificationKey) bool {
	return k.fingerprint == other.fingerprint && k.id == other.id && slices.Equal(k.algorithms, other.algorithms)
}
