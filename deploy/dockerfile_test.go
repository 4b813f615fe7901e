package deploy

import (
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

const root = ".."

// xcaddyLine is how the plugin is built into Caddy with its source in a directory.
const xcaddyLine = "xcaddy build v2.11.9 --with example.com/caddy-token-auth/caddymodule --replace example.com/caddy-token-auth="

func read(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, name))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// instruction is one of a Dockerfile: its name, in capitals, and the rest.
type instruction struct{ name, rest string }

// stages returns the instructions of a Dockerfile's stages, each from its FROM on. The
// arguments in front of the first are the stage 0.
func stages(t *testing.T, name string) [][]instruction {
	t.Helper()
	text := regexp.MustCompile(`(?m)^\s*#.*\n`).ReplaceAllString(read(t, name), "")
	text = strings.ReplaceAll(text, "\\\n", " ")
	all := [][]instruction{nil}
	for line := range strings.Lines(text) {
		word, rest, _ := strings.Cut(strings.TrimSpace(line), " ")
		if word == "" {
			continue
		}
		i := instruction{strings.ToUpper(word), strings.Join(strings.Fields(rest), " ")}
		if i.name == "FROM" {
			all = append(all, nil)
		}
		all[len(all)-1] = append(all[len(all)-1], i)
	}
	return all
}

// last returns what the last such instruction of a stage says, which is what counts.
func last(t *testing.T, stage []instruction, name string) string {
	t.Helper()
	for _, i := range slices.Backward(stage) {
		if i.name == name {
			return i.rest
		}
	}
	t.Errorf("there is no %s", name)
	return ""
}

func TestDockerfileBuildsWhatIsDocumented(t *testing.T) {
	s := stages(t, "xcaddy.Dockerfile")
	if len(s) != 3 {
		t.Fatalf("%d stages, want 2", len(s)-1)
	}
	for _, want := range []instruction{{"ARG", "BUILDER=caddy:2.11-builder"}, {"ARG", "BASE=caddy:2.11"}} {
		if !slices.Contains(s[0], want) {
			t.Errorf("no %v", want)
		}
	}
	if got := last(t, s[1], "FROM"); got != "${BUILDER} AS build" {
		t.Errorf("it builds on %s", got)
	}
	if got := last(t, s[2], "FROM"); got != "${BASE}" {
		t.Errorf("the image is made from %s", got)
	}
	if !slices.ContainsFunc(s[1], func(i instruction) bool {
		return i.name == "RUN" && strings.Contains(i.rest, "--mount=type=cache,") && strings.HasSuffix(i.rest, " "+xcaddyLine+"/src")
	}) {
		t.Errorf("it does not run %s/src with a cache", xcaddyLine)
	}
	for _, argument := range []string{"GOPROXY=https://proxy.golang.org,direct", "GOSUMDB=sum.golang.org"} {
		if !slices.Contains(s[1], instruction{"ARG", argument}) {
			t.Errorf("no argument %s", argument)
		}
	}
	for _, name := range []string{"README.md", "docs/docker.md"} {
		if !strings.Contains(read(t, name), xcaddyLine+".\n") {
			t.Errorf("%s does not say %s.", name, xcaddyLine)
		}
	}
}

