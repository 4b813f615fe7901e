package redisstore

import (
	"context"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"example.com/caddy-token-auth/revocation"
)

// benchEntry returns the n-th of entries that live for a day.
func benchEntry(n int64) revocation.Entry {
	now := time.Now()
	return revocation.Entry{
		Scope: revocation.ScopeToken, Realm: "https://id.example.com", ID: fmt.Sprintf("8b7d41d5-3b1c-4b0e-%016x", n),
		At: now, Expires: now.Add(24 * time.Hour),
	}
}

// BenchmarkRevoke writes to a server that syncs before it acknowledges, and to one that
// syncs every second.
func BenchmarkRevoke(b *testing.B) {
	for _, fsync := range []string{"always", "everysec"} {
		server := newServer(b, "--appendonly", "yes", "--appendfsync", fsync)
		for _, callers := range []int{1, 64} {
			b.Run(fmt.Sprintf("appendfsync=%s/callers=%d", fsync, callers), func(b *testing.B) {
				s := open(b, Options{Addresses: []string{server.address}})
				var n atomic.Int64
				b.SetParallelism(max(1, callers/runtime.GOMAXPROCS(0)))
				if callers == 1 {
					for b.Loop() {
						mustRevoke(b, s, benchEntry(n.Add(1)))
					}
				} else {
					b.RunParallel(func(pb *testing.PB) {
						for pb.Next() {
							if err := s.Revoke(context.Background(), benchEntry(n.Add(1))); err != nil {
								b.Error(err)
							}
						}
					})
				}
				b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "ops/s")
			})
		}
	}
}

// BenchmarkRevokeWait waits for one of two replicas.
func BenchmarkRevokeWait(b *testing.B) {
	server := newServer(b, "--appendonly", "yes")
	for range 2 {
		newServer(b, "--appendonly", "yes", "--replicaof", "127.0.0.1", server.port())
	}
	await(b, "replicas", 10*time.Second, func() bool { return strings.Count(server.call("INFO", "replication"), "state=online") == 2 })
	s := open(b, Options{Addresses: []string{server.address}, Wait: Wait{Replicas: 1}})
	var n atomic.Int64
	b.Run("callers=1", func(b *testing.B) {
		for b.Loop() {
			mustRevoke(b, s, benchEntry(n.Add(1)))
		}
	})
	b.Run("callers=64", func(b *testing.B) {
		b.SetParallelism(max(1, 64/runtime.GOMAXPROCS(0)))
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				if err := s.Revoke(context.Background(), benchEntry(n.Add(1))); err != nil {
					b.Error(err)
				}
			}
		})
	})
}

// BenchmarkLookup asks for the four keys of an identity.
func BenchmarkLookup(b *testing.B) {
	server := newServer(b)
	s := open(b, Options{Addresses: []string{server.address}})
	for n := range int64(100) {
		mustRevoke(b, s, benchEntry(n))
	}
	keys := func(n int64) []revocation.Key {
		return []revocation.Key{benchEntry(n % 100).Key(), benchEntry(n + 1000).Key(), benchEntry(n + 2000).Key(), benchEntry(n + 3000).Key()}
	}
	b.Run("callers=1", func(b *testing.B) {
		b.ReportAllocs()
		k := keys(1)
		for b.Loop() {
			if _, err := s.Lookup(context.Background(), k...); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("callers=64", func(b *testing.B) {
		b.ReportAllocs()
		b.SetParallelism(max(1, 64/runtime.GOMAXPROCS(0)))
		b.RunParallel(func(pb *testing.PB) {
			k := keys(2)
			for pb.Next() {
				if _, err := s.Lookup(context.Background(), k...); err != nil {
					b.Error(err)
				}
			}
		})
	})
}

// arrivals passes on when each entry was told.
type arrivals struct{ told chan time.Time }

func (a arrivals) Started(bool)    {}
func (a arrivals) Alive(time.Time) {}
func (a arrivals) Changed(stored []revocation.Entry, _ []revocation.Key, _ revocation.Position) {
	now := time.Now()
	for range stored {
		a.told <- now
	}
}

// BenchmarkFeed measures the time from the beginning of Revoke to the report to another
// client: with pauses between the changes, and without.
func BenchmarkFeed(b *testing.B) {
	server := newServer(b, "--appendonly", "yes")
	for _, pause := range []time.Duration{10 * time.Millisecond, 0} {
		b.Run(fmt.Sprintf("pause=%s", pause), func(b *testing.B) {
			o := ownOptions(b, Options{Addresses: []string{server.address}})
			writer, reader := open(b, o), open(b, o)
			ctx, cancel := context.WithCancel(context.Background())
			a := arrivals{make(chan time.Time, 1000)}
			ended := make(chan error)
			go func() { ended <- reader.Watch(ctx, "", a) }()
			time.Sleep(200 * time.Millisecond)
			var delays []time.Duration
			for n := int64(0); b.Loop(); n++ {
				began := time.Now()
				mustRevoke(b, writer, benchEntry(n))
				delays = append(delays, (<-a.told).Sub(began))
				time.Sleep(pause)
			}
			cancel()
			<-ended
			slices.Sort(delays)
			b.ReportMetric(float64(delays[len(delays)/2].Microseconds()), "p50-µs")
			b.ReportMetric(float64(delays[len(delays)*99/100].Microseconds()), "p99-µs")
		})
	}
}

// BenchmarkScan reads a list whole. It reports the time for each entry, and what one takes
// of the server's memory, with its share of the feed and without.
func BenchmarkScan(b *testing.B) {
	const n = 1_000_000
	server := newServer(b)
	s := open(b, Options{Addresses: []string{server.address}})
	memory := func() float64 {
		var bytes float64
		_, err := fmt.Sscan(parseInfo(server.call("INFO", "memory"))["used_memory"], &bytes)
		if err != nil {
			b.Fatal(err)
		}
		return bytes
	}
	empty := memory()
	var entries []revocation.Entry
	for i := range int64(n) {
		if entries = append(entries, benchEntry(i)); len(entries) == maxRuns*maxChanges || i == n-1 {
			mustRevoke(b, s, entries...)
			entries = entries[:0]
		}
	}
	full := memory()
	feeds := 0.0
	for _, feed := range s.layout.feeds {
		var bytes float64
		if _, err := fmt.Sscan(server.call("MEMORY", "USAGE", feed, "SAMPLES", "0"), &bytes); err != nil {
			b.Fatal(err)
		}
		feeds += bytes
	}
	for b.Loop() {
		seen := 0
		if err := s.Scan(context.Background(), func(revocation.Entry) error { seen++; return nil }); err != nil || seen < n {
			b.Fatal(seen, err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/n, "ns/entry")
	b.ReportMetric((full-empty-feeds)/n, "B/entry")
	b.ReportMetric(feeds/DefaultFeedLength, "B/change")
}
