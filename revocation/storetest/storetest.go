// Package storetest is the contract of revocation.Store as a test suite.
//
// Run asserts what the interface promises and nothing else, so that an embedded
// store and one at the other end of a network pass it alike. Optional abilities
// (revocation.Filter, revocation.Counter, surviving a restart) are tested where the
// store has them.
package storetest

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"example.com/caddy-token-auth/revocation"
)

// Subject is a store to be tested, and what the suite may do to it from outside.
type Subject struct {
	// Store is open and holds no entry. The suite closes it.
	Store revocation.Store
	// Now is the store's clock; nil stands for time.Now.
	Now func() time.Time
	// Advance moves the store's clock forward. Without it the suite waits for
	// short expiries to pass.
	Advance func(time.Duration)
	// Reopen opens what Store has stored once more, after the suite has closed
	// it. nil for a store that is not durable in itself.
	Reopen func(t *testing.T) revocation.Store
}

// Run tests a store against the contract of revocation.Store. open is called for
// each test with its own t; what it returns must hold no entry.
func Run(t *testing.T, open func(t *testing.T) Subject) {
	for _, c := range []struct {
		name string
		test func(*suite)
	}{
		{"RevokedEntryIsFound", (*suite).testRevokedEntryIsFound},
		{"AbsentKeyGivesZeroEntry", (*suite).testAbsentKey},
		{"AnswersAreAlignedWithKeys", (*suite).testAlignment},
		{"LaterAtAndExpiresWinInAnyOrder", (*suite).testMerge},
		{"NoteComesWithTheLaterAt", (*suite).testNote},
		{"EqualTimesMergeAlikeInAnyOrder", (*suite).testMergeTie},
		{"OneCallMayRepeatAKey", (*suite).testRepeatedKey},
		{"FractionsOfSecondsAreKept", (*suite).testPrecision},
		{"AnyBytesAndLengthsAreKept", (*suite).testIdentifiers},
		{"ScopesAndRealmsAreSeparate", (*suite).testSeparation},
		{"InvalidEntriesAreRefusedWhole", (*suite).testInvalid},
		{"ManyEntriesInOneCall", (*suite).testManyEntries},
		{"ExpiredEntriesAreNotReturned", (*suite).testExpiry},
		{"ExpiredOnArrivalIsNoError", (*suite).testExpiredOnArrival},
		{"RestoreRemoves", (*suite).testRestore},
		{"RestoredEntryCanBeRevokedAgain", (*suite).testRevokeAfterRestore},
		{"ScanSeesEveryLiveEntry", (*suite).testScan},
		{"ScanReturnsTheCallbacksError", (*suite).testScanError},
		{"ScanBesideWrites", (*suite).testScanBesideWrites},
		{"ScanCallbackMayUseTheStore", (*suite).testScanCallbackUsesStore},
		{"EndedContextIsReported", (*suite).testContext},
		{"ClosedStoreRefuses", (*suite).testClosed},
		{"CloseBesideWrites", (*suite).testCloseBesideWrites},
		{"AcknowledgedIsVisibleAtOnce", (*suite).testReadYourWrites},
		{"CutOffOnlyMovesForward", (*suite).testMonotonicCutOff},
		{"MovingEntryIsNeverMissed", (*suite).testMovingEntry},
		{"FilterNeverHidesAnEntry", (*suite).testFilter},
		{"CounterCounts", (*suite).testCounter},
		{"AcknowledgedSurvivesReopening", (*suite).testReopen},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := &suite{T: t, ctx: t.Context(), Subject: open(t)}
			if s.Now == nil {
				s.Now = time.Now
			}
			t.Cleanup(func() {
				if err := s.Store.Close(); err != nil {
					t.Errorf("Close: %v", err)
				}
			})
			c.test(s)
		})
	}
}

// suite is one test in progress.
type suite struct {
	*testing.T
	Subject
	ctx context.Context
}

// entry returns a live entry whose times are whole seconds.
func (s *suite) entry(scope revocation.Scope, id string) revocation.Entry {
	now := s.Now().Truncate(time.Second).UTC()
	return revocation.Entry{Scope: scope, Realm: "https://id.example.com", ID: id, At: now, Expires: now.Add(time.Hour)}
}

func (s *suite) token(n int) revocation.Entry {
	return s.entry(revocation.ScopeToken, fmt.Sprintf("token-%d", n))
}

func (s *suite) tokens(n int) []revocation.Entry {
	entries := make([]revocation.Entry, n)
	for i := range entries {
		entries[i] = s.token(i)
	}
	return entries
}

func (s *suite) revoke(entries ...revocation.Entry) {
	s.Helper()
	if err := s.Store.Revoke(s.ctx, entries...); err != nil {
		s.Fatalf("Revoke: %v", err)
	}
}

// tryRevoke is revoke for goroutines other than the test's own.
func (s *suite) tryRevoke(entries ...revocation.Entry) bool {
	s.Helper()
	err := s.Store.Revoke(s.ctx, entries...)
	if err != nil {
		s.Errorf("Revoke: %v", err)
	}
	return err == nil
}

func (s *suite) lookup(keys ...revocation.Key) []revocation.Entry {
	s.Helper()
	found, err := s.Store.Lookup(s.ctx, keys...)
	if err != nil {
		s.Fatalf("Lookup: %v", err)
	}
	if len(found) != len(keys) {
		s.Fatalf("Lookup gave %d entries for %d keys", len(found), len(keys))
	}
	return found
}

func (s *suite) expect(want revocation.Entry) {
	s.Helper()
	if got := s.lookup(want.Key())[0]; !same(got, want) {
		s.Fatalf("Lookup gave %+v, want %+v", got, want)
	}
}

func (s *suite) expectAbsent(key revocation.Key) {
	s.Helper()
	if got := s.lookup(key)[0]; got != (revocation.Entry{}) {
		s.Fatalf("Lookup gave %+v, want the zero Entry", got)
	}
}

// same reports whether got is want as a store may return it: Expires is kept to
// the second, rounded up, and times in any zone.
func same(got, want revocation.Entry) bool {
	late := got.Expires.Sub(want.Expires)
	return got.Scope == want.Scope && got.Realm == want.Realm && got.ID == want.ID && got.Note == want.Note &&
		got.At.Equal(want.At) && late >= 0 && late < time.Second
}

// pass lets at least d go by on the store's clock.
func (s *suite) pass(d time.Duration) {
	if s.Advance != nil {
		s.Advance(d)
		return
	}
	select {
	case <-time.After(d):
	case <-s.ctx.Done():
	}
}

// Clock is a clock that stands still until it is moved, safe for concurrent use.
type Clock struct {
	mu  sync.Mutex
	now time.Time
}

// NewClock returns a Clock that shows some time of the year 2026, between two seconds.
func NewClock() *Clock {
	return &Clock{now: time.Date(2026, time.March, 14, 15, 9, 26, 535_897_932, time.UTC)}
}

// Now returns the time that the clock shows.
func (c *Clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

// Advance moves the clock forward.
func (c *Clock) Advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// everyByte has every byte value but zero, and is no valid UTF-8.
var everyByte = func() string {
	var b strings.Builder
	for i := range revocation.MaxIDLength {
		b.WriteByte(byte(255 - i))
	}
	return b.String()
}()
