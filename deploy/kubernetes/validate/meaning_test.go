package main

import (
	"bytes"
	"encoding/json"
	"net/url"
	"path"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
)

func TestSidecarStartsBeforeTheAPIAndStaysWithIt(t *testing.T) {
	forEachInstallation(t, func(t *testing.T, in *installation) {
		if in.sidecar.RestartPolicy == nil || *in.sidecar.RestartPolicy != corev1.ContainerRestartPolicyAlways {
			t.Error("an init container without restartPolicy: Always has to end before the API begins")
		}
		if in.sidecar.StartupProbe == nil {
			t.Error("without a startup probe the API does not wait for the sidecar")
		}
	})
}

// TestOnlyTheSidecarCanBeReached: whoever reaches the API past the sidecar has tokens that
// were logged out accepted.
func TestOnlyTheSidecarCanBeReached(t *testing.T) {
	forEachInstallation(t, func(t *testing.T, in *installation) {
		if len(in.api.Ports) != 0 || in.pod.HostNetwork {
			t.Error("the API has a port")
		}
		target := in.service.Spec.Ports[0].TargetPort.IntValue()
		upstream := ""
		for _, route := range in.server(t, target).Routes {
			for _, handler := range route.Handle {
				if handler.Handler == "reverse_proxy" {
					upstream = handler.Upstreams[0].Dial
				}
			}
		}
		if !strings.HasPrefix(upstream, "127.0.0.1:") || !slices.Contains(in.api.Args, upstream) {
			t.Errorf("the sidecar asks %q, and the API is told to listen on %q", upstream, in.api.Args)
		}
		if len(in.service.Spec.Ports) != 1 || !hasPort(in.sidecar, target) {
			t.Errorf("the Service leads to %v", in.service.Spec.Ports)
		}
		if !selects(in.service.Spec.Selector, in.deployment.Spec.Template.Labels) {
			t.Error("the Service does not lead to the pods")
		}
		for name, server := range in.config.Apps.HTTP.Servers {
			for _, route := range server.Routes {
				guarded := false
				for _, handler := range route.Handle {
					guarded = guarded || handler.Handler == "token_auth"
					if handler.Handler == "reverse_proxy" && !guarded {
						t.Errorf("server %s has a way past token_auth", name)
					}
				}
			}
		}
	})
}

func TestProbesAskWhatTheCaddyfileAnswers(t *testing.T) {
	forEachInstallation(t, func(t *testing.T, in *installation) {
		ready, public := "", []string(nil)
		target := in.service.Spec.Ports[0].TargetPort.IntValue()
		for _, route := range in.server(t, target).Routes {
			for _, handler := range route.Handle {
				if handler.Handler == "token_auth" {
					ready, public = handler.Ready, handler.Public
				}
			}
		}
		// Ready is about the port that requests come to.
		if get := in.sidecar.ReadinessProbe.HTTPGet; get.Port.IntValue() != target || get.Path != ready || ready == "" {
			t.Errorf("the readiness probe asks %s on %s, the Caddyfile has ready %s", get.Path, get.Port.String(), ready)
		}
		// Neither of these may depend on the store: it does not come back because a pod is
		// started again, and may come later than the pod.
		for what, probe := range map[string]*corev1.Probe{"startup": in.sidecar.StartupProbe, "liveness": in.sidecar.LivenessProbe} {
			get := probe.HTTPGet
			server := in.server(t, get.Port.IntValue())
			if get.Path == ready || !server.answers(get.Path) {
				t.Errorf("the %s probe asks %s on %s", what, get.Path, get.Port.String())
			}
			for _, route := range server.Routes {
				for _, handler := range route.Handle {
					if handler.Handler == "token_auth" || handler.Handler == "reverse_proxy" {
						t.Errorf("the server of the %s probe has the handler %s", what, handler.Handler)
					}
				}
			}
			if !hasPort(in.sidecar, get.Port.IntValue()) {
				t.Errorf("the sidecar does not declare the port of the %s probe", what)
			}
		}
		if get := in.api.ReadinessProbe.HTTPGet; get.Port.IntValue() != target || !slices.Contains(public, get.Path) {
			t.Errorf("the API is asked for %s on %s, public is %v", get.Path, get.Port.String(), public)
		}
		// Looking at the store may take two seconds.
		if in.sidecar.ReadinessProbe.TimeoutSeconds <= 2 {
			t.Error("the readiness probe gives up before the sidecar has an answer")
		}
		if in.api.LivenessProbe != nil || in.api.StartupProbe != nil {
			t.Error("the API would be started again when the sidecar fails")
		}
	})
}

