package redisstore

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"example.com/caddy-token-auth/revocation"
)

// server is a redis-server or a Sentinel of its own.
type server struct {
	t       testing.TB
	dir     string
	address string
	args    []string
	// password is what the server asks for, if it does.
	password string

	cmd   *exec.Cmd
	ended chan struct{}
}

// shared are the servers that several tests use, and their directories.
var shared struct {
	sync.Mutex
	cleanups []func()
}

func TestMain(m *testing.M) {
	code := m.Run()
	for _, cleanup := range shared.cleanups {
		cleanup()
	}
	os.Exit(code)
}

// sharedT is the testing.TB of what outlives a test: its cleanups run at the end of all.
type sharedT struct{ testing.TB }

func (sharedT) Cleanup(fn func()) {
	shared.Lock()
	defer shared.Unlock()
	shared.cleanups = append(shared.cleanups, fn)
}

func (s sharedT) TempDir() string {
	dir, err := os.MkdirTemp("", "redisstore")
	if err != nil {
		s.Fatal(err)
	}
	s.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

// program returns the path of one of Redis' programs. Without it the test cannot run.
func program(t testing.TB, name string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	switch {
	case err == nil:
		return path
	case os.Getenv("CI") == "true":
		t.Fatalf("%s is not installed: apt-get install redis-server redis-sentinel", name)
	default:
		t.Skipf("%s is not installed: apt-get install redis-server redis-sentinel", name)
	}
	return ""
}

// starts begins processes by a thread that never ends: what endWithUs says is about the
// thread that has started a process.
var starts = sync.OnceValue(func() chan<- func() {
	jobs := make(chan func())
	go func() {
		runtime.LockOSThread()
		for job := range jobs {
			job()
		}
	}()
	return jobs
})

// newServer starts a server with arguments as redis-server takes them.
func newServer(t testing.TB, args ...string) *server {
	t.Helper()
	s := &server{t: t, dir: t.TempDir(), address: freeAddress(t), args: args}
	s.start()
	t.Cleanup(s.kill)
	s.awaitReady()
	return s
}

// freeAddress returns an address on which nobody listens. The port of a cluster's bus,
// 10000 higher, must be one too.
func freeAddress(t testing.TB) string {
	t.Helper()
	for range 1000 {
		l := listen(t)
		l.Close()
		if port := l.Addr().(*net.TCPAddr).Port; port < 55000 {
			return l.Addr().String()
		}
	}
	t.Fatal("no free port")
	return ""
}

func listen(t testing.TB) net.Listener {
	t.Helper()
	var config net.ListenConfig
	l, err := config.Listen(context.Background(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func (s *server) port() string {
	_, port, _ := net.SplitHostPort(s.address)
	return port
}

// start starts the server on its address and directory.
func (s *server) start() {
	s.t.Helper()
	args := append([]string{}, s.args...)
	if len(args) == 0 || strings.HasPrefix(args[0], "--") {
		args = append([]string{"--port", s.port(), "--save", "", "--repl-diskless-sync-delay", "0", "--enable-protected-configs", "yes"}, args...)
	}
	s.cmd = exec.CommandContext(context.Background(), program(s.t, "redis-server"), args...)
	s.cmd.Dir = s.dir
	// Where there is this locale, strings are ordered by it in scripts, and not by bytes.
	s.cmd.Env = append(os.Environ(), "LC_ALL=en_US.UTF-8")
	log, err := os.OpenFile(filepath.Join(s.dir, "log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		s.t.Fatal(err)
	}
	defer log.Close()
	s.cmd.Stdout, s.cmd.Stderr = log, log
	s.cmd.SysProcAttr = endWithUs()
	started := make(chan error)
	starts() <- func() { started <- s.cmd.Start() }
	if err := <-started; err != nil {
		s.t.Fatal(err)
	}
	s.ended = make(chan struct{})
	go func(cmd *exec.Cmd, ended chan struct{}) {
		_ = cmd.Wait()
		close(ended)
	}(s.cmd, s.ended)
}

// kill ends the server without a warning, if it runs.
func (s *server) kill() {
	_ = s.cmd.Process.Kill()
	<-s.ended
}

// awaitReady waits until the server answers PING.
func (s *server) awaitReady() {
	s.t.Helper()
	await(s.t, "server that answers", 10*time.Second, func() bool {
		answer, err := s.try("PING")
		return err == nil && answer == "PONG" || err != nil && strings.HasPrefix(err.Error(), "NOAUTH")
	})
}

// call sends a command and returns the answer as text, elements of arrays in lines.
func (s *server) call(args ...string) string {
	s.t.Helper()
	answer, err := s.try(args...)
	if err != nil {
		s.t.Fatalf("%s: %v", strings.Join(args, " "), err)
	}
	return answer
}

func (s *server) try(args ...string) (string, error) {
	dialer := net.Dialer{Timeout: time.Second}
	conn, err := dialer.DialContext(context.Background(), "tcp", s.address)
	if err != nil {
		return "", err
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
		return "", err
	}
	reader := bufio.NewReader(conn)
	if s.password != "" {
		if _, err := exchangeCommand(conn, reader, "AUTH", s.password); err != nil {
			return "", err
		}
	}
	return exchangeCommand(conn, reader, args...)
}

func exchangeCommand(conn net.Conn, reader *bufio.Reader, args ...string) (string, error) {
	fmt.Fprintf(conn, "*%d\r\n", len(args))
	for _, arg := range args {
		fmt.Fprintf(conn, "$%d\r\n%s\r\n", len(arg), arg)
	}
	return readAnswer(reader)
}

// readAnswer reads an answer in RESP2.
func readAnswer(r *bufio.Reader) (string, error) {
	line, err := r.ReadString('\n')
	if err != nil {
		return "", err
	}
	kind, text := line[0], strings.TrimSpace(line[1:])
	n, _ := strconv.Atoi(text)
	switch {
	case kind == '-':
		return "", errors.New(text)
	case kind == '$' && n >= 0:
		b := make([]byte, n+2)
		_, err := io.ReadFull(r, b)
		return string(b[:n]), err
	case kind == '*':
		var lines []string
		for range n {
			element, err := readAnswer(r)
			if err != nil {
				return "", err
			}
			lines = append(lines, element)
		}
		return strings.Join(lines, "\n"), nil
	default:
		return text, nil
	}
}

// await waits until condition holds.
func await(t testing.TB, what string, limit time.Duration, condition func() bool) {
	t.Helper()
	for deadline := time.Now().Add(limit); !condition(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("no %s within %s", what, limit)
		}
	}
}

// durable are the arguments of a server that keeps what it acknowledges.
var durable = []string{"--appendonly", "yes", "--appendfsync", "always"}

// standalone is a server that several tests use.
var standalone = sync.OnceValue(func() *server { return newServer(sharedT{current}, durable...) })

// current is the test that starts what is shared first.
var current testing.TB

// sharedServer returns standalone and options for a list of the test's own on it.
func sharedServer(t testing.TB) (*server, Options) {
	t.Helper()
	s := once(t, standalone)
	return s, ownOptions(t, Options{Addresses: []string{s.address}})
}

var onceMu sync.Mutex

// once calls start, which keeps what it makes, on behalf of t.
func once[T any](t testing.TB, start func() T) T {
	program(t, "redis-server")
	onceMu.Lock()
	defer onceMu.Unlock()
	current = t
	return start()
}

// ownOptions gives the test's list a name of its own.
func ownOptions(t testing.TB, o Options) Options {
	o.KeyPrefix = strings.NewReplacer("{", "(", "}", ")").Replace(t.Name()) + fmt.Sprintf("/%d:", time.Now().UnixNano())
	return o
}

// open opens a store that is closed at the end of the test.
func open(t testing.TB, o Options) *Store {
	t.Helper()
	s, err := Open(context.Background(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// token returns the n-th entry of a test.
func token(n int) revocation.Entry {
	now := time.Now().Truncate(time.Second).UTC()
	return revocation.Entry{
		Scope: revocation.ScopeToken, Realm: "https://id.example.com", ID: fmt.Sprintf("token-%d", n),
		At: now, Expires: now.Add(time.Hour),
	}
}

func tokens(from, to int) []revocation.Entry {
	var entries []revocation.Entry
	for n := from; n < to; n++ {
		entries = append(entries, token(n))
	}
	return entries
}

func mustRevoke(t testing.TB, s *Store, entries ...revocation.Entry) {
	t.Helper()
	if err := s.Revoke(context.Background(), entries...); err != nil {
		t.Fatal(err)
	}
}

// mustHold fails the test unless all entries are stored.
func mustHold(t testing.TB, s *Store, entries ...revocation.Entry) {
	t.Helper()
	keys := make([]revocation.Key, len(entries))
	for i, e := range entries {
		keys[i] = e.Key()
	}
	found, err := s.Lookup(context.Background(), keys...)
	if err != nil {
		t.Fatal(err)
	}
	for i, e := range entries {
		if found[i].ID != e.ID {
			t.Fatalf("Lookup gave %+v, want %+v", found[i], e)
		}
	}
}
