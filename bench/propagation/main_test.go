package main

import (
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
			if len(got.Rows) == 0 {
				t.Error("no rows")
			}
			for _, row := range got.Rows {
				if len(row) != len(got.Head) {
					t.Errorf("%q: want as many cells as %q", row, got.Head)
				}
			}
		})
	}
}

func TestUnknownArgumentsAreRefused(t *testing.T) {
	for _, args := range [][]string{{"-logouts", "0"}, {"-duration", "0s"}, {"extra"}, {"-unknown"}} {
		if _, err := parse(args); err == nil {
			t.Errorf("%q is taken", args)
		}
	}
}