// TestImageIsMadeOfModulesOfGoSumAlone runs the build's own check: what cannot be looked up
// is refused like what is not there.
func TestImageIsMadeOfModulesOfGoSumAlone(t *testing.T) {
	var check string
	for _, i := range stages(t, "xcaddy.Dockerfile")[1] {
		if _, after, found := strings.Cut(i.rest, "&& test -s modules && "); found {
			check = after
		}
	}
	if check == "" {
		t.Fatal("there is no check")
	}
	const known, other = "a.example v1.0.0 h1:aaaa=\n", "b.example v1.0.0 h1:bbbb=\n"
	for what, c := range map[string]struct {
		sums, modules string
		want          bool
	}{
		"all in go.sum":     {known + other, known, true},
		"one not in go.sum": {known, known + other, false},
		"an empty go.sum":   {"", known, false},
		"no go.sum":         {"-", known, false},
	} {
		dir := t.TempDir()
		sums := filepath.Join(dir, "go.sum")
		if c.sums != "-" {
			if err := os.WriteFile(sums, []byte(c.sums), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		if err := os.WriteFile(filepath.Join(dir, "modules"), []byte(c.modules), 0o600); err != nil {
			t.Fatal(err)
		}
		run := exec.CommandContext(t.Context(), "sh", "-c", strings.ReplaceAll(check, "/src/go.sum", sums))
		run.Dir = dir
		if out, err := run.CombinedOutput(); (err == nil) != c.want {
			t.Errorf("%s: %v\n%s", what, err, out)
		}
	}
}

func TestDockerfileHasTheVersionsOfGoMod(t *testing.T) {
	out, err := exec.CommandContext(t.Context(), "go", "mod", "edit", "-json", filepath.Join(root, "go.mod")).Output()
	if err != nil {
		if exit := (*exec.ExitError)(nil); errors.As(err, &exit) {
			t.Fatalf("%v: %s", err, exit.Stderr)
		}
		t.Fatal(err)
	}
	var mod struct {
		Go      string
		Require []struct{ Path, Version string }
	}
	if err := json.Unmarshal(out, &mod); err != nil {
		t.Fatal(err)
	}
	const caddy = "github.com/caddyserver/caddy/v2"
	for _, r := range mod.Require {
		if want := "xcaddy build " + r.Version + " "; r.Path == caddy && !strings.HasPrefix(xcaddyLine, want) {
			t.Errorf("go.mod has Caddy %s, but the build line is %s", r.Version, xcaddyLine)
		}
		// The images of Caddy 2.11 have this or newer.
		if minor := regexp.MustCompile(`^v\d+\.\d+`).FindString(r.Version); r.Path == caddy && minor != "v2.11" {
			t.Errorf("go.mod has Caddy %s, but the images are of 2.11", r.Version)
		}
	}
	// caddy:2.11-builder has Go 1.26, and does not fetch another one.
	if mod.Go != "1.26.0" {
		t.Errorf("go.mod wants Go %s: has caddy:2.11-builder that?", mod.Go)
	}
}

func TestImageNeedsNoRights(t *testing.T) {
	for _, name := range []string{"xcaddy.Dockerfile", "deploy/example-api.Dockerfile"} {
		s := stages(t, name)
		image := s[len(s)-1]
		// Kubernetes takes only a number for proof that it is not root.
		if user := last(t, image, "USER"); !regexp.MustCompile(`^[1-9]\d*:[1-9]\d*$`).MatchString(user) {
			t.Errorf("%s: user %s", name, user)
		}
		if check := last(t, image, "HEALTHCHECK"); !strings.Contains(check, " CMD http_proxy= wget ") {
			t.Errorf("%s: health check %s", name, check)
		}
		last(t, image, "CMD")
	}

	image := stages(t, "xcaddy.Dockerfile")[2]
	if volume := last(t, image, "VOLUME"); volume != "/data" {
		t.Errorf("volume %s", volume)
	}
	// All that is written is below the volume.
	if env := last(t, image, "ENV"); !strings.Contains(env, "XDG_DATA_HOME=/data XDG_CONFIG_HOME=/data") {
		t.Errorf("environment %s", env)
	}
	if command := last(t, image, "CMD"); command != `["caddy", "run", "--config", "/etc/caddy/Caddyfile", "--adapter", "caddyfile"]` {
		t.Errorf("command %s", command)
	}
	if !slices.Contains(image, instruction{"COPY", "caddyfile.example /etc/caddy/Caddyfile"}) {
		t.Error("caddyfile.example is not the default")
	}
	// Nothing there would be seen: contents below a volume are not kept by every engine
	// once it is declared.
	declared := slices.IndexFunc(image, func(i instruction) bool { return i.name == "VOLUME" })
	for _, i := range image[declared:] {
		if i.name == "RUN" || i.name == "COPY" {
			t.Errorf("%s %s comes after VOLUME", i.name, i.rest)
		}
	}
}
