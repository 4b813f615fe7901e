package history

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
)

// engine is what keeps the list.
type engine struct {
	// servers are its processes, addrs their addresses.
	servers []*process
	addrs   []string
	// option is the line of the Caddyfile for a replica that reaches the servers at addrs.
	option func(addrs []string) string
}

// redisEngine is one server that keeps what it acknowledges.
func redisEngine(t *testing.T) *engine {
	t.Helper()
	program, err := exec.LookPath("redis-server")
	switch {
	case err == nil:
	case os.Getenv("CI") == "true":
		t.Fatal("redis-server is not installed: apt-get install redis-server")
	default:
		t.Skip("redis-server is not installed: apt-get install redis-server")
	}
	addr := freeAddr(t)
	_, port, _ := net.SplitHostPort(addr)
	p := &process{
		t: t, name: "redis", env: os.Environ(),
		args: []string{
			program, "--bind", "127.0.0.1", "--port", port, "--dir", t.TempDir(), "--save", "",
			"--appendonly", "yes", "--appendfsync", "always", "--maxmemory-policy", "noeviction",
		},
		ready: func() bool { return answersPing(addr) },
	}
	return &engine{servers: []*process{p}, addrs: []string{addr}, option: func(addrs []string) string {
		return "store redis redis://" + addrs[0]
	}}
}

// answersPing reports whether a Redis server is there and has loaded its data.
func answersPing(addr string) bool {
	conn, err := net.DialTimeout("tcp", addr, time.Second) //nolint:noctx // has a limit of its own
	if err != nil {
		return false
	}
	defer conn.Close()
	if conn.SetDeadline(time.Now().Add(time.Second)) != nil {
		return false
	}
	if _, err := io.WriteString(conn, "PING\r\n"); err != nil {
		return false
	}
	answer := make([]byte, len("+PONG"))
	_, err = io.ReadFull(conn, answer)
	return err == nil && string(answer) == "+PONG"
}

// natsVariable has, in the environment of a process of this test binary, the settings of
// the NATS server that it is to be.
const natsVariable = "HISTORY_NATS_SERVER"

// natsSettings are those of one server.
type natsSettings struct {
	Name   string
	Port   int
	Dir    string
	Routes []string // of all servers, the own one first; none for a single server
}

// natsEngine is a number of servers, each of which keeps the bucket. They have their
// default settings, with which they sync their files now and then only.
func natsEngine(t *testing.T, n int) *engine {
	t.Helper()
	e := &engine{option: func(addrs []string) string {
		return fmt.Sprintf("store nats nats://%s {\n\t\t\treplicas %d\n\t\t}", strings.Join(addrs, " nats://"), n)
	}}
	var routes []string
	for range n {
		routes = append(routes, "nats://"+freeAddr(t))
	}
	for i := range n {
		addr := freeAddr(t)
		s := natsSettings{Name: fmt.Sprintf("n%d", i), Port: portOf(t, addr), Dir: t.TempDir()}
		if n > 1 {
			s.Routes = append([]string{routes[i]}, append(routes[:i:i], routes[i+1:]...)...)
		}
		text, err := json.Marshal(s)
		if err != nil {
			t.Fatal(err)
		}
		self, err := os.Executable()
		if err != nil {
			t.Fatal(err)
		}
		e.addrs = append(e.addrs, addr)
		e.servers = append(e.servers, &process{
			t: t, name: "nats " + s.Name, args: []string{self},
			env:   append(os.Environ(), natsVariable+"="+string(text)),
			ready: func() bool { return listens(addr, "INFO") },
		})
	}
	return e
}

func portOf(t *testing.T, addr string) int {
	t.Helper()
	_, text, err := net.SplitHostPort(addr)
	if err != nil {
		t.Fatal(err)
	}
	port, err := strconv.Atoi(text)
	if err != nil {
		t.Fatal(err)
	}
	return port
}

// serveNATS is a NATS server, until whoever has started it is gone.
func serveNATS(text string) {
	if err := runNATS(text); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func runNATS(text string) error {
	var s natsSettings
	if err := json.Unmarshal([]byte(text), &s); err != nil {
		return err
	}
	options := &server.Options{
		ServerName: s.Name, Host: "127.0.0.1", Port: s.Port,
		JetStream: true, StoreDir: s.Dir, NoSigs: true,
	}
	if len(s.Routes) > 0 {
		_, text, err := net.SplitHostPort(strings.TrimPrefix(s.Routes[0], "nats://"))
		if err != nil {
			return err
		}
		port, err := strconv.Atoi(text)
		if err != nil {
			return err
		}
		// Nobody is told of addresses that are not those of links.
		options.Cluster = server.ClusterOpts{Name: "history", Host: "127.0.0.1", Port: port, NoAdvertise: true}
		options.Routes = server.RoutesFromStr(strings.Join(s.Routes[1:], ","))
	}
	ns, err := server.NewServer(options)
	if err != nil {
		return err
	}
	ns.ConfigureLogger()
	ns.Start()
	_, err = io.Copy(io.Discard, os.Stdin)
	return err
}
