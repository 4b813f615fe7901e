package apikey

import (
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"hash"
	"sync"
)

// MinSecretLength is the least length of a secret in bytes: that of what HMAC-SHA256 can
// make of it.
const MinSecretLength = 32

// encoding is base64url without padding (RFC 4648 §5), and without unused bits that could
// be set in more than one way.
var encoding = base64.RawURLEncoding.Strict()

// mac computes HMAC-SHA256 (RFC 2104) with one subkey.
type mac struct {
	states sync.Pool // of *macState
}

// macState is what one computation needs, kept to spare the allocations.
type macState struct {
	hash hash.Hash
	buf  [256]byte
	sum  [sha256.Size]byte
}

// newMAC derives the subkey for label from secret (HKDF, RFC 5869), so that nothing that is
// computed with one label helps with another one.
func newMAC(secret []byte, label string) (*mac, error) {
	if len(secret) < MinSecretLength {
		return nil, fmt.Errorf("the secret has %d bytes, at least %d are needed: make one with `openssl rand -base64 32`",
			len(secret), MinSecretLength)
	}
	subkey, err := hkdf.Key(sha256.New, secret, nil, label, sha256.Size)
	if err != nil {
		return nil, fmt.Errorf("derive a key: %w", err)
	}
	m := new(mac)
	// In a closure, because packages that print by reflection do not follow it.
	m.states.New = func() any { return &macState{hash: hmac.New(sha256.New, subkey)} }
	return m, nil
}

// sum returns the MAC of head, of at most 256 bytes, and text, of any length, together.
// It does not allocate.
func (m *mac) sum(head []byte, text string) [sha256.Size]byte {
	s := m.states.Get().(*macState)
	defer m.states.Put(s)
	s.hash.Reset()
	// By way of buf, because what is given to an interface is allocated.
	s.hash.Write(s.buf[:copy(s.buf[:], head)])
	for len(text) > 0 {
		n := copy(s.buf[:], text)
		s.hash.Write(s.buf[:n])
		text = text[n:]
	}
	s.hash.Sum(s.sum[:0])
	return s.sum
}
