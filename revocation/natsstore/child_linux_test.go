package natsstore

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"github.com/nats-io/nats-server/v2/server"
)

// childVariable has, in a process that is to be a server and nothing else, the directory of
// its files, and childPort its port. childSync says that it syncs each write.
const (
	childVariable = "NATSSTORE_TEST_SERVER"
	childPort     = "NATSSTORE_TEST_PORT"
	childSync     = "NATSSTORE_TEST_SYNC"
)

// init turns this process into a server if it was started as one: what happens to its
// system calls must not happen to those of the tests.
func init() {
	dir := os.Getenv(childVariable)
	if dir == "" {
		return
	}
	if err := serve(dir); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}

// serve runs a server until its standard input ends. A line there is the fault that its
// system calls have from then on.
func serve(dir string) error {
	port, err := strconv.Atoi(os.Getenv(childPort))
	if err != nil {
		return err
	}
	s, err := server.NewServer(&server.Options{
		ServerName: "child", Host: "127.0.0.1", Port: port, JetStream: true, StoreDir: dir,
		SyncAlways: os.Getenv(childSync) != "", NoLog: true, NoSigs: true,
	})
	if err != nil {
		return err
	}
	s.Start()
	if !s.ReadyForConnections(20 * time.Second) {
		return fmt.Errorf("the server does not start")
	}
	fmt.Println("ready")
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		if err := faults[lines.Text()].inject(); err != nil {
			return err
		}
		fmt.Println("faulty")
	}
	return lines.Err()
}

// fault makes system calls of the whole process fail, for good.
type fault struct {
	calls []uintptr
	errno syscall.Errno
}

var faults = map[string]fault{
	"full":    {[]uintptr{syscall.SYS_PWRITE64, syscall.SYS_FALLOCATE}, syscall.ENOSPC},
	"no sync": {[]uintptr{syscall.SYS_FSYNC, syscall.SYS_FDATASYNC}, syscall.EIO},
}

// sysSeccomp is the number of seccomp(2), which the package syscall does not have.
var sysSeccomp = map[string]uintptr{"amd64": 317, "arm64": 277}

// Of seccomp(2), prctl(2).
const (
	seccompSetModeFilter = 1
	seccompTSync         = 1 // for all threads
	seccompErrno         = 0x50000
	seccompAllow         = 0x7fff0000
	prSetNoNewPrivs      = 38
)

func (f fault) inject() error {
	program := []syscall.SockFilter{{Code: syscall.BPF_LD | syscall.BPF_W | syscall.BPF_ABS}} // the call's number
	for _, call := range f.calls {
		program = append(program,
			syscall.SockFilter{Code: syscall.BPF_JMP | syscall.BPF_JEQ | syscall.BPF_K, K: uint32(call), Jf: 1},
			syscall.SockFilter{Code: syscall.BPF_RET | syscall.BPF_K, K: seccompErrno | uint32(f.errno)})
	}
	program = append(program, syscall.SockFilter{Code: syscall.BPF_RET | syscall.BPF_K, K: seccompAllow})
	filter := syscall.SockFprog{Len: uint16(len(program)), Filter: &program[0]}
	runtime.LockOSThread() // both calls are about this thread
	defer runtime.UnlockOSThread()
	if _, _, errno := syscall.RawSyscall6(syscall.SYS_PRCTL, prSetNoNewPrivs, 1, 0, 0, 0, 0); errno != 0 {
		return errno
	}
	if _, _, errno := syscall.RawSyscall(sysSeccomp[runtime.GOARCH], seccompSetModeFilter, seccompTSync, uintptr(unsafe.Pointer(&filter))); errno != 0 {
		return errno
	}
	runtime.KeepAlive(program)
	return nil
}

// child is a server in a process of its own, which can be ended and started again.
type child struct {
	t      *testing.T
	dir    string
	port   int
	always bool

	process *exec.Cmd
	orders  io.WriteCloser
	answers *bufio.Scanner
}

func startChild(t *testing.T, dir string, always bool) *child {
	t.Helper()
	c := &child{t: t, dir: dir, port: freePorts(t, 1)[0], always: always}
	t.Cleanup(c.stop)
	c.start()
	return c
}

func (c *child) url() string { return fmt.Sprintf("nats://127.0.0.1:%d", c.port) }

func (c *child) start() {
	c.t.Helper()
	c.process = exec.Command(os.Args[0]) //nolint:noctx // ended by stop
	c.process.Env = append(os.Environ(), childVariable+"="+c.dir, childPort+"="+strconv.Itoa(c.port))
	if c.always {
		c.process.Env = append(c.process.Env, childSync+"=1")
	}
	c.process.Stderr = os.Stderr
	c.process.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	out, err := c.process.StdoutPipe()
	if err == nil {
		c.orders, err = c.process.StdinPipe()
	}
	if err == nil {
		err = c.process.Start()
	}
	if err != nil {
		c.t.Fatal(err)
	}
	c.answers = bufio.NewScanner(out)
	c.expect("ready")
}

func (c *child) expect(line string) {
	c.t.Helper()
	if !c.answers.Scan() || c.answers.Text() != line {
		c.t.Fatalf("the server in a process of its own said %q, want %q", c.answers.Text(), line)
	}
}

// fail has the server's system calls fail from now on, until it is started again.
func (c *child) fail(name string) {
	c.t.Helper()
	if _, ok := sysSeccomp[runtime.GOARCH]; !ok {
		c.t.Skip("system calls can be made to fail on amd64 and arm64 alone")
	}
	if _, err := fmt.Fprintln(c.orders, name); err != nil {
		c.t.Fatal(err)
	}
	c.expect("faulty")
}

// stop kills the server, as a crash does.
func (c *child) stop() {
	if c.process == nil || c.process.Process == nil {
		return
	}
	_ = c.process.Process.Kill() // fails if it has ended already
	_ = c.process.Wait()         // it was killed
	c.process = nil
}
