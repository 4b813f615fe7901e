package process

import (
	"os"
	"runtime"
	"strings"
	"testing"
	"time"
)

// fields are what follows the name in /proc/<pid>/stat: 12.5 s user time, 2.01 s
// system time, 5 resident pages.
const fields = " S 1 2 3 0 -1 4194304 100 200 0 0 1250 201 7 8 20 0 9 0 425037 3133440 5 18446744073709551615 1 1"

func TestParseStat(t *testing.T) {
	for _, name := range []string{"caddy", "a b", "a) S 1 (b", ")", ""} {
		got, err := parseStat("77 (" + name + ")" + fields)
		want := Usage{CPU: 14510 * time.Millisecond, Memory: 5 * int64(os.Getpagesize())}
		if err != nil || got != want {
			t.Errorf("%q: %+v, %v; want %+v", name, got, err, want)
		}
	}
}

func TestParseStatRefusesOtherText(t *testing.T) {
	for _, text := range []string{
		"", "77", "77 (caddy", "77 (caddy)", "77 (caddy) S 1 2 3",
		"77 (caddy)" + strings.Replace(fields, "1250", "many", 1),
	} {
		if got, err := parseStat(text); err == nil {
			t.Errorf("%q is read as %+v", text, got)
		}
	}
}

func TestUsageOfThisProcessGrows(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("no /proc")
	}
	before, err := UsageOf(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	if before.Memory <= 0 {
		t.Errorf("%d resident bytes", before.Memory)
	}
	for deadline := time.Now().Add(10 * time.Second); ; {
		after, err := UsageOf(os.Getpid())
		if err != nil {
			t.Fatal(err)
		}
		if after.CPU > before.CPU {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("still at %s", after.CPU)
		}
	}
}

func TestParseMachineTime(t *testing.T) {
	const text = "cpu  100 20 30 99999 8888 4 5 6 700 70\ncpu0 1 2 3 4 5 6 7 8 9 10\n"
	if got, err := parseMachineTime(text); err != nil || got != 1650*time.Millisecond {
		t.Errorf("%s, %v", got, err)
	}
	for _, text := range []string{"", "cpu", "cpu 1 2 3 4 5 6 7", "cpu0 1 2 3 4 5 6 7 8", "cpu 1 2 3 4 5 6 x 8"} {
		if got, err := parseMachineTime(text); err == nil {
			t.Errorf("%q is read as %s", text, got)
		}
	}
}
