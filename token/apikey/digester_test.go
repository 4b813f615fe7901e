package apikey

import (
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"strings"
	"sync"
	"testing"
)

func TestADigestIsAKeyedHash(t *testing.T) {
	d := must(NewDigester(secret))
	subkey := must(hkdf.Key(sha256.New, secret, nil, digestLabel, 32))
	seen := make(map[string]bool)
	for _, key := range []string{"key-a", "", "key-b", strings.Repeat("k", 256), strings.Repeat("k", 257), strings.Repeat("k", 100_000)} {
		h := hmac.New(sha256.New, subkey)
		h.Write([]byte(key))
		want := base64.RawURLEncoding.EncodeToString(h.Sum(nil)[:18])
		// Twice: the state is used again.
		for range 2 {
			if got := d.Digest(key); got != want || len(got) != 24 {
				t.Errorf("key of %d bytes: %s, want %s", len(key), got, want)
			}
		}
		if seen[want] {
			t.Error("two keys with one name")
		}
		seen[want] = true
	}
}

// Whoever learns the digests with one secret learns nothing about those with another.
func TestDigestsDependOnTheSecret(t *testing.T) {
	if must(NewDigester(secret)).Digest("key-a") == must(NewDigester(other)).Digest("key-a") {
		t.Error("the same")
	}
}

// A digest is shown to others. It must not be the MAC of a session, even for a key that
// is made up to be what a session's MAC is computed of.
func TestEachUseOfTheSecretHasAKeyOfItsOwn(t *testing.T) {
	if must(newMAC(secret, digestLabel)).sum(nil, "x") == must(newMAC(secret, sessionLabel)).sum(nil, "x") {
		t.Error("the same")
	}
}

func TestTheSecretIsCopied(t *testing.T) {
	changed := append([]byte(nil), secret...)
	d := must(NewDigester(changed))
	clear(changed)
	if d.Digest("key-a") != must(NewDigester(secret)).Digest("key-a") {
		t.Error("it changes with the caller's")
	}
}

func TestDigestersDoNotPrint(t *testing.T) {
	d := must(NewDigester(secret))
	subkey := string(must(hkdf.Key(sha256.New, secret, nil, digestLabel, 32)))
	hides(t, d, string(secret), subkey)
	hides(t, *d, string(secret), subkey)
	hides(t, struct{ d *Digester }{d}, string(secret), subkey)
}

func TestDigestAllocatesItsResultOnly(t *testing.T) {
	if raceDetector {
		t.Skip("the race detector is on")
	}
	d := must(NewDigester(secret))
	key := strings.Repeat("k", 1000)
	if n := testing.AllocsPerRun(1000, func() { d.Digest(key) }); n > 1 {
		t.Errorf("%v allocations", n)
	}
}

func TestDigestIsSafeForConcurrentUse(t *testing.T) {
	d := must(NewDigester(secret))
	var all sync.WaitGroup
	for _, key := range []string{"key-a", "key-b", "key-c"} {
		want := d.Digest(key)
		all.Go(func() {
			for range 500 {
				if d.Digest(key) != want {
					t.Error("another digest")
					return
				}
			}
		})
	}
	all.Wait()
}
