package caddymodule_test

import (
	"encoding/json"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"
)

const (
	alertsFile    = "../deploy/prometheus/alerts.yaml"
	dashboardFile = "../deploy/grafana/token-auth.json"
	metricsDoc    = "../docs/observability.md"
)

// exposed is what a running sidecar says of one metric.
type exposed struct {
	kind   string
	labels map[string][]string // values by name
}

// exposedMetrics returns the metrics, without their prefix, of a sidecar that has everything
// that a metric is about: a store with a feed, and keys from a URL.
func exposedMetrics(t *testing.T) map[string]exposed {
	t.Helper()
	i := newIssuer(t, "one")
	s := prepare(t, new(echo), "api octopus_cards\njwks "+i.URL+"/keys")
	s.store = "store test_feed"
	s.mustLoad()
	sink := <-fedSinks
	sink.Started(true)
	sink.Alive(time.Now())
	s.eventually(func() bool { return metric(t, "key_sets", "state=fresh") == 1 })
	metrics := make(map[string]exposed)
	for name, family := range metricFamilies(t) {
		name, ours := strings.CutPrefix(name, "caddy_token_auth_")
		if !ours {
			continue
		}
		m := exposed{kind: strings.ToLower(family.GetType().String()), labels: make(map[string][]string)}
		for _, sample := range family.GetMetric() {
			for _, label := range sample.GetLabel() {
				if !slices.Contains(m.labels[label.GetName()], label.GetValue()) {
					m.labels[label.GetName()] = append(m.labels[label.GetName()], label.GetValue())
				}
			}
		}
		metrics[name] = m
	}
	return metrics
}

var (
	selector = regexp.MustCompile(`caddy_token_auth_(\w+)(?:\{([^}]*)\})?`)
	matcher  = regexp.MustCompile(`(\w+)\s*(=~|!=|!~|=)\s*"([^"]*)"`)
	grouping = regexp.MustCompile(`by \(([^)]*)\)`)
	docRow   = regexp.MustCompile("(?m)^\\| `caddy_token_auth_(\\w+)` \\| (\\w+) \\| ([^|]*) \\|")
	inCode   = regexp.MustCompile("`([^`]+)`")
)

// checkExpression reports what an expression asks of metrics that is not there.
func checkExpression(t *testing.T, where, expression string, metrics map[string]exposed) {
	t.Helper()
	// Those that Prometheus itself adds.
	known := []string{"instance", "job", "le"}
	used := selector.FindAllStringSubmatch(expression, -1)
	if len(used) == 0 {
		t.Errorf("%s is about no metric: %s", where, expression)
	}
	for _, use := range used {
		name := use[1]
		m, ok := metrics[name]
		if base, isBucket := strings.CutSuffix(name, "_bucket"); isBucket && metrics[base].kind == "histogram" {
			m, ok = metrics[base], true
		}
		if !ok {
			t.Errorf("%s: there is no metric %s", where, name)
			continue
		}
		known = slices.AppendSeq(known, maps.Keys(m.labels))
		for _, match := range matcher.FindAllStringSubmatch(use[2], -1) {
			if match[1] == "instance" {
				continue
			}
			if values := m.labels[match[1]]; match[2] != "=" || !slices.Contains(values, match[3]) {
				t.Errorf("%s: %s has no %s; it has %q", where, name, match[0], values)
			}
		}
	}
	for _, group := range grouping.FindAllStringSubmatch(expression, -1) {
		for label := range strings.SplitSeq(group[1], ",") {
			if label = strings.TrimSpace(label); !slices.Contains(known, label) {
				t.Errorf("%s: nothing has the label %q", where, label)
			}
		}
	}
}

func TestAlertsAndDashboardAreAboutMetricsThatExist(t *testing.T) {
	metrics := exposedMetrics(t)
	text, err := os.ReadFile(filepath.FromSlash(alertsFile))
	if err != nil {
		t.Fatal(err)
	}
	var rules struct {
		Groups []struct {
			Name  string
			Rules []struct {
				Alert, Expr, For    string
				Labels, Annotations map[string]string
			}
		}
	}
	if err := yaml.Unmarshal(text, &rules); err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, group := range rules.Groups {
		for _, rule := range group.Rules {
			n++
			checkExpression(t, rule.Alert, rule.Expr, metrics)
			if rule.Alert == "" || rule.Labels["severity"] == "" || rule.Annotations["summary"] == "" || rule.Annotations["description"] == "" {
				t.Errorf("%s does not say what it is about", rule.Alert)
			}
			if _, err := time.ParseDuration(rule.For); rule.For != "" && err != nil {
				t.Errorf("%s: %v", rule.Alert, err)
			}
		}
	}
	if n == 0 {
		t.Error("there are no alerts")
	}
	if text, err = os.ReadFile(filepath.FromSlash(dashboardFile)); err != nil {
		t.Fatal(err)
	}
	var dashboard struct {
		Panels []struct {
			Title   string
			Targets []struct{ Expr string }
		}
	}
	if err := json.Unmarshal(text, &dashboard); err != nil {
		t.Fatal(err)
	}
	if len(dashboard.Panels) == 0 {
		t.Error("there are no panels")
	}
	for _, panel := range dashboard.Panels {
		for _, target := range panel.Targets {
			checkExpression(t, panel.Title, target.Expr, metrics)
		}
	}
}

func TestDocumentedMetricsAreThoseThatExist(t *testing.T) {
	metrics := exposedMetrics(t)
	text, err := os.ReadFile(filepath.FromSlash(metricsDoc))
	if err != nil {
		t.Fatal(err)
	}
	documented := make(map[string]bool)
	for _, row := range docRow.FindAllStringSubmatch(string(text), -1) {
		name, kind := row[1], row[2]
		var labels []string
		for _, label := range inCode.FindAllStringSubmatch(row[3], -1) {
			labels = append(labels, label[1])
		}
		m, ok := metrics[name]
		if !ok {
			t.Errorf("%s is documented and does not exist", name)
			continue
		}
		if documented[name] {
			t.Errorf("%s is documented twice", name)
		}
		documented[name] = true
		if m.kind != kind {
			t.Errorf("%s is a %s, not a %s", name, m.kind, kind)
		}
		if want := slices.Sorted(maps.Keys(m.labels)); !slices.Equal(slices.Sorted(slices.Values(labels)), want) {
			t.Errorf("%s has the labels %q, not %q", name, want, labels)
		}
		for label, values := range m.labels {
			for _, value := range values {
				if value != "" && !strings.Contains(string(text), "`"+value+"`") {
					t.Errorf("%s: nothing is said of %s=%q", name, label, value)
				}
			}
		}
	}
	for name := range metrics {
		if !documented[name] {
			t.Errorf("%s is not documented", name)
		}
	}
}
