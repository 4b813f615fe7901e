package localstore

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"sync/atomic"
	"testing"
	"time"

	"go.etcd.io/bbolt"

	"example.com/caddy-token-auth/revocation"
	"example.com/caddy-token-auth/revocation/storetest"
)

// benchEntry returns the n-th of entries that live for about a day.
func benchEntry(n int64) revocation.Entry {
	return revocation.Entry{
		Scope: revocation.ScopeToken, Realm: "https://id.example.com", ID: fmt.Sprintf("8b7d41d5-3b1c-4b0e-%016x", n),
		At: time.Unix(1_800_000_000+n/10_000, 0), Expires: time.Unix(1_800_086_400+n/10_000, 0),
	}
}

// BenchmarkRevoke compares Revoke with what bbolt offers for the same records. Every
// operation is on disk when it returns.
func BenchmarkRevoke(b *testing.B) {
	for _, callers := range []int{1, 64} {
		for _, engine := range []struct {
			name string
			open func(b *testing.B) func(revocation.Entry) error
		}{
			{"localstore", benchLocalstore},
			{"bbolt-Update", benchRaw(func(db *bbolt.DB) write { return db.Update })},
			{"bbolt-Batch-default", benchRaw(func(db *bbolt.DB) write { return db.Batch })},
			{"bbolt-Batch-64", benchRaw(func(db *bbolt.DB) write { db.MaxBatchSize = 64; return db.Batch })},
		} {
			b.Run(fmt.Sprintf("callers=%d/%s", callers, engine.name), func(b *testing.B) {
				revoke := engine.open(b)
				var n atomic.Int64
				b.SetParallelism(max(1, callers/runtime.GOMAXPROCS(0)))
				if callers == 1 {
					for b.Loop() {
						if err := revoke(benchEntry(n.Add(1))); err != nil {
							b.Fatal(err)
						}
					}
				} else {
					b.RunParallel(func(pb *testing.PB) {
						for pb.Next() {
							if err := revoke(benchEntry(n.Add(1))); err != nil {
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

type write = func(func(*bbolt.Tx) error) error

func benchLocalstore(b *testing.B) func(revocation.Entry) error {
	s := open(b, b.TempDir(), storetest.NewClock())
	return func(e revocation.Entry) error { return s.Revoke(context.Background(), e) }
}

func benchRaw(writer func(*bbolt.DB) write) func(*testing.B) func(revocation.Entry) error {
	return func(b *testing.B) func(revocation.Entry) error {
		db, err := bbolt.Open(filepath.Join(b.TempDir(), "raw.db"), 0o600, engineOptions(0, nil))
		if err == nil {
			err = initialize(db)
		}
		if err != nil {
			b.Fatal(err)
		}
		b.Cleanup(func() { db.Close() })
		run := writer(db)
		return func(e revocation.Entry) error {
			return run(func(tx *bbolt.Tx) error {
				rk := makeRecordKey(e.ExpirySecond(), e.Key())
				return tx.Bucket(bucketRecords).Put(rk[:], encodeRecord(e))
			})
		}
	}
}

// filledStore returns a store with n entries, written in large transactions.
func filledStore(b *testing.B, n int64) *Store {
	s := open(b, b.TempDir(), storetest.NewClock())
	var entries []revocation.Entry
	for i := range n {
		entries = append(entries, benchEntry(i))
		if len(entries) == 16*maxBatch || i == n-1 {
			mustRevoke(b, s, entries...)
			entries = entries[:0]
		}
	}
	return s
}

func BenchmarkRead(b *testing.B) {
	const n = 100_000
	s := filledStore(b, n)
	ctx := context.Background()
	absent := make([]revocation.Key, 4096)
	present := make([]revocation.Key, 4096)
	for i := range absent {
		absent[i] = benchEntry(int64(n + i)).Key()
		present[i] = benchEntry(int64(i * 24)).Key()
	}
	b.Run("Absent", func(b *testing.B) {
		b.ReportAllocs()
		for i := 0; b.Loop(); i++ {
			s.Absent(absent[i%4096])
		}
	})
	b.Run("Lookup-miss", func(b *testing.B) {
		b.ReportAllocs()
		for i := 0; b.Loop(); i++ {
			if _, err := s.Lookup(ctx, absent[i%4096]); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("Lookup-hit", func(b *testing.B) {
		b.ReportAllocs()
		for i := 0; b.Loop(); i++ {
			if found, err := s.Lookup(ctx, present[i%4096]); err != nil || found[0].ID == "" {
				b.Fatal(found, err)
			}
		}
	})
}

// BenchmarkOpen reports how long opening takes for each record, and the file's size.
func BenchmarkOpen(b *testing.B) {
	const n = 200_000
	s := filledStore(b, n)
	dir := filepath.Dir(s.file.Name())
	s.Close()
	for b.Loop() {
		s, err := Open(context.Background(), dir, Options{Now: storetest.NewClock().Now})
		if err != nil {
			b.Fatal(err)
		}
		s.Close()
	}
	info, err := os.Stat(filePath(dir))
	if err != nil {
		b.Fatal(err)
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/n, "ns/record")
	b.ReportMetric(float64(info.Size())/n, "B/record")
}

// BenchmarkRevokeAfterPurge shows what a long free list costs: bbolt writes it with
// every transaction.
func BenchmarkRevokeAfterPurge(b *testing.B) {
	for _, n := range []int64{0, 300_000} {
		b.Run(fmt.Sprintf("purged=%d", n), func(b *testing.B) {
			clock := storetest.NewClock()
			s := open(b, b.TempDir(), clock)
			var entries []revocation.Entry
			for i := range n {
				entries = append(entries, benchEntry(i))
				if len(entries) == 16*maxBatch || i == n-1 {
					mustRevoke(b, s, entries...)
					entries = entries[:0]
				}
			}
			clock.Advance(10 * 365 * 24 * time.Hour)
			purge(b, s)
			for i := int64(0); b.Loop(); i++ {
				e := benchEntry(i)
				e.Expires = clock.Now().Add(time.Hour)
				if err := s.Revoke(context.Background(), e); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