func TestPodEndsInOrder(t *testing.T) {
	forEachInstallation(t, func(t *testing.T, in *installation) {
		caddy := in.config.Apps.HTTP
		delay, grace := time.Duration(caddy.ShutdownDelay), time.Duration(caddy.GracePeriod)
		probe := in.sidecar.ReadinessProbe
		noticed := time.Duration(probe.PeriodSeconds*probe.FailureThreshold) * time.Second
		if delay < noticed+time.Second {
			t.Errorf("the port is closed %s after the pod's deletion, and the readiness probe needs %s", delay, noticed)
		}
		if grace <= 0 {
			t.Error("without grace_period one stream keeps the sidecar from ending")
		}
		api := time.Duration(in.api.Lifecycle.PreStop.Sleep.Seconds) * time.Second
		if api < delay+grace+2*time.Second {
			t.Errorf("the API is ended after %s, while the sidecar may need it for %s", api, delay+grace)
		}
		if all := time.Duration(*in.pod.TerminationGracePeriodSeconds) * time.Second; all < api+10*time.Second {
			t.Errorf("the pod is killed after %s, and the API is told to end after %s", all, api)
		}
		want := []string{"caddy", "stop", "--address", in.config.Admin.Listen}
		if command := in.sidecar.Lifecycle.PreStop.Exec.Command; !slices.Equal(command, want) {
			t.Errorf("the preStop hook runs %q, want %q", command, want)
		}
	})
}

// TestAdminAPIIsTheSidecarsOwn: whoever reaches it can take token_auth out of the way.
func TestAdminAPIIsTheSidecarsOwn(t *testing.T) {
	forEachInstallation(t, func(t *testing.T, in *installation) {
		socket, ok := strings.CutPrefix(in.config.Admin.Listen, "unix/")
		if !ok {
			t.Fatalf("the admin API listens on %s, where the API can reach it", in.config.Admin.Listen)
		}
		volume := in.volume(t, in.sidecar, path.Dir(socket))
		if volume.EmptyDir == nil {
			t.Error("the socket is not in a directory of this pod")
		}
		for _, mount := range in.api.VolumeMounts {
			for _, own := range in.sidecar.VolumeMounts {
				if mount.Name == own.Name {
					t.Errorf("the API has the sidecar's volume %s", mount.Name)
				}
			}
		}
	})
}

var placeholder = regexp.MustCompile(`\{file\.([^}]*)\}|(/etc/token-auth/store/credentials)`)

func TestSecretsComeFromSecrets(t *testing.T) {
	forEachInstallation(t, func(t *testing.T, in *installation) {
		config := in.volume(t, in.sidecar, "/etc/caddy").ConfigMap.Name
		found := 0
		for _, match := range placeholder.FindAllStringSubmatch(in.configs[config].Data["Caddyfile"], -1) {
			found++
			if volume := in.volume(t, in.sidecar, path.Dir(match[1]+match[2])); volume.Secret == nil {
				t.Errorf("%s is not from a Secret", match[0])
			} else if mode := volume.Secret.DefaultMode; mode == nil || *mode&0o007 != 0 {
				t.Errorf("everybody in the container can read %s", match[0])
			}
		}
		if found == 0 {
			t.Error("no secret is read from a file")
		}
		for _, env := range slices.Concat(in.sidecar.Env, in.api.Env) {
			if env.Value != "" && strings.Contains(strings.ToLower(env.Name), "secret") {
				t.Errorf("%s has its value in the manifest", env.Name)
			}
		}
	})
}

