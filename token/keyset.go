package token

import (
	"slices"

	"github.com/golang-jwt/jwt/v5"
)

// liveKey is a key and how long it is one.
type liveKey struct {
	VerificationKey
	life *life
}

// keySet is an immutable set of keys, sorted by what they can do: an RSA key is never
// offered to HS256, whatever the header says.
type keySet struct {
	keys   []liveKey
	offers map[string]candidates // by algorithm
}

// candidates are the keys that may have signed a token.
type candidates struct {
	keys []liveKey
	// material has the same keys for golang-jwt.
	material jwt.VerificationKeySet
}

func newCandidates(keys []liveKey) candidates {
	c := candidates{keys: keys, material: jwt.VerificationKeySet{Keys: make([]jwt.VerificationKey, len(keys))}}
	for i, key := range keys {
		c.material.Keys[i] = key.material()
	}
	return c
}

func newKeySet(keys []liveKey) *keySet {
	s := &keySet{keys: keys, offers: make(map[string]candidates)}
	byAlgorithm := make(map[string][]liveKey)
	for _, key := range keys {
		for _, alg := range key.algorithms {
			byAlgorithm[alg] = append(byAlgorithm[alg], key)
		}
	}
	for alg, keys := range byAlgorithm {
		s.offers[alg] = newCandidates(keys)
	}
	return s
}

// staticKeySet returns the set of keys that never change.
func staticKeySet(keys []VerificationKey) *keySet {
	live := make([]liveKey, len(keys))
	for i, key := range keys {
		live[i] = liveKey{key, forever}
	}
	return newKeySet(live)
}

// lifeOf returns the life of key in s, or nil if s does not have it.
func (s *keySet) lifeOf(key VerificationKey) *life {
	if s == nil {
		return nil
	}
	for _, k := range s.keys {
		if k.same(key) {
			return k.life
		}
	}
	return nil
}

// candidates returns the keys that may have signed a token with header h. A kid can
// only take keys out.
func (s *keySet) candidates(h header) candidates {
	offer := s.offers[h.alg]
	others := 0
	for _, key := range offer.keys {
		if h.kid != "" && key.id != "" && key.id != h.kid {
			others++
		}
	}
	switch others {
	case 0:
		return offer
	case len(offer.keys):
		return candidates{}
	}
	left := make([]liveKey, 0, len(offer.keys)-others)
	for _, key := range offer.keys {
		if key.id == "" || key.id == h.kid {
			left = append(left, key)
		}
	}
	return newCandidates(left)
}

// with returns the keys of both.
func (c candidates) with(more candidates) candidates {
	switch {
	case len(c.keys) == 0:
		return more
	case len(more.keys) == 0:
		return c
	}
	return candidates{
		keys:     slices.Concat(c.keys, more.keys),
		material: jwt.VerificationKeySet{Keys: slices.Concat(c.material.Keys, more.material.Keys)},
	}
}

// names reports whether one of the keys is called kid.
func (c candidates) names(kid string) bool {
	return kid != "" && slices.ContainsFunc(c.keys, func(k liveKey) bool { return k.id == kid })
}

// sharedLife returns the life that all keys have, or nil if there are several.
func (c candidates) sharedLife() *life {
	for _, key := range c.keys[1:] {
		if key.life != c.keys[0].life {
			return nil
		}
	}
	return c.keys[0].life
}
