package index

import (
	"encoding/binary"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
)

func keyOf(n uint64) Key {
	var k Key
	binary.BigEndian.PutUint64(k[:], n)
	return k
}

// model is what an Index has to agree with.
type model map[Key][]uint32

func (m model) add(k Key, e uint32) { m[k] = append(m[k], e) }

func (m model) remove(k Key, e uint32) bool {
	i := slices.Index(m[k], e)
	if i < 0 {
		return false
	}
	m[k] = slices.Delete(m[k], i, i+1)
	return true
}

func (m model) len() (n int) {
	for _, es := range m {
		n += len(es)
	}
	return n
}

// check compares the index with the model, for every key of the model and as many
// absent ones, and the order and count inside every shard.
func check(t *testing.T, x *Index, m model, exact bool) {
	t.Helper()
	if x.Len() != m.len() {
		t.Fatalf("Len() = %d, want %d", x.Len(), m.len())
	}
	for k, want := range m {
		got := x.Candidates(nil, k)
		for _, e := range want {
			if !slices.Contains(got, e) {
				t.Fatalf("Candidates(%x) = %v, want %v", k, got, want)
			}
		}
		if exact && len(got) != len(want) {
			t.Fatalf("Candidates(%x) = %v, want %v", k, got, want)
		}
		if may := x.MayContain(k); may != (len(got) > 0) {
			t.Fatalf("MayContain(%x) = %t, Candidates %v", k, may, got)
		}
	}
	for i := range x.shards {
		s := &x.shards[i]
		checkTable(t, &s.table)
		if s.filter.Load() != s.table.filter {
			t.Fatalf("shard %d has another filter than its table", i)
		}
	}
}

func checkTable(t *testing.T, tab *table) {
	t.Helper()
	used, last := uint32(0), uint64(0)
	for i := range tab.slots {
		s := &tab.slots[i]
		if s.expiry == 0 {
			continue
		}
		used++
		if s.hash() < last {
			t.Fatalf("slot %d is out of order", i)
		}
		last = s.hash()
		if !tab.filter.mayContain(last) {
			t.Fatalf("slot %d is not in the filter", i)
		}
		home := tab.home(last)
		if home > i {
			t.Fatalf("slot %d holds an entry whose home is %d", i, home)
		}
		for j := home; j < i; j++ {
			if tab.slots[j].expiry == 0 {
				t.Fatalf("slot %d cannot be reached from its home %d", i, home)
			}
		}
	}
	if used != tab.used {
		t.Fatalf("%d slots in use, counted %d", used, tab.used)
	}
}

func TestAgreesWithAMap(t *testing.T) {
	hashes := map[string]func(*Index) func(Key) uint64{
		"seeded": func(x *Index) func(Key) uint64 { return x.seeded },
		"every key collides": func(*Index) func(Key) uint64 {
			return func(Key) uint64 { return 0xfeed }
		},
		"largest hashes": func(*Index) func(Key) uint64 {
			return func(k Key) uint64 { return ^uint64(0) - binary.BigEndian.Uint64(k[:])%7 }
		},
		"few hashes": func(x *Index) func(Key) uint64 {
			return func(k Key) uint64 { return x.seeded(k) & (0xff<<56 | 0x7) }
		},
		"one shard": func(x *Index) func(Key) uint64 {
			return func(k Key) uint64 { return x.seeded(k) >> 8 }
		},
	}
	for name, hash := range hashes {
		t.Run(name, func(t *testing.T) {
			for seed := range uint64(20) {
				rng := rand.New(rand.NewPCG(seed, 1))
				x, m := New(), model{}
				x.hash = hash(x)
				keys, steps := 1+rng.Uint64N(300), 2000
				grow := 60
				for step := range steps {
					if step == steps/2 {
						grow = 30 // mostly removals: the tables shrink again
					}
					k, e := keyOf(rng.Uint64N(keys)), 1+rng.Uint32N(3)
					if rng.IntN(100) < grow {
						x.Add(k, e)
						m.add(k, e)
						continue
					}
					want := m.remove(k, e)
					got := x.Remove(k, e)
					if want && !got || !want && got && name == "seeded" {
						t.Fatalf("seed %d: Remove = %t, want %t", seed, got, want)
					}
					if got && !want {
						x.Add(k, e) // a colliding key's: put it back
					}
				}
				check(t, x, m, name == "seeded" || name == "one shard")
			}
		})
	}
}

func TestEmptiedIndexContainsNothing(t *testing.T) {
	x := New()
	const n = 20_000
	for i := range uint64(n) {
		x.Add(keyOf(i), uint32(i+1))
	}
	for i := range uint64(n) {
		if !x.Remove(keyOf(i), uint32(i+1)) {
			t.Fatalf("key %d is gone", i)
		}
	}
	check(t, x, model{}, true)
	for i := range uint64(n) {
		if x.MayContain(keyOf(i)) {
			t.Fatalf("key %d is still there", i)
		}
	}
	for i := range x.shards {
		if got := len(x.shards[i].table.slots); got > 64 {
			t.Fatalf("shard %d keeps %d slots for nothing", i, got)
		}
	}
}

