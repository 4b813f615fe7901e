package deploy

import (
	"encoding/json"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2/caddyconfig"

	_ "github.com/caddyserver/caddy/v2/modules/standard"

	_ "example.com/caddy-token-auth/caddymodule"
)

// site is what the tests look at in a configuration.
type site struct {
	Admin struct{ Listen string }
	Apps  struct {
		HTTP struct {
			GracePeriod   time.Duration `json:"grace_period"`
			ShutdownDelay time.Duration `json:"shutdown_delay"`
			Servers       map[string]struct{ Listen []string }
		}
	}
}

// adapt returns what Caddy makes of a Caddyfile, and the same as text.
func adapt(t *testing.T, text string) (site, string) {
	t.Helper()
	config, warnings, err := caddyconfig.GetAdapter("caddyfile").Adapt([]byte(text), map[string]any{"filename": "Caddyfile"})
	if err != nil {
		t.Fatal(err)
	}
	for _, w := range warnings {
		t.Error(w)
	}
	var s site
	if err := json.Unmarshal(config, &s); err != nil {
		t.Fatal(err)
	}
	return s, string(config)
}

// graceOf returns how long Caddy takes to end, at most. Without grace_period it waits for
// the end of every stream.
func graceOf(t *testing.T, text string) time.Duration {
	t.Helper()
	s, _ := adapt(t, text)
	if s.Apps.HTTP.GracePeriod <= 0 {
		t.Fatal("no grace_period")
	}
	return s.Apps.HTTP.GracePeriod + s.Apps.HTTP.ShutdownDelay
}

// killedAfter is how long container engines wait after SIGTERM if they are not told.
const killedAfter = 10 * time.Second

// TestExampleNeedsOneVariableForItsUpstream adapts the image's default configuration in an
// environment that has UPSTREAM and no other variable of it.
func TestExampleNeedsOneVariableForItsUpstream(t *testing.T) {
	for _, name := range []string{"CADDY_ADMIN", "TOKEN_AUTH_DIR", "SITE_ADDRESS", "JWT_SECRET"} {
		t.Setenv(name, "") // restores it
		if err := os.Unsetenv(name); err != nil {
			t.Fatal(err)
		}
	}
	t.Setenv("UPSTREAM", "api.example.com:1234")
	text := read(t, "caddyfile.example")
	s, config := adapt(t, text)
	if !strings.Contains(config, `"upstreams":[{"dial":"api.example.com:1234"}]`) {
		t.Errorf("the upstream is not the one named:\n%s", config)
	}
	if got := s.Admin.Listen; got != "localhost:2019" {
		t.Errorf("the admin API listens on %s", got)
	}
	for _, server := range s.Apps.HTTP.Servers {
		if len(server.Listen) != 1 || server.Listen[0] != ":8080" {
			t.Errorf("it listens on %v, the image exposes 8080", server.Listen)
		}
	}
	if grace := graceOf(t, text); grace >= killedAfter {
		t.Errorf("it takes up to %s to end, and is killed after %s", grace, killedAfter)
	}
}
