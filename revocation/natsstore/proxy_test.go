package natsstore

import (
	"context"
	"net"
	"regexp"
	"sync"
	"testing"
	"time"
)

// proxy stands between those who dial it and one server. It can stop forwarding without a
// word, as a network does that drops packets, and can be slow.
type proxy struct {
	listener net.Listener
	target   string
	group    sync.WaitGroup

	mu      sync.Mutex // guards all below
	changed chan struct{}
	blocked func(dialer string) bool
	delay   time.Duration
	conns   []net.Conn
	closed  bool
}

// startProxy starts a proxy to target at address; "" stands for a port that is free.
func startProxy(t testing.TB, address, target string) *proxy {
	t.Helper()
	if address == "" {
		address = "127.0.0.1:0"
	}
	l, err := new(net.ListenConfig).Listen(context.Background(), "tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	p := &proxy{listener: l, target: target, changed: make(chan struct{})}
	p.group.Go(p.accept)
	t.Cleanup(func() {
		p.mu.Lock()
		p.closed = true
		close(p.changed)
		p.changed = make(chan struct{})
		conns := p.conns
		p.mu.Unlock()
		l.Close()
		for _, conn := range conns {
			conn.Close()
		}
		p.group.Wait()
	})
	return p
}

func (p *proxy) url() string { return "nats://" + p.listener.Addr().String() }

// block stops forwarding for the servers that dial, by name, and for clients, "".
func (p *proxy) block(blocked func(dialer string) bool) { p.set(func() { p.blocked = blocked }) }

func (p *proxy) blackhole() { p.block(func(string) bool { return true }) }

func (p *proxy) forward() { p.block(nil) }

// slow makes everything take longer by d in each direction.
func (p *proxy) slow(d time.Duration) { p.set(func() { p.delay = d }) }

func (p *proxy) set(change func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	change()
	close(p.changed)
	p.changed = make(chan struct{})
}

func (p *proxy) accept() {
	for {
		near, err := p.listener.Accept()
		if err != nil {
			return
		}
		far, err := new(net.Dialer).DialContext(context.Background(), "tcp", p.target)
		if err != nil {
			near.Close()
			continue
		}
		p.mu.Lock()
		p.conns = append(p.conns, near, far)
		p.mu.Unlock()
		dialer := new(dialerName)
		p.group.Go(func() { p.pipe(far, near, dialer, true) })
		p.group.Go(func() { p.pipe(near, far, dialer, false) })
	}
}

// chunk is what was read at once, and when it is to be written.
type chunk struct {
	data []byte
	due  time.Time
}

func (p *proxy) pipe(to, from net.Conn, dialer *dialerName, fromDialer bool) {
	defer to.Close()
	defer from.Close()
	chunks := make(chan chunk, 1<<12)
	written := make(chan struct{})
	go func() {
		defer close(written)
		for c := range chunks {
			time.Sleep(time.Until(c.due))
			if !p.await(dialer.get()) {
				continue
			}
			if _, err := to.Write(c.data); err != nil {
				from.Close()
			}
		}
	}()
	for buffer := make([]byte, 1<<16); ; {
		n, err := from.Read(buffer)
		if n > 0 {
			data := append([]byte(nil), buffer[:n]...)
			if fromDialer {
				dialer.look(data)
			}
			p.mu.Lock()
			due := time.Now().Add(p.delay)
			p.mu.Unlock()
			chunks <- chunk{data, due}
		}
		if err != nil {
			close(chunks)
			<-written
			return
		}
	}
}

// await waits while the proxy is blocked for the dialer. It returns false when the proxy
// is closed.
func (p *proxy) await(dialer string) bool {
	for {
		p.mu.Lock()
		changed, closed := p.changed, p.closed
		blocked := p.blocked != nil && p.blocked(dialer)
		p.mu.Unlock()
		if closed || !blocked {
			return !closed
		}
		<-changed
	}
}

// dialerName is the name of the server that dialled, once it has said it.
type dialerName struct {
	mu   sync.Mutex
	name string
}

var serverName = regexp.MustCompile(`"server_name":"(n\d)"`)

func (d *dialerName) look(data []byte) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if found := serverName.FindSubmatch(data); d.name == "" && found != nil {
		d.name = string(found[1])
	}
}

func (d *dialerName) get() string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.name
}
