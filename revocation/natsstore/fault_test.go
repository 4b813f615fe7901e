package natsstore

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"

	"example.com/caddy-token-auth/revocation"
)

func TestRestartedServerKeepsWhatWasAcknowledged(t *testing.T) {
	t.Parallel()
	dir, port := t.TempDir(), freePorts(t, 1)[0]
	start := func() *server.Server {
		return startServer(t, func(opts *server.Options) { opts.StoreDir, opts.Port = dir, port })
	}
	running := start()
	s := open(t, Options{URLs: []string{running.ClientURL()}})
	entries := make([]revocation.Entry, 100)
	for i := range entries {
		entries[i] = token(i)
	}
	mustRevoke(t, s, entries...)
	if err := s.Restore(t.Context(), entries[7].Key()); err != nil {
		t.Fatal(err)
	}
	running.Shutdown()
	running.WaitForShutdown()
	if _, err := s.Lookup(shortly(t), entries[0].Key()); err == nil {
		t.Fatal("Lookup without a server succeeds")
	}
	start()
	// The same Store goes on by itself.
	mustHold(t, s, append(entries[:7:7], entries[8:]...)...)
	if found, err := s.Lookup(t.Context(), entries[7].Key()); err != nil || found[0].Scope != 0 {
		t.Fatalf("Lookup of what was restored gave %+v, %v", found, err)
	}
	mustRevoke(t, s, token(1000))
}

// shortly returns a context that ends soon.
func shortly(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	t.Cleanup(cancel)
	return ctx
}

