// Package bench measures what the plugin costs. It has no code of its own.
//
// Its benchmarks run in one process: BenchmarkCheck asks the revocation list,
// BenchmarkHandler runs the whole handler with nothing behind it. The command e2e
// below it compares whole servers over the network. docs/benchmarks.md says how to
// run both and how to read the figures.
package bench
