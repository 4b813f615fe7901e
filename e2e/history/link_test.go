package history

import (
	"context"
	"net"
	"sync"
	"testing"
	"time"
)

// link is the network between one replica and one server of the store. What it holds back
// or delays arrives later, as what is sent again by TCP, even if the sender is gone by then.
type link struct {
	listener net.Listener
	target   string
	pipes    sync.WaitGroup

	mu      sync.Mutex // guards all below
	changed chan struct{}
	silent  bool
	delay   time.Duration
	conns   map[net.Conn]struct{}
	closed  bool
}

// newLink makes a link to the server at target, which need not run yet.
func newLink(t *testing.T, target string) *link {
	t.Helper()
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", freeAddr(t))
	if err != nil {
		t.Fatal(err)
	}
	l := &link{listener: listener, target: target, changed: make(chan struct{}), conns: make(map[net.Conn]struct{})}
	l.pipes.Go(l.accept)
	t.Cleanup(l.close)
	return l
}

func (l *link) addr() string { return l.listener.Addr().String() }

func (l *link) close() {
	l.listener.Close()
	l.set(func() { l.closed = true })
	l.cut()
	l.pipes.Wait()
}

// blackhole makes the link hold everything back, or pass it on again.
func (l *link) blackhole(on bool) { l.set(func() { l.silent = on }) }

// slow makes everything take longer by d, in each direction.
func (l *link) slow(d time.Duration) { l.set(func() { l.delay = d }) }

// cut ends all connections.
func (l *link) cut() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for conn := range l.conns {
		conn.Close()
	}
	clear(l.conns)
}

func (l *link) set(change func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	change()
	close(l.changed)
	l.changed = make(chan struct{})
}

func (l *link) accept() {
	for {
		near, err := l.listener.Accept()
		if err != nil {
			return
		}
		l.pipes.Go(func() { l.connect(near) })
	}
}

// connect connects near to the server.
func (l *link) connect(near net.Conn) {
	if !l.pass() {
		near.Close()
		return
	}
	far, err := (&net.Dialer{Timeout: 5 * time.Second}).DialContext(context.Background(), "tcp", l.target)
	if err != nil {
		near.Close()
		return
	}
	l.mu.Lock()
	if l.closed {
		l.mu.Unlock()
		near.Close()
		far.Close()
		return
	}
	l.conns[near], l.conns[far] = struct{}{}, struct{}{}
	l.mu.Unlock()
	l.pipes.Go(func() { l.pipe(far, near) })
	l.pipe(near, far)
}

// packet is what was read at once, and when it may arrive.
type packet struct {
	data []byte
	due  time.Time
}

// pipe copies what it reads until one side ends. What it has read by then still arrives.
func (l *link) pipe(to, from net.Conn) {
	packets := make(chan packet, 1024)
	l.pipes.Go(func() {
		defer to.Close()
		for p := range packets {
			time.Sleep(time.Until(p.due))
			if !l.pass() {
				continue
			}
			if _, err := to.Write(p.data); err != nil {
				from.Close()
			}
		}
		l.pass() // an end is held back like everything else
	})
	defer close(packets)
	for buffer := make([]byte, 32<<10); ; {
		n, err := from.Read(buffer)
		if n > 0 {
			l.mu.Lock()
			due := time.Now().Add(l.delay)
			l.mu.Unlock()
			packets <- packet{append([]byte(nil), buffer[:n]...), due}
		}
		if err != nil {
			return
		}
	}
}

// pass waits while the link is silent. It returns false once the link is closed.
func (l *link) pass() bool {
	for {
		l.mu.Lock()
		changed, silent, closed := l.changed, l.silent, l.closed
		l.mu.Unlock()
		if closed || !silent {
			return !closed
		}
		<-changed
	}
}
