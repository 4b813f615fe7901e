package storetest

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"example.com/caddy-token-auth/revocation"
)

func (s *suite) testRevokedEntryIsFound() {
	s.expectAbsent(s.token(1).Key())
	for _, scope := range []revocation.Scope{
		revocation.ScopeToken, revocation.ScopeSession, revocation.ScopeClient,
		revocation.ScopeIssued, revocation.ScopeRetention, revocation.ScopeKnown,
	} {
		e := s.entry(scope, "id")
		s.revoke(e)
		s.expect(e)
	}
	s.revoke() // no entries, no error
}

func (s *suite) testAbsentKey() {
	s.revoke(s.tokens(100)...)
	s.expectAbsent(s.token(100).Key())
	s.expectAbsent(revocation.Key{})
	if got := s.lookup(); len(got) != 0 {
		s.Fatalf("Lookup of no key gave %v", got)
	}
}

func (s *suite) testAlignment() {
	entries := s.tokens(20)
	var keys []revocation.Key
	for i, e := range entries {
		if i%3 != 0 {
			s.revoke(e)
		}
		keys = append(keys, e.Key())
	}
	keys = append(keys, keys...) // a key may be asked for twice
	for i := range keys {        // in no order that a store could have by itself
		j := i * 7 % len(keys)
		keys[i], keys[j] = keys[j], keys[i]
	}
	found := s.lookup(keys...)
	for i, key := range keys {
		for j, e := range entries {
			switch {
			case e.Key() != key:
			case j%3 == 0 && found[i] != (revocation.Entry{}):
				s.Fatalf("position %d gave %+v, want the zero Entry", i, found[i])
			case j%3 != 0 && !same(found[i], e):
				s.Fatalf("position %d gave %+v, want %+v", i, found[i], e)
			}
		}
	}
}

func (s *suite) testMerge() {
	base := s.entry(revocation.ScopeClient, "")
	variants := func(id string) []revocation.Entry {
		early, late, long := base, base, base
		late.At = base.At.Add(7 * time.Second)
		long.Expires = base.Expires.Add(time.Hour)
		list := []revocation.Entry{early, late, long}
		for i := range list {
			list[i].ID = id
		}
		return list
	}
	for n, order := range [][]int{{0, 1, 2}, {0, 2, 1}, {1, 0, 2}, {1, 2, 0}, {2, 0, 1}, {2, 1, 0}, {1, 1, 2, 2, 0, 0, 1}} {
		list := variants(fmt.Sprintf("client-%d", n))
		want := list[0]
		want.At, want.Expires = list[1].At, list[2].Expires
		for _, i := range order {
			s.revoke(list[i])
		}
		s.expect(want)
		s.revoke(want)
		s.expect(want)
	}
}

func (s *suite) testNote() {
	notes := []string{"", "a", "\x00\xff\r\n", everyByte, strings.Repeat("n", revocation.MaxNoteLength)}
	for i, note := range notes {
		early := s.entry(revocation.ScopeKnown, fmt.Sprintf("token-%d", i))
		early.Note = note
		late := early
		late.At, late.Note = early.At.Add(1), notes[(i+1)%len(notes)]
		s.revoke(early)
		s.expect(early)
		s.revoke(late)
		s.expect(late)
		s.revoke(early)
		s.expect(late)
	}
}

// testMergeTie writes entries that differ in their Note, or in the ID of the one entry
// whose Key does not depend on it, but not in At.
func (s *suite) testMergeTie() {
	for i, order := range [][]string{{"a", "b", "ab"}, {"b", "ab", "a"}, {"ab", "a", "b"}, {"b", "", "\x00"}} {
		e := s.entry(revocation.ScopeKnown, fmt.Sprintf("token-%d", i))
		for _, e.Note = range order {
			s.revoke(e)
		}
		e.Note = "b"
		s.expect(e)
	}
	e := s.entry(revocation.ScopeRetention, "")
	for _, e.ID = range []string{"1h", "2h", "", "10h"} {
		s.revoke(e)
	}
	e.ID = "2h"
	s.expect(e)
}

func (s *suite) testRepeatedKey() {
	first := s.token(1)
	second, third := first, first
	second.At = first.At.Add(time.Minute)
	third.Expires = first.Expires.Add(time.Minute)
	s.revoke(second, third, first)
	want := second
	want.Expires = third.Expires
	s.expect(want)
}

func (s *suite) testPrecision() {
	e := s.token(1)
	e.At = e.At.Add(123_456_789)
	e.Expires = e.Expires.Add(1)
	s.revoke(e)
	s.expect(e)
	e.At = e.At.Add(1)
	s.revoke(e)
	s.expect(e)
	far := s.token(2)
	far.At, far.Expires = time.Unix(0, 1).UTC(), revocation.Forever
	s.revoke(far)
	s.expect(far)
	zone := s.token(3)
	zone.At = zone.At.In(time.FixedZone("", -3600))
	s.revoke(zone)
	s.expect(zone)
}

