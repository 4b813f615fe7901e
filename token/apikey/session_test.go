package apikey

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"
)

func at(now time.Time) func() time.Time { return func() time.Time { return now } }

func sessions(t testing.TB, secret []byte, now time.Time) *Sessions {
	t.Helper()
	s, err := NewSessions(secret, at(now))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestASessionIsRecognised(t *testing.T) {
	s := sessions(t, secret, noon)
	for _, owner := range []string{"alice", "", "a\x00b", "\xff", strings.Repeat("o", 512), strings.Repeat("o", 1000)} {
		begun := s.Begin(owner)
		// By another replica, much later.
		parsed, err := sessions(t, secret, noon.Add(1000*time.Hour)).Parse(owner, begun.Text)
		if err != nil || parsed != begun {
			t.Errorf("%.20q: %v, %v", owner, parsed, err)
		}
		if !begun.Begun.Equal(noon) || len(begun.Text) != SessionLength {
			t.Errorf("begun at %s, %d bytes", begun.Begun, len(begun.Text))
		}
	}
}

func TestSessionsDiffer(t *testing.T) {
	s := sessions(t, secret, noon)
	ids := make(map[string]bool)
	for range 1000 {
		begun := s.Begin("alice")
		if ids[begun.ID] || ids[begun.Text] {
			t.Fatal("twice the same")
		}
		ids[begun.ID], ids[begun.Text] = true, true
	}
}

func TestASessionFromTheFutureIsRefused(t *testing.T) {
	for difference, want := range map[time.Duration]error{
		-24 * time.Hour: nil, 0: nil, MaxClockDifference: nil,
		MaxClockDifference + 1: ErrFuture, time.Hour: ErrFuture, 100 * 365 * 24 * time.Hour: ErrFuture,
	} {
		text := sessions(t, secret, noon.Add(difference)).Begin("alice").Text
		got, err := sessions(t, secret, noon).Parse("alice", text)
		if !errors.Is(err, want) || (err != nil && got != Session{}) {
			t.Errorf("%s ahead: %v", difference, err)
		}
		// Nothing is said about the time of a forged one.
		if _, err := sessions(t, other, noon).Parse("alice", text); !errors.Is(err, ErrForeign) {
			t.Errorf("%s ahead and forged: %v", difference, err)
		}
	}
}

func TestShortSecretsAreRefused(t *testing.T) {
	for _, short := range [][]byte{nil, secret[:MinSecretLength-1]} {
		if s, err := NewSessions(short, nil); err == nil || s != nil {
			t.Error("NewSessions accepts it")
		}
		if d, err := NewDigester(short); err == nil || d != nil {
			t.Error("NewDigester accepts it")
		}
	}
}

func TestSessionsDoNotPrint(t *testing.T) {
	s := sessions(t, secret, noon)
	begun := s.Begin("alice")
	hides(t, s, string(secret))
	hides(t, *s, string(secret))
	hides(t, begun, begun.Text)
	hides(t, &begun, begun.Text)
	if encoded := string(must(json.Marshal(begun))); strings.Contains(encoded, begun.Text) || !strings.Contains(encoded, begun.ID) {
		t.Errorf("encoded: %s", encoded)
	}
	for _, err := range []error{ErrMalformed, ErrForeign, ErrFuture} {
		hides(t, err, begun.Text)
	}
}

func TestParseAllocatesTheIDOnly(t *testing.T) {
	if raceDetector {
		t.Skip("the race detector is on")
	}
	s := sessions(t, secret, noon)
	text := s.Begin("alice").Text
	if n := testing.AllocsPerRun(1000, func() { _, _ = s.Parse("alice", text) }); n > 1 {
		t.Errorf("%v allocations", n)
	}
	if n := testing.AllocsPerRun(1000, func() { _, _ = s.Parse("bob", text) }); n != 0 {
		t.Errorf("%v allocations for a foreign one", n)
	}
}

func TestSessionsAreSafeForConcurrentUse(t *testing.T) {
	s := sessions(t, secret, noon)
	var all sync.WaitGroup
	for i := range 4 {
		owner := fmt.Sprint(i)
		all.Go(func() {
			for range 500 {
				begun := s.Begin(owner)
				if parsed, err := s.Parse(owner, begun.Text); err != nil || parsed != begun {
					t.Error(err)
					return
				}
			}
		})
	}
	all.Wait()
}
