// Package report prints what benchmarks have measured.
package report

import (
	"fmt"
	"io"
	"os"
	"runtime"
	"slices"
	"strings"
	"time"
)

// Table is one result.
type Table struct {
	Title string
	Head  []string
	Rows  [][]string
}

// Add adds a row.
func (t *Table) Add(cells ...string) { t.Rows = append(t.Rows, cells) }

// Print writes the table in Markdown.
func (t Table) Print(to io.Writer) {
	fmt.Fprintf(to, "\n%s\n\n", t.Title)
	rule := make([]string, len(t.Head))
	for i := range rule {
		rule[i] = "---"
	}
	for _, row := range append([][]string{t.Head, rule}, t.Rows...) {
		fmt.Fprintf(to, "| %s |\n", strings.Join(row, " | "))
	}
}

// DescribeMachine says where this was measured, and how busy that is.
func DescribeMachine(to io.Writer) {
	load := "unknown"
	if text, err := os.ReadFile("/proc/loadavg"); err == nil {
		load, _, _ = strings.Cut(string(text), " ")
	}
	fmt.Fprintf(to, "%s, %s/%s, %d cores; load average before: %s\n", runtime.Version(), runtime.GOOS, runtime.GOARCH, runtime.NumCPU(), load)
}

// Quantile returns a quantile of the values, of which there is one at least.
func Quantile(values []time.Duration, q float64) time.Duration {
	sorted := slices.Sorted(slices.Values(values))
	return sorted[int(q*float64(len(sorted)-1))]
}

// Milliseconds writes a duration in the unit that all tables have.
func Milliseconds(d time.Duration) string {
	return fmt.Sprintf("%.2f ms", float64(d)/float64(time.Millisecond))
}

// DelayRow has the cells that describe delays, under DelayHead.
func DelayRow(name string, delays []time.Duration) []string {
	return []string{
		name, fmt.Sprint(len(delays)), Milliseconds(Quantile(delays, 0.5)),
		Milliseconds(Quantile(delays, 0.99)), Milliseconds(Quantile(delays, 1)),
	}
}

// DelayHead returns the head of a table of delays; first is that of its first column.
func DelayHead(first string) []string { return []string{first, "logouts", "p50", "p99", "most"} }