func (s *suite) testIdentifiers() {
	long := strings.Repeat("x", revocation.MaxIDLength)
	for _, id := range []string{"a", " ", "\x00", "\xff\xfe", "a b", "a:b", "a/b", "a.b", "*", ">", "{a}", "\r\n", "ä", everyByte, long} {
		for _, realm := range []string{"", "r", "a:b", everyByte, long} {
			e := s.entry(revocation.ScopeSession, id)
			e.Realm = realm
			s.revoke(e)
			s.expect(e)
		}
	}
	nameless := s.entry(revocation.ScopeRetention, "")
	nameless.Realm = ""
	s.revoke(nameless)
	s.expect(nameless)
}

func (s *suite) testSeparation() {
	e := s.entry(revocation.ScopeSession, "id")
	s.revoke(e)
	for _, other := range []revocation.Entry{
		{Scope: revocation.ScopeClient, Realm: e.Realm, ID: e.ID},
		{Scope: e.Scope, Realm: "", ID: e.ID},
		{Scope: e.Scope, Realm: e.Realm + "i", ID: "d"},
		{Scope: e.Scope, Realm: e.Realm, ID: "ID"},
	} {
		s.expectAbsent(other.Key())
	}
}

func (s *suite) testInvalid() {
	valid := s.token(1)
	for name, spoil := range map[string]func(*revocation.Entry){
		"no scope":      func(e *revocation.Entry) { e.Scope = 0 },
		"unknown scope": func(e *revocation.Entry) { e.Scope = 200 },
		"no id":         func(e *revocation.Entry) { e.ID = "" },
		"long note":     func(e *revocation.Entry) { e.Note = strings.Repeat("x", revocation.MaxNoteLength+1) },
		"long id":       func(e *revocation.Entry) { e.ID = strings.Repeat("x", revocation.MaxIDLength+1) },
		"long realm":    func(e *revocation.Entry) { e.Realm = strings.Repeat("x", revocation.MaxIDLength+1) },
		"no time":       func(e *revocation.Entry) { e.At = time.Time{} },
		"no expiry":     func(e *revocation.Entry) { e.Expires = time.Time{} },
		"late expiry":   func(e *revocation.Entry) { e.Expires = revocation.Forever.AddDate(1, 0, 0) },
	} {
		invalid := s.token(2)
		spoil(&invalid)
		for _, entries := range [][]revocation.Entry{{invalid}, {valid, invalid}, {invalid, valid}} {
			if err := s.Store.Revoke(s.ctx, entries...); !errors.Is(err, revocation.ErrInvalidEntry) {
				s.Fatalf("%s: Revoke gave %v, want ErrInvalidEntry", name, err)
			}
		}
		s.expectAbsent(invalid.Key())
	}
	s.expectAbsent(valid.Key())
}

func (s *suite) testManyEntries() {
	entries := s.tokens(3000)
	s.revoke(entries...)
	keys := make([]revocation.Key, len(entries))
	for i, e := range entries {
		keys[i] = e.Key()
	}
	for i, got := range s.lookup(keys...) {
		if !same(got, entries[i]) {
			s.Fatalf("Lookup gave %+v, want %+v", got, entries[i])
		}
	}
}

func (s *suite) testRestore() {
	entries := s.tokens(10)
	s.revoke(entries...)
	err := s.Store.Restore(s.ctx, entries[3].Key(), s.token(99).Key(), entries[7].Key(), entries[3].Key())
	if err != nil {
		s.Fatalf("Restore: %v", err)
	}
	for i, e := range entries {
		if i == 3 || i == 7 {
			s.expectAbsent(e.Key())
		} else {
			s.expect(e)
		}
	}
	if err := s.Store.Restore(s.ctx); err != nil {
		s.Fatalf("Restore of no key: %v", err)
	}
}

// What was restored leaves nothing behind that a later revocation would merge with.
func (s *suite) testRevokeAfterRestore() {
	late := s.token(1)
	late.At = late.At.Add(time.Minute)
	late.Expires = late.Expires.Add(time.Hour)
	s.revoke(late)
	if err := s.Store.Restore(s.ctx, late.Key()); err != nil {
		s.Fatalf("Restore: %v", err)
	}
	s.revoke(s.token(1))
	s.expect(s.token(1))
}

func (s *suite) testFilter() {
	filter, ok := s.Store.(revocation.Filter)
	if !ok {
		s.Skip("the store is no Filter")
	}
	entries := s.tokens(2000)
	for i, e := range entries {
		if i%2 == 0 {
			s.revoke(e)
		}
		if i%2 == 0 && filter.Absent(e.Key()) {
			s.Fatalf("Absent hides %q", e.ID)
		}
	}
	for i, e := range entries {
		if i%2 == 0 && filter.Absent(e.Key()) {
			s.Fatalf("Absent hides %q", e.ID)
		}
	}
}

func (s *suite) testCounter() {
	counter, ok := s.Store.(revocation.Counter)
	if !ok {
		s.Skip("the store is no Counter")
	}
	count := func(want int) {
		s.Helper()
		if got := counter.Len(); got != want {
			s.Fatalf("Len() = %d, want %d", got, want)
		}
	}
	count(0)
	s.revoke(s.tokens(10)...)
	s.revoke(s.tokens(5)...)
	count(10)
	longer := s.token(1)
	longer.Expires = longer.Expires.Add(time.Minute)
	s.revoke(longer)
	count(10)
	if err := s.Store.Restore(s.ctx, s.token(1).Key(), s.token(11).Key()); err != nil {
		s.Fatalf("Restore: %v", err)
	}
	count(9)
}
