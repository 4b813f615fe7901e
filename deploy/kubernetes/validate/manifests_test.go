package main

import (
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// overlays are the directories that can be applied.
var overlays = []string{"local", "redis", "nats"}

// rendered returns what Kustomize makes of an overlay.
func rendered(t *testing.T, overlay string) string {
	t.Helper()
	manifests, err := render(filepath.Join("..", "overlays", overlay))
	if err != nil {
		t.Fatal(err)
	}
	return string(manifests)
}

func TestEveryOverlayIsValid(t *testing.T) {
	for _, overlay := range overlays {
		if err := check([]byte(rendered(t, overlay))); err != nil {
			t.Errorf("%s: %v", overlay, err)
		}
	}
	dirs, err := filepath.Glob("../overlays/*")
	if err != nil || len(dirs) != len(overlays) {
		t.Errorf("%d overlays are known here, there are %v (%v)", len(overlays), dirs, err)
	}
}

// redis is one of the overlays, as it is and as tests break it.
var redis = sync.OnceValues(func() ([]byte, error) { return render("../overlays/redis") })

func TestBrokenManifestsAreRefused(t *testing.T) {
	good, err := redis()
	if err != nil {
		t.Fatal(err)
	}
	for what, mistake := range map[string]struct{ of, to, says string }{
		"a field that does not exist":         {"readinessProbe:", "readynessProbe:", "readynessProbe"},
		"one in the metadata":                 {"  name: api\n", "  name: api\n  lables: {}\n", "lables"},
		"one of another object":               {"maxUnavailable: 1\n", "maxUnavailable: 1\n  replicas: 3\n", "replicas"},
		"a text for a number":                 {"replicas: 3\n", "replicas: three\n", "integer"},
		"a number for a text":                 {"path: /live\n", "path: 5\n", "string"},
		"a map for a list":                    {"drop:\n            - ALL\n", "drop:\n              all: true\n", "array"},
		"a quantity that is none":             {"memory: 512Mi", "memory: 512Megabytes", "quantit"},
		"a field twice":                       {"replicas: 3\n", "replicas: 3\n  replicas: 4\n", "replicas"},
		"a field that is needed and missing":  {"path: /live\n            port: 8081\n", "path: /live\n", "port"},
		"a container without a name":          {"name: sidecar\n", "tty: false\n", "name"},
		"an API version that does not exist":  {"policy/v1\n", "policy/v1beta9\n", "schema"},
		"a kind that does not exist":          {"kind: Service\n", "kind: Srevice\n", "schema"},
		"an object without a kind":            {"kind: Service\n", "", "kind"},
		"a container that may gain rights":    {"allowPrivilegeEscalation: false", "allowPrivilegeEscalation: true", "allowPrivilegeEscalation"},
		"a container that keeps capabilities": {"drop:\n            - ALL\n", "drop:\n            - CHOWN\n", "capabilities"},
		"a pod that may be root":              {"runAsNonRoot: true", "runAsNonRoot: false", "runAsNonRoot"},
		"a pod that is root":                  {"runAsUser: 65532", "runAsUser: 0", "runAsUser"},
		"a pod without seccomp":               {"type: RuntimeDefault", "type: Unconfined", "seccomp"},
		"a directory of the node":             {"emptyDir:\n          sizeLimit: 64Mi\n", "hostPath:\n          path: /\n", "hostPath"},
		"a port of the node":                  {"containerPort: 8080\n", "containerPort: 8080\n          hostPort: 8080\n", "hostPort"},
	} {
		t.Run(what, func(t *testing.T) {
			if !strings.Contains(string(good), mistake.of) {
				t.Fatalf("there is no %q to break", mistake.of)
			}
			err := check([]byte(strings.Replace(string(good), mistake.of, mistake.to, 1)))
			if err == nil {
				t.Fatal("it was not noticed")
			}
			if !strings.Contains(err.Error(), mistake.says) {
				t.Errorf("%v does not speak of %q", err, mistake.says)
			}
		})
	}
}

func TestNothingIsNotValid(t *testing.T) {
	for _, manifests := range []string{"", "---\n", "# nothing\n"} {
		if check([]byte(manifests)) == nil {
			t.Errorf("%q is valid", manifests)
		}
	}
}

// TestDocumentedOverlayIsValid renders what docs/kubernetes.md tells users to write.
func TestDocumentedOverlayIsValid(t *testing.T) {
	doc, err := os.ReadFile(filepath.Join(root, "docs", "kubernetes.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, block, opened := strings.Cut(string(doc), "```yaml\n")
	block, _, closed := strings.Cut(block, "\n```\n")
	if !opened || !closed {
		t.Fatal("there is no such block")
	}
	dir := t.TempDir()
	if dir, err = filepath.EvalSymlinks(dir); err != nil {
		t.Fatal(err)
	}
	base, err := filepath.Abs("../overlays/redis")
	if err != nil {
		t.Fatal(err)
	}
	if base, err = filepath.Rel(dir, base); err != nil {
		t.Fatal(err)
	}
	block = strings.Replace(block, "- ../redis\n", "- "+base+"\n", 1)
	if err := os.WriteFile(filepath.Join(dir, "kustomization.yaml"), []byte(block), 0o600); err != nil {
		t.Fatal(err)
	}
	manifests, err := render(dir)
	if err != nil {
		t.Fatal(err)
	}
	if err := check(manifests); err != nil {
		t.Error(err)
	}
	for _, image := range []string{"registry.example.org/caddy-token-auth@sha256:", "registry.example.org/cards@sha256:"} {
		if !strings.Contains(string(manifests), image) {
			t.Errorf("%s is not in\n%s", image, manifests)
		}
	}
	if strings.Contains(string(manifests), "replace-me") {
		t.Error("an image was not replaced")
	}
}