func TestRemoveLeavesOtherExpiriesOfTheKey(t *testing.T) {
	x := New()
	x.Add(keyOf(1), 10)
	x.Add(keyOf(1), 20)
	if !x.Remove(keyOf(1), 10) || x.Remove(keyOf(1), 10) {
		t.Fatal("an expiry is removed exactly once")
	}
	if got := x.Candidates(nil, keyOf(1)); !slices.Equal(got, []uint32{20}) {
		t.Fatalf("Candidates = %v, want [20]", got)
	}
}

// An entry that is moved by adding its new expiry before removing the old one is
// never out of sight, whatever else grows and shrinks around it.
func TestMovedEntryIsAlwaysVisible(t *testing.T) {
	x := New()
	x.Add(keyOf(0), 1)
	stop := make(chan struct{})
	var background sync.WaitGroup
	background.Go(func() {
		for n := uint64(1); ; n++ {
			select {
			case <-stop:
				return
			default:
			}
			x.Add(keyOf(n), 5)
			if n > 3000 {
				x.Remove(keyOf(n-3000), 5)
			}
		}
	})
	background.Go(func() {
		for e := uint32(1); ; e++ {
			select {
			case <-stop:
				return
			default:
			}
			x.Add(keyOf(0), e+1)
			x.Remove(keyOf(0), e)
		}
	})
	for range 20_000 {
		if !x.MayContain(keyOf(0)) || len(x.Candidates(nil, keyOf(0))) == 0 {
			t.Error("the entry was out of sight")
			break
		}
	}
	close(stop)
	background.Wait()
}

func TestMayContainDoesNotAllocate(t *testing.T) {
	x := New()
	x.Add(keyOf(1), 1)
	hit, miss := keyOf(1), keyOf(2)
	if n := testing.AllocsPerRun(1000, func() { x.MayContain(hit); x.MayContain(miss) }); n != 0 {
		t.Fatalf("%v allocations", n)
	}
}

func TestEnsuredKeysAreThereUntilTheyArePurged(t *testing.T) {
	x := New()
	const n = 20_000
	for i := range uint64(n) {
		x.Ensure(keyOf(i), uint32(1+i))
		x.Ensure(keyOf(i), uint32(1+i))     // once more
		x.Ensure(keyOf(i), uint32(1+i)/2+1) // which it outlives
	}
	if x.Len() != n {
		t.Fatalf("%d entries, want %d", x.Len(), n)
	}
	for _, until := range []uint32{0, 1, n / 2, n / 2, n - 1} {
		x.Purge(until)
		if got, want := x.Len(), n-int(until); got != want {
			t.Fatalf("%d entries after all until %d were purged, want %d", got, until, want)
		}
		for i := range uint64(n) {
			if got, want := x.MayContain(keyOf(i)), uint32(1+i) > until; got != want {
				t.Fatalf("purged until %d: key %d is there: %t", until, i, got)
			}
		}
	}
	x.Ensure(keyOf(n-1), 2*n)
	if x.Purge(n) != 1 || !x.MayContain(keyOf(n-1)) {
		t.Error("an entry went with an earlier expiry of its own")
	}
	if x.Purge(2*n) != 1 || x.Len() != 0 {
		t.Errorf("%d entries are left", x.Len())
	}
}

// Without new filters, the bits of what was removed would add up until none is left unset.
func TestFilterStaysUsefulWhenEntriesComeAndGo(t *testing.T) {
	x := New()
	const live, turnovers = 10_000, 20
	for n := range uint64(live * turnovers) {
		x.Add(keyOf(n), 1)
		if n >= live {
			x.Remove(keyOf(n-live), 1)
		}
	}
	passed := 0
	const absent = 20_000
	for n := range uint64(absent) {
		s, h := x.locate(keyOf(1<<50 + n))
		if s.filter.Load().mayContain(h) {
			passed++
		}
	}
	if share := float64(passed) / absent; share > 0.08 {
		t.Errorf("the filter lets %.1f %% of absent keys pass", 100*share)
	}
}

func TestReservedIndexMovesNothing(t *testing.T) {
	x := New()
	x.Add(keyOf(0), 1)
	const n = 50_000
	x.Reserve(n)
	var before [1 << shardBits]*filter
	for i := range x.shards {
		before[i] = x.shards[i].table.filter
	}
	m := model{keyOf(0): {1}}
	for i := range uint64(n - 1) {
		x.Add(keyOf(1+i), 1)
		m.add(keyOf(1+i), 1)
	}
	moved := 0
	for i := range x.shards {
		if x.shards[i].table.filter != before[i] {
			moved++
		}
	}
	if moved > len(x.shards)/20 {
		t.Errorf("%d shards of %d have grown", moved, len(x.shards))
	}
	x.Reserve(10) // takes nothing away
	check(t, x, m, true)
}
