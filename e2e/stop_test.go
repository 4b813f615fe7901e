package e2e

import (
	"bufio"
	"encoding/json"
	"strconv"
	"strings"
	"testing"
)

// TestStopUnderLoad sends SIGTERM while clients log out: who was logged out is told
// so before the process ends.
func TestStopUnderLoad(t *testing.T) {
	s := newSidecar(t, newAPI(t))
	s.start()
	h := s.logOutUntil(200, s.stop)
	t.Logf("stopped after %d acknowledged logouts, %d were not answered", len(h.loggedOut), len(h.open))

	if n := h.halves.Load(); n != 0 {
		t.Errorf("%d answers were cut off", n)
	}

	// A logout that was recorded was answered. The others never reached a handler.
	told := make(map[string]bool)
	for _, p := range h.loggedOut {
		told[strconv.FormatInt(p.client, 10)] = true
	}
	recorded := 0
	for line := range s.auditLines() {
		recorded++
		if !told[line] {
			t.Errorf("client %s was logged out and got no answer", line)
		}
	}
	if recorded != len(h.loggedOut) {
		t.Errorf("%d logouts in the log, %d acknowledged", recorded, len(h.loggedOut))
	}

	s.start()
	s.check(h.loggedOut, append(h.live, h.open...), nil)
	s.stop()
	s.checkStore(len(h.loggedOut))
}

// auditLines yields the clients that the present process says it has logged out.
func (s *sidecar) auditLines() func(yield func(string) bool) {
	return func(yield func(string) bool) {
		lines := bufio.NewScanner(strings.NewReader(s.process.log.String()))
		for lines.Scan() {
			var line struct {
				Message string `json:"msg"`
				Cause   string `json:"cause"`
				ID      string `json:"id"`
			}
			if json.Unmarshal(lines.Bytes(), &line) == nil && line.Message == "revoked" && line.Cause == "logout" && !yield(line.ID) {
				return
			}
		}
	}
}
