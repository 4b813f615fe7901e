package bench

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"example.com/caddy-token-auth/bench/internal/workload"
	"example.com/caddy-token-auth/revocation"
	"example.com/caddy-token-auth/revocation/localstore"
)

// revocations are the sizes of list that the benchmarks run with.
var revocations = []int{1_000, 100_000, 1_000_000}

// distinct is how many tokens take turns where the benchmark is not about a hot one.
const distinct = 10_000

// stores is the directory of all embedded stores: <stores>/<number of revocations>.
var stores string

func TestMain(m *testing.M) {
	os.Exit(run(m))
}

func run(m *testing.M) (code int) {
	dir, err := os.MkdirTemp("", "bench")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	stores = dir
	return m.Run()
}

// filled returns the directory of an embedded store with n live revocations, which
// nobody has open. It is made once.
func filled(tb testing.TB, n int) string {
	tb.Helper()
	dir := filepath.Join(stores, fmt.Sprint(n))
	if _, err := os.Stat(dir); err == nil {
		return dir
	}
	store, err := localstore.Open(context.Background(), dir, localstore.Options{})
	if err != nil {
		tb.Fatal(err)
	}
	if err := errors.Join(workload.Fill(context.Background(), store, n), store.Close()); err != nil {
		tb.Fatal(err)
	}
	return dir
}

// openList returns the list on an embedded store with n live revocations.
func openList(tb testing.TB, n int, opts revocation.Options) *revocation.List {
	tb.Helper()
	store, err := localstore.Open(context.Background(), filled(tb, n), localstore.Options{})
	if err != nil {
		tb.Fatal(err)
	}
	list, err := revocation.Open(context.Background(), store, opts)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := list.Close(); err != nil {
			tb.Error(err)
		}
	})
	return list
}
