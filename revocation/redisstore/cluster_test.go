package redisstore

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"strings"
	"testing"
	"time"

	"example.com/caddy-token-auth/revocation"
	"example.com/caddy-token-auth/revocation/storetest"
)

// cluster are three primaries.
type cluster []*server

func newCluster(t testing.TB) cluster {
	t.Helper()
	var c cluster
	args := []string{"--cluster", "create"}
	for range 3 {
		s := newServer(t, "--cluster-enabled", "yes", "--cluster-node-timeout", "1000", "--appendonly", "yes")
		c = append(c, s)
		args = append(args, s.address)
	}
	out, err := exec.CommandContext(t.Context(), program(t, "redis-cli"), append(args, "--cluster-yes")...).CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for _, s := range c {
		await(t, "cluster", 10*time.Second, func() bool { return strings.Contains(s.call("CLUSTER", "INFO"), "cluster_state:ok") })
	}
	return c
}

func (c cluster) options() Options { return Options{Addresses: []string{c[0].address}, Cluster: true} }

// owner returns the node that has a slot.
func (c cluster) owner(slot int64) *server {
	for _, s := range c {
		key := "{" + tags[slotPartition(slot)] + "}"
		if _, err := s.try("GET", key); err == nil {
			return s
		}
	}
	return nil
}

func slotPartition(slot int64) int { return int(slot / 1024) }

//nolint:tparallel // The subtests share the cluster, and the last ones take it apart.
func TestCluster(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	t.Run("tags", func(t *testing.T) {
		for p, tag := range tags {
			if got := c[0].call("CLUSTER", "KEYSLOT", "x{"+tag+"}:y"); got != fmt.Sprint(slots[p]) {
				t.Errorf("the slot of tag %s is %s, not %d", tag, got, slots[p])
			}
		}
	})
	t.Run("contract", func(t *testing.T) {
		storetest.Run(t, func(t *testing.T) storetest.Subject {
			o := ownOptions(t, c.options())
			clock := storetest.NewClock()
			o.Now = clock.Now
			return storetest.Subject{
				Store: open(t, o), Now: clock.Now, Advance: clock.Advance,
				Reopen: func(t *testing.T) revocation.Store { return open(t, o) },
			}
		})
	})
	t.Run("feed", func(t *testing.T) {
		storetest.RunFeed(t, func(t *testing.T) storetest.FeedSubject {
			o := ownOptions(t, c.options())
			o.blockFor = 100 * time.Millisecond
			return storetest.FeedSubject{
				Stores: []revocation.Store{open(t, o), open(t, o)},
				Forget: func(*testing.T) {
					feed := newLayout(o.KeyPrefix).feeds[7]
					c.owner(slots[7]).call("DEL", feed)
				},
			}
		})
	})
	t.Run("node that is not named as one", func(t *testing.T) {
		if _, err := Open(t.Context(), Options{Addresses: []string{c[0].address}}); !errors.Is(err, errClusterNode) {
			t.Errorf("Open gave %v", err)
		}
	})
	t.Run("waiting for replicas that are not there", func(t *testing.T) {
		o := ownOptions(t, c.options())
		o.Wait = Wait{Replicas: 1, Timeout: 20 * time.Millisecond}
		s := open(t, o)
		if err := s.Revoke(t.Context(), tokens(0, 50)...); !errors.Is(err, ErrNotReplicated) {
			t.Errorf("Revoke gave %v", err)
		}
		w := newWatcher()
		watchOnce(t, s, w)
	})
	t.Run("slot is moved", func(t *testing.T) { testMovedSlot(t, c) })
	t.Run("node is away", func(t *testing.T) { testNodeAway(t, c) })
}

