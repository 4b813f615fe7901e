package caddymodule_test

import (
	"fmt"
	"net"
	"os"
	"runtime"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/gobwas/ws"

	"example.com/caddy-token-auth/revocation/localstore"
)

// soakConnections is how many connections are opened and ended; SOAK_CONNECTIONS in the
// environment is another number.
func soakConnections(t *testing.T) int {
	t.Helper()
	if text := os.Getenv("SOAK_CONNECTIONS"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	if testing.Short() {
		return 500
	}
	return 10_000
}

// However connections end, nothing is left of them: no goroutine, nothing that is watched,
// and nothing that holds the list open.
func TestNothingIsLeftOfManyConnections(t *testing.T) {
	const workers = 16
	count := soakConnections(t)
	s, api := startLive(t, "")
	done := make(chan struct{})
	defer close(done)
	go func() {
		for {
			select {
			case <-api.ends: // it only has to be taken
			case <-done:
				return
			}
		}
	}()
	end := func(raw string) {
		k, err := s.dial(raw)
		if err != nil {
			t.Error(err)
			return
		}
		_ = k.conn.Close()
	}
	end(s.login(42).Access)
	s.wantNothingLeft()
	s.client.CloseIdleConnections()
	before := runtime.NumGoroutine()
	begun := time.Now()

	var tasks sync.WaitGroup
	for w := range workers {
		tasks.Go(func() {
			for i := w; i < count && !t.Failed(); i += workers {
				// Each token by itself, so that a logout ends one connection.
				claims := claimsAt(time.Now())
				claims["sub"], claims["jti"] = fmt.Sprintf("client %d", i), fmt.Sprintf("token %d", i)
				raw := sign(t, claims)
				k, err := s.dial(raw)
				if err != nil {
					t.Error(err)
					return
				}
				switch i % 5 {
				case 0: // the client vanishes
					_ = k.conn.(*net.TCPConn).SetLinger(0)
				case 1: // in good order
					k.echoes(ws.NewCloseFrame(ws.NewCloseFrameBody(1000, "")))
				case 2: // it is cut
					if a, err := s.try("POST", "/auth/logout", "", bearer(raw)); err != nil || a.status != 200 {
						t.Errorf("logout: %d, %v", a.status, err)
					}
					k.wantCut("revoked")
				case 3: // in the middle of a frame
					_, _ = k.conn.Write([]byte{0x81, 0xff})
				}
				_ = k.conn.Close()
			}
		})
	}
	tasks.Wait()
	t.Logf("%d connections in %s", count, time.Since(begun).Round(time.Millisecond))
	s.wantNothingLeft()
	s.client.CloseIdleConnections()
	s.eventually(func() bool { return runtime.NumGoroutine() <= before })

	// Whoever still held the list would hold its store.
	if err := caddy.Stop(); err != nil {
		t.Fatal(err)
	}
	store, err := localstore.Open(t.Context(), s.dir, localstore.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if err := store.Close(); err != nil {
		t.Error(err)
	}
}
