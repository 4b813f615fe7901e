package caddymodule_test

import (
	"io"
	"net/http"
	"os"
	"path/filepath"
	"testing"

	"example.com/caddy-token-auth/token/apikey"
)

// An API key that is taken out of its file takes with it what it has opened.
func TestRemovedAPIKeyEndsItsStreams(t *testing.T) {
	const key, other = "the-key-of-a-partner-0123456789", "the-key-of-another-0123456789"
	file := filepath.Join(t.TempDir(), "keys")
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	rest := "other " + apikey.Hash(other) + "\n"
	write("partner " + apikey.Hash(key) + "\n" + rest)
	s, _ := startLive(t, "api_key X-API-Key {\nfile "+file+"\n}")
	open := func(key string) io.Reader {
		t.Helper()
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.url("/events"), http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("X-API-Key", key)
		resp, err := s.client.Do(r)
		if err != nil || resp.StatusCode != http.StatusOK {
			t.Fatal(resp, err)
		}
		t.Cleanup(func() { _ = resp.Body.Close() })
		return resp.Body
	}
	removed := open(key)
	open(other)
	s.wantWatched(2)
	write(rest)
	wantBroken(t, removed)
	s.wantWatched(1)
}
