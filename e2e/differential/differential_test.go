package differential

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
)

// TestUpstreamsReadNothingThatWasNotJudged sends every request of testdata, and many from
// the grammar, through the sidecar to every upstream. DIFFERENTIAL_REQUESTS is how many
// each configuration gets from the grammar, DIFFERENTIAL_SEED what they are made from, and
// DIFFERENTIAL_ONLY the name of the one request that is sent.
func TestUpstreamsReadNothingThatWasNotJudged(t *testing.T) {
	requests := int(number(t, "DIFFERENTIAL_REQUESTS", 60)) //nolint:gosec // it is small
	seed := number(t, "DIFFERENTIAL_SEED", 1)
	named := readRequests(t, "hostile.txt")
	genuine := readRequests(t, "genuine.txt")
	issued := pair{mint("issued", 1), mint("issued", 2)}

	upstreams := make([]*upstream, len(frameworks))
	absent := make([]error, len(frameworks))
	var starting sync.WaitGroup
	for i := range frameworks {
		starting.Go(func() { upstreams[i], absent[i] = frameworks[i].start(t, issued) })
	}
	starting.Go(func() { _, _ = buildBinary() }) // whose error the laboratory shows
	starting.Wait()
	lab := newLaboratory(t, slices.DeleteFunc(slices.Clone(upstreams), func(u *upstream) bool { return u == nil }))

	classes := &findings{seen: map[string][]string{}}
	t.Cleanup(func() { classes.print(t) })
	for i, f := range frameworks {
		t.Run(f.name, func(t *testing.T) {
			t.Parallel()
			if absent[i] != nil {
				missing(t, absent[i])
			}
			b := &bench{t: t, lab: lab, upstream: upstreams[i], found: classes}
			for _, s := range setups {
				for _, r := range genuine {
					if r.isFor(s) {
						b.genuine(s, r)
					}
				}
				for _, r := range named {
					if r.isFor(s) {
						b.hostile(s, r)
					}
				}
				for n := range requests {
					b.hostile(s, generate(s, seed, n))
				}
			}
			t.Logf("%d requests, %d reached it", b.sent, b.reached)
		})
	}
}

// bench sends requests to one upstream, one after the other.
type bench struct {
	t        *testing.T
	lab      *laboratory
	upstream *upstream
	found    *findings

	sent, reached int
}

// minted counts the clients that were made for one request, which may be their logout.
var minted atomic.Uint64

// send sends a request with tokens of its own and returns what became of it.
func (b *bench) send(s *setup, r *request) (j *judged, raw, answer string, reports []report) {
	b.t.Helper()
	n := minted.Add(1)
	client := fmt.Sprintf("alive-%d", n)
	j = &judged{setup: s, request: r, live: pair{mint(client, 1), mint(client, 2)}, revoked: b.lab.revoked}
	if s.learns && s.login != "" && (r.mentions("{LIVE}") || r.mentions("{RLIVE}")) {
		b.lab.makeKnown(b.t, client, j.live)
	}
	raw = r.raw(strings.NewReplacer(
		"{LIVE}", j.live.access, "{RLIVE}", j.live.refresh, "{REVOKED}", j.revoked.access, "{RREVOKED}", j.revoked.refresh,
	))
	answer, err := exchange(b.t.Context(), b.lab.sites[key(s, b.upstream)], raw)
	if err != nil && answer == "" {
		// Refused as malformed while it was still being written, or never whole.
		answer = err.Error()
	}
	forwarded, fields := b.lab.relays[key(s, b.upstream)].take()
	j.forwarded = forwarded
	for _, field := range fields {
		parsed, err := parseReport(field)
		if err != nil {
			b.t.Fatalf("report of %s: %v in %q", b.upstream.name, err, field)
		}
		reports = append(reports, parsed)
	}
	b.sent++
	if len(reports) > 0 {
		b.reached++
	}
	return j, raw, answer, reports
}

// hostile sends a request that must not be read in another way than it was judged.
func (b *bench) hostile(s *setup, r *request) {
	b.t.Helper()
	j, _, answer, reports := b.send(s, r)
	for _, report := range reports {
		for _, f := range j.judge(report) {
			if f.spend != "" && b.isSpent(s, f.spend) {
				continue
			}
			b.found.add(f.class, fmt.Sprintf("%s, %s:\n%s\nforwarded: %q\nanswer: %.60q\nreport: %s", b.upstream.name, r.name, r, j.name(j.forwarded), answer, j.name(fmt.Sprint(report))))
			b.t.Fail()
		}
	}
}

// name writes tokens as placeholders.
func (j *judged) name(text string) string {
	return strings.NewReplacer(
		j.live.access, "{LIVE}", j.live.refresh, "{RLIVE}", j.revoked.access, "{REVOKED}", j.revoked.refresh, "{RREVOKED}",
	).Replace(text)
}

// isSpent reports whether a refresh token is not taken any more.
func (b *bench) isSpent(s *setup, raw string) bool {
	b.t.Helper()
	again := &request{lines: []string{"POST " + s.refreshPath + " HTTP/1.1", "Content-Type: application/json"}, body: `{"refresh_token":"` + raw + `"}`}
	switch {
	case s.cookieRefresh:
		again.lines[1], again.body = "Cookie: refresh_token="+raw, ""
	case s.refresh == s.login:
		again.lines[1], again.body = "Content-Type: application/x-www-form-urlencoded", "grant_type=refresh_token&refresh_token="+raw
	}
	answer, err := exchange(b.t.Context(), b.lab.sites[key(s, b.upstream)], again.raw(strings.NewReplacer()))
	b.lab.relays[key(s, b.upstream)].take()
	return err == nil && (strings.HasPrefix(answer, "HTTP/1.1 400") || strings.HasPrefix(answer, "HTTP/1.1 401"))
}

// genuine sends a request of an ordinary client, which must be let through.
func (b *bench) genuine(s *setup, r *request) {
	b.t.Helper()
	j, _, answer, reports := b.send(s, r)
	if len(reports) == 0 && j.forwarded == "" {
		b.t.Errorf("%s: refused: %.200q\n%s", s.name, answer, r)
	}
	for _, report := range reports {
		for _, f := range j.judge(report) {
			if f.spend == "" || !b.isSpent(s, f.spend) {
				b.t.Errorf("%s: %s:\n%s", s.name, f.class, r)
			}
		}
	}
}

// findings collects what is wrong, by its class.
type findings struct {
	mu   sync.Mutex
	seen map[string][]string
}

func (f *findings) add(class, example string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.seen[class] = append(f.seen[class], example)
}

// shownExamples is how many of a class are printed.
const shownExamples = 8

func (f *findings) print(t *testing.T) {
	t.Helper()
	for class, examples := range f.seen {
		t.Logf("%d times: %s\n%s", len(examples), class, strings.Join(examples[:min(len(examples), shownExamples)], "\n\n"))
	}
}
