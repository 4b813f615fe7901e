package main

import (
	"context"
	"errors"
	"time"

	"example.com/caddy-token-auth/bench/internal/process"
)

// sample is one repetition with one server.
type sample struct {
	rate     float64 // requests per second
	cpu      float64 // µs of the server's CPU time for each request
	p50, p99 float64 // ms
	memory   float64 // resident MB at its end
	other    float64 // cores that other programs used
}

// values returns one figure of all samples.
func values(samples []sample, figure func(sample) float64) []float64 {
	v := make([]float64, len(samples))
	for i, s := range samples {
		v[i] = figure(s)
	}
	return v
}

func rate(s sample) float64   { return s.rate }
func cpu(s sample) float64    { return s.cpu }
func p50(s sample) float64    { return s.p50 }
func p99(s sample) float64    { return s.p99 }
func memory(s sample) float64 { return s.memory }

// worst returns how much other programs have used at most.
func worst(samples []sample) float64 {
	var most float64
	for _, s := range samples {
		most = max(most, s.other)
	}
	return most
}

// reading is what the kernel says at one moment.
type reading struct {
	at               time.Time
	machine          time.Duration
	server, upstream process.Usage
}

func (c *comparison) read(s *server) (reading, error) {
	r := reading{at: time.Now()}
	var errs [3]error
	r.machine, errs[0] = process.MachineTime()
	r.server, errs[1] = process.UsageOf(s.PID())
	r.upstream, errs[2] = process.UsageOf(c.running[0].PID())
	return r, errors.Join(errs[:]...)
}

// sample measures a server once.
func (c *comparison) sample(ctx context.Context, s *server) (sample, error) {
	l := c.load
	l.url = s.url
	before, err := c.read(s)
	if err != nil {
		return sample{}, err
	}
	o, err := c.wrk.run(ctx, l)
	if err != nil {
		return sample{}, err
	}
	after, err := c.read(s)
	if err != nil {
		return sample{}, err
	}
	used := after.server.CPU - before.server.CPU
	ours := used + after.upstream.CPU - before.upstream.CPU + o.cpu
	others := max(0, after.machine-before.machine-ours)
	return sample{
		rate:   o.perSecond(o.requests),
		cpu:    float64(used.Microseconds()) / float64(o.requests),
		p50:    milliseconds(o.p50),
		p99:    milliseconds(o.p99),
		memory: float64(after.server.Memory) / 1e6,
		other:  others.Seconds() / after.at.Sub(before.at).Seconds(),
	}, nil
}
