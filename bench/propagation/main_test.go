package main

import (
	"strings"
	"testing"
	"time"
)

func TestEveryMeasurementGivesATable(t *testing.T) {
	for _, m := range measurements {
		if m.name == "sidecars" {
			continue // builds Caddy
		}
		t.Run(m.name, func(t *testing.T) {
			l := &lab{dir: t.TempDir(), settings: settings{logouts: 3, duration: 50 * time.Millisecond, callers: 4, rate: 500, entries: 2000, ready: 2000, purge: 2000}}
			defer l.close()
			got, err := m.run(t.Context(), l)
			if err != nil {
				t.Fatal(err)
			}
			if len(got.rows) == 0 {
				t.Error("no rows")
			}
			for _, row := range got.rows {
				if len(row) != len(got.head) {
					t.Errorf("%q: want as many cells as %q", row, got.head)
				}
			}
		})
	}
}

func TestTablesAreMarkdown(t *testing.T) {
	table := table{title: "Title:", head: []string{"a", "b"}}
	table.add("1", "2")
	var b strings.Builder
	table.print(&b)
	if want := "\nTitle:\n\n| a | b |\n| --- | --- |\n| 1 | 2 |\n"; b.String() != want {
		t.Errorf("got %q, want %q", b.String(), want)
	}
}

func TestQuantileIsOneOfTheValues(t *testing.T) {
	values := []time.Duration{3, 1, 2}
	for q, want := range map[float64]time.Duration{0: 1, 0.5: 2, 0.99: 2, 1: 3} {
		if got := quantile(values, q); got != want {
			t.Errorf("%v: got %d, want %d", q, got, want)
		}
	}
}

func TestUnknownArgumentsAreRefused(t *testing.T) {
	for _, args := range [][]string{{"-logouts", "0"}, {"-duration", "0s"}, {"extra"}, {"-unknown"}} {
		if _, err := parse(args); err == nil {
			t.Errorf("%q is taken", args)
		}
	}
}
