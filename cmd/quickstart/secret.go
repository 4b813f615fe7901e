package main

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"example.com/caddy-token-auth/internal/exampleapi"
)

// secretFile is the name of the file, in the data directory, that keeps the secret.
const secretFile = "jwt_secret"

// jwtSecret returns the environment's JWT_SECRET or else the one that the data
// directory keeps, which is made if there is none. Errors do not contain it.
func jwtSecret(dir string, getenv func(string) string) (string, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", err
	}
	if secret := getenv("JWT_SECRET"); secret != "" {
		if len(secret) < exampleapi.MinSecretBytes {
			return "", fmt.Errorf("JWT_SECRET in the environment has %d bytes, at least %d are needed", len(secret), exampleapi.MinSecretBytes)
		}
		return secret, nil
	}

	path := filepath.Join(dir, secretFile)
	content, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return makeSecret(path)
	}
	if err != nil {
		return "", err
	}
	secret := strings.TrimSpace(string(content))
	if len(secret) < exampleapi.MinSecretBytes {
		return "", fmt.Errorf("%s is damaged or has fewer than %d bytes: delete it to have a new one made", path, exampleapi.MinSecretBytes)
	}
	return secret, nil
}

// makeSecret writes a new random secret to a file that must not exist yet.
func makeSecret(path string) (string, error) {
	var random [exampleapi.MinSecretBytes]byte
	_, _ = rand.Read(random[:]) // never fails
	secret := hex.EncodeToString(random[:])

	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return "", err
	}
	_, err = f.WriteString(secret + "\n")
	if err := errors.Join(err, f.Close()); err != nil {
		return "", err
	}
	return secret, nil
}
