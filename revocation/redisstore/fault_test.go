package redisstore

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"example.com/caddy-token-auth/revocation"
)

// writers revoke one entry after the other until they are stopped, and remember what
// was acknowledged.
type writers struct {
	stop  chan struct{}
	group sync.WaitGroup

	mu           sync.Mutex // guards all below
	acknowledged []revocation.Entry
	failed       int
	latest       time.Time // of the acknowledgements
}

func startWriters(t testing.TB, n int, s *Store) *writers {
	w := &writers{stop: make(chan struct{})}
	for i := range n {
		w.group.Go(func() {
			for n := 0; ; n++ {
				select {
				case <-w.stop:
					return
				default:
				}
				e := token(0)
				e.ID = fmt.Sprintf("%d/%d", i, n)
				err := s.Revoke(context.Background(), e)
				w.mu.Lock()
				if err == nil {
					w.acknowledged, w.latest = append(w.acknowledged, e), time.Now()
				} else {
					w.failed++
				}
				w.mu.Unlock()
			}
		})
	}
	t.Cleanup(w.end)
	return w
}

func (w *writers) end() {
	w.mu.Lock()
	select {
	case <-w.stop:
	default:
		close(w.stop)
	}
	w.mu.Unlock()
	w.group.Wait()
}

func (w *writers) count() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.acknowledged)
}

// writtenAfter reports whether something was acknowledged after t.
func (w *writers) writtenAfter(t time.Time) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.latest.After(t)
}

func TestAcknowledgedSurvivesAKilledServer(t *testing.T) {
	t.Parallel()
	server := newServer(t, durable...)
	s := open(t, Options{Addresses: []string{server.address}})
	watching := keepWatching(t, s)
	w := startWriters(t, 8, s)
	for round := range 3 {
		before := w.count()
		await(t, "written entries", 10*time.Second, func() bool { return w.count() > before+200 })
		server.kill()
		server.start()
		server.awaitReady()
		killed := time.Now()
		await(t, fmt.Sprintf("write after kill %d", round), 5*time.Second, func() bool { return w.writtenAfter(killed) })
	}
	w.end()
	mustHold(t, s, w.acknowledged...)
	now := time.Now()
	await(t, "Alive", 10*time.Second, func() bool { return watching.aliveAfter(now) })
	if gaps, resumed := watching.counts(); gaps != 1 || resumed == 0 {
		t.Errorf("the feed of a durable server has %d gaps, was resumed %d times: %v", gaps, resumed, watching.errs)
	}
	for _, e := range w.acknowledged {
		if !watching.has(e) {
			t.Fatalf("%q was not told", e.ID)
		}
	}
}

func TestServerWithoutPersistenceThatRestartsIsAGap(t *testing.T) {
	t.Parallel()
	server := newServer(t)
	s := open(t, Options{Addresses: []string{server.address}})
	w := newWatcher()
	ended, _ := watchOnce(t, s, w)
	mustRevoke(t, s, token(1))
	await(t, "report", 3*time.Second, func() bool { return w.has(token(1)) })
	server.kill()
	mustEnd(t, ended, 3*time.Second, nil)
	server.start()
	server.awaitReady()
	watchOnce(t, s, w)
	if gaps, resumed := w.counts(); gaps != 2 || resumed != 0 {
		t.Errorf("%d gaps, %d times resumed", gaps, resumed)
	}
	mustRevoke(t, s, token(2))
	await(t, "report", 3*time.Second, func() bool { return w.has(token(2)) })
}

func TestSilentConnectionIsNoticed(t *testing.T) {
	t.Parallel()
	server, o := sharedServer(t)
	p := newProxy(t, server.address)
	o.Addresses, o.Timeout = []string{p.address()}, time.Second
	s := open(t, o)
	w := newWatcher()
	ended, _ := watchOnce(t, s, w)
	mustRevoke(t, s, token(1))
	await(t, "report", 3*time.Second, func() bool { return w.has(token(1)) })

	p.silence()
	began := time.Now()
	for what, call := range map[string]func(context.Context) error{
		"Revoke":  func(ctx context.Context) error { return s.Revoke(ctx, token(2)) },
		"Restore": func(ctx context.Context) error { return s.Restore(ctx, token(1).Key()) },
		"Lookup":  func(ctx context.Context) error { _, err := s.Lookup(ctx, token(1).Key()); return err },
		"Scan":    func(ctx context.Context) error { return s.Scan(ctx, func(revocation.Entry) error { return nil }) },
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			began := time.Now()
			if err := call(t.Context()); err == nil || errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("%s gave %v", what, err)
			}
			if d := time.Since(began); d > 2500*time.Millisecond {
				t.Errorf("%s took %s, with a time limit of %s", what, d, o.Timeout)
			}
			ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
			defer cancel()
			began = time.Now()
			if err := call(ctx); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("%s gave %v at the end of its context", what, err)
			}
			if d := time.Since(began); d > 500*time.Millisecond {
				t.Errorf("%s took %s, 50 ms were given", what, d)
			}
		})
	}
	mustEnd(t, ended, 3500*time.Millisecond, nil)
	if d := time.Since(began); d < 500*time.Millisecond {
		t.Errorf("Watch ended after %s, before anything was late", d)
	}
}