// What was acknowledged is there, whichever server goes, and the stores go on by
// themselves.
func TestLossOfTheLeaderLosesNothing(t *testing.T) {
	t.Parallel()
	c := startCluster(t, nil)
	opts := Options{URLs: c.urls(), Bucket: newBucket(), Replicas: 3, Timeout: 2 * time.Second}
	stores := []*Store{open(t, opts), open(t, opts)}
	sinks := []*sink{keepFollowing(t, stores[0]), keepFollowing(t, stores[1])}
	var mu sync.Mutex
	acknowledged := make(map[revocation.Key]revocation.Entry)
	stop := make(chan struct{})
	var writers sync.WaitGroup
	for n := range 8 {
		writers.Go(func() {
			for i := 0; ; i++ {
				select {
				case <-stop:
					return
				default:
				}
				e := token(1_000_000*n + i%500) // again and again
				e.At = e.At.Add(time.Duration(i) * time.Millisecond)
				if stores[n%2].Revoke(context.Background(), e) == nil {
					mu.Lock()
					acknowledged[e.Key()] = e
					mu.Unlock()
				}
			}
		})
	}
	count := func() int {
		mu.Lock()
		defer mu.Unlock()
		return len(acknowledged)
	}
	await(t, "writes", func() bool { return count() > 500 })
	leader := c.leader(opts.Bucket)
	c.servers[leader].Shutdown()
	c.servers[leader].WaitForShutdown()
	before := count()
	await(t, "writes after the loss", func() bool { return count() > before+500 })
	close(stop)
	writers.Wait()
	entries := make([]revocation.Entry, 0, len(acknowledged))
	for _, e := range acknowledged {
		entries = append(entries, e)
	}
	for _, s := range stores {
		mustHold(t, s, entries...)
	}
	found := make(map[revocation.Key]revocation.Entry)
	if err := stores[0].Scan(t.Context(), func(e revocation.Entry) error {
		found[e.Key()] = e
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	for key, e := range acknowledged {
		if found[key].At.Before(e.At) {
			t.Fatalf("Scan gave %+v, want %+v", found[key], e)
		}
	}
	for _, k := range sinks {
		k.await(t, "report of all that was acknowledged", func() bool {
			for key, e := range acknowledged {
				if k.list[key].At.Before(e.At) {
					return false
				}
			}
			return true
		})
		k.await(t, "end without another gap than that of the beginning", func() bool { return k.gaps == 1 })
	}
}

// A network that drops packets says nothing. Calls end in time, Watch finds out within 3
// seconds, and all goes on when the network does.
func TestSilentlyDroppedConnection(t *testing.T) {
	t.Parallel()
	p := startProxy(t, "", startServer(t, nil).Addr().String())
	s := open(t, Options{URLs: []string{p.url()}, Timeout: time.Second})
	mustRevoke(t, s, token(1))
	sink := follow(t, s, "")
	mustRevoke(t, s, token(2))
	sink.await(t, "report", func() bool { return sink.list[token(2).Key()].ID != "" })
	at := sink.position()

	p.blackhole()
	began := time.Now()
	noticed := make(chan time.Duration, 1)
	go func() {
		<-sink.ended
		noticed <- time.Since(began)
	}()
	for name, call := range map[string]func() error{
		"Lookup":  func() error { _, err := s.Lookup(t.Context(), token(1).Key()); return err },
		"Revoke":  func() error { return s.Revoke(t.Context(), token(3)) },
		"Restore": func() error { return s.Restore(t.Context(), token(1).Key()) },
	} {
		called := time.Now()
		err := call()
		if err == nil || errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%s gave %v", name, err)
		}
		if took := time.Since(called); took > 2*time.Second {
			t.Errorf("%s ended after %s", name, took)
		}
	}
	err := sink.end(t)
	if took := <-noticed; took > 3500*time.Millisecond {
		t.Errorf("Watch noticed after %s", took)
	}
	if !errors.Is(err, ErrFeedLost) {
		t.Errorf("Watch gave %v, want ErrFeedLost", err)
	}
	p.forward()
	await(t, "answer", func() bool {
		_, err := s.Lookup(t.Context(), token(1).Key())
		return err == nil
	})
	mustRevoke(t, s, token(4))
	sink = follow(t, s, at)
	sink.await(t, "resumption without a gap", func() bool { return !sink.gap && sink.list[token(4).Key()].ID != "" })
}

func TestSlowServerIsWaitedFor(t *testing.T) {
	t.Parallel()
	p := startProxy(t, "", singleServer(t).Addr().String())
	s := open(t, Options{URLs: []string{p.url()}, Bucket: newBucket(), Timeout: 4 * time.Second})
	sink := follow(t, s, "")
	p.slow(200 * time.Millisecond)
	mustRevoke(t, s, token(1))
	mustHold(t, s, token(1))
	moved := token(1)
	moved.At = moved.At.Add(time.Second)
	mustRevoke(t, s, moved)
	mustHold(t, s, moved)
	now := time.Now()
	sink.await(t, "Alive", func() bool { return sink.alive.After(now) })
}

// Whoever answered may have been replaced as leader while the answer was under way.
func TestAnswerThatTakesTooLongIsNotBelieved(t *testing.T) {
	t.Parallel()
	p := startProxy(t, "", singleServer(t).Addr().String())
	s := open(t, Options{URLs: []string{p.url()}, Bucket: newBucket(), Timeout: 20 * time.Second})
	mustRevoke(t, s, token(1))
	p.slow(fenceLimit * 3 / 10) // twice for the write, twice for the answer
	await(t, "need for another write", func() bool { return s.unconfirmed() > fenceRenewal })
	if _, err := s.Lookup(t.Context(), token(1).Key()); !errors.Is(err, errUnconfirmed) {
		t.Fatalf("Lookup gave %v, want errUnconfirmed", err)
	}
	p.slow(0)
	await(t, "answer in time", func() bool {
		found, err := s.Lookup(t.Context(), token(1).Key())
		return err == nil && found[0].ID == token(1).ID
	})
}

func TestDeletedBucketIsAnErrorAndThenAGap(t *testing.T) {
	t.Parallel()
	opts := Options{URLs: []string{singleServer(t).ClientURL()}, Bucket: newBucket(), Timeout: time.Second}
	s := open(t, opts)
	sink := follow(t, s, "")
	mustRevoke(t, s, token(1))
	sink.await(t, "report", func() bool { return len(sink.list) == 1 })
	at := sink.position()

	if err := s.js.DeleteStream(t.Context(), s.layout.stream); err != nil {
		t.Fatal(err)
	}
	if err := sink.end(t); !errors.Is(err, ErrFeedLost) {
		t.Errorf("Watch gave %v, want ErrFeedLost", err)
	}
	nothing := func(revocation.Entry) error { return nil }
	for name, call := range map[string]func() error{
		"Lookup":  func() error { _, err := s.Lookup(t.Context(), token(1).Key()); return err },
		"Revoke":  func() error { return s.Revoke(t.Context(), token(1)) },
		"Restore": func() error { return s.Restore(t.Context(), token(1).Key()) },
		"Scan":    func() error { return s.Scan(t.Context(), nothing) },
		"Watch":   func() error { return s.Watch(t.Context(), at, newSink()) },
	} {
		if err := call(); err == nil {
			t.Errorf("%s succeeds without a bucket", name)
		}
	}
	// The new one has nothing that could be taken for what came before the position.
	config := bucketConfig(opts.Bucket)
	config.FirstSeq = 1000
	if _, err := s.js.CreateStream(t.Context(), config); err != nil {
		t.Fatal(err)
	}
	dropBucket(t, s)
	sink = follow(t, s, at)
	sink.await(t, "gap", func() bool { return sink.started && sink.gap })
}

// The servers may forget the consumer that Watch reads through. Nothing is lost by that.
func TestDeletedConsumerEndsTheFeed(t *testing.T) {
	t.Parallel()
	s := open(t, Options{URLs: []string{singleServer(t).ClientURL()}, Bucket: newBucket()})
	dropBucket(t, s)
	sink := follow(t, s, "")
	mustRevoke(t, s, token(1))
	sink.await(t, "report", func() bool { return len(sink.list) == 1 })
	stream, err := s.js.Stream(t.Context(), s.layout.stream)
	if err != nil {
		t.Fatal(err)
	}
	for name := range stream.ConsumerNames(t.Context()).Name() {
		if err := stream.DeleteConsumer(t.Context(), name); err != nil {
			t.Fatal(err)
		}
	}
	mustRevoke(t, s, token(2))
	if err := sink.end(t); !errors.Is(err, ErrFeedLost) {
		t.Errorf("Watch gave %v, want ErrFeedLost", err)
	}
	sink = follow(t, s, sink.position())
	sink.await(t, "resumption", func() bool { return !sink.gap && sink.list[token(2).Key()].ID != "" })
}

// Files that were put back to an older state bring the sequences of the newer one again,
// with other messages.
func TestOlderBackupIsAGap(t *testing.T) {
	t.Parallel()
	for name, writes := range map[string]int{"shorter": 0, "longer": 30} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir, backup, port := t.TempDir(), t.TempDir()+"/backup", freePorts(t, 1)[0]
			start := func(dir string) *server.Server {
				return startServer(t, func(opts *server.Options) { opts.StoreDir, opts.Port = dir, port })
			}
			stop := func(s *server.Server) {
				s.Shutdown()
				s.WaitForShutdown()
			}
			running := start(dir)
			s := open(t, Options{URLs: []string{"127.0.0.1:" + strconv.Itoa(port)}})
			mustRevoke(t, s, token(0))
			stop(running)
			copyDir(t, backup, dir)

			running = start(dir)
			sink := follow(t, s, "")
			for n := 1; n < 10; n++ {
				mustRevoke(t, s, token(n))
			}
			sink.await(t, "reports", func() bool { return sink.list[token(9).Key()].ID != "" })
			at := sink.position()
			stop(running)
			sink.end(t)

			start(backup)
			mustHold(t, s, token(0))
			for n := range writes {
				mustRevoke(t, s, token(100+n))
			}
			sink = follow(t, s, at)
			sink.await(t, "gap", func() bool { return sink.started && sink.gap })
		})
	}
}

