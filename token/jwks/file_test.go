package jwks

import (
	"os"
	"path/filepath"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"example.com/caddy-token-auth/token"
)

func write(t *testing.T, path, doc string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(doc), 0o600); err != nil {
		t.Fatal(err)
	}
}

func watch(t *testing.T, path string, events *recorder) *Source {
	t.Helper()
	s, err := FromFile(path, Options{OnEvent: events.record})
	if err != nil {
		t.Fatal(err)
	}
	closeAtEnd(t, s)
	return s
}

// settle lets the file be looked at, twice: the clock of the bubble stands still while a
// file is read.
func settle() {
	time.Sleep(2 * fileInterval)
	synctest.Wait()
}

func TestAFileIsReadAgainWhenItChanges(t *testing.T) {
	path := filepath.Join(t.TempDir(), "keys.json")
	synctest.Test(t, func(t *testing.T) {
		first, next := newSigner("first"), newSigner("next")
		var events recorder
		s := watch(t, path, &events)
		v := verifier(t, token.Source{Keys: s})
		cached := first.token(issuerA)
		expect(t, v, "no file", cached, token.ErrKeysUnavailable)
		settle()
		if s.Status().Err == nil {
			t.Error("no error for a file that is not there")
		}

		write(t, path, published(first))
		settle()
		expect(t, v, "first", cached, nil)
		settle()
		if got := events.take(); !slices.Equal(got, []string{"failed, 0 keys, next 1s", "1 keys +1 -0, next 1s"}) {
			t.Errorf("events %q", got)
		}

		write(t, path, "{")
		settle()
		settle()
		expect(t, v, "bad file, cached", cached, nil)
		expect(t, v, "bad file, new", first.token(issuerA), nil)
		if got := events.take(); !slices.Equal(got, []string{"failed, 1 keys, next 1s"}) {
			t.Errorf("events %q", got)
		}

		// Replaced as a whole, as deployments do.
		write(t, path+".new", published(next))
		if err := os.Rename(path+".new", path); err != nil {
			t.Fatal(err)
		}
		settle()
		expect(t, v, "the new key", next.token(issuerA), nil)
		expect(t, v, "the old key, cached", cached, token.ErrUnknownKey)

		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
		settle()
		expect(t, v, "no file any more", next.token(issuerA), nil)
		time.Sleep(2 * DefaultMaxStale)
		synctest.Wait()
		expect(t, v, "no file for two days", next.token(issuerA), nil)
		if got := events.take(); slices.Contains(got, "expired") {
			t.Errorf("events %q", got)
		}
	})
}

// Nobody has to wait for the next look.
func TestAnUnknownKeyHasTheFileReadAtOnce(t *testing.T) {
	path := filepath.Join(t.TempDir(), "keys.json")
	first, next := newSigner("first"), newSigner("next")
	write(t, path, published(first))
	synctest.Test(t, func(t *testing.T) {
		v := verifier(t, token.Source{Keys: watch(t, path, new(recorder))})
		expect(t, v, "at the start", first.token(issuerA), nil)
		write(t, path, published(first, next))
		expect(t, v, "the new key", next.token(issuerA), nil)
	})
}

func TestOnlyRegularFilesAreRead(t *testing.T) {
	for _, path := range []string{t.TempDir(), "/dev/zero"} {
		synctest.Test(t, func(t *testing.T) {
			s := watch(t, path, new(recorder))
			settle()
			if s.Status().Err == nil {
				t.Errorf("%s was read", path)
			}
		})
	}
	large := filepath.Join(t.TempDir(), "large.json")
	write(t, large, published(newSigner("1")))
	if err := os.Truncate(large, maxSize+1); err != nil {
		t.Fatal(err)
	}
	synctest.Test(t, func(t *testing.T) {
		s := watch(t, large, new(recorder))
		settle()
		if s.Status().Err == nil {
			t.Error("a file that is too large was read")
		}
	})
}
