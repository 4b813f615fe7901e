package process

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestPinned(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("PATH", dir)
	if got := Pinned("0", "caddy", "run"); !slices.Equal(got, []string{"caddy", "run"}) {
		t.Errorf("without taskset: %q", got)
	}
	taskset := filepath.Join(dir, "taskset")
	if err := os.WriteFile(taskset, nil, 0o700); err != nil {
		t.Fatal(err)
	}
	if got := Pinned("", "caddy", "run"); !slices.Equal(got, []string{"caddy", "run"}) {
		t.Errorf("without cores: %q", got)
	}
	if got := Pinned("1-3", "caddy", "run"); !slices.Equal(got, []string{taskset, "-c", "1-3", "caddy", "run"}) {
		t.Errorf("with both: %q", got)
	}
}

func TestStopEndsTheProcess(t *testing.T) {
	p, err := Start(t.Context(), t.TempDir(), "sleeper", []string{"sleep", "600"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	p.Stop()
	select {
	case <-p.done:
	default:
		t.Error("it still runs")
	}
	p.Stop() // a second time does nothing
}

func TestServerThatEndsIsReportedWithItsLog(t *testing.T) {
	p, err := Start(t.Context(), t.TempDir(), "broken", []string{"sh", "-c", "echo no such option >&2; exit 3"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	err = p.WaitFor(t.Context(), "http://127.0.0.1:1/", "")
	if err == nil || !strings.Contains(err.Error(), "exit status 3") || !strings.Contains(err.Error(), "no such option") {
		t.Errorf("error %v", err)
	}
	if time.Since(began) > 10*time.Second {
		t.Error("it was waited for")
	}
}
