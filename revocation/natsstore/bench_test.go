package natsstore

import (
	"context"
	"fmt"
	"runtime"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"

	"example.com/caddy-token-auth/revocation"
)

// benchStores are what is measured: one server and three, as they are by default and with
// every write synced to the disk.
func benchStores(b *testing.B, measure func(b *testing.B, opts Options)) {
	for _, sync := range []bool{false, true} {
		b.Run(fmt.Sprintf("single/sync=%t", sync), func(b *testing.B) {
			s := startServer(b, func(o *server.Options) { o.SyncAlways = sync })
			measure(b, Options{URLs: []string{s.ClientURL()}, Replicas: 1})
		})
		b.Run(fmt.Sprintf("cluster/sync=%t", sync), func(b *testing.B) {
			c := startCluster(b, func(_ int, o *server.Options) { o.SyncAlways = sync })
			measure(b, Options{URLs: c.urls(), Replicas: 3})
		})
	}
}

// callers runs do by one goroutine and by 64.
func callers(b *testing.B, do func() error) {
	for _, n := range []int{1, 64} {
		b.Run(fmt.Sprintf("callers=%d", n), func(b *testing.B) {
			b.SetParallelism(max(1, n/runtime.GOMAXPROCS(0)))
			if n == 1 {
				for b.Loop() {
					if err := do(); err != nil {
						b.Fatal(err)
					}
				}
			} else {
				b.RunParallel(func(pb *testing.PB) {
					for pb.Next() {
						if err := do(); err != nil {
							b.Error(err)
						}
					}
				})
			}
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "ops/s")
		})
	}
}

func BenchmarkRevoke(b *testing.B) {
	benchStores(b, func(b *testing.B, opts Options) {
		s := open(b, opts)
		var n atomic.Int64
		callers(b, func() error { return s.Revoke(context.Background(), token(int(n.Add(1)))) })
	})
}

// BenchmarkLookup asks for four keys, one of which has an entry.
func BenchmarkLookup(b *testing.B) {
	benchStores(b, func(b *testing.B, opts Options) {
		s := open(b, opts)
		entries := make([]revocation.Entry, 1000)
		for i := range entries {
			entries[i] = token(i)
		}
		mustRevoke(b, s, entries...)
		var n atomic.Int64
		callers(b, func() error {
			i := int(n.Add(1))
			_, err := s.Lookup(context.Background(), token(i%1000).Key(), token(-i).Key(), token(-i-1).Key(), token(-i-2).Key())
			return err
		})
	})
}

// BenchmarkFeed measures the time from the begin of Revoke to its report elsewhere.
func BenchmarkFeed(b *testing.B) {
	benchStores(b, func(b *testing.B, opts Options) {
		here, there := open(b, opts), open(b, opts)
		k := follow(b, there, "")
		delays := make([]time.Duration, 0, b.N)
		for n := 0; b.Loop(); n++ {
			e := token(n)
			began := time.Now()
			mustRevoke(b, here, e)
			k.await(b, "report", func() bool { return k.list[e.Key()].ID != "" })
			delays = append(delays, time.Since(began))
		}
		slices.Sort(delays)
		b.ReportMetric(float64(delays[len(delays)/2].Microseconds()), "µs-p50")
		b.ReportMetric(float64(delays[len(delays)*99/100].Microseconds()), "µs-p99")
	})
}

// BenchmarkScan reports how long it takes for each entry.
func BenchmarkScan(b *testing.B) {
	const n = 100_000
	s := open(b, Options{URLs: []string{startServer(b, nil).ClientURL()}})
	entries := make([]revocation.Entry, n)
	for i := range entries {
		entries[i] = token(i)
	}
	mustRevoke(b, s, entries...)
	for b.Loop() {
		seen := 0
		if err := s.Scan(context.Background(), func(revocation.Entry) error { seen++; return nil }); err != nil || seen != n {
			b.Fatal(seen, err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/n, "ns/entry")
}
