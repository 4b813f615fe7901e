package caddymodule

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"example.com/caddy-token-auth/internal/durable"
)

// digestKeyName is the file in the store's directory that has the key of digests: 64
// hexadecimal digits, which are the key as they are, and a line break. So the file can
// be named as digest_key {file.<name>} when the list moves to another store.
const (
	digestKeyName = "digest.key"
	digestKeySize = 32
)

// readDigestKey returns the key in dir, and makes one if there is none. The caller holds
// the lock of the store in dir.
func readDigestKey(dir string) ([]byte, error) {
	name := filepath.Join(dir, digestKeyName)
	text, err := os.ReadFile(name)
	if errors.Is(err, fs.ErrNotExist) {
		return createDigestKey(name)
	}
	if err != nil {
		return nil, err
	}
	key := strings.TrimSpace(string(text))
	if raw, err := hex.DecodeString(key); err != nil || len(raw) != digestKeySize {
		// Another one in its place would forget every logout that was recorded with it.
		return nil, fmt.Errorf("%s: want %d hexadecimal digits", name, 2*digestKeySize)
	}
	return []byte(key), nil
}

// createDigestKey writes a new key. It is on disk, whole, or not there at all.
func createDigestKey(name string) ([]byte, error) {
	raw := make([]byte, digestKeySize)
	_, _ = rand.Read(raw) // never fails
	key := hex.EncodeToString(raw)
	err := durable.WriteFile(name, func(w io.Writer) error {
		_, err := io.WriteString(w, key+"\n")
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("write a new key of digests: %w", err)
	}
	return []byte(key), nil
}
