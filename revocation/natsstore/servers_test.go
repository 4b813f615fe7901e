package natsstore

import (
	"context"
	"flag"
	"fmt"
	"net"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go/jetstream"

	"example.com/caddy-token-auth/revocation"
)

// shared are the servers that several tests use.
var shared struct {
	sync.Mutex
	single   *server.Server
	cluster  *cluster
	cleanups []func()
}

func TestMain(m *testing.M) {
	// Most tests spend their time waiting for something to fail or to recover.
	flag.Parse()
	if err := flag.Set("test.parallel", "6"); err != nil {
		panic(err)
	}
	code := m.Run()
	for _, cleanup := range slices.Backward(shared.cleanups) {
		cleanup()
	}
	if left := leaks(); left != "" {
		fmt.Println("goroutines are left:\n\n" + left)
		code = 1
	}
	os.Exit(code)
}

// leaks returns the goroutines of stores and their connections that are left when all
// tests have ended. They end a little after what they announce, so it looks more than
// once.
func leaks() string {
	var left []string
	for deadline := time.Now().Add(5 * time.Second); time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		left = left[:0]
		stacks := make([]byte, 1<<22)
		stacks = stacks[:runtime.Stack(stacks, true)]
		for g := range strings.SplitSeq(string(stacks), "\n\n") {
			if !strings.Contains(g, "natsstore.leaks") && (strings.Contains(g, "natsstore.") || strings.Contains(g, "/nats.go")) {
				left = append(left, g)
			}
		}
		if len(left) == 0 {
			break
		}
	}
	return strings.Join(left, "\n\n")
}

// sharedT is the testing.TB of what outlives a test: its cleanups run at the end of all.
type sharedT struct{ testing.TB }

func (sharedT) Cleanup(fn func()) { shared.cleanups = append(shared.cleanups, fn) }

func (s sharedT) TempDir() string {
	dir, err := os.MkdirTemp("", "natsstore")
	if err != nil {
		s.Fatal(err)
	}
	s.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

// singleServer returns a server of its own, which all tests share.
func singleServer(t testing.TB) *server.Server {
	shared.Lock()
	defer shared.Unlock()
	if shared.single == nil {
		shared.single = startServer(sharedT{t}, nil)
		keepStream(t, shared.single.ClientURL(), 1)
	}
	return shared.single
}

// sharedCluster returns a cluster of three servers, which all tests share.
func sharedCluster(t testing.TB) *cluster {
	shared.Lock()
	defer shared.Unlock()
	if shared.cluster == nil {
		shared.cluster = startCluster(sharedT{t}, nil)
	}
	return shared.cluster
}

// startServer starts a server, with what configure changes, and waits until it is ready.
func startServer(t testing.TB, configure func(*server.Options)) *server.Server {
	t.Helper()
	opts := &server.Options{
		ServerName: "single", Host: "127.0.0.1", Port: server.RANDOM_PORT,
		JetStream: true, StoreDir: t.TempDir(), NoLog: true, NoSigs: true,
	}
	if configure != nil {
		configure(opts)
	}
	s, err := server.NewServer(opts)
	if err != nil {
		t.Fatal(err)
	}
	s.Start()
	t.Cleanup(func() {
		s.Shutdown()
		s.WaitForShutdown()
	})
	if !s.ReadyForConnections(20 * time.Second) {
		t.Fatal("the server does not start")
	}
	return s
}

// keepStream creates a stream that is never deleted. A server that deletes its last one
// takes the directory of all away, and may fail to create the next.
func keepStream(t testing.TB, url string, replicas int) {
	t.Helper()
	js := connectAdmin(t, url)
	await(t, "stream", func() bool {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		_, err := js.CreateStream(ctx, jetstream.StreamConfig{Name: "keep", Replicas: replicas})
		return err == nil
	})
}

// cluster is three servers.
type cluster struct {
	servers []*server.Server
}

// startCluster starts a cluster and waits until it can create streams.
func startCluster(t testing.TB, configure func(number int, opts *server.Options)) *cluster {
	t.Helper()
	ports := freePorts(t, 3)
	routes := make([]string, len(ports))
	for i, port := range ports {
		routes[i] = fmt.Sprintf("nats://127.0.0.1:%d", port)
	}
	c := new(cluster)
	for i := range ports {
		opts := &server.Options{
			ServerName: fmt.Sprintf("n%d", i), Host: "127.0.0.1", Port: server.RANDOM_PORT,
			JetStream: true, StoreDir: t.TempDir(), NoLog: true, NoSigs: true,
			Cluster: server.ClusterOpts{Name: "test", Host: "127.0.0.1", Port: ports[i]},
			Routes:  server.RoutesFromStr(strings.Join(routes, ",")),
		}
		if configure != nil {
			configure(i, opts)
		}
		s, err := server.NewServer(opts)
		if err != nil {
			t.Fatal(err)
		}
		s.Start()
		c.servers = append(c.servers, s)
	}
	t.Cleanup(func() {
		for _, s := range c.servers {
			s.Shutdown()
		}
		for _, s := range c.servers {
			s.WaitForShutdown()
		}
	})
	for _, s := range c.servers {
		if !s.ReadyForConnections(20 * time.Second) {
			t.Fatal("a server does not start")
		}
	}
	keepStream(t, c.servers[0].ClientURL(), len(c.servers))
	return c
}

func (c *cluster) urls() (urls []string) {
	for _, s := range c.servers {
		urls = append(urls, s.ClientURL())
	}
	return urls
}

// leader returns the number of the server that leads the bucket's stream, or -1.
func (c *cluster) leader(bucket string) int {
	for i, s := range c.servers {
		if s.Running() && s.JetStreamIsStreamLeader(server.DEFAULT_GLOBAL_ACCOUNT, newLayout(bucket).stream) {
			return i
		}
	}
	return -1
}

// freePorts returns ports that nobody listens at.
func freePorts(t testing.TB, n int) (ports []int) {
	t.Helper()
	for range n {
		l, err := new(net.ListenConfig).Listen(context.Background(), "tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		ports = append(ports, l.Addr().(*net.TCPAddr).Port)
	}
	return ports
}

// await waits for something that cannot announce itself.
func await(t testing.TB, what string, condition func() bool) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); !condition(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("no %s within 30s", what)
		}
	}
}

