package deploy

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

const (
	unit = "deploy/systemd/caddy-token-auth.service"

	// maxExposure is what systemd-analyze security may find, in tenths: 0 is best, 100 worst.
	maxExposure = "20"
)

// setting returns the value of the unit's only line for a key.
func setting(t *testing.T, key string) string {
	t.Helper()
	found := regexp.MustCompile(`(?m)^`+key+`=(.*)$`).FindAllStringSubmatch(read(t, unit), -1)
	if len(found) != 1 {
		t.Fatalf("%d lines %s", len(found), key)
	}
	return found[0][1]
}

func TestUnitGrantsCaddyItsGracePeriod(t *testing.T) {
	timeout, err := time.ParseDuration(setting(t, "TimeoutStopSec"))
	if err != nil {
		t.Fatal(err)
	}
	if grace := graceOf(t, read(t, "caddyfile.example")); timeout <= grace {
		t.Errorf("it is killed after %s, and takes up to %s", timeout, grace)
	}
}

func TestUnitKeepsTheListWhereItMayWrite(t *testing.T) {
	dir := setting(t, "StateDirectory")
	if want := "HOME=%S/" + dir + " XDG_DATA_HOME=%S/" + dir + " XDG_CONFIG_HOME=%S/" + dir + " "; !strings.HasPrefix(setting(t, "Environment"), want) {
		t.Errorf("environment %s, want %s", setting(t, "Environment"), want)
	}
}

// TestUnitKeepsTheAdminAPIFromOtherUsers wants it on a socket in a directory that only Caddy
// and root may enter, and the Caddyfile to take it from there.
func TestUnitKeepsTheAdminAPIFromOtherUsers(t *testing.T) {
	dir := setting(t, "RuntimeDirectory")
	socket := "/" + dir + "/admin.sock"
	if env := strings.Fields(setting(t, "Environment")); !slices.Contains(env, "CADDY_ADMIN=unix/%t"+socket) {
		t.Errorf("environment %s", env)
	}
	if mode := setting(t, "RuntimeDirectoryMode"); mode != "0700" {
		t.Errorf("its directory has mode %s", mode)
	}
	if !strings.Contains(read(t, "caddyfile.example"), "\tadmin {$CADDY_ADMIN:") {
		t.Error("caddyfile.example does not take CADDY_ADMIN")
	}
	if !strings.Contains(read(t, "docs/docker.md"), "--address unix//run"+socket) {
		t.Error("docs/docker.md does not say how commands find it")
	}
}

// TestUnitIsAcceptedBySystemd has systemd-analyze look at it, with a command that exists in
// the place of Caddy.
func TestUnitIsAcceptedBySystemd(t *testing.T) {
	analyze, err := exec.LookPath("systemd-analyze")
	if err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal("systemd-analyze was not found; with CI=true it must be there (Debian's package systemd)")
		}
		t.Skip("systemd-analyze was not found (Debian's package systemd)")
	}
	command, err := exec.LookPath("true")
	if err != nil {
		t.Fatal(err)
	}
	text := strings.ReplaceAll(read(t, unit), "/usr/local/bin/caddy-token-auth", command)
	name := filepath.Join(t.TempDir(), filepath.Base(unit))
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{
		{"verify", "--man=no"},
		{"security", "--offline=true", "--no-pager", "--threshold=" + maxExposure},
	} {
		out, err := exec.CommandContext(t.Context(), analyze, append(args, name)...).CombinedOutput()
		if err != nil || args[0] == "verify" && len(out) > 0 {
			t.Errorf("systemd-analyze %s: %v\n%s", args[0], err, out)
		}
	}
}
