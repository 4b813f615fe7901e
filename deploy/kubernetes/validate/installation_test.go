package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	strictyaml "sigs.k8s.io/yaml"
)

// installation is what an overlay installs.
type installation struct {
	overlay    string
	namespace  corev1.Namespace
	deployment appsv1.Deployment
	service    corev1.Service
	budget     policyv1.PodDisruptionBudget
	policies   []networkingv1.NetworkPolicy
	claims     map[string]corev1.PersistentVolumeClaim
	configs    map[string]corev1.ConfigMap

	pod     *corev1.PodSpec
	sidecar corev1.Container
	api     corev1.Container
	// config is what Caddy makes of the Caddyfile that the sidecar gets, raw all of it.
	config caddyConfig
	raw    []byte
}

// caddyConfig is the part of Caddy's configuration that the manifests have to agree with.
type caddyConfig struct {
	Admin struct {
		Listen string `json:"listen"`
	} `json:"admin"`
	Apps struct {
		HTTP struct {
			GracePeriod   int64                  `json:"grace_period"`
			ShutdownDelay int64                  `json:"shutdown_delay"`
			Servers       map[string]caddyServer `json:"servers"`
		} `json:"http"`
		TokenAuth map[string]json.RawMessage `json:"token_auth"`
	} `json:"apps"`
}

type caddyServer struct {
	Listen []string `json:"listen"`
	Routes []struct {
		Match []struct {
			Path []string `json:"path"`
		} `json:"match"`
		Handle []struct {
			Handler   string   `json:"handler"`
			Ready     string   `json:"ready"`
			Public    []string `json:"public"`
			Upstreams []struct {
				Dial string `json:"dial"`
			} `json:"upstreams"`
		} `json:"handle"`
	} `json:"routes"`
}

// forEachInstallation runs a test for each overlay.
func forEachInstallation(t *testing.T, test func(t *testing.T, in *installation)) {
	t.Helper()
	for _, overlay := range overlays {
		t.Run(overlay, func(t *testing.T) { test(t, install(t, overlay)) })
	}
}

func install(t *testing.T, overlay string) *installation {
	t.Helper()
	in := &installation{
		overlay: overlay,
		claims:  make(map[string]corev1.PersistentVolumeClaim), configs: make(map[string]corev1.ConfigMap),
	}
	all, err := documents([]byte(rendered(t, overlay)))
	if err != nil {
		t.Fatal(err)
	}
	for _, document := range all {
		in.add(t, document)
	}
	in.pod = &in.deployment.Spec.Template.Spec
	if len(in.pod.InitContainers) != 1 || len(in.pod.Containers) != 1 {
		t.Fatal("a pod is the sidecar and the API")
	}
	in.sidecar, in.api = in.pod.InitContainers[0], in.pod.Containers[0]
	name := in.volume(t, in.sidecar, "/etc/caddy").ConfigMap.Name
	config, ok := in.configs[name]
	if !ok {
		t.Fatalf("there is no ConfigMap %s", name)
	}
	in.raw = adapted(t, config.Data["Caddyfile"])
	if err := json.Unmarshal(in.raw, &in.config); err != nil {
		t.Fatal(err)
	}
	return in
}

func (in *installation) add(t *testing.T, document []byte) {
	t.Helper()
	var kind struct {
		Kind string `json:"kind"`
	}
	if err := strictyaml.Unmarshal(document, &kind); err != nil {
		t.Fatal(err)
	}
	decode := func(object any) {
		if err := strictyaml.UnmarshalStrict(document, object); err != nil {
			t.Fatalf("%s: %v", kind.Kind, err)
		}
	}
	switch kind.Kind {
	case "Namespace":
		decode(&in.namespace)
	case "Deployment":
		decode(&in.deployment)
	case "Service":
		decode(&in.service)
	case "PodDisruptionBudget":
		decode(&in.budget)
	case "NetworkPolicy":
		var p networkingv1.NetworkPolicy
		decode(&p)
		in.policies = append(in.policies, p)
	case "PersistentVolumeClaim":
		var c corev1.PersistentVolumeClaim
		decode(&c)
		in.claims[c.Name] = c
	case "ConfigMap":
		var c corev1.ConfigMap
		decode(&c)
		in.configs[c.Name] = c
	default:
		t.Errorf("no test knows %s", kind.Kind)
	}
}

// volume returns what is mounted in a container at a path.
func (in *installation) volume(t *testing.T, c corev1.Container, path string) corev1.VolumeSource {
	t.Helper()
	for _, mount := range c.VolumeMounts {
		for _, volume := range in.pod.Volumes {
			if mount.MountPath == path && volume.Name == mount.Name {
				return volume.VolumeSource
			}
		}
	}
	t.Fatalf("nothing is mounted at %s in %s", path, c.Name)
	return corev1.VolumeSource{}
}

// server returns the server that listens on a port, on all addresses.
func (in *installation) server(t *testing.T, port int) caddyServer {
	t.Helper()
	for _, server := range in.config.Apps.HTTP.Servers {
		for _, listen := range server.Listen {
			if listen == fmt.Sprintf(":%d", port) {
				return server
			}
		}
	}
	t.Fatalf("the Caddyfile has no site on port %d", port)
	return caddyServer{}
}

// answers reports whether a server has a route of its own for a path.
func (s caddyServer) answers(path string) bool {
	for _, route := range s.Routes {
		for _, match := range route.Match {
			if slices.Contains(match.Path, path) {
				return true
			}
		}
	}
	return false
}

// root is that of the repository.
const root = "../../.."

// caddy is Caddy with the plugin.
var caddy = sync.OnceValues(func() (string, error) {
	path := filepath.Join(scratch, "caddy")
	cmd := exec.Command("go", "build", "-buildvcs=false", "-o", path, "./cmd/caddy")
	cmd.Dir = root
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("go build: %w\n%s", err, out)
	}
	return path, nil
})

// scratch is a directory for what all tests share.
var scratch string

func TestMain(m *testing.M) {
	os.Exit(func() int {
		var err error
		if scratch, err = os.MkdirTemp("", "validate-"); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		defer os.RemoveAll(scratch)
		return m.Run()
	}())
}

// adapted returns what Caddy makes of a Caddyfile.
func adapted(t *testing.T, text string) []byte {
	t.Helper()
	program, err := caddy()
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "Caddyfile")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), program, "adapt", "--config", file)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("caddy adapt: %v\n%s", err, &stderr)
	}
	if strings.Contains(stderr.String(), "not formatted") {
		t.Errorf("the Caddyfile is not as caddy fmt has it: %s", &stderr)
	}
	return out
}
