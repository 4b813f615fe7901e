package e2e

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestListMovesToAnotherStore moves a list with the commands export and import, and the
// import fails in the middle once.
func TestListMovesToAnotherStore(t *testing.T) {
	api := newAPI(t)
	from, to := newSidecar(t, api), newSidecar(t, api)
	from.start()
	c := from.client()
	defer c.close()
	pairs := make([]pair, 20)
	for i := range pairs {
		pairs[i] = mint(api.newClient())
		c.logout(t, pairs[i])
	}
	if out, err := from.command("export", "--output", filepath.Join(from.home, "early")).CombinedOutput(); err == nil {
		t.Errorf("exported from a store that is in use: %s", out)
	}
	from.stop()

	file := filepath.Join(from.home, "list.ndjson")
	if out, err := from.command("export", "--output", file).CombinedOutput(); err != nil {
		t.Fatalf("export: %v\n%s", err, out)
	}
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	// Half of the file comes first, and is told to be half.
	cut := to.command("import")
	cut.Stdin = strings.NewReader(string(text[:len(text)/2]))
	out, err := cut.CombinedOutput()
	skip := regexp.MustCompile(`go on with --skip (\d+)`).FindSubmatch(out)
	if err == nil || skip == nil {
		t.Fatalf("half of an export: %v\n%s", err, out)
	}
	if out, err := to.command("import", "--input", file, "--skip", string(skip[1])).CombinedOutput(); err != nil {
		t.Fatalf("import: %v\n%s", err, out)
	}
	to.start()
	c2 := to.client()
	defer c2.close()
	for _, p := range pairs {
		c2.wantRevoked(t, p)
	}
	to.stop()
}

// command is a call of caddy token-auth with the sidecar's configuration.
func (s *sidecar) command(name string, args ...string) *exec.Cmd {
	s.t.Helper()
	config := filepath.Join(s.home, "Caddyfile")
	if err := os.WriteFile(config, []byte(s.caddyfile()), 0o600); err != nil {
		s.t.Fatal(err)
	}
	cmd := exec.CommandContext(s.t.Context(), binary(s.t), append([]string{"token-auth", name, "--config", config}, args...)...)
	cmd.Env = append(os.Environ(), "HOME="+s.home, "XDG_DATA_HOME="+s.home, "XDG_CONFIG_HOME="+s.home, "JWT_SECRET=unused")
	return cmd
}
