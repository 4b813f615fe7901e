package e2e

import (
	"encoding/csv"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// haproxy is a load balancer in front of pods. It learns from their readiness probe
// which of them to use.
type haproxy struct {
	t           *testing.T
	addr, stats string
}

// startHAProxy starts one. Without the program the test is skipped, or fails with CI=true.
func startHAProxy(t *testing.T, pods []*pod) *haproxy {
	t.Helper()
	program := ""
	for _, name := range []string{"haproxy", "/usr/sbin/haproxy"} {
		if path, err := exec.LookPath(name); err == nil {
			program = path
		}
	}
	if program == "" {
		const missing = "haproxy is not installed: apt-get install haproxy"
		if os.Getenv("CI") == "true" {
			t.Fatal(missing)
		}
		t.Skip(missing)
	}
	h := &haproxy{t: t, addr: freeAddr(t), stats: freeAddr(t)}
	// A request is sent again only if no connection could be made for it: what fails
	// otherwise, fails for the client.
	config := fmt.Sprintf(`global
	maxconn 2000
defaults
	mode http
	timeout connect 2s
	timeout client 60s
	timeout server 60s
	timeout tunnel 10m
	timeout check 3s
	retries 2
	retry-on conn-failure
	option redispatch
frontend stats
	bind %s
	stats enable
	stats uri /
frontend api
	bind %s
	default_backend pods
backend pods
	balance roundrobin
	option httpchk
	http-check send meth GET uri %s
	http-check expect status 200
	default-server check inter 500ms fall 2 rise 1
`, h.stats, h.addr, pods[0].container.ReadinessProbe.HTTPGet.Path)
	for i, p := range pods {
		config += fmt.Sprintf("\tserver %s %s\n", podName(i), p.addr)
	}
	file := filepath.Join(t.TempDir(), "haproxy.cfg")
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	runProgram(t, "haproxy", nil, program, "-db", "-f", file)
	awaitPort(t, h.addr)
	return h
}

func podName(i int) string { return fmt.Sprintf("pod%d", i) }

func (h *haproxy) client() *client { return &client{addr: h.addr} }

// await waits until a pod has a status: UP or DOWN.
func (h *haproxy) await(pod, status string) {
	h.t.Helper()
	got := ""
	for deadline := time.Now().Add(startTimeout); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		var err error
		if got, err = h.status(pod); err != nil {
			h.t.Fatal(err)
		}
		if strings.HasPrefix(got, status) {
			return
		}
	}
	h.t.Fatalf("%s is %q after %s, want %s", pod, got, startTimeout, status)
}

// status returns what the load balancer thinks of a pod.
func (h *haproxy) status(pod string) (string, error) {
	r, err := http.NewRequestWithContext(h.t.Context(), http.MethodGet, "http://"+h.stats+"/;csv", http.NoBody)
	if err != nil {
		return "", err
	}
	r.Close = true
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		return "", err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		return "", err
	}
	rows, err := csv.NewReader(strings.NewReader(strings.TrimPrefix(string(text), "# "))).ReadAll()
	if err != nil {
		return "", err
	}
	for _, row := range rows[1:] {
		of := make(map[string]string)
		for i, name := range rows[0] {
			of[name] = row[i]
		}
		if of["pxname"] == "pods" && of["svname"] == pod {
			return of["status"], nil
		}
	}
	return "", fmt.Errorf("the load balancer does not know %s", pod)
}
