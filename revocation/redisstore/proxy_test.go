package redisstore

import (
	"context"
	"net"
	"sync"
	"testing"
)

// proxy stands between a store and its server.
type proxy struct {
	ctx      context.Context
	listener net.Listener

	mu     sync.Mutex // guards all below
	target string
	silent chan struct{}
	conns  map[net.Conn]struct{}
	group  sync.WaitGroup
}

func newProxy(t testing.TB, target string) *proxy {
	t.Helper()
	l := listen(t)
	p := &proxy{ctx: context.Background(), listener: l, target: target, conns: make(map[net.Conn]struct{})}
	p.group.Go(p.accept)
	t.Cleanup(func() {
		l.Close()
		p.heal()
		p.cut()
		p.group.Wait()
	})
	return p
}

func (p *proxy) address() string { return p.listener.Addr().String() }

func (p *proxy) accept() {
	for {
		in, err := p.listener.Accept()
		if err != nil {
			return
		}
		p.group.Go(func() {
			p.hold()
			p.mu.Lock()
			target := p.target
			p.mu.Unlock()
			out, err := new(net.Dialer).DialContext(p.ctx, "tcp", target)
			if err != nil {
				in.Close()
				return
			}
			p.mu.Lock()
			p.conns[in], p.conns[out] = struct{}{}, struct{}{}
			p.mu.Unlock()
			p.group.Go(func() { p.forward(in, out) })
			p.forward(out, in)
		})
	}
}

// forward copies what it may until one side ends.
func (p *proxy) forward(from, to net.Conn) {
	defer from.Close()
	defer to.Close()
	buffer := make([]byte, 32<<10)
	for {
		n, err := from.Read(buffer)
		p.hold()
		if n > 0 {
			if _, err := to.Write(buffer[:n]); err != nil {
				return
			}
		}
		if err != nil {
			return
		}
	}
}

// hold waits while the proxy is silent.
func (p *proxy) hold() {
	p.mu.Lock()
	silent := p.silent
	p.mu.Unlock()
	if silent != nil {
		<-silent
	}
}

// silence makes the proxy pass nothing on: neither data nor the end of connections.
func (p *proxy) silence() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.silent = make(chan struct{})
}

// heal makes it pass on what it has held back.
func (p *proxy) heal() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.silent != nil {
		close(p.silent)
		p.silent = nil
	}
}

// cut ends all connections.
func (p *proxy) cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for conn := range p.conns {
		conn.Close()
	}
	clear(p.conns)
}
