package process

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"
)

// tick is the unit of times in /proc: USER_HZ is 100 on every platform that Go knows.
const tick = time.Second / 100

// Usage is what a process has used so far.
type Usage struct {
	CPU    time.Duration // user and system time of all its threads, past ones included
	Memory int64         // resident bytes at present
}

// UsageOf reads the usage of a process from the kernel.
func UsageOf(pid int) (Usage, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return Usage{}, err
	}
	return parseStat(string(text))
}

// parseStat reads the text of /proc/<pid>/stat (proc_pid_stat(5)). The second field,
// the command's name, may have spaces and parentheses of its own.
func parseStat(text string) (Usage, error) {
	const utime, stime, rss = 14, 15, 24 // numbers of fields, from 1
	end := strings.LastIndexByte(text, ')')
	fields := strings.Fields(text[end+1:]) // the first is number 3
	if end < 0 || len(fields) < rss-2 {
		return Usage{}, fmt.Errorf("process status has %d fields", len(fields))
	}
	var values [3]int64
	for i, number := range [...]int{utime, stime, rss} {
		var err error
		if values[i], err = strconv.ParseInt(fields[number-3], 10, 64); err != nil {
			return Usage{}, fmt.Errorf("field %d of the process status: %w", number, err)
		}
	}
	return Usage{
		CPU:    time.Duration(values[0]+values[1]) * tick,
		Memory: values[2] * int64(os.Getpagesize()),
	}, nil
}

// MachineTime is the CPU time that everything on this machine has used so far.
func MachineTime() (time.Duration, error) {
	text, err := os.ReadFile("/proc/stat")
	if err != nil {
		return 0, err
	}
	return parseMachineTime(string(text))
}

// parseMachineTime reads the first line of /proc/stat (proc_stat(5)): all its times
// but those of doing nothing. Time that the host took away counts as used.
func parseMachineTime(text string) (time.Duration, error) {
	const idle, iowait, steal = 3, 4, 7
	line, _, _ := strings.Cut(text, "\n")
	fields := strings.Fields(line)
	if len(fields) <= 1+steal || fields[0] != "cpu" {
		return 0, fmt.Errorf("machine status begins with %q", line)
	}
	var total time.Duration
	for i, field := range fields[1 : 1+steal+1] {
		if i == idle || i == iowait {
			continue
		}
		n, err := strconv.ParseInt(field, 10, 64)
		if err != nil {
			return 0, fmt.Errorf("machine status %q: %w", line, err)
		}
		total += time.Duration(n) * tick
	}
	return total, nil
}
