package main

import (
	"fmt"
	"os"
	"testing"
	"time"
)

// TestMain makes the test's program the upstream of the measurements, as main does.
func TestMain(m *testing.M) {
	if len(os.Args) == 2 && os.Args[1] == upstreamCommand {
		if err := serveUpstream(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

func TestEveryMeasurementGivesATable(t *testing.T) {
	s := settings{connections: 40, perClient: 10, messages: 4, size: 256, duration: 50 * time.Millisecond, rounds: 1}
	dir := t.TempDir()
	for _, m := range measurements {
		t.Run(m.name, func(t *testing.T) {
			got, err := measure(t.Context(), s, dir, m.run)
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
	for _, args := range [][]string{{"-connections", "1"}, {"-duration", "0s"}, {"-size", "1"}, {"extra"}} {
		if _, err := parse(args); err == nil {
			t.Errorf("%q is taken", args)
		}
	}
}