func TestPodsAreConfined(t *testing.T) {
	forEachInstallation(t, func(t *testing.T, in *installation) {
		for _, mode := range []string{"enforce", "audit", "warn"} {
			if level := in.namespace.Labels["pod-security.kubernetes.io/"+mode]; level != "restricted" {
				t.Errorf("the namespace has the level %q for %s", level, mode)
			}
		}
		for _, c := range []corev1.Container{in.sidecar, in.api} {
			if readOnly := c.SecurityContext.ReadOnlyRootFilesystem; readOnly == nil || !*readOnly {
				t.Errorf("%s can write to its image", c.Name)
			}
			for _, resource := range []corev1.ResourceName{corev1.ResourceMemory, corev1.ResourceCPU} {
				if request := c.Resources.Requests[resource]; request.IsZero() {
					t.Errorf("%s requests no %s", c.Name, resource)
				}
			}
			if limit := c.Resources.Limits[corev1.ResourceMemory]; limit.IsZero() {
				t.Errorf("%s has no limit of memory", c.Name)
			}
		}
		if token := in.pod.AutomountServiceAccountToken; token == nil || *token {
			t.Error("the pod has a token for the cluster's API")
		}
		pods := in.deployment.Spec.Template.Labels
		if !matches(t, in.budget.Spec.Selector, pods) || in.budget.Spec.MaxUnavailable.IntValue() != 1 {
			t.Error("the disruption budget is not for these pods, or keeps nodes from being drained")
		}
	})
}

func TestStoreFitsTheReplicas(t *testing.T) {
	forEachInstallation(t, func(t *testing.T, in *installation) {
		var store struct {
			Module string   `json:"module"`
			Dir    string   `json:"dir"`
			URL    string   `json:"url"`
			URLs   []string `json:"urls"`
		}
		if err := json.Unmarshal(in.config.Apps.TokenAuth["store"], &store); err != nil {
			t.Fatal(err)
		}
		if store.Module != in.overlay {
			t.Errorf("the store is %q", store.Module)
		}
		spec := in.deployment.Spec
		if store.Module == "local" {
			// Two processes cannot have the list open, and it must outlive the pod.
			if *spec.Replicas != 1 || spec.Strategy.Type != appsv1.RecreateDeploymentStrategyType {
				t.Errorf("%d replicas, %s", *spec.Replicas, spec.Strategy.Type)
			}
			claim := in.volume(t, in.sidecar, path.Dir(store.Dir)).PersistentVolumeClaim
			if claim == nil || in.claims[claim.ClaimName].Name == "" {
				t.Errorf("%s does not outlive the pod", store.Dir)
			}
			return
		}
		if *spec.Replicas < 2 || spec.Strategy.RollingUpdate.MaxUnavailable.IntValue() != 0 {
			t.Errorf("%d replicas, %v", *spec.Replicas, spec.Strategy.RollingUpdate)
		}
		u, err := url.Parse(slices.Concat([]string{store.URL}, store.URLs)[min(1, len(store.URLs))])
		if err != nil {
			t.Fatal(err)
		}
		if !in.mayReach(t, u.Port(), strings.Split(u.Hostname(), ".")[1]) {
			t.Errorf("no NetworkPolicy lets the pods reach %s", u.Host)
		}
	})
}

// nodeLocalDNS is where NodeLocal DNSCache listens unless a cluster has chosen otherwise.
const nodeLocalDNS = "169.254.20.10/32"

// mayAskTheNode reports whether the policies let names be asked for there.
func (in *installation) mayAskTheNode() bool {
	for _, policy := range in.policies {
		for _, rule := range policy.Spec.Egress {
			asks := slices.ContainsFunc(rule.To, func(peer networkingv1.NetworkPolicyPeer) bool {
				return peer.IPBlock != nil && peer.IPBlock.CIDR == nodeLocalDNS
			})
			if asks && slices.ContainsFunc(rule.Ports, func(p networkingv1.NetworkPolicyPort) bool { return p.Port.IntValue() == 53 }) {
				return true
			}
		}
	}
	return false
}

