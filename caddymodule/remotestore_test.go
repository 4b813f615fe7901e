package caddymodule_test

import (
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
)

// startRedis runs a Redis server that keeps nothing after its end, and returns its address.
func startRedis(t *testing.T, addr string) {
	t.Helper()
	program, err := exec.LookPath("redis-server")
	if err != nil {
		missing(t, "redis-server")
	}
	_, port, _ := net.SplitHostPort(addr)
	cmd := exec.Command(program, "--bind", "127.0.0.1", "--port", port, "--save", "", "--dir", t.TempDir(), //nolint:noctx // a test's own server
		"--maxmemory-policy", "noeviction")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	waitForPort(t, addr)
}

func waitForPort(t *testing.T, addr string) {
	t.Helper()
	deadline := time.Now().Add(10 * time.Second)
	for {
		conn, err := (&net.Dialer{Timeout: time.Second}).DialContext(t.Context(), "tcp", addr)
		if err == nil {
			_ = conn.Close()
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s: %v", addr, err)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

func startNATS(t *testing.T, addr string) {
	t.Helper()
	_, port, _ := net.SplitHostPort(addr)
	options := &server.Options{Host: "127.0.0.1", JetStream: true, StoreDir: t.TempDir(), NoLog: true, NoSigs: true}
	if _, err := fmt.Sscan(port, &options.Port); err != nil {
		t.Fatal(err)
	}
	s, err := server.NewServer(options)
	if err != nil {
		t.Fatal(err)
	}
	go s.Start()
	t.Cleanup(func() { s.Shutdown(); s.WaitForShutdown() })
	if !s.ReadyForConnections(10 * time.Second) {
		t.Fatal("the NATS server does not start")
	}
}

var remoteStores = map[string]struct {
	start func(t *testing.T, addr string)
	store string
}{
	"redis": {startRedis, "store redis redis://%s"},
	"nats":  {startNATS, "store nats nats://%s"},
}

func TestRemoteStoreMayComeLaterThanTheSidecar(t *testing.T) {
	for name, remote := range remoteStores {
		t.Run(name, func(t *testing.T) {
			addr := freeAddr(t)
			s := prepare(t, newAPI(t, time.Now), "api octopus_cards\nsecret "+testSecret+"\nready /ready\nallow_ips 43 127.0.0.1")
			s.store = fmt.Sprintf(remote.store, addr)
			s.mustLoad()
			raw := sign(t, claimsAt(time.Now()))
			a := s.do("GET", "/v1/cards", "", bearer(raw))
			a.want(t, "without the store", 503, bodyUnavailable)
			s.do("POST", "/auth/logout", "", bearer(raw)).want(t, "logout without the store", 503, bodyUnavailable)
			s.do("GET", "/ready", "").want(t, "ready without the store", 503, `{"ready":false,"reason":"not ready"}`)

			remote.start(t, addr)
			s.eventually(func() bool { return s.do("GET", "/ready", "").body == `{"ready":true}` })
			p := s.login(42)
			if a := s.do("GET", "/v1/cards", "", bearer(p.Access)); a.status != 200 {
				t.Fatalf("with the store: %d %s", a.status, a.body)
			}
			s.do("POST", "/auth/logout", "", bearer(p.Access)).want(t, "logout", 200, bodyLoggedOut)
			s.do("GET", "/v1/cards", "", bearer(p.Access)).want(t, "after the logout", 401, bodyInvalid)
			s.refresh(p.Refresh).want(t, "refresh after the logout", 401, bodyInvalid)
			if a := s.do("GET", "/v1/cards", "", bearer(s.login(42).Access)); a.status != 200 {
				t.Errorf("after the next login: %d %s", a.status, a.body)
			}
			s.options += "\nleeway 1s"
			s.mustLoad()
			s.do("GET", "/v1/cards", "", bearer(p.Access)).want(t, "after a reload", 401, bodyInvalid)
		})
	}
}

func TestStoreFailureMayBeAllowed(t *testing.T) {
	s := prepare(t, new(echo), "api octopus_cards\nsecret "+testSecret)
	s.store, s.global = "store redis redis://"+freeAddr(t), "on_store_failure allow"
	s.mustLoad()
	raw := sign(t, claimsAt(time.Now()))
	before := s.counter("unchecked", "unavailable")
	if a := s.do("GET", "/v1/cards", "", bearer(raw)); a.status != 200 {
		t.Errorf("unchecked: %d %s", a.status, a.body)
	}
	if got := s.counter("unchecked", "unavailable") - before; got != 1 {
		t.Errorf("%v unchecked requests were counted, want 1", got)
	}
	s.do("GET", "/v1/cards", "", bearer(raw[:len(raw)-4]+"AAAA")).want(t, "forged", 401, bodyInvalid)
	s.do("POST", "/auth/logout", "", bearer(raw)).want(t, "a logout that cannot be recorded", 503, bodyUnavailable)
}

// A sidecar that starts while the store is away lets requests through too, and gets none
// unless it is ready.
func TestReadyWhereRequestsAreLetThroughUnchecked(t *testing.T) {
	s := prepare(t, new(echo), "api octopus_cards\nready /ready\nsecret "+testSecret)
	s.store, s.global = "store redis redis://"+freeAddr(t), "on_store_failure allow"
	s.mustLoad()
	if a := s.do("GET", "/v1/cards", "", bearer(sign(t, claimsAt(time.Now())))); a.status != 200 {
		t.Fatalf("unchecked: %d %s", a.status, a.body)
	}
	s.do("GET", "/ready", "").want(t, "ready", 200, `{"ready":true}`)
}

func TestSharedStoreNeedsAKeyForDigests(t *testing.T) {
	s := prepare(t, newOpaqueAPI(t), "opaque known\n"+fmt.Sprintf(opaqueEndpoints, "session"))
	s.store = "store redis redis://" + freeAddr(t)
	if err := s.load(); err == nil || !strings.Contains(err.Error(), "digest_key") {
		t.Errorf("got %v", err)
	}
	s.global = "digest_key short"
	if err := s.load(); err == nil || !strings.Contains(err.Error(), "digest_key") {
		t.Errorf("a short key: %v", err)
	}
}

func TestKeySetThatIsMissingKeepsTheSidecarFromBeingReady(t *testing.T) {
	i := newIssuer(t, "one")
	i.down = true
	s := start(t, new(echo), "api octopus_cards\nready /ready\njwks "+i.URL+"/keys")
	if a := s.do("GET", "/ready", ""); a.status != 503 {
		t.Errorf("without keys: %d %s", a.status, a.body)
	}
	i.set(func() { i.down = false })
	s.eventually(func() bool { return s.do("GET", "/ready", "").status == 200 })
	s.do("POST", "/ready", "").want(t, "another method needs a credential", 401, bodyMissing)
}

func TestAdminTellsWhetherTheSidecarIsReady(t *testing.T) {
	s := prepare(t, new(echo), "secret "+testSecret)
	admin := freeAddr(t)
	s.admin = admin
	s.mustLoad()
	get := func() (int, string) {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+admin+"/token_auth/ready", http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := s.client.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		rec := httptest.NewRecorder()
		_, _ = rec.Body.ReadFrom(resp.Body)
		return resp.StatusCode, strings.TrimSpace(rec.Body.String())
	}
	if status, body := get(); status != 200 || body != `{"ready":true}` {
		t.Errorf("local store: %d %s", status, body)
	}
	s.store = "store redis redis://" + freeAddr(t)
	s.mustLoad()
	if status, body := get(); status != 503 || !strings.Contains(body, "not been reached") {
		t.Errorf("store that is not there: %d %s", status, body)
	}
}