func TestStoreRecoversFromASilentConnection(t *testing.T) {
	t.Parallel()
	server, o := sharedServer(t)
	p := newProxy(t, server.address)
	o.Addresses, o.Timeout = []string{p.address()}, 500*time.Millisecond
	s := open(t, o)
	mustRevoke(t, s, token(1))
	p.silence()
	if err := s.Revoke(t.Context(), token(2)); err == nil {
		t.Fatal("Revoke through a silent connection")
	}
	p.cut() // of what there was, nothing is ever heard again
	p.heal()
	await(t, "write", 3*time.Second, func() bool { return s.Revoke(t.Context(), token(3)) == nil })
	mustHold(t, s, token(1), token(3))
}

func TestCloseDoesNotWaitForASilentServer(t *testing.T) {
	t.Parallel()
	server, o := sharedServer(t)
	p := newProxy(t, server.address)
	o.Addresses = []string{p.address()}
	s := open(t, o)
	mustRevoke(t, s, token(1))
	p.silence()
	began := time.Now()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if d := time.Since(began); d > time.Second {
		t.Errorf("Close took %s", d)
	}
}

func TestStoppedServerFailsCallsUntilItGoesOn(t *testing.T) {
	t.Parallel()
	server := newServer(t)
	s := open(t, Options{Addresses: []string{server.address}, Timeout: 300 * time.Millisecond})
	mustRevoke(t, s, token(1))
	server.pause()
	if _, err := s.Lookup(t.Context(), token(1).Key()); err == nil || !strings.Contains(err.Error(), "300ms") {
		t.Errorf("Lookup gave %v", err)
	}
	// Also when very many wait.
	var group sync.WaitGroup
	began := time.Now()
	for range 3000 {
		group.Go(func() {
			if _, err := s.Lookup(t.Context(), token(1).Key()); err == nil {
				t.Error("Lookup at a stopped server")
			}
		})
	}
	group.Wait()
	if d := time.Since(began); d > 3*time.Second {
		t.Errorf("the last Lookup took %s", d)
	}
	server.resume()
	await(t, "answer", 3*time.Second, func() bool { _, err := s.Lookup(t.Context(), token(1).Key()); return err == nil })
	mustRevoke(t, s, token(2))
}

// A write is repeated until the server has loaded its data.
func TestShortInterruptionIsNotSeen(t *testing.T) {
	t.Parallel()
	server := newServer(t, durable...)
	s := open(t, Options{Addresses: []string{server.address}, Timeout: 5 * time.Second})
	mustRevoke(t, s, tokens(0, 1000)...)
	server.kill()
	done := make(chan error)
	go func() { done <- s.Revoke(context.Background(), token(1000)) }()
	server.start()
	if err := <-done; err != nil {
		t.Error(err)
	}
	mustHold(t, s, tokens(0, 1001)...)
}

func TestFullServerRefusesWritesAndAnswersReads(t *testing.T) {
	t.Parallel()
	server := newServer(t, "--maxmemory-policy", "noeviction")
	s := open(t, Options{Addresses: []string{server.address}})
	mustRevoke(t, s, token(1))
	w := keepWatching(t, s)
	server.call("CONFIG", "SET", "maxmemory", "1")
	if err := s.Revoke(t.Context(), token(2)); err == nil || !strings.Contains(err.Error(), "OOM") {
		t.Errorf("Revoke gave %v", err)
	}
	mustHold(t, s, token(1))
	now := time.Now()
	await(t, "Alive", 4*time.Second, func() bool { return w.aliveAfter(now) })
	server.call("CONFIG", "SET", "maxmemory", "0")
	mustRevoke(t, s, token(2))
}

func TestServerThatCannotWriteToDisk(t *testing.T) {
	t.Parallel()
	server := newServer(t)
	s := open(t, Options{Addresses: []string{server.address}})
	mustRevoke(t, s, token(1))
	w := keepWatching(t, s)
	gone := filepath.Join(t.TempDir(), "gone")
	if err := os.Mkdir(gone, 0o700); err != nil {
		t.Fatal(err)
	}
	server.call("CONFIG", "SET", "dir", gone)
	server.call("CONFIG", "SET", "save", "3600 1")
	if err := os.Remove(gone); err != nil {
		t.Fatal(err)
	}
	server.call("BGSAVE")
	await(t, "failed save", 5*time.Second, func() bool {
		return strings.Contains(server.call("INFO", "persistence"), "rdb_last_bgsave_status:err")
	})
	if err := s.Revoke(t.Context(), token(2)); err == nil || !strings.Contains(err.Error(), "MISCONF") {
		t.Errorf("Revoke gave %v", err)
	}
	mustHold(t, s, token(1))
	now := time.Now()
	await(t, "Alive", 4*time.Second, func() bool { return w.aliveAfter(now) })
	again := open(t, Options{Addresses: []string{server.address}})
	mustHold(t, again, token(1))
}

