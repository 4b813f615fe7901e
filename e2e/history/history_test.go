package history

import (
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

const (
	// defaultDuration is how long the schedule of one engine is unless HISTORY_DURATION says.
	defaultDuration = 20 * time.Second
	// clockSlack is how far the processes' clocks may be apart: it is one machine.
	clockSlack = 50 * time.Millisecond
	// settleTime bounds how long replicas need, at the end, until all is well again.
	settleTime = 30 * time.Second
	// swept is how many tokens are looked at in the end.
	swept = 400
	// shown is how many violations are printed.
	shown = 10
)

var promised = limits{staleness: maxStaleness, delay: 2 * time.Second, margin: 3 * time.Second, login: 0, clock: clockSlack}

func TestHistoryWithRedis(t *testing.T) { testHistory(t, redisEngine(t)) }

func TestHistoryWithNATS(t *testing.T) { testHistory(t, natsEngine(t, 1)) }

func TestHistoryWithNATSCluster(t *testing.T) { testHistory(t, natsEngine(t, 3)) }

// testHistory runs the replicas on e, and has things happen to all of them.
func testHistory(t *testing.T, e *engine) {
	seed, duration := seedOf(t), durationOf(t)
	upstream := httptest.NewServer(http.HandlerFunc(serveUpstream))
	t.Cleanup(upstream.Close)
	for _, p := range e.servers {
		p.launch()
	}
	var all []*replica
	for n := range replicas {
		r := newReplica(t, n, e, upstream.Listener.Addr().String())
		r.process.launch()
		all = append(all, r)
	}
	for _, r := range all {
		if err := r.process.awaitReady(); err != nil {
			t.Fatal(err)
		}
	}

	record := newRecorder()
	w, c := newWorkload(t, record, all), newChaos(t, record, all, e.servers)
	faults := plan(rand.New(rand.NewPCG(seed, 1<<32)), duration, len(e.servers))
	var both sync.WaitGroup
	both.Go(func() { w.run(seed, duration, faults[0]) })
	both.Go(func() { c.run(faults) })
	both.Wait()
	w.settle()

	h := &record.history
	violations := h.check(promised)
	for i, v := range violations {
		if i == shown {
			t.Errorf("and %d more", len(violations)-i)
			break
		}
		t.Error(v)
	}
	h.summarize(t)
	if t.Failed() {
		keep(t, h)
	}
}

// settle wants every replica to know, in the end, what was acknowledged and what was not.
func (w *workload) settle() {
	for _, r := range w.replicas {
		if err := r.process.awaitReady(); err != nil {
			w.t.Error(err)
			return
		}
	}
	want := w.history.outcome(promised, swept)
	deadline := w.now() + settleTime
	turn := make(chan struct{}, workers)
	var group sync.WaitGroup
	var wrong atomic.Int64
	for token, status := range want {
		for replica := range w.replicas {
			turn <- struct{}{}
			group.Go(func() {
				defer func() { <-turn }()
				got := w.do(replica, w.raw[token], "").Status
				for ; got != status && w.now() < deadline; got = w.do(replica, w.raw[token], "").Status {
					time.Sleep(pollPause)
				}
				if got != status && wrong.Add(1) <= shown {
					w.t.Errorf("in the end replica %d answers %d to token %s, want %d", replica, got, token, status)
				}
			})
		}
	}
	group.Wait()
}

func seedOf(t *testing.T) uint64 {
	t.Helper()
	seed := rand.Uint64()
	if text := os.Getenv("HISTORY_SEED"); text != "" {
		var err error
		if seed, err = strconv.ParseUint(text, 10, 64); err != nil {
			t.Fatalf("HISTORY_SEED: %v", err)
		}
	}
	t.Logf("HISTORY_SEED=%d", seed)
	return seed
}

func durationOf(t *testing.T) time.Duration {
	t.Helper()
	text := os.Getenv("HISTORY_DURATION")
	if text == "" {
		return defaultDuration
	}
	d, err := time.ParseDuration(text)
	if err != nil || d < defaultDuration {
		t.Fatalf("HISTORY_DURATION=%q: want at least %s", text, defaultDuration)
	}
	return d
}

// keep writes the history to a file that stays.
func keep(t *testing.T, h *history) {
	t.Helper()
	dir := os.Getenv("HISTORY_DIR")
	if dir == "" {
		dir = os.TempDir()
	}
	file, err := os.CreateTemp(dir, "history-*.ndjson")
	if err != nil {
		t.Error(err)
		return
	}
	if err := h.write(file); err != nil {
		t.Error(err)
	}
	if err := file.Close(); err != nil {
		t.Error(err)
	}
	path, err := filepath.Abs(file.Name())
	if err != nil {
		t.Error(err)
	}
	t.Logf("the history is in %s", path)
}

// TestKeptHistory judges again what an earlier run has kept, in the file HISTORY_FILE.
func TestKeptHistory(t *testing.T) {
	name := os.Getenv("HISTORY_FILE")
	if name == "" {
		t.Skip("HISTORY_FILE is not set")
	}
	file, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	h, err := readHistory(file)
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range h.check(promised) {
		t.Error(v)
	}
	h.summarize(t)
}
