package redisstore

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"example.com/caddy-token-auth/revocation"
)

// someEntry returns an entry out of few that collide often, with the bytes that
// encodings get wrong.
func someEntry(r *rand.Rand, id string) revocation.Entry {
	texts := []string{"", "\x00", "\x00\x00", "\x00\xff", "\x00\x01", "\x01", "\xff", "a", "A", "b", "ab", "a\x00", "a\x00b", "a\xff", "ä", "_", "-"}
	base := time.Unix(1_800_000_000, 0).UTC()
	e := revocation.Entry{
		Scope: revocation.ScopeKnown, Realm: "r", ID: id,
		At:      base.Add([]time.Duration{0, 1, 255, 256, time.Second, 1 << 40}[r.IntN(6)]),
		Expires: base.Add([]time.Duration{0, time.Second, 256 * time.Second, 1_000_000 * time.Second}[r.IntN(4)]),
		Note:    texts[r.IntN(len(texts))],
	}
	if id == "" {
		e.Scope, e.Realm, e.ID = revocation.ScopeRetention, "", texts[r.IntN(len(texts))]
	}
	return e
}

func TestRecordsKeepEntries(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for n := range 5000 {
		want := someEntry(r, []string{"", "x", "\x00y\x00\x00"}[n%3])
		want.Expires = want.Expires.Add(time.Duration(n % 2))
		got, err := decodeRecord(string(encodeRecord(want)))
		if err != nil {
			t.Fatalf("%+v: %v", want, err)
		}
		if late := got.Expires.Sub(want.Expires); late < 0 || late >= time.Second {
			t.Fatalf("%+v expires %s late", want, late)
		}
		got.Expires = want.Expires
		if got != want {
			t.Fatalf("got %+v, want %+v", got, want)
		}
	}
}

// Of two records, the one with the greater rank is the one that Merge takes. The script
// relies on it.
func TestRanksAreOrderedAsMergeIs(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	for n := range 20_000 {
		id := []string{"", "x"}[n%2]
		a, b := someEntry(r, id), someEntry(r, id)
		wantA := revocation.Merge(a, b)
		greater := a
		if bytes.Compare(encodeRecord(b)[rankOffset:], encodeRecord(a)[rankOffset:]) > 0 {
			greater = b
		}
		if !greater.At.Equal(wantA.At) || greater.ID != wantA.ID || greater.Note != wantA.Note {
			t.Fatalf("of %+v and %+v, the rank takes %+v", a, b, greater)
		}
	}
}

// The script itself, on a server, in any order.
func TestServerMergesLikeMerge(t *testing.T) {
	_, o := sharedServer(t)
	o.Now = func() time.Time { return time.Unix(1_700_000_000, 0) }
	s := open(t, o)
	r := rand.New(rand.NewPCG(5, 6))
	want := make(map[revocation.Key]revocation.Entry)
	var entries []revocation.Entry
	for n := range 3000 {
		id := ""
		if n%4 > 0 {
			id = fmt.Sprintf("%d", r.IntN(300))
		}
		e := someEntry(r, id)
		entries = append(entries, e)
		if old, ok := want[e.Key()]; ok {
			e = revocation.Merge(old, e)
		}
		want[e.Key()] = e
	}
	mustRevoke(t, s, entries...)
	keys := make([]revocation.Key, 0, len(want))
	for key := range want {
		keys = append(keys, key)
	}
	found, err := s.Lookup(t.Context(), keys...)
	if err != nil {
		t.Fatal(err)
	}
	for i, key := range keys {
		if found[i] != want[key] {
			t.Errorf("stored is %+v, want %+v", found[i], want[key])
		}
	}
}

func TestDamagedRecordsAreErrors(t *testing.T) {
	server, o := sharedServer(t)
	s := open(t, o)
	e, other := token(1), token(2)
	mustRevoke(t, s, e)
	good := string(encodeRecord(e))
	name := s.layout.entry(e.Key())
	for what, record := range map[string]string{
		"empty":         "",
		"cut off":       good[:len(good)-len(e.Realm)-1],
		"of the future": "\x02" + good[1:],
		"of another":    string(encodeRecord(other)),
		"not ours":      strings.Repeat("x", 100),
	} {
		server.call("SET", name, record)
		if _, err := s.Lookup(t.Context(), e.Key()); !errors.Is(err, errDamaged) {
			t.Errorf("%s: Lookup gave %v", what, err)
		}
		if err := s.Scan(t.Context(), func(revocation.Entry) error { return nil }); !errors.Is(err, errDamaged) {
			t.Errorf("%s: Scan gave %v", what, err)
		}
	}
	server.call("SET", name, "\x02"+good[1:])
	if err := s.Revoke(t.Context(), e); err == nil || !strings.Contains(err.Error(), "another version") {
		t.Errorf("Revoke of a record of another version gave %v", err)
	}
}

func FuzzDecodeRecord(f *testing.F) {
	r := rand.New(rand.NewPCG(7, 8))
	for _, id := range []string{"", "x", "\x00"} {
		f.Add(string(encodeRecord(someEntry(r, id))))
	}
	f.Fuzz(func(t *testing.T, record string) {
		e, err := decodeRecord(record)
		if err != nil {
			return
		}
		if err := e.Validate(); err != nil {
			t.Fatalf("invalid entry %+v: %v", e, err)
		}
		if again := string(encodeRecord(e)); again != record {
			t.Fatalf("%q is another record of %q", record, again)
		}
	})
}

func TestNamesOfEntries(t *testing.T) {
	for _, prefix := range []string{"", "p:", "a*[b]?\\", "ends{not"} {
		if err := checkPrefix(prefix); (err != nil) != strings.Contains(prefix, "{") {
			t.Errorf("prefix %q: %v", prefix, err)
		}
		l := newLayout(prefix)
		for n := range 100 {
			key := token(n).Key()
			if got, ok := l.parse(l.entry(key)); !ok || got != key {
				t.Errorf("%q is not the name of %v", l.entry(key), key)
			}
		}
		for p := range partitions {
			for _, name := range []string{"", l.feeds[p], l.probe(p), l.heads[p], "x" + l.entry(token(p).Key()), l.entry(token(p).Key()) + "A"} {
				if key, ok := l.parse(name); ok {
					t.Errorf("%q is taken for the name of %v", name, key)
				}
			}
		}
	}
}

// A cluster whose nodes have equal ranges of slots gets equal shares of the list.
func TestPartitionsAreSpreadOverTheSlots(t *testing.T) {
	for p, slot := range slots {
		if slot/1024 != int64(p) {
			t.Errorf("slot %d of partition %d is not in its sixteenth", slot, p)
		}
	}
	var count [partitions]int
	for n := range 16_000 {
		count[partitionOf(token(n).Key())]++
	}
	for p, n := range count {
		if n < 800 || n > 1200 {
			t.Errorf("%d of 16000 entries in partition %d", n, p)
		}
	}
}