// A server that was made a replica answers neither reads nor writes, and the feed ends.
// When the name leads to another server, all goes on there.
func TestDemotedServerIsNotAsked(t *testing.T) {
	t.Parallel()
	other, server := newServer(t), newServer(t)
	p := newProxy(t, server.address)
	s := open(t, Options{Addresses: []string{p.address()}, Timeout: 500 * time.Millisecond})
	mustRevoke(t, s, token(1))
	w := newWatcher()
	ended, _ := watchOnce(t, s, w)
	server.call("REPLICAOF", "127.0.0.1", other.port())
	await(t, "replica", 5*time.Second, func() bool { return strings.Contains(server.call("INFO", "replication"), "master_link_status:up") })
	mustEnd(t, ended, 3*time.Second, nil)
	if _, err := s.Lookup(t.Context(), token(1).Key()); err == nil || !strings.Contains(err.Error(), replyReadOnly) {
		t.Errorf("Lookup gave %v", err)
	}
	if err := s.Revoke(t.Context(), token(2)); err == nil || !strings.Contains(err.Error(), replyReadOnly) {
		t.Errorf("Revoke gave %v", err)
	}
	if err := s.Watch(t.Context(), "", w); err == nil || !strings.Contains(err.Error(), replyReadOnly) {
		t.Errorf("Watch gave %v", err)
	}
	if _, err := Open(t.Context(), Options{Addresses: []string{p.address()}, Timeout: 300 * time.Millisecond}); err == nil || !strings.Contains(err.Error(), replyReadOnly) {
		t.Errorf("Open gave %v", err)
	}
	p.mu.Lock()
	p.target = other.address
	p.mu.Unlock()
	await(t, "write at the other server", 5*time.Second, func() bool { return s.Revoke(t.Context(), token(3)) == nil })
	mustHold(t, s, token(3))
}

func TestWritesThatReplicasDoNotHaveAreErrors(t *testing.T) {
	t.Parallel()
	server := newServer(t)
	var warnings []string
	s := open(t, Options{
		Addresses: []string{server.address}, Wait: Wait{Replicas: 1, Timeout: 200 * time.Millisecond},
		OnWarning: func(warning string) { warnings = append(warnings, warning) },
	})
	if !strings.Contains(strings.Join(warnings, "\n"), "0 replicas, and writes wait for 1") {
		t.Errorf("warnings: %q", warnings)
	}
	if err := s.Revoke(t.Context(), token(1)); !errors.Is(err, ErrNotReplicated) {
		t.Errorf("Revoke without a replica gave %v", err)
	}
	replica := newServer(t, "--replicaof", "127.0.0.1", server.port())
	await(t, "replica", 5*time.Second, func() bool { return strings.Contains(server.call("INFO", "replication"), "state=online") })
	// The same entry once more: nothing changes but that the replica has it.
	await(t, "replicated write", 5*time.Second, func() bool { return s.Revoke(t.Context(), token(1)) == nil })
	if replica.call("EXISTS", s.layout.entry(token(1).Key())) != "1" {
		t.Error("the replica does not have what was acknowledged")
	}
	replica.pause()
	for range 2 {
		if err := s.Revoke(t.Context(), token(1)); !errors.Is(err, ErrNotReplicated) {
			t.Errorf("Revoke with a stopped replica gave %v", err)
		}
		if err := s.Restore(t.Context(), token(9).Key()); !errors.Is(err, ErrNotReplicated) {
			t.Errorf("Restore with a stopped replica gave %v", err)
		}
	}
	mustHold(t, s, token(1))
	replica.resume()
	await(t, "write", 5*time.Second, func() bool { return s.Revoke(t.Context(), token(2)) == nil })
}

// A primary that lacks the replicas that it is set to need may be one that others have
// replaced: what it tells is not called complete.
func TestAliveEndsWithoutTheReplicasThatTheServerNeeds(t *testing.T) {
	t.Parallel()
	server := newServer(t)
	s := open(t, Options{Addresses: []string{server.address}})
	mustRevoke(t, s, token(1))
	w := newWatcher()
	ended, _ := watchOnce(t, s, w)
	server.call("CONFIG", "SET", "min-replicas-to-write", "1")
	mustEnd(t, ended, 3*time.Second, nil)
	if err := s.Watch(t.Context(), "", w); err == nil || !strings.Contains(err.Error(), replyNoReplicas) {
		t.Errorf("Watch gave %v", err)
	}
	mustHold(t, s, token(1)) // reading goes on
}

func TestScriptIsSentToAServerThatForgotIt(t *testing.T) {
	t.Parallel()
	server := newServer(t)
	s := open(t, Options{Addresses: []string{server.address}})
	for n := range 3 {
		server.call("SCRIPT", "FLUSH")
		mustRevoke(t, s, tokens(n*500, (n+1)*500)...)
	}
	mustHold(t, s, tokens(0, 1500)...)
}
