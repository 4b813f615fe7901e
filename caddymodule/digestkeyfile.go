package caddymodule

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
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
		return createDigestKey(dir, name)
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
func createDigestKey(dir, name string) ([]byte, error) {
	raw := make([]byte, digestKeySize)
	_, _ = rand.Read(raw) // never fails
	key := hex.EncodeToString(raw)
	temp, err := os.CreateTemp(dir, digestKeyName+".*") // with mode 0600
	if err != nil {
		return nil, err
	}
	defer os.Remove(temp.Name())
	_, err = temp.WriteString(key + "\n")
	if err == nil {
		err = temp.Sync()
	}
	if closeErr := temp.Close(); err == nil {
		err = closeErr
	}
	if err == nil {
		err = os.Rename(temp.Name(), name)
	}
	if err == nil {
		err = syncDir(dir)
	}
	if err != nil {
		return nil, fmt.Errorf("write a new key of digests: %w", err)
	}
	return []byte(key), nil
}

// syncDir makes a new name in dir durable, where directories can be synced.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	if err := d.Sync(); err != nil && !errors.Is(err, errors.ErrUnsupported) && !errors.Is(err, fs.ErrInvalid) {
		return err
	}
	return nil
}
