package report

import (
	"math"
	"slices"
	"testing"
)

func TestMedian(t *testing.T) {
	for _, c := range []struct {
		values []float64
		want   float64
	}{
		{[]float64{3}, 3},
		{[]float64{9, 1, 5}, 5},
		{[]float64{4, 1, 3, 2}, 2.5},
	} {
		given := slices.Clone(c.values)
		if got := Median(c.values); got != c.want {
			t.Errorf("median of %v is %v, want %v", c.values, got, c.want)
		}
		if !slices.Equal(given, c.values) {
			t.Errorf("median has changed %v to %v", given, c.values)
		}
	}
	if got := Median(nil); !math.IsNaN(got) {
		t.Errorf("median of nothing is %v", got)
	}
}

func TestRatiosAreWithinOneRepetition(t *testing.T) {
	got := Ratios([]float64{10, 30}, []float64{10, 20})
	if !slices.Equal(got, []float64{1, 1.5}) {
		t.Errorf("ratios are %v", got)
	}
	// A repetition that is missing is not made up.
	if got := Ratios([]float64{10, 30}, []float64{10}); len(got) != 1 {
		t.Errorf("ratios are %v", got)
	}
}

func TestSpread(t *testing.T) {
	if got, want := Spread([]float64{1.5, 1, 0.25}), "1.000 (0.250 to 1.500)"; got != want {
		t.Errorf("spread is %q, want %q", got, want)
	}
	if got := Spread(nil); got != "-" {
		t.Errorf("spread of nothing is %q", got)
	}
}
