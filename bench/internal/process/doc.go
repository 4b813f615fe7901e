// Package process runs the programs that benchmarks over the network compare, and reads
// what they use.
package process
