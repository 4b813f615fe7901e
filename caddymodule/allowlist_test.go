package caddymodule

import (
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap"
)

func TestAllowListRanges(t *testing.T) {
	list, err := newAllowList(map[string][]string{
		"42": {"203.0.113.0/24", "2001:db8::/32", "198.51.100.7"},
	})
	if err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		client, addr string
		want         bool
	}{
		{"42", "203.0.113.9", true},
		{"42", "198.51.100.7", true},
		{"42", "198.51.100.8", false},
		{"42", "2001:db8::1", true},
		{"42", "2001:db9::1", false},
		{"42", "127.0.0.1", false},
		{"43", "127.0.0.1", true},
		{"", "127.0.0.1", true},
	}
	for _, tt := range tests {
		if got := list.allows(tt.client, netip.MustParseAddr(tt.addr)); got != tt.want {
			t.Errorf("client %q from %s: %v", tt.client, tt.addr, got)
		}
	}
	if list.allows("42", netip.Addr{}) {
		t.Error("an unknown address is in a range")
	}
}

func TestAllowListRefusesMistakes(t *testing.T) {
	for _, cidr := range []string{"", "x", "10.0.0.0/33", "10.0.0.1/8", "10.0.0", "::ffff:10.0.0.0/104", "fe80::1%eth0"} {
		if _, err := newAllowList(map[string][]string{"42": {cidr}}); err == nil {
			t.Errorf("%q is accepted", cidr)
		}
	}
	if _, err := newAllowList(map[string][]string{"42": nil}); err == nil {
		t.Error("a client with no range is accepted, and would be locked out")
	}
}

func TestAllowListFileErrorsNameTheLine(t *testing.T) {
	name := filepath.Join(t.TempDir(), "allow.txt")
	for content, want := range map[string]string{
		"# comment\n42 10.0.0.0/8\n43\n":                  name + ":3: ",
		"42 10.0.0.0/8 nonsense # comment\n":              name + ":1: ",
		"42 10.0.0.0/8\n\n" + strings.Repeat("x", 70_000): name + ":3: ",
	} {
		if err := os.WriteFile(name, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := readAllowList(name); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("got %v, want it to begin with %s", err, want)
		}
	}
}

// reload is driven by hand here, so that no test waits for the interval.
func TestAllowListFollowsItsFileAndKeepsTheLastGoodOne(t *testing.T) {
	name := filepath.Join(t.TempDir(), "allow.txt")
	write := func(content string, at time.Time) {
		t.Helper()
		if err := os.WriteFile(name, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(name, at, at); err != nil {
			t.Fatal(err)
		}
	}
	start := time.Now()
	write("42 10.0.0.0/8\n", start)
	lists, err := newAllowLists(&AllowIPs{Files: []string{name}, Clients: map[string][]string{"7": {"10.0.0.1"}}}, zap.NewNop(), func(*allowLists) {})
	if err != nil {
		t.Fatal(err)
	}
	lists.close()
	local := netip.MustParseAddr("127.0.0.1")
	allowed := func(want bool, when string) {
		t.Helper()
		if got := lists.get().allows("42", local); got != want {
			t.Errorf("%s: allowed = %v", when, got)
		}
		if lists.get().allows("7", local) {
			t.Errorf("%s: the inline list is gone", when)
		}
	}
	reload := func(want bool) {
		t.Helper()
		if got := lists.reload(); got != want {
			t.Errorf("reload = %v", got)
		}
	}

	allowed(false, "at first")
	reload(false)
	write("42 10.0.0.0/8 127.0.0.0/8\n", start.Add(time.Second))
	reload(true)
	allowed(true, "after the file changed")
	write("42 nonsense\n", start.Add(2*time.Second))
	reload(true)
	allowed(true, "after it was damaged")
	if err := os.Remove(name); err != nil {
		t.Fatal(err)
	}
	reload(true)
	allowed(true, "after it was removed")
	write("42 10.0.0.0/8\n", start.Add(3*time.Second))
	reload(true)
	allowed(false, "after it was restored")
}

// A request that turns out to last after its configuration has ended has its list watched,
// and what has changed in between is seen.
func TestAllowListIsWatchedAgainForWhatOutlivesItsConfiguration(t *testing.T) {
	name := filepath.Join(t.TempDir(), "allow.txt")
	if err := os.WriteFile(name, []byte("42 10.0.0.0/8\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	reloaded := make(chan bool, 10)
	lists, err := newAllowLists(&AllowIPs{Files: []string{name}}, zap.NewNop(), func(*allowLists) { reloaded <- true })
	if err != nil {
		t.Fatal(err)
	}
	lists.close()
	if err := os.WriteFile(name, []byte("42 10.0.0.0/8 127.0.0.0/8\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	lists.retain()
	defer lists.close()
	select {
	case <-reloaded:
	case <-time.After(10 * time.Second):
		t.Fatal("nobody looks at the file")
	}
	if !lists.get().allows("42", netip.MustParseAddr("127.0.0.1")) {
		t.Error("the new list is not in force")
	}
}