// testMovedSlot moves a slot by hand, step by step, while it is used.
func testMovedSlot(t *testing.T, c cluster) {
	o := ownOptions(t, c.options())
	o.Timeout = 500 * time.Millisecond
	s := open(t, o)
	ctx := t.Context()
	waiting := o
	waiting.Wait = Wait{Replicas: 1, Timeout: 20 * time.Millisecond}
	sw := open(t, waiting)
	entries := tokens(0, 200)
	mustRevoke(t, s, entries...)
	w := keepWatching(t, s)
	const p = 3
	slot := fmt.Sprint(slots[p])
	from := c.owner(slots[p])
	to := c[0]
	if to == from {
		to = c[1]
	}
	// The entry of this partition that is written throughout.
	var e revocation.Entry
	for n := 0; ; n++ {
		if e = token(n); partitionOf(e.Key()) == p {
			break
		}
	}
	later := func(n int) revocation.Entry {
		moved := e
		moved.At = e.At.Add(time.Duration(n) * time.Second)
		return moved
	}
	told := func(n int) {
		t.Helper()
		await(t, "report", 5*time.Second, func() bool { w.mu.Lock(); defer w.mu.Unlock(); return w.list[e.Key()].At.Equal(later(n).At) })
	}
	mustRevoke(t, s, later(1))
	told(1)
	if err := sw.Revoke(ctx, e); !errors.Is(err, ErrNotReplicated) {
		t.Errorf("Revoke gave %v", err)
	}

	to.call("CLUSTER", "SETSLOT", slot, "IMPORTING", from.call("CLUSTER", "MYID"))
	from.call("CLUSTER", "SETSLOT", slot, "MIGRATING", to.call("CLUSTER", "MYID"))
	mustRevoke(t, s, later(2))
	told(2)
	if err := s.Scan(ctx, func(revocation.Entry) error { return nil }); !errors.Is(err, ErrMoving) {
		t.Errorf("Scan while a slot is moved gave %v", err)
	}
	// The entries are moved, the feed is not: reads go on, writes need both.
	for key := range strings.SplitSeq(from.call("CLUSTER", "GETKEYSINSLOT", slot, "1000"), "\n") {
		if key != s.layout.feeds[p] {
			from.call("MIGRATE", "127.0.0.1", to.port(), key, "0", "1000")
		}
	}
	mustHold(t, s, entries...)
	if err := s.Revoke(ctx, later(3)); err == nil || !strings.Contains(err.Error(), "TRYAGAIN") {
		t.Errorf("a write amid the move gave %v", err)
	}
	from.call("MIGRATE", "127.0.0.1", to.port(), s.layout.feeds[p], "0", "1000")
	mustHold(t, s, entries...)
	mustRevoke(t, s, later(4)) // by ASK
	told(4)
	for _, node := range []*server{to, from, c[2]} {
		node.call("CLUSTER", "SETSLOT", slot, "NODE", to.call("CLUSTER", "MYID"))
	}
	mustRevoke(t, s, later(5)) // by MOVED
	told(5)
	mustHold(t, s, entries...)
	// What waits for replicas asks the node that has the slot now, and no other.
	if err := sw.Revoke(ctx, later(6)); !errors.Is(err, ErrNotReplicated) {
		t.Errorf("Revoke gave %v", err)
	}
	told(6)
	seen := 0
	if err := s.Scan(ctx, func(revocation.Entry) error { seen++; return nil }); err != nil || seen < len(entries) {
		t.Errorf("Scan saw %d entries, %v", seen, err)
	}
	if gaps, _ := w.counts(); gaps != 1 {
		t.Errorf("%d gaps in the feed of a slot that was moved: %v", gaps, w.errs)
	}
}

// testNodeAway kills a node and starts it again.
func testNodeAway(t *testing.T, c cluster) {
	o := ownOptions(t, c.options())
	o.Timeout = 300 * time.Millisecond
	s := open(t, o)
	entries := tokens(0, 100)
	mustRevoke(t, s, entries...)
	w := newWatcher()
	ended, _ := watchOnce(t, s, w)
	c[2].kill()
	mustEnd(t, ended, 4*time.Second, nil)
	if err := s.Revoke(context.Background(), tokens(100, 200)...); err == nil {
		t.Error("Revoke without one of the nodes")
	}
	c[2].start()
	c[2].awaitReady()
	await(t, "write", 10*time.Second, func() bool { return s.Revoke(context.Background(), tokens(100, 200)...) == nil })
	mustHold(t, s, tokens(0, 200)...)
	watchOnce(t, s, w)
	if gaps, resumed := w.counts(); gaps != 1 || resumed != 1 {
		t.Errorf("%d gaps, %d times resumed", gaps, resumed)
	}
}
