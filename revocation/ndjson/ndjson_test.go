package ndjson_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"example.com/caddy-token-auth/revocation"
	"example.com/caddy-token-auth/revocation/memstore"
	"example.com/caddy-token-auth/revocation/ndjson"
)

func entries(n int) []revocation.Entry {
	now := time.Now().UTC()
	all := make([]revocation.Entry, n)
	for i := range all {
		all[i] = revocation.Entry{
			Scope: revocation.Scope(1 + i%6), Realm: "https://id.example.com", ID: fmt.Sprintf("id-%d", i),
			At: now.Add(time.Duration(i)), Expires: now.Add(time.Hour).Truncate(time.Second),
		}
		switch i % 10 {
		case 7:
			all[i].ID, all[i].Realm = fmt.Sprintf("\xff\x00\r\n%d", i), "\xfe"
		case 8:
			all[i].Note = "\x00\xff" + strings.Repeat("n", 500)
		case 9:
			all[i].Realm = ""
		}
		if all[i].Scope == revocation.ScopeRetention {
			all[i].Scope = revocation.ScopeToken
		}
	}
	all[0].Scope, all[0].ID = revocation.ScopeRetention, "168h0m0s 0s 0"
	return all
}

func filled(t *testing.T, all []revocation.Entry) *memstore.Store {
	t.Helper()
	store := memstore.New()
	if err := store.Revoke(t.Context(), all...); err != nil {
		t.Fatal(err)
	}
	return store
}

func export(t *testing.T, store revocation.Store) []byte {
	t.Helper()
	var b bytes.Buffer
	if _, err := ndjson.Export(t.Context(), store, &b, nil); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// wantAll asserts that store has these entries.
func wantAll(t *testing.T, store revocation.Store, all []revocation.Entry) {
	t.Helper()
	for _, e := range all {
		found, err := store.Lookup(t.Context(), e.Key())
		if err != nil {
			t.Fatal(err)
		}
		if got := found[0]; got.ID != e.ID || got.Realm != e.Realm || got.Note != e.Note || !got.At.Equal(e.At) || !got.Expires.Equal(e.Expires) {
			t.Fatalf("got %+v, want %+v", got, e)
		}
	}
}

func TestEveryEntryMoves(t *testing.T) {
	for _, n := range []int{1, 999, 1000, 2345} {
		all := entries(n)
		from, to := filled(t, all), memstore.New()
		var progress []int
		got, err := ndjson.Import(t.Context(), to, bytes.NewReader(export(t, from)), 0, func(n int) { progress = append(progress, n) })
		if err != nil || got != n {
			t.Fatalf("%d of %d entries: %v", got, n, err)
		}
		wantAll(t, to, all)
		if progress[len(progress)-1] != n {
			t.Errorf("progress %v", progress)
		}
	}
}

func TestImportTakesNothingAway(t *testing.T) {
	all := entries(100)
	text := export(t, filled(t, all))
	newer := all[3]
	newer.At, newer.Expires = newer.At.Add(time.Minute), newer.Expires.Add(time.Hour)
	to := filled(t, []revocation.Entry{newer})
	for range 2 {
		if _, err := ndjson.Import(t.Context(), to, bytes.NewReader(text), 0, nil); err != nil {
			t.Fatal(err)
		}
	}
	all[3] = newer
	wantAll(t, to, all)
}

// failingStore fails from the given number of Revoke calls on.
type failingStore struct {
	*memstore.Store
	good int
}

var errFull = errors.New("full")

func (s *failingStore) Revoke(ctx context.Context, entries ...revocation.Entry) error {
	if s.good--; s.good < 0 {
		return errFull
	}
	return s.Store.Revoke(ctx, entries...)
}

func TestImportGoesOnWhereItFailed(t *testing.T) {
	all := entries(3500)
	text := export(t, filled(t, all))
	to := memstore.New()
	n, err := ndjson.Import(t.Context(), &failingStore{to, 2}, bytes.NewReader(text), 0, nil)
	if !errors.Is(err, errFull) || n != 2000 {
		t.Fatalf("%d entries, %v", n, err)
	}
	if n, err = ndjson.Import(t.Context(), to, bytes.NewReader(text), n, nil); err != nil || n != len(all) {
		t.Fatalf("%d entries, %v", n, err)
	}
	wantAll(t, to, all)
}

func TestBadInputIsNamedByItsLine(t *testing.T) {
	text := string(export(t, filled(t, entries(5))))
	lines := strings.SplitAfter(text, "\n")
	for what, c := range map[string]struct {
		text string
		want error
		says string
	}{
		"empty":            {"", ndjson.ErrIncomplete, ""},
		"cut off":          {strings.Join(lines[:5], ""), ndjson.ErrIncomplete, ""},
		"a line is gone":   {strings.Join(lines[1:], ""), ndjson.ErrIncomplete, "4 entries came"},
		"cut in a line":    {text[:len(lines[0])+5], ndjson.ErrLine, "line 2"},
		"no JSON":          {"secret\n" + text, ndjson.ErrLine, "line 1"},
		"unknown member":   {lines[0] + `{"scope":"token","id":"x","colour":"red"}` + "\n", ndjson.ErrLine, "line 2"},
		"unknown scope":    {`{"scope":"planet","id":"x","at":"2026-01-01T00:00:00Z","expires":"2026-01-02T00:00:00Z"}` + "\n", ndjson.ErrLine, "line 1"},
		"no times":         {`{"scope":"token","id":"x"}` + "\n", ndjson.ErrLine, "line 1"},
		"two in a line":    {strings.Replace(text, "\n", " ", 1), ndjson.ErrLine, "line 1"},
		"more at the end":  {text + lines[0], ndjson.ErrLine, "line 7"},
		"an oversize line": {`{"id":"` + strings.Repeat("x", 1<<20) + `"}`, nil, "line 1"},
	} {
		_, err := ndjson.Import(t.Context(), memstore.New(), strings.NewReader(c.text), 0, nil)
		if err == nil || c.want != nil && !errors.Is(err, c.want) || !strings.Contains(err.Error(), c.says) || strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: %v", what, err)
		}
	}
}

func FuzzImport(f *testing.F) {
	f.Add([]byte(`{"scope":"token","realm":"r","id":"x","at":"2026-01-01T00:00:00Z","expires":"2100-01-02T00:00:00Z","note":"AA=="}` + "\n" + `{"entries":1}`))
	f.Add([]byte(`{"scope":"client","id_base64":"/w==","at":"2026-01-01T00:00:00.5Z","expires":"2100-01-02T00:00:00Z"}` + "\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		store := memstore.New()
		n, err := ndjson.Import(t.Context(), store, bytes.NewReader(text), 0, nil)
		if err != nil {
			return
		}
		again := memstore.New()
		m, err := ndjson.Import(t.Context(), again, bytes.NewReader(export(t, store)), 0, nil)
		if err != nil || m > n {
			t.Fatalf("%d entries became %d (%v)", n, m, err)
		}
	})
}

func Example() {
	from, to := memstore.New(), memstore.New()
	now := time.Now()
	ctx := context.Background()
	_ = from.Revoke(ctx, revocation.Entry{Scope: revocation.ScopeClient, Realm: "api", ID: "42", At: now, Expires: now.Add(time.Hour)})

	var file bytes.Buffer
	exported, _ := ndjson.Export(ctx, from, &file, nil)
	imported, err := ndjson.Import(ctx, to, &file, 0, nil)
	fmt.Println(exported, imported, err)
	// Output: 1 1 <nil>
}
