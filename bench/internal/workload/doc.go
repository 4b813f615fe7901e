// Package workload makes what the benchmarks run on: distinct tokens as issuers
// write them, and a store full of revocations that concern none of them.
package workload
