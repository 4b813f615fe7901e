package caddymodule

import (
	"errors"

	"github.com/caddyserver/caddy/v2"
	"github.com/prometheus/client_golang/prometheus"

	"example.com/caddy-token-auth/dialect"
)

// Outcomes of decisions, as the metric labels them.
const (
	outcomeAllowed     = "allowed"
	outcomeRefused     = "refused"
	outcomeWouldRefuse = "would_refuse" // dry run
	outcomeUnchecked   = "unchecked"    // allowed because the list could not answer
)

// decisions counts what was decided. It belongs to the process: a reload does not set it
// back. All its labels are from closed sets.
var decisions = newDecisions()

type decisionCounters struct {
	vec       *prometheus.CounterVec
	allowed   prometheus.Counter
	unchecked prometheus.Counter
	refused   [2][]prometheus.Counter // by whether it was a dry run, and by reason
}

func newDecisions() *decisionCounters {
	d := &decisionCounters{vec: prometheus.NewCounterVec(prometheus.CounterOpts{
		Namespace: "caddy", Subsystem: "token_auth", Name: "decisions_total",
		Help: "Requests by what was decided about their credential, and why.",
	}, []string{"outcome", "reason"})}
	d.allowed = d.vec.WithLabelValues(outcomeAllowed, "")
	d.unchecked = d.vec.WithLabelValues(outcomeUnchecked, dialect.Unavailable.String())
	for i, outcome := range []string{outcomeRefused, outcomeWouldRefuse} {
		for _, reason := range dialect.Reasons() {
			d.refused[i] = append(d.refused[i], d.vec.WithLabelValues(outcome, reason.String()))
		}
	}
	return d
}

// refuse adds one refusal.
func (d *decisionCounters) refuse(reason dialect.Reason, dryRun bool) {
	i := 0
	if dryRun {
		i = 1
	}
	if int(reason) < len(d.refused[i]) {
		d.refused[i][reason].Inc()
	}
}

// registerMetrics makes the metrics part of the registry of the configuration that a belongs
// to, of which each has its own.
func registerMetrics(ctx caddy.Context, a *App) error {
	registry := ctx.GetMetricsRegistry()
	if registry == nil {
		return nil
	}
	for _, c := range append(listCollectors(a), decisions.vec, lives, cutVec, limitCounters.limitedVec, limitCounters.violationsVec) {
		err := registry.Register(c)
		if _, twice := errors.AsType[prometheus.AlreadyRegisteredError](err); err != nil && !twice {
			return err
		}
	}
	return nil
}
