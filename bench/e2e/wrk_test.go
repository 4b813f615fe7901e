package main

import (
	"strings"
	"testing"
	"time"
)

const wrkOutput = `Running 8s test @ http://127.0.0.1:8080/v1/cards
  1 threads and 64 connections
  Thread Stats   Avg      Stdev     Max   +/- Stdev
    Latency     3.38ms    1.27ms  15.02ms   70.13%
    Req/Sec    18.88k     1.10k   20.64k    71.25%
  150251 requests in 8.00s, 163.35MB read
Requests/sec:  18779.34
Transfer/sec:     20.42MB
`

func TestParseOutcome(t *testing.T) {
	got, err := parseOutcome(wrkOutput + "result requests=150251 passed=12 duration=8000865 p50=3266 p99=7301 failed=3 refused=4\n")
	want := outcome{
		requests: 150251, passed: 12, duration: 8000865 * time.Microsecond,
		p50: 3266 * time.Microsecond, p99: 7301 * time.Microsecond, failed: 3, refused: 4,
	}
	if err != nil || got != want {
		t.Errorf("%+v, %v; want %+v", got, err, want)
	}
	if rate := got.perSecond(got.requests); rate < 18779 || rate > 18780 {
		t.Errorf("%v requests per second", rate)
	}
}

func TestParseOutcomeRefusesWhatIsNoMeasurement(t *testing.T) {
	for _, out := range []string{
		"", wrkOutput, wrkOutput + "result", "result requests=x\n",
		"result requests=0 passed=0 duration=8000865 p50=0 p99=0 failed=0 refused=0\n",
		"result requests=5 passed=0 duration=0 p50=0 p99=0 failed=0 refused=0\n",
		"result requests=5 passed=0 duration=800\n",
	} {
		if got, err := parseOutcome(out); err == nil {
			t.Errorf("%q is read as %+v", out, got)
		}
	}
}

// The script writes what parseOutcome reads.
func TestScriptWritesTheResultThatIsRead(t *testing.T) {
	const format = `"result requests=%d passed=%d duration=%d p50=%d p99=%d failed=%d refused=%d\n"`
	if !strings.Contains(string(script), format) {
		t.Errorf("requests.lua does not write %s", format)
	}
}

func TestMissingWrkIsSaidPlainly(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	if _, err := newWrk(t.TempDir(), ""); err == nil || !strings.Contains(err.Error(), "apt-get install wrk") {
		t.Errorf("error %v does not say what to do", err)
	}
}
