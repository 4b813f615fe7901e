package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"
)

// freePorts returns ports that nobody has.
func freePorts(t *testing.T, n int) []string {
	t.Helper()
	ports := make([]string, n)
	for i := range ports {
		ln, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer ln.Close() // after all are chosen, so that they differ
		ports[i] = strconv.Itoa(ln.Addr().(*net.TCPAddr).Port)
	}
	return ports
}

// quickstart is the command, running.
type quickstart struct {
	t    *testing.T
	cmd  *exec.Cmd
	out  *bufio.Reader
	log  bytes.Buffer
	site string
}

func launch(t *testing.T, data string) *quickstart {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	ports := freePorts(t, 3)
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	t.Cleanup(cancel)
	q := &quickstart{t: t, site: "http://localhost:" + ports[0]}
	q.cmd = exec.CommandContext(ctx, exe, "-port", ports[0], "-api-port", ports[1], "-admin-port", ports[2], "-data", data)
	q.cmd.Dir = "../.."
	q.cmd.Env = append(os.Environ(), runMain+"=1", "JWT_SECRET=", "API_KEY=not-for-us")
	q.cmd.Stderr = &q.log
	out, err := q.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	q.out = bufio.NewReader(out)
	if err := q.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	return q
}

// ready waits for the banner.
func (q *quickstart) ready() {
	q.t.Helper()
	for {
		line, err := q.out.ReadString('\n')
		if err != nil {
			_ = q.cmd.Wait()
			q.t.Fatalf("it ended: %v\n%s", err, &q.log)
		}
		if strings.HasPrefix(line, "Ctrl-C") {
			return
		}
	}
}

// interrupt does what Ctrl-C does and waits for the end.
func (q *quickstart) interrupt() {
	q.t.Helper()
	if err := q.cmd.Process.Signal(os.Interrupt); err != nil {
		q.t.Fatal(err)
	}
	_, _ = io.Copy(io.Discard, q.out)
	if err := q.cmd.Wait(); err != nil {
		q.t.Errorf("%v\n%s", err, &q.log)
	}
}

// send sends one request, with a token if it is not empty.
func (q *quickstart) send(method, path, token, body string) *http.Response {
	q.t.Helper()
	r, err := http.NewRequestWithContext(q.t.Context(), method, q.site+path, strings.NewReader(body))
	if err != nil {
		q.t.Fatal(err)
	}
	r.Close = true
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		q.t.Fatal(err)
	}
	return resp
}

// want sends one request and compares its answer.
func (q *quickstart) want(method, path, token string, status int, body string) {
	q.t.Helper()
	resp := q.send(method, path, token, "")
	defer resp.Body.Close()
	got, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != status || !strings.Contains(string(got), body) {
		q.t.Errorf("got %d %s (%v), want %d %s", resp.StatusCode, got, err, status, body)
	}
}

func (q *quickstart) login() string {
	q.t.Helper()
	resp := q.send(http.MethodPost, "/auth/login", "", `{"username":"demo-key","password":"demo-secret"}`)
	defer resp.Body.Close()
	var answer struct {
		Data struct {
			Token string `json:"access_token"`
		}
	}
	if err := json.NewDecoder(resp.Body).Decode(&answer); err != nil || answer.Data.Token == "" {
		q.t.Fatalf("login: %d, %v", resp.StatusCode, err)
	}
	return answer.Data.Token
}

func TestTheFourCallsAndARestart(t *testing.T) {
	data := t.TempDir() + "/with space"
	q := launch(t, data)
	q.ready()
	token := q.login()
	q.want(http.MethodGet, "/v1/cards", token, http.StatusOK, `"id":"42-1001"`)
	q.want(http.MethodPost, "/auth/logout", token, http.StatusOK, `{"success":true,"data":{"message":"Successfully logged out"}}`)
	q.want(http.MethodGet, "/v1/cards", token, http.StatusUnauthorized, `"message":"Invalid token"`)

	// Ctrl-C ends it, an open stream or not.
	later := q.login()
	stream := q.send(http.MethodGet, "/v1/events", later, "")
	defer stream.Body.Close()
	if _, err := bufio.NewReader(stream.Body).ReadString('\n'); err != nil || stream.StatusCode != http.StatusOK {
		t.Errorf("no event: %d, %v", stream.StatusCode, err)
	}
	q.interrupt()

	q = launch(t, data)
	q.ready()
	q.want(http.MethodGet, "/v1/cards", token, http.StatusUnauthorized, `"message":"Invalid token"`)
	q.want(http.MethodGet, "/v1/cards", later, http.StatusOK, `"id":"42-1001"`)
	q.interrupt()
}
