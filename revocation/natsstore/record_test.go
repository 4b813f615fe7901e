package natsstore

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"example.com/caddy-token-auth/revocation"
)

func sampleRecords() []record {
	long := strings.Repeat("\xff\x00", 127) + "x"
	return []record{
		{entry: revocation.Entry{Scope: revocation.ScopeToken, Realm: "https://id.example.com", ID: "a", At: time.Unix(1_800_000_000, 123_456_789), Expires: time.Unix(1_800_003_600, 0)}},
		{entry: revocation.Entry{Scope: revocation.ScopeClient, ID: long, At: time.Unix(0, 1), Expires: revocation.Forever}, removal: 127},
		{entry: revocation.Entry{Scope: revocation.ScopeKnown, ID: "b", At: time.Unix(2, 0), Expires: time.Unix(3, 0), Note: "\x00"}, removal: 128},
		{entry: revocation.Entry{Scope: revocation.ScopeKnown, Realm: long, ID: long, At: time.Unix(2, 0), Expires: time.Unix(3, 0), Note: strings.Repeat("n", revocation.MaxNoteLength)}, removal: 1<<64 - 1},
		{entry: revocation.Entry{Scope: revocation.ScopeRetention, Realm: long, At: time.Unix(1, 0), Expires: time.Unix(1, 1)}},
	}
}

func TestRecordRoundTrip(t *testing.T) {
	for _, want := range sampleRecords() {
		b := want.encode()
		if len(b) > maxRecordSize {
			t.Fatalf("a record of %d bytes", len(b))
		}
		got, err := decodeRecord(b)
		if err != nil {
			t.Fatal(err)
		}
		late := got.entry.Expires.Sub(want.entry.Expires)
		if got.entry.Key() != want.entry.Key() || got.entry.ID != want.entry.ID || got.entry.Note != want.entry.Note ||
			!got.entry.At.Equal(want.entry.At) || late < 0 || late >= time.Second || got.removal != want.removal {
			t.Fatalf("decoded %+v, want %+v", got, want)
		}
		if again := got.encode(); !bytes.Equal(again, b) {
			t.Fatalf("encoded anew: %x, want %x", again, b)
		}
	}
}

func TestRecordRefusesWhatIsNoRecord(t *testing.T) {
	valid := sampleRecords()[0].encode()
	change := func(at int, to byte) []byte {
		b := bytes.Clone(valid)
		b[at] = to
		return b
	}
	for name, b := range map[string][]byte{
		"nothing":             nil,
		"cut in the realm":    valid[:20],
		"cut in the id":       valid[:len(valid)-1],
		"too long":            append(bytes.Clone(valid), make([]byte, maxRecordSize)...),
		"version 0":           change(0, 0),
		"version 2":           change(0, 2),
		"no scope":            change(1, 0),
		"unknown scope":       change(1, 99),
		"time before 1970":    change(2, 0xff),
		"endless number":      append(bytes.Clone(valid[:recordRemoval]), bytes.Repeat([]byte{0xff}, 30)...),
		"number with padding": append(append(bytes.Clone(valid[:recordRemoval]), 0x80, 0), valid[recordRemoval+1:]...),
	} {
		if got, err := decodeRecord(b); err == nil {
			t.Errorf("%s: decoded %+v", name, got)
		}
	}
}

func FuzzDecodeRecord(f *testing.F) {
	for _, r := range sampleRecords() {
		f.Add(r.encode())
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := decodeRecord(b)
		if err != nil {
			return
		}
		if err := r.entry.Validate(); err != nil {
			t.Fatalf("decoded %+v: %v", r, err)
		}
		if again := r.encode(); !bytes.Equal(again, b) {
			t.Fatalf("%x decodes to what encodes as %x", b, again)
		}
	})
}

// FuzzDecodeMessage is for what a server says.
func FuzzDecodeMessage(f *testing.F) {
	f.Add([]byte(`{"message":{"subject":"$KV.b.0","seq":7,"hdrs":"TkFUUy8xLjANCktWLU9wZXJhdGlvbjogREVMDQoNCg==","time":"2026-01-01T00:00:00Z"}}`))
	f.Add([]byte(`{"message":{"seq":1,"data":"AQID"}}`))
	f.Add([]byte(`{"error":{"code":404,"err_code":10037,"description":"no message found"}}`))
	f.Add([]byte(`{"message":{"hdrs":"AAAA"}}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		msg, err := decodeMessage(b)
		if err != nil || msg == nil {
			return
		}
		if v, err := decodeVersion(token(1).Key(), msg.Sequence, msg.Header, msg.Data); err == nil && v.stored && v.entry.Validate() != nil {
			t.Fatalf("decoded %+v", v)
		}
	})
}

func TestSubjectsOfKeys(t *testing.T) {
	l := newLayout("b")
	key := token(1).Key()
	if got, ok := l.key(l.entry(key)); !ok || got != key {
		t.Fatalf("%s stands for %x, %t, want %x", l.entry(key), got, ok, key)
	}
	for _, subject := range []string{
		"", l.prefix, l.barrier(), strings.ToUpper(l.entry(key)), l.entry(key) + "0", l.entry(key) + ".0", "$KV.c." + l.entry(key)[len(l.prefix):],
		l.prefix + strings.Repeat("A", 32), l.prefix + strings.Repeat(" ", 32),
	} {
		if got, ok := l.key(subject); ok {
			t.Errorf("%q stands for %x", subject, got)
		}
	}
}
