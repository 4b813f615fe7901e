package main

import (
	"fmt"
	"io"
	"os"
	"runtime"
	"slices"
	"strings"
	"time"
)

// table is one result.
type table struct {
	title string
	head  []string
	rows  [][]string
}

func (t *table) add(cells ...string) { t.rows = append(t.rows, cells) }

// print writes the table in Markdown.
func (t table) print(to io.Writer) {
	fmt.Fprintf(to, "\n%s\n\n", t.title)
	rule := make([]string, len(t.head))
	for i := range rule {
		rule[i] = "---"
	}
	for _, row := range append([][]string{t.head, rule}, t.rows...) {
		fmt.Fprintf(to, "| %s |\n", strings.Join(row, " | "))
	}
}

// describeMachine says where this was measured, and how busy that is.
func describeMachine(to io.Writer) {
	load := "unknown"
	if text, err := os.ReadFile("/proc/loadavg"); err == nil {
		load, _, _ = strings.Cut(string(text), " ")
	}
	fmt.Fprintf(to, "%s, %s/%s, %d cores; load average before: %s\n", runtime.Version(), runtime.GOOS, runtime.GOARCH, runtime.NumCPU(), load)
}

// quantile returns a quantile of the values, of which there is one at least.
func quantile(values []time.Duration, q float64) time.Duration {
	sorted := slices.Sorted(slices.Values(values))
	return sorted[int(q*float64(len(sorted)-1))]
}

func milliseconds(d time.Duration) string {
	return fmt.Sprintf("%.2f ms", float64(d)/float64(time.Millisecond))
}

// delayRow has the cells that describe delays.
func delayRow(name string, delays []time.Duration) []string {
	return []string{
		name, fmt.Sprint(len(delays)), milliseconds(quantile(delays, 0.5)),
		milliseconds(quantile(delays, 0.99)), milliseconds(quantile(delays, 1)),
	}
}

var delayHead = []string{"store", "logouts", "p50", "p99", "most"}
