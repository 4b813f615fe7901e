package caddymodule

import (
	"errors"

	"github.com/prometheus/client_golang/prometheus"

	"example.com/caddy-token-auth/websocket"
)

// lives counts the connections and long responses that are watched, and cutVec those that
// were ended.
var (
	lives = prometheus.NewGauge(prometheus.GaugeOpts{
		Namespace: "caddy", Subsystem: "token_auth", Name: "live",
		Help: "Connections and long responses that end when their credential is revoked or expires.",
	})
	cutVec = prometheus.NewCounterVec(prometheus.CounterOpts{
		Namespace: "caddy", Subsystem: "token_auth", Name: "cut_total",
		Help: "Connections and long responses that were ended because of their credential or address, because their list has gone, or because the client was silent.",
	}, []string{"reason"})
	cuts = newCuts()
)

func newCuts() map[cutCause]prometheus.Counter {
	counters := make(map[cutCause]prometheus.Counter, len(cutCauses))
	for cause, c := range cutCauses {
		counters[cause] = cutVec.WithLabelValues(c.label)
	}
	return counters
}

// socketLimit is a limit of WebSockets.
type socketLimit uint8

const (
	limitClient socketLimit = iota
	limitToken
	limitIdentities
	limitRate
	limitSize
	limitPending
	limitCount
)

var limitNames = [limitCount]string{
	limitClient: "connections_per_client", limitToken: "connections_per_token", limitIdentities: "tokens_per_connection",
	limitRate: "messages_per_second", limitSize: "message_size", limitPending: "pending",
}

// limitCounters count what limits of WebSockets have refused or ended, and frames that are
// forbidden.
var limitCounters = newSocketLimitCounters()

type socketLimitCounters struct {
	limitedVec    *prometheus.CounterVec
	limited       [limitCount]prometheus.Counter
	violationsVec *prometheus.CounterVec
	client        prometheus.Counter // violations
	upstream      prometheus.Counter
}

func newSocketLimitCounters() *socketLimitCounters {
	c := &socketLimitCounters{
		limitedVec: prometheus.NewCounterVec(prometheus.CounterOpts{
			Namespace: "caddy", Subsystem: "token_auth", Name: "websocket_limited_total",
			Help: "WebSockets that were refused or ended, and tokens on them that were refused, because of a limit.",
		}, []string{"limit"}),
		violationsVec: prometheus.NewCounterVec(prometheus.CounterOpts{
			Namespace: "caddy", Subsystem: "token_auth", Name: "websocket_violations_total",
			Help: "WebSockets that were ended because of frames that RFC 6455 forbids.",
		}, []string{"side"}),
	}
	for i, name := range limitNames {
		c.limited[i] = c.limitedVec.WithLabelValues(name)
	}
	c.client, c.upstream = c.violationsVec.WithLabelValues("client"), c.violationsVec.WithLabelValues("upstream")
	return c
}

// note counts the end of a connection, if it is that of a limit or a violation.
func (c *socketLimitCounters) note(err error) {
	violation, ok := errors.AsType[*websocket.ViolationError](err)
	switch {
	case !ok:
	case errors.Is(violation.Err, websocket.ErrTooManyMessages):
		c.limited[limitRate].Inc()
	case errors.Is(violation.Err, websocket.ErrMessageTooLong), errors.Is(violation.Err, websocket.ErrTooManyFragments):
		c.limited[limitSize].Inc()
	case errors.Is(violation.Err, websocket.ErrPending):
		c.limited[limitPending].Inc()
	case violation.Server:
		c.upstream.Inc()
	default:
		c.client.Inc()
	}
}
