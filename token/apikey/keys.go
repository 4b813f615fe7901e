package apikey

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

const (
	// MaxNameLength is the longest name of a key in bytes: that of the longest identifier
	// that the revocation list keeps as it is.
	MaxNameLength = 255
	// MaxKeyLength is the longest key that is looked up, in bytes. It bounds what
	// a request with a false key costs; real ones have less than a hundred.
	MaxKeyLength = 1024

	hashPrefix = "sha256:"
)

// digest is the SHA-256 of a key.
type digest = [sha256.Size]byte

// noKey is the digest of the empty string. It gets into a configuration when a script
// hashes a variable that is not set, and would let everybody in who has no key.
var noKey = sha256.Sum256(nil)

// Hash returns what is configured for a key: "sha256:" and 64 hexadecimal digits.
func Hash(key string) string {
	sum := sha256.Sum256([]byte(key))
	return hashPrefix + hex.EncodeToString(sum[:])
}

// Keys is a set of keys with their names. It is immutable. Nil and the zero value have no
// keys. Printing it shows how many there are.
type Keys struct {
	names map[digest]string
}

// NewKeys returns the keys of a map from names to hashes, in the form that Hash gives. A
// name has 1 to MaxNameLength bytes of UTF-8, all of them characters that print. Two
// names with one hash are an error, and so is the hash of the empty string.
func NewKeys(hashes map[string]string) (*Keys, error) {
	k := &Keys{names: make(map[digest]string, len(hashes))}
	// Sorted, so that the same mistakes always give the same error.
	for _, name := range slices.Sorted(maps.Keys(hashes)) {
		if err := k.add(name, []byte(hashes[name])); err != nil {
			return nil, fmt.Errorf("key %s: %w", label(name), err)
		}
	}
	return k, nil
}

// add returns errors that show names only if name and hash are what they should be:
// otherwise they may have been mixed up.
func (k *Keys) add(name string, hash []byte) error {
	sum, err := parseHash(hash)
	if err != nil {
		return err
	}
	if err := checkName(name); err != nil {
		return err
	}
	return k.put(name, sum)
}

// put adds a key that is not there yet.
func (k *Keys) put(name string, sum digest) error {
	switch other, taken := k.names[sum]; {
	case taken && other == name:
		return fmt.Errorf("this key of %q is there twice", name)
	case taken:
		return fmt.Errorf("%q and %q have the same hash: a key belongs to one name", other, name)
	}
	k.names[sum] = name
	return nil
}

var errHash = fmt.Errorf("the hash is not %s and %d hexadecimal digits", hashPrefix, hex.EncodedLen(sha256.Size))

// parseHash returns errors with fixed texts: what is no hash may be the key itself.
func parseHash(text []byte) (sum digest, err error) {
	digits, ok := bytes.CutPrefix(text, []byte(hashPrefix))
	if !ok || len(digits) != hex.EncodedLen(len(sum)) {
		return sum, errHash
	}
	if _, err := hex.Decode(sum[:], digits); err != nil {
		return sum, errHash
	}
	if sum == noKey {
		return sum, errors.New("this is the hash of nothing: the key that was hashed is empty")
	}
	return sum, nil
}

// checkName returns errors with fixed texts.
func checkName(name string) error {
	switch {
	case name == "":
		return errors.New("the name is empty")
	case len(name) > MaxNameLength:
		return fmt.Errorf("the name is longer than %d bytes", MaxNameLength)
	case strings.HasPrefix(name, hashPrefix):
		return errors.New("the name is a hash")
	case !utf8.ValidString(name) || strings.ContainsFunc(name, func(r rune) bool { return !unicode.IsGraphic(r) }):
		// Names that look alike and are not are no help to anyone: control characters, byte
		// order marks, changes of direction.
		return errors.New("the name has characters that do not print")
	}
	return nil
}

// label shows enough of a name to find it. What stands in its place may be a hash.
func label(name string) string {
	const enough = 40
	if len(name) > enough {
		return fmt.Sprintf("%q…", name[:enough])
	}
	return fmt.Sprintf("%q", name)
}

// Lookup returns the name of a key, exactly as it was presented. The empty string is never
// a key, nor is what is longer than MaxKeyLength.
func (k *Keys) Lookup(key string) (name string, ok bool) {
	if k == nil || len(key) > MaxKeyLength {
		return "", false
	}
	var buf [MaxKeyLength]byte // on the stack, where the conversion of a string is not
	name, ok = k.names[sha256.Sum256(buf[:copy(buf[:], key)])]
	return name, ok
}

// Len returns how many keys there are.
func (k *Keys) Len() int {
	if k == nil {
		return 0
	}
	return len(k.names)
}

// Format implements fmt.Formatter for every verb.
func (k *Keys) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, k.String()) }

// String says how many keys there are.
func (k *Keys) String() string { return fmt.Sprintf("%d API keys", k.Len()) }
