package image

import (
	"bufio"
	"encoding/json"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"example.com/caddy-token-auth/internal/exampleapi"
)

const (
	jwtSecret = "a secret of the image's tests, long enough"

	// killedAfter is what a container engine grants by default between SIGTERM and
	// SIGKILL.
	killedAfter = 10 * time.Second
)

// newAPI starts the example API and returns its address.
func newAPI(t *testing.T) string {
	t.Helper()
	clients, err := exampleapi.DemoClients(func(string) string { return "" })
	if err != nil {
		t.Fatal(err)
	}
	api, err := exampleapi.New(exampleapi.Options{Secret: []byte(jwtSecret), Clients: clients})
	if err != nil {
		t.Fatal(err)
	}
	ln, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- exampleapi.Serve(t.Context(), ln, api) }()
	t.Cleanup(func() {
		if err := <-served; err != nil {
			t.Error(err)
		}
	})
	return ln.Addr().String()
}

// login returns an access token.
func (p *place) login(key, secret string) string {
	p.t.Helper()
	body := strings.NewReader(`{"username":"` + key + `","password":"` + secret + `"}`)
	r, err := http.NewRequestWithContext(p.t.Context(), http.MethodPost, p.url("/auth/login"), body)
	if err != nil {
		p.t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/json")
	r.Close = true
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		p.t.Fatal(err)
	}
	defer resp.Body.Close()
	var answer struct {
		Data struct {
			AccessToken string `json:"access_token"`
		} `json:"data"`
	}
	if err := json.NewDecoder(resp.Body).Decode(&answer); err != nil || answer.Data.AccessToken == "" {
		p.t.Fatalf("login: %s, %v", resp.Status, err)
	}
	return answer.Data.AccessToken
}

// expect makes a request and wants the status.
func (p *place) expect(want int, method, path, token string) {
	p.t.Helper()
	if got := p.status(method, path, token); got != want {
		p.t.Errorf("%s %s: %d, want %d", method, path, got, want)
	}
}

func TestContainerHasNoRights(t *testing.T) {
	p := newPlace(t, newAPI(t))
	p.start()
	status, err := p.exec("cat", "/proc/1/status")
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"Name:\tcaddy", "Uid:\t65532\t65532\t65532\t65532", "Gid:\t65532\t65532\t65532\t65532",
		"CapPrm:\t0000000000000000", "CapEff:\t0000000000000000", "CapBnd:\t0000000000000000", "NoNewPrivs:\t1",
	} {
		if !strings.Contains(status, want+"\n") {
			t.Errorf("/proc/1/status has no line %q:\n%s", want, status)
		}
	}
	mounts, err := p.exec("cat", "/proc/mounts")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(mounts) {
		if fields := strings.Fields(line); fields[1] == "/" && !strings.HasPrefix(fields[3], "ro,") {
			t.Errorf("the root can be written: %s", line)
		}
	}
	for _, path := range []string{"/x", "/tmp/x", "/etc/caddy/x", "/usr/bin/caddy"} {
		if _, err := p.exec("touch", path); err == nil {
			t.Errorf("%s can be written", path)
		}
	}
}

func TestContainerNeedsNothingButItsVolume(t *testing.T) {
	p := newPlace(t, newAPI(t))
	p.start()
	p.expect(http.StatusOK, http.MethodGet, "/v1/cards", p.login("demo-key", "demo-secret"))
	for _, path := range []string{"/data/caddy/token_auth/revocations.db", "/data/caddy/autosave.json"} {
		if _, err := p.exec("test", "-s", path); err != nil {
			t.Errorf("no %s: %v", path, err)
		}
	}
	for line := range strings.Lines(p.log()) {
		if strings.Contains(line, "read-only file system") || strings.Contains(line, "permission denied") || strings.Contains(line, `"level":"error"`) {
			t.Errorf("logged: %s", line)
		}
	}
}

func TestContainerWithoutASecretSaysSo(t *testing.T) {
	p := newPlace(t, "127.0.0.1:9")
	p.environment = p.environment[1:]
	p.create()
	if code := p.exitCode(); code == "0" {
		t.Error("it ended well")
	}
	if log := p.log(); !strings.Contains(log, "JWT_SECRET") {
		t.Errorf("the log does not name what is missing:\n%s", log)
	}
}

func TestContainerTakesAChangedCaddyfileOver(t *testing.T) {
	p := newPlace(t, newAPI(t))
	p.start()
	token := p.login("demo-key", "demo-secret")
	if _, err := p.exec("caddy", "reload", "--config", "/etc/caddy/Caddyfile", "--force"); err != nil {
		t.Fatal(err)
	}
	p.expect(http.StatusOK, http.MethodGet, "/v1/cards", token)
}

func TestLogoutOutlivesTheContainer(t *testing.T) {
	p := newPlace(t, newAPI(t))
	p.start()
	leaving, staying := p.login("demo-key", "demo-secret"), p.login("other-key", "other-secret")
	p.expect(http.StatusOK, http.MethodGet, "/v1/cards", leaving)
	p.expect(http.StatusOK, http.MethodPost, "/auth/logout", leaving)

	for _, end := range []struct {
		how  string
		args []string
	}{
		{"stopped", []string{"stop", "--time", "10"}},
		{"killed", []string{"kill", "--signal", "KILL"}},
	} {
		mustPodman(t, append(end.args, p.container)...)
		p.remove()
		p.start()
		if got := p.status(http.MethodGet, "/v1/cards", leaving); got != http.StatusUnauthorized {
			t.Errorf("%s, and another in its place: who was logged out gets %d", end.how, got)
		}
		if got := p.status(http.MethodGet, "/v1/cards", staying); got != http.StatusOK {
			t.Errorf("%s, and another in its place: who was not logged out gets %d", end.how, got)
		}
	}
}

func TestContainerStopsWithStreamsOpen(t *testing.T) {
	p := newPlace(t, newAPI(t))
	p.start()
	token := p.login("demo-key", "demo-secret")
	ended := make(chan error, 3)
	for range cap(ended) {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, p.url("/v1/events"), http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Authorization", "Bearer "+token)
		resp, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { resp.Body.Close() })
		events := bufio.NewScanner(resp.Body)
		if !events.Scan() {
			t.Fatalf("%s, and no event: %v", resp.Status, events.Err())
		}
		go func() {
			for events.Scan() { // until the stream ends
			}
			ended <- events.Err()
		}()
	}

	began := time.Now()
	// The engine kills it if it takes any longer.
	mustPodman(t, "stop", "--time", "10", p.container)
	took := time.Since(began)
	if code := p.exitCode(); code != "0" || took >= killedAfter {
		t.Errorf("exit code %s after %s", code, took)
	}
	t.Logf("stopped after %s", took.Round(time.Millisecond))
	for range cap(ended) {
		select {
		case <-ended:
		case <-time.After(startTimeout):
			t.Fatal("a stream goes on")
		}
	}
}
