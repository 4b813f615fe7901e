package natsstore

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go/jetstream"
)

// partitionable is a cluster whose servers talk to one another through proxies.
type partitionable struct {
	*cluster
	proxies []*proxy // in front of each
}

func startPartitionable(t testing.TB) *partitionable {
	fronts := freePorts(t, 3)
	p := &partitionable{proxies: make([]*proxy, 3)}
	p.cluster = startCluster(t, func(number int, opts *server.Options) {
		front := fmt.Sprintf("127.0.0.1:%d", fronts[number])
		p.proxies[number] = startProxy(t, front, fmt.Sprintf("127.0.0.1:%d", opts.Cluster.Port))
		opts.Cluster.Advertise = front
		opts.Cluster.NoAdvertise = true // clients stay with the servers that they are given
		opts.Routes = nil
		for _, port := range fronts {
			opts.Routes = append(opts.Routes, server.RoutesFromStr(fmt.Sprintf("nats://127.0.0.1:%d", port))...)
		}
	})
	return p
}

// cutOff drops all that passes between one server and the others.
func (p *partitionable) cutOff(number int) {
	name := fmt.Sprintf("n%d", number)
	for i, proxy := range p.proxies {
		if i == number {
			proxy.blackhole()
		} else {
			proxy.block(func(dialer string) bool { return dialer == name })
		}
	}
}

// A leader that is cut off from the majority believes to be it for 10 seconds and more.
// Meanwhile the others revoke, and whoever asks the old leader must not be told that
// nothing is revoked.
func TestCutOffLeaderIsNotBelieved(t *testing.T) {
	t.Parallel()
	c := startPartitionable(t)
	opts := Options{URLs: c.urls(), Bucket: newBucket(), Replicas: 3}
	open(t, opts)
	leader := c.leader(opts.Bucket)
	others := slices.Delete(c.urls(), leader, leader+1)

	opts.Timeout = time.Second
	opts.URLs = []string{c.servers[leader].ClientURL()}
	old := open(t, opts)
	opts.URLs = others
	majority := open(t, opts)
	// One that knows the others, too.
	opts.URLs = c.urls()
	mobile := open(t, opts)
	for mobile.nc.ConnectedAddr() != c.servers[leader].Addr().String() {
		mobile = open(t, opts)
	}
	first, second := token(1), token(2)
	mustRevoke(t, old, first)
	mustHold(t, majority, first)

	c.cutOff(leader)
	began := time.Now()
	if err := old.Revoke(context.Background(), token(3)); err == nil {
		t.Fatal("a cut-off leader acknowledges")
	}
	if took := time.Since(began); took > 4*opts.Timeout {
		t.Fatalf("Revoke gave up after %s, with a timeout of %s", took, opts.Timeout)
	}
	for try := 0; ; try++ {
		if err := majority.Revoke(context.Background(), second); err == nil {
			break
		} else if try > 60 {
			t.Fatal(err)
		}
	}
	t.Logf("a new leader acknowledged after %s", time.Since(began))
	if !c.servers[leader].JetStreamIsStreamLeader(server.DEFAULT_GLOBAL_ACCOUNT, newLayout(opts.Bucket).stream) {
		t.Skip("the election took so long that the old leader has given up: there is nothing to test")
	}
	for range 3 {
		found, err := old.Lookup(context.Background(), second.Key())
		if err == nil && found[0].ID != second.ID {
			t.Fatalf("the cut-off leader was believed: %+v", found[0])
		}
	}
	await(t, "change to a server that is not cut off", func() bool {
		found, err := mobile.Lookup(context.Background(), second.Key())
		if err == nil && found[0].ID != second.ID {
			t.Fatalf("the cut-off leader was believed: %+v", found[0])
		}
		return err == nil
	})
	for _, proxy := range c.proxies {
		proxy.forward()
	}
	await(t, "answer of the healed cluster", func() bool {
		found, err := old.Lookup(context.Background(), second.Key())
		return err == nil && found[0].ID == second.ID
	})
	mustHold(t, old, first, second)
}

// A bucket that others have made usually allows direct reads, which any replica answers
// with what it has. One that is cut off, or merely behind, says of a revoked token that there
// is nothing; so it is never asked.
func TestReplicaThatIsBehindIsNotBelieved(t *testing.T) {
	t.Parallel()
	c := startPartitionable(t)
	opts := Options{URLs: c.urls(), Bucket: newBucket(), Replicas: 3, Timeout: time.Second}
	first := open(t, opts)
	info, err := first.bucketInfo(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	info.Config.AllowDirect = true
	if _, err := first.js.UpdateStream(t.Context(), info.Config); err != nil {
		t.Fatal(err)
	}
	behind := (c.leader(opts.Bucket) + 1) % len(c.servers)
	opts.URLs = []string{c.servers[behind].ClientURL()}
	s := open(t, opts)
	opts.URLs = slices.Delete(c.urls(), behind, behind+1)
	majority := open(t, opts)
	mustRevoke(t, majority, token(1))
	direct, err := s.js.Stream(t.Context(), s.layout.stream)
	if err != nil {
		t.Fatal(err)
	}
	if !direct.CachedInfo().Config.AllowDirect {
		t.Fatal("the bucket does not allow direct reads")
	}
	await(t, "entry by a direct read", func() bool {
		_, err := direct.GetLastMsgForSubject(shortly(t), s.layout.entry(token(1).Key()))
		return err == nil
	})

	c.cutOff(behind)
	revoked := token(2)
	await(t, "logout by the majority", func() bool { return majority.Revoke(context.Background(), revoked) == nil })
	mustHold(t, majority, revoked)
	// Some of them go to the others, and nobody answers.
	await(t, "direct read that is behind", func() bool {
		_, err := direct.GetLastMsgForSubject(shortly(t), s.layout.entry(revoked.Key()))
		return errors.Is(err, jetstream.ErrMsgNotFound)
	})
	for range 3 {
		found, err := s.Lookup(t.Context(), revoked.Key())
		if err == nil && found[0].ID != revoked.ID {
			t.Fatal("a replica that is behind was believed")
		}
	}
	for _, proxy := range c.proxies {
		proxy.forward()
	}
	await(t, "answer of the healed cluster", func() bool {
		found, err := s.Lookup(t.Context(), revoked.Key())
		return err == nil && found[0].ID == revoked.ID
	})
}
