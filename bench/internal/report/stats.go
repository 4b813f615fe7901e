package report

import (
	"fmt"
	"math"
	"slices"
)

// Median returns the middle of values, or NaN if there are none.
func Median(values []float64) float64 {
	sorted := slices.Sorted(slices.Values(values))
	n := len(sorted)
	if n == 0 {
		return math.NaN()
	}
	return (sorted[(n-1)/2] + sorted[n/2]) / 2
}

// Ratios divides a by b, element by element: what was measured in one repetition by
// what was measured in the same.
func Ratios(a, b []float64) []float64 {
	n := min(len(a), len(b))
	r := make([]float64, 0, n)
	for i, x := range a[:n] {
		r = append(r, x/b[i])
	}
	return r
}

// Spread is a median and the range around it.
func Spread(values []float64) string {
	if len(values) == 0 {
		return "-"
	}
	return fmt.Sprintf("%.3f (%.3f to %.3f)", Median(values), slices.Min(values), slices.Max(values))
}
