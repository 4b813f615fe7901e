package e2e

import (
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"runtime/pprof"
	"strconv"
	"sync"
	"testing"
	"time"
)

// scratch holds what all tests of a run share.
var scratch string

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) int {
	var err error
	if scratch, err = os.MkdirTemp("", "caddy-token-auth-"); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(scratch)
	before := runtime.NumGoroutine()
	code := m.Run()
	if n := running.Load(); n != 0 {
		fmt.Fprintf(os.Stderr, "%d processes are left\n", n)
		code = 1
	}
	if code == 0 && !goroutinesEnd(before) {
		fmt.Fprintln(os.Stderr, "goroutines are left:")
		_ = pprof.Lookup("goroutine").WriteTo(os.Stderr, 1)
		code = 1
	}
	return code
}

// goroutinesEnd waits until there are no more goroutines than want.
func goroutinesEnd(want int) bool {
	for deadline := time.Now().Add(5 * time.Second); runtime.NumGoroutine() > want; {
		if time.Now().After(deadline) {
			return false
		}
		time.Sleep(10 * time.Millisecond)
	}
	return true
}

// buildBinary builds Caddy with the plugin, without the race detector, which would
// take minutes.
var buildBinary = sync.OnceValues(func() (string, error) {
	path := filepath.Join(scratch, "caddy")
	out, err := exec.Command("go", "build", "-buildvcs=false", "-o", path, "../cmd/caddy").CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("go build: %w\n%s", err, out)
	}
	return path, nil
})

func binary(t *testing.T) string {
	t.Helper()
	path, err := buildBinary()
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// random returns a source of random numbers. Its seed is logged, and E2E_SEED sets it.
func random(t *testing.T) *rand.Rand {
	t.Helper()
	seed := rand.Uint64()
	if text := os.Getenv("E2E_SEED"); text != "" {
		var err error
		if seed, err = strconv.ParseUint(text, 10, 64); err != nil {
			t.Fatalf("E2E_SEED: %v", err)
		}
	}
	t.Logf("E2E_SEED=%d", seed)
	return rand.New(rand.NewPCG(seed, 0))
}

// upTo returns a random duration below limit.
func upTo(rnd *rand.Rand, limit time.Duration) time.Duration {
	return time.Duration(rnd.Int64N(int64(limit)))
}

// count returns the number in an environment variable, or the default where it is
// not set.
func count(t *testing.T, variable string, otherwise int) int {
	t.Helper()
	text := os.Getenv(variable)
	if text == "" {
		return otherwise
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 {
		t.Fatalf("%s=%q: want a number above zero", variable, text)
	}
	return n
}
