package apikey

import (
	"bytes"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"
)

var (
	noon   = time.Date(2026, time.May, 7, 12, 0, 0, 123456789, time.UTC)
	secret = bytes.Repeat([]byte("s"), MinSecretLength)
	other  = bytes.Repeat([]byte("o"), MinSecretLength)
)

// raceDetector says that a sync.Pool forgets at random, so that allocations cannot be
// counted.
var raceDetector bool

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func write(t *testing.T, path, content string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

// line is a line of a file of keys.
func line(name, key string) string { return name + " " + Hash(key) + "\n" }

// hides fails if v shows one of the secrets, however it is printed.
func hides(t *testing.T, v any, secrets ...string) {
	t.Helper()
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
		shown := fmt.Sprintf(verb, v)
		for _, secret := range secrets {
			if strings.Contains(shown, secret) || strings.Contains(shown, fmt.Sprintf("%x", secret)) {
				t.Errorf("%T shows a secret with %s", v, verb)
			}
		}
	}
}
