package policy

import (
	"testing"

	"github.com/caddyserver/caddy/v2/caddyconfig"

	_ "github.com/caddyserver/caddy/v2/modules/standard"

	_ "example.com/caddy-token-auth/caddymodule"
)

func TestShownCaddyfilesAdapt(t *testing.T) {
	for _, c := range shownCaddyfiles(t) {
		t.Run(c.name, func(t *testing.T) {
			_, warnings, err := caddyconfig.GetAdapter("caddyfile").Adapt([]byte(c.text), map[string]any{"filename": c.name})
			if err != nil {
				t.Errorf("does not adapt: %v\n%s", err, c.text)
			}
			for _, w := range warnings {
				t.Errorf("adapts with a warning: %v", w)
			}
		})
	}
}
