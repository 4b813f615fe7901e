package localstore

import (
	"context"
	"math/rand/v2"
	"testing"
	"time"

	"example.com/caddy-token-auth/revocation"
	"example.com/caddy-token-auth/revocation/storetest"
)

// Random revocations, restorations and purges, with the list opened anew in between,
// leave what the same operations leave in a map. Opening checks every page.
func TestAgreesWithAMap(t *testing.T) {
	for seed := range uint64(3) {
		rng := rand.New(rand.NewPCG(seed, 5))
		dir, clock := t.TempDir(), storetest.NewClock()
		model := make(map[revocation.Key]revocation.Entry)
		s := open(t, dir, clock)
		for range 25 {
			for range 4 {
				randomOperation(t, rng, clock, s, model)
			}
			compare(t, clock, s, model)
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			s = open(t, dir, clock)
			compare(t, clock, s, model)
		}
	}
}

func randomOperation(t *testing.T, rng *rand.Rand, clock *storetest.Clock, s *Store, model map[revocation.Key]revocation.Entry) {
	switch rng.IntN(4) {
	case 0, 1:
		var entries []revocation.Entry
		for range 1 + rng.IntN(400) {
			e := token(clock, rng.IntN(3000))
			e.Expires = clock.Now().Add(time.Duration(1+rng.IntN(3600)) * time.Second)
			entries = append(entries, e)
			if old, ok := model[e.Key()]; ok && old.Live(clock.Now()) {
				e = revocation.Merge(old, e)
			}
			model[e.Key()] = e
		}
		mustRevoke(t, s, entries...)
	case 2:
		var keys []revocation.Key
		for range rng.IntN(500) {
			keys = append(keys, token(clock, rng.IntN(3000)).Key())
		}
		for _, key := range keys {
			delete(model, key)
		}
		if err := s.Restore(context.Background(), keys...); err != nil {
			t.Fatal(err)
		}
	case 3:
		clock.Advance(time.Duration(rng.IntN(900)) * time.Second)
		if rng.IntN(2) == 0 {
			purge(t, s)
		}
	}
}

func compare(t *testing.T, clock *storetest.Clock, s *Store, model map[revocation.Key]revocation.Entry) {
	t.Helper()
	checkIndex(t, s)
	var live []revocation.Entry
	for _, e := range model {
		if e.Live(clock.Now()) {
			live = append(live, e)
		}
	}
	mustHold(t, s, live...)
	scanned := 0
	err := s.Scan(context.Background(), func(e revocation.Entry) error {
		if model[e.Key()].Live(clock.Now()) {
			scanned++
		}
		return nil
	})
	if err != nil || scanned != len(live) {
		t.Fatalf("Scan gave %d live entries, %v; want %d", scanned, err, len(live))
	}
}
