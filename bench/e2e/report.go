package main

import (
	"fmt"
	"io"
	"os"
	"runtime"
	"strings"
	"text/tabwriter"
	"time"

	"example.com/caddy-token-auth/bench/internal/report"
)

func milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

// report prints what was measured: medians over the repetitions, and the median and
// range of the ratios to plain in the same repetition.
func (c *comparison) report(to io.Writer) {
	fmt.Fprintf(to, "\n%s, %s/%s, %d cores; servers on %s, load on %s; load average %s\n",
		runtime.Version(), runtime.GOOS, runtime.GOARCH, runtime.NumCPU(), orAny(c.serverCores), orAny(c.loadCores), loadAverage())
	fmt.Fprintf(to, "%d distinct RS256 tokens, %d live revocations, %d connections, %d repetitions of %s, medians\n\n",
		c.tokens, c.revocations, c.connections, c.repetitions, c.duration)
	table := tabwriter.NewWriter(to, 0, 0, 3, ' ', 0)
	fmt.Fprintln(table, "server\trequests/s\tx plain\tCPU us/request\tx plain\tp50 ms\tp99 ms\tresident MB\tothers")
	for _, s := range []*contestant{c.plain, c.twin, c.sidecar} {
		of := func(figure func(sample) float64) float64 { return report.Median(values(s.samples, figure)) }
		toPlain := func(figure func(sample) float64) string {
			return report.Spread(report.Ratios(values(s.samples, figure), values(c.plain.samples, figure)))
		}
		fmt.Fprintf(table, "%s\t%.0f\t%s\t%.2f\t%s\t%.2f\t%.2f\t%.0f\t%.1f %%\n", s.Name,
			of(rate), toPlain(rate), of(cpu), toPlain(cpu), of(p50), of(p99), of(memory), 100*worst(s.samples))
	}
	_ = table.Flush()
	fmt.Fprintln(to, "\nIn brackets: the lowest and the highest repetition. What differs by less than plain and its twin do is noise.")
	fmt.Fprintln(to, "others: the most of a core that other programs took during a repetition.")
}

func orAny(cores string) string {
	if cores == "" {
		return "any"
	}
	return "core " + cores
}

// loadAverage is that of the last minute, most of which is ours after a run.
func loadAverage() string {
	text, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return "unknown"
	}
	first, _, _ := strings.Cut(string(text), " ")
	return first
}
