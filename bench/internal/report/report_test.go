package report

import (
	"strings"
	"testing"
	"time"
)

func TestTablesAreMarkdown(t *testing.T) {
	table := Table{Title: "Title:", Head: []string{"a", "b"}}
	table.Add("1", "2")
	var b strings.Builder
	table.Print(&b)
	if want := "\nTitle:\n\n| a | b |\n| --- | --- |\n| 1 | 2 |\n"; b.String() != want {
		t.Errorf("got %q, want %q", b.String(), want)
	}
}

func TestQuantileIsOneOfTheValues(t *testing.T) {
	values := []time.Duration{3, 1, 2}
	for q, want := range map[float64]time.Duration{0: 1, 0.5: 2, 0.99: 2, 1: 3} {
		if got := Quantile(values, q); got != want {
			t.Errorf("%v: got %d, want %d", q, got, want)
		}
	}
}
