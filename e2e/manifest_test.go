package e2e

import (
	"os"
	"testing"

	"go.yaml.in/yaml/v3"
)

// manifest is the part of deploy/kubernetes/base/deployment.yaml that says how a pod is
// started, asked how it is, and ended.
type manifest struct {
	Spec struct {
		Template struct {
			Spec struct {
				InitContainers []container `yaml:"initContainers"`
			} `yaml:"spec"`
		} `yaml:"template"`
	} `yaml:"spec"`
}

type container struct {
	Command []string `yaml:"command"`
	Env     []struct {
		Name  string `yaml:"name"`
		Value string `yaml:"value"`
	} `yaml:"env"`
	StartupProbe   probe `yaml:"startupProbe"`
	ReadinessProbe probe `yaml:"readinessProbe"`
	LivenessProbe  probe `yaml:"livenessProbe"`
	Lifecycle      struct {
		PreStop struct {
			Exec struct {
				Command []string `yaml:"command"`
			} `yaml:"exec"`
		} `yaml:"preStop"`
	} `yaml:"lifecycle"`
}

type probe struct {
	HTTPGet struct {
		Path string `yaml:"path"`
		Port int    `yaml:"port"`
	} `yaml:"httpGet"`
	TimeoutSeconds int `yaml:"timeoutSeconds"`
}

const (
	manifests = "../deploy/kubernetes"

	// The sidecar's ports in the manifests.
	sitePort, probePort = 8080, 8081
)

// sidecarManifest returns the sidecar's container.
func sidecarManifest(t *testing.T) container {
	t.Helper()
	text, err := os.ReadFile(manifests + "/base/deployment.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var m manifest
	if err := yaml.Unmarshal(text, &m); err != nil {
		t.Fatal(err)
	}
	if len(m.Spec.Template.Spec.InitContainers) != 1 {
		t.Fatal("want one init container")
	}
	return m.Spec.Template.Spec.InitContainers[0]
}

// overlayCaddyfile returns the Caddyfile of an overlay.
func overlayCaddyfile(t *testing.T, overlay string) string {
	t.Helper()
	text, err := os.ReadFile(manifests + "/overlays/" + overlay + "/Caddyfile")
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
