package localstore

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"example.com/caddy-token-auth/revocation"
)

func sampleEntries() []revocation.Entry {
	long := strings.Repeat("\xff\x00", 127) + "x"
	return []revocation.Entry{
		{Scope: revocation.ScopeToken, Realm: "https://id.example.com", ID: "a", At: time.Unix(1_800_000_000, 123_456_789), Expires: time.Unix(1_800_003_600, 0)},
		{Scope: revocation.ScopeClient, Realm: "", ID: long, At: time.Unix(0, 1), Expires: revocation.Forever},
		{Scope: revocation.ScopeKnown, Realm: "", ID: "b", At: time.Unix(2, 0), Expires: time.Unix(3, 0), Note: "\x00"},
		{Scope: revocation.ScopeKnown, Realm: long, ID: long, At: time.Unix(2, 0), Expires: time.Unix(3, 0), Note: strings.Repeat("n", revocation.MaxNoteLength)},
		{Scope: revocation.ScopeRetention, Realm: long, ID: "", At: time.Unix(1, 0), Expires: time.Unix(1, 1)},
	}
}

func TestRecordRoundTrip(t *testing.T) {
	for _, want := range sampleEntries() {
		b := encodeRecord(want)
		got, err := decodeRecord(b)
		if err != nil {
			t.Fatal(err)
		}
		late := got.Expires.Sub(want.Expires)
		if got.Key() != want.Key() || got.ID != want.ID || got.Note != want.Note || !got.At.Equal(want.At) || late < 0 || late >= time.Second {
			t.Fatalf("decoded %+v, want %+v", got, want)
		}
		if again := encodeRecord(got); !bytes.Equal(again, b) {
			t.Fatalf("encoded anew: %x, want %x", again, b)
		}
	}
}

func TestRecordRefusesEveryChangedByte(t *testing.T) {
	for _, e := range sampleEntries() {
		b := encodeRecord(e)
		for i := range b {
			for _, flip := range []byte{1, 0x80, 0xff} {
				c := bytes.Clone(b)
				c[i] ^= flip
				if got, err := decodeRecord(c); err == nil {
					t.Fatalf("byte %d changed: decoded %+v", i, got)
				}
			}
		}
		for n := range b {
			if _, err := decodeRecord(b[:n]); err == nil {
				t.Fatalf("decoded the first %d bytes of %d", n, len(b))
			}
		}
		if _, err := decodeRecord(append(bytes.Clone(b), 0)); err == nil {
			t.Fatal("decoded with a byte too many")
		}
	}
}

func FuzzDecodeRecord(f *testing.F) {
	for _, e := range sampleEntries() {
		f.Add(encodeRecord(e))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		for _, b := range [][]byte{b, sealed(b)} {
			e, err := decodeRecord(b)
			if err != nil {
				continue
			}
			if err := e.Validate(); err != nil {
				t.Fatalf("decoded %+v: %v", e, err)
			}
			if again := encodeRecord(e); !bytes.Equal(again, b) {
				t.Fatalf("%x decodes to what encodes as %x", b, again)
			}
		}
	})
}

// sealed returns b with a valid version and checksum, so that fuzzing gets past them.
func sealed(b []byte) []byte {
	b = bytes.Clone(b)
	if len(b) < recordFixedSize {
		return b
	}
	if b[0] != recordVersionNote {
		b[0] = recordVersion
	}
	return appendChecksum(b[:len(b)-4])
}