var buckets atomic.Int64

// newBucket returns a name that no other test uses.
func newBucket() string { return fmt.Sprintf("b%d", buckets.Add(1)) }

// open opens a store and closes it at the end of the test. The bucket stays.
func open(t testing.TB, opts Options) *Store {
	t.Helper()
	if opts.Timeout == 0 {
		opts.Timeout = 10 * time.Second // the machine may be busy
	}
	s, err := Open(context.Background(), opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
	return s
}

// dropBucket deletes the bucket at the end of the test, so that shared servers do not
// fill up.
func dropBucket(t testing.TB, s *Store) {
	t.Cleanup(func() {
		if err := s.js.DeleteStream(context.Background(), s.layout.stream); err != nil {
			t.Errorf("deleting the bucket: %v", err)
		}
	})
}

// begun is the time of entries, so that one of the same number is the same throughout.
var begun = time.Now()

func token(n int) revocation.Entry {
	now := begun.Truncate(time.Second).UTC()
	return revocation.Entry{
		Scope: revocation.ScopeToken, Realm: "https://id.example.com", ID: fmt.Sprintf("token-%d", n),
		At: now, Expires: now.Add(time.Hour),
	}
}

func mustRevoke(t testing.TB, s *Store, entries ...revocation.Entry) {
	t.Helper()
	if err := s.Revoke(context.Background(), entries...); err != nil {
		t.Fatalf("Revoke: %v", err)
	}
}

// mustHold fails the test unless s finds all entries.
func mustHold(t testing.TB, s *Store, entries ...revocation.Entry) {
	t.Helper()
	keys := make([]revocation.Key, len(entries))
	for i, e := range entries {
		keys[i] = e.Key()
	}
	found, err := s.Lookup(context.Background(), keys...)
	if err != nil {
		t.Fatalf("Lookup: %v", err)
	}
	for i, e := range entries {
		if found[i].ID != e.ID || found[i].At.Before(e.At) || found[i].Expires.Before(e.Expires) {
			t.Fatalf("Lookup gave %+v, want %+v", found[i], e)
		}
	}
}
