package history

import (
	"testing"
	"time"
)

// outcome returns the status that tokens must have in the end, of up to n that were logged
// out and up to n that cannot have been.
func (h *history) outcome(l limits, n int) map[string]int {
	j := newJudge(h, l)
	end := &operation{From: 1<<63 - 1, To: 1<<63 - 1}
	want, counts := make(map[string]int), make(map[int]int)
	for _, token := range j.tokens {
		status := 0
		switch {
		case j.revoked(token):
			status = 401
		case !j.mayBeRevoked(end, token):
			status = 200
		}
		if status != 0 && counts[status] < n {
			counts[status]++
			want[token.Token] = status
		}
	}
	return want
}

// revoked reports whether an acknowledged logout covers a token.
func (j *judge) revoked(token issue) bool {
	for _, s := range token.subjects() {
		for _, l := range j.logouts[s] {
			if l.acknowledged() && covers(l, token) {
				return true
			}
		}
	}
	return false
}

// The least that must have happened for a history to say anything.
const (
	leastLogouts  = 20
	leastAccepted = 200
	leastFaults   = 3
	leastDelays   = 5
	// leastLate is how long a replica that was cut off must have gone on without knowing.
	leastLate = maxStaleness / 2
)

// summarize logs what has happened, and fails the test if that is next to nothing.
func (h *history) summarize(t *testing.T) {
	t.Helper()
	var logouts, failed, accepted, refused, unavailable, lost int
	for i := range h.Operations {
		switch o := &h.Operations[i]; {
		case o.acknowledged():
			logouts++
		case o.isLogout() && (o.Status == 503 || o.Status == 0):
			failed++
		case o.accepted():
			accepted++
		case o.Status == 401:
			refused++
		case o.Status == 503:
			unavailable++
		case o.Status == 0:
			lost++
		}
	}
	kinds := make(map[string]int)
	for _, f := range h.Faults {
		kinds[f.Kind]++
	}
	delays, late := h.delays(promised), h.latest()
	t.Logf("%d logouts acknowledged, %d not; otherwise %d accepted, %d refused, %d unavailable, %d lost; faults: %v",
		logouts, failed, accepted, refused, unavailable, lost, kinds)
	t.Logf("%d logouts reached replicas that nothing had happened to within p50 %s, p99 %s, at most %s; other ones at most %s late",
		len(delays), quantile(delays, 0.5), quantile(delays, 0.99), quantile(delays, 1), late)
	if logouts < leastLogouts || accepted < leastAccepted || len(h.Faults) < leastFaults || len(delays) < leastDelays || late < leastLate {
		t.Errorf("this is too little to say anything: want %d logouts, %d accepted requests, %d faults, %d delays and one of %s",
			leastLogouts, leastAccepted, leastFaults, leastDelays, leastLate)
	}
}

// quantile returns a quantile of what is in order, or 0 if there is nothing.
func quantile(of []time.Duration, q float64) time.Duration {
	if len(of) == 0 {
		return 0
	}
	return of[int(q*float64(len(of)-1))].Round(10 * time.Microsecond)
}

// latest returns the longest time after an acknowledged logout at which a token that it
// covers was let through.
func (h *history) latest() time.Duration {
	j := newJudge(h, limits{})
	var most time.Duration
	for i := range h.Operations {
		o := &h.Operations[i]
		if !o.accepted() {
			continue
		}
		token := j.tokens[o.Token]
		for _, s := range token.subjects() {
			for _, l := range j.logouts[s] {
				if l.acknowledged() && covers(l, token) {
					most = max(most, o.From-l.To)
				}
			}
		}
	}
	return most.Round(time.Millisecond)
}
