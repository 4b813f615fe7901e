package index

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"testing"
)

var sizes = []int{1_000, 1_000_000, 10_000_000}

func filled(n int) *Index {
	x := New()
	for i := range n {
		x.Add(keyOf(uint64(i)), 1_900_000_000)
	}
	return x
}

func randomKeys() []Key {
	rng := rand.New(rand.NewPCG(1, 2))
	keys := make([]Key, 1<<16)
	for i := range keys {
		keys[i] = keyOf(1<<40 + rng.Uint64N(1<<40))
	}
	return keys
}

func BenchmarkMayContainMiss(b *testing.B) {
	keys := randomKeys()
	for _, n := range sizes {
		b.Run(fmt.Sprintf("entries=%d", n), func(b *testing.B) {
			x := filled(n)
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				if x.MayContain(keys[i&(1<<16-1)]) {
					b.Fatal("hit")
				}
			}
		})
		b.Run(fmt.Sprintf("entries=%d/parallel", n), func(b *testing.B) {
			x := filled(n)
			b.ReportAllocs()
			b.ResetTimer()
			b.RunParallel(func(pb *testing.PB) {
				for i := 0; pb.Next(); i++ {
					if x.MayContain(keys[i&(1<<16-1)]) {
						b.Error("hit")
					}
				}
			})
		})
	}
}

func BenchmarkMayContainHit(b *testing.B) {
	for _, n := range sizes {
		b.Run(fmt.Sprintf("entries=%d", n), func(b *testing.B) {
			x := filled(n)
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				if !x.MayContain(keyOf(uint64(i*7919) % uint64(n))) {
					b.Fatal("miss")
				}
			}
		})
	}
}

func BenchmarkAdd(b *testing.B) {
	x := New()
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		x.Add(keyOf(uint64(i)), 1_900_000_000)
	}
}

// BenchmarkPurge reports for how long a shard is locked, on average, while half of its entries
// are removed.
func BenchmarkPurge(b *testing.B) {
	for _, n := range sizes[1:] {
		b.Run(fmt.Sprintf("entries=%d", n), func(b *testing.B) {
			for b.Loop() {
				b.StopTimer()
				x := New()
				x.Reserve(n)
				for i := range n {
					x.Add(keyOf(uint64(i)), uint32(1+i%2))
				}
				b.StartTimer()
				x.Purge(1)
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/(1<<shardBits), "ns/shard")
		})
	}
}

// BenchmarkMemory reports bytes per entry, at sizes on both sides of a growth step.
func BenchmarkMemory(b *testing.B) {
	for _, n := range []int{100_000, 1_000_000, 1_030_000, 1_060_000} {
		b.Run(fmt.Sprintf("entries=%d", n), func(b *testing.B) {
			for b.Loop() {
				before := heap()
				x := filled(n)
				b.ReportMetric(float64(heap()-before)/float64(n), "B/entry")
				runtime.KeepAlive(x)
			}
		})
	}
}

func heap() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}