// mayReach reports whether the pods may reach a port in a namespace.
func (in *installation) mayReach(t *testing.T, port, namespace string) bool {
	t.Helper()
	for _, policy := range in.policies {
		for _, rule := range policy.Spec.Egress {
			for _, peer := range rule.To {
				if peer.NamespaceSelector == nil || peer.NamespaceSelector.MatchLabels["kubernetes.io/metadata.name"] != namespace {
					continue
				}
				for _, p := range rule.Ports {
					if p.Port.String() == port {
						return true
					}
				}
			}
		}
	}
	return false
}

func TestNetworkPoliciesLetInAndOutWhatIsNamed(t *testing.T) {
	forEachInstallation(t, func(t *testing.T, in *installation) {
		pods := in.deployment.Spec.Template.Labels
		var types []networkingv1.PolicyType
		var in8080, in8081 bool
		for _, policy := range in.policies {
			if !matches(t, &policy.Spec.PodSelector, pods) {
				t.Errorf("%s is not for these pods", policy.Name)
			}
			types = append(types, policy.Spec.PolicyTypes...)
			for _, rule := range policy.Spec.Ingress {
				if len(rule.From) == 0 || len(rule.Ports) != 1 {
					t.Errorf("%s lets in everybody, or to every port", policy.Name)
					continue
				}
				in8080 = in8080 || rule.Ports[0].Port.IntValue() == in.service.Spec.Ports[0].TargetPort.IntValue()
				in8081 = in8081 || rule.Ports[0].Port.IntValue() == in.sidecar.LivenessProbe.HTTPGet.Port.IntValue()
			}
			for _, rule := range policy.Spec.Egress {
				if len(rule.To) == 0 || len(rule.Ports) == 0 {
					t.Errorf("%s lets out to everybody, or to every port", policy.Name)
				}
				for _, peer := range rule.To {
					// A label of ours on the pods that are reached would be a mistake.
					if peer.PodSelector != nil && peer.PodSelector.MatchLabels["app.kubernetes.io/name"] == pods["app.kubernetes.io/name"] {
						t.Errorf("%s lets out to pods like these", policy.Name)
					}
				}
			}
		}
		if !slices.Contains(types, networkingv1.PolicyTypeIngress) || !slices.Contains(types, networkingv1.PolicyTypeEgress) {
			t.Errorf("the policies are about %v", types)
		}
		if !in8080 || !in8081 {
			t.Error("nobody is let in")
		}
		if !in.mayReach(t, "53", "kube-system") {
			t.Error("the pods cannot resolve names")
		}
		if !in.mayAskTheNode() {
			t.Error("the pods cannot resolve names where each node has a cache of them")
		}
	})
}

// TestOverlaysDifferInTheStoreAlone: what one Caddyfile is given, the others need too.
func TestOverlaysDifferInTheStoreAlone(t *testing.T) {
	configs := make(map[string]string)
	for _, overlay := range overlays {
		var config struct {
			Admin any                       `json:"admin"`
			Apps  map[string]map[string]any `json:"apps"`
		}
		decoder := json.NewDecoder(bytes.NewReader(install(t, overlay).raw))
		decoder.DisallowUnknownFields()
		if err := decoder.Decode(&config); err != nil {
			t.Fatal(err)
		}
		delete(config.Apps["token_auth"], "store")
		text, err := json.Marshal(config)
		if err != nil {
			t.Fatal(err)
		}
		configs[overlay] = string(text)
		if configs[overlay] != configs[overlays[0]] {
			t.Errorf("%s:\n%s\n%s:\n%s", overlays[0], configs[overlays[0]], overlay, text)
		}
	}
}

func hasPort(c corev1.Container, port int) bool {
	return slices.ContainsFunc(c.Ports, func(p corev1.ContainerPort) bool { return int(p.ContainerPort) == port })
}

func selects(selector, of map[string]string) bool {
	return len(selector) > 0 && labels.SelectorFromSet(selector).Matches(labels.Set(of))
}

func matches(t *testing.T, selector *metav1.LabelSelector, of map[string]string) bool {
	t.Helper()
	s, err := metav1.LabelSelectorAsSelector(selector)
	if err != nil {
		t.Fatal(err)
	}
	return !s.Empty() && s.Matches(labels.Set(of))
}
