package bench

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"

	"example.com/caddy-token-auth/bench/internal/workload"
	"example.com/caddy-token-auth/revocation"
)

// checkCases are the ways in which identities come to the list.
var checkCases = []struct {
	name  string
	count int // of identities that take turns
	opts  revocation.Options
}{
	{"hot", 1, revocation.Options{}},
	{"tokens=10000", distinct, revocation.Options{}},
	// The smallest cache: each verdict is pushed out before it is asked for again.
	{"tokens=10000/uncached", distinct, revocation.Options{CacheSize: revocation.MinCacheSize}},
}

func BenchmarkCheck(b *testing.B) {
	ctx := context.Background()
	for _, n := range revocations {
		for _, c := range checkCases {
			b.Run(fmt.Sprintf("revocations=%d/%s", n, c.name), func(b *testing.B) {
				list, ids := openList(b, n, c.opts), workload.Identities(c.count)
				mustBeLive(b, list, ids)
				b.ReportAllocs()
				i := 0
				for b.Loop() {
					if verdict, err := list.Check(ctx, ids[i]); verdict != revocation.Live {
						b.Fatal(verdict, err)
					}
					if i++; i == len(ids) {
						i = 0
					}
				}
			})
		}
	}
}

func BenchmarkCheckParallel(b *testing.B) {
	const n = 1_000_000
	ctx := context.Background()
	for _, c := range checkCases {
		b.Run(fmt.Sprintf("revocations=%d/%s", n, c.name), func(b *testing.B) {
			list, ids := openList(b, n, c.opts), workload.Identities(c.count)
			mustBeLive(b, list, ids)
			var workers atomic.Int64
			b.ReportAllocs()
			b.ResetTimer()
			b.RunParallel(func(pb *testing.PB) {
				i := int(workers.Add(1)) * 2503 % len(ids)
				for pb.Next() {
					if verdict, err := list.Check(ctx, ids[i]); verdict != revocation.Live {
						b.Error(verdict, err)
						return
					}
					if i++; i == len(ids) {
						i = 0
					}
				}
			})
		})
	}
}

func TestCheckDoesNotAllocate(t *testing.T) {
	ctx := context.Background()
	list, ids := openList(t, 1_000, revocation.Options{}), workload.Identities(100)
	mustBeLive(t, list, ids)
	i := 0
	allocs := testing.AllocsPerRun(1_000, func() {
		if verdict, err := list.Check(ctx, ids[i%len(ids)]); verdict != revocation.Live {
			t.Error(verdict, err)
		}
		i++
	})
	if allocs != 0 {
		t.Errorf("%v allocations for each Check of a token that was checked before, want 0", allocs)
	}
}

// mustBeLive asks for each verdict once, so that those that fit into the cache are there.
func mustBeLive(tb testing.TB, list *revocation.List, ids []*revocation.Identity) {
	tb.Helper()
	for _, id := range ids {
		if verdict, err := list.Check(context.Background(), id); verdict != revocation.Live {
			tb.Fatal(verdict, err)
		}
	}
}