// What was sent before the connection broke may arrive at any time. By then something
// else is stored, and stays.
func TestLateWriteDoesNothing(t *testing.T) {
	t.Parallel()
	s := open(t, Options{URLs: []string{singleServer(t).ClientURL()}, Bucket: newBucket()})
	dropBucket(t, s)
	e := token(1)
	key := e.Key()
	mustRevoke(t, s, e)
	seen, err := s.last(t.Context(), key)
	if err != nil {
		t.Fatal(err)
	}
	later := e
	later.At = later.At.Add(time.Second)
	mustRevoke(t, s, later)
	h := header(headerOperation, operationDelete)
	if err := s.put(t.Context(), key, nil, h, seen.sequence); !errors.Is(err, errConflict) {
		t.Fatalf("a late removal gave %v, want a conflict", err)
	}
	if err := s.put(t.Context(), key, record{entry: e}.encode(), nil, 0); !errors.Is(err, errConflict) {
		t.Fatalf("a late entry gave %v, want a conflict", err)
	}
	mustHold(t, s, later)
}

func TestUnreachableServerIsNamed(t *testing.T) {
	address := fmt.Sprintf("127.0.0.1:%d", freePorts(t, 1)[0])
	_, err := Open(t.Context(), Options{URLs: []string{fmt.Sprintf("nats://alice:s3cret@%s", address)}})
	if err == nil || !strings.Contains(err.Error(), address) || strings.Contains(err.Error(), "s3cret") {
		t.Fatalf("Open gave %v, want an error with the address and without the password", err)
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Open(ended, Options{URLs: []string{address}}); !errors.Is(err, context.Canceled) {
		t.Fatalf("Open gave %v, want context.Canceled", err)
	}
}
