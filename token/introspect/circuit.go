package introspect

import "time"

// circuit keeps requests away from a server that does not answer: after a failure all,
// and then all but one at a time, until there is an answer. The zero value lets all
// through. Client.mu guards it.
type circuit struct {
	cause   error     // of the last failure, nil if there was an answer since
	retry   time.Time // when to try again
	probing bool      // one request tries
}

// open reports whether the server is not to be asked now.
func (c *circuit) open(now time.Time) bool {
	return c.cause != nil && (c.probing || now.Before(c.retry))
}

// enter begins a request; the circuit is not open. It returns whether this request is
// the one that tries, which leave must be told.
func (c *circuit) enter() (probe bool) {
	probe = c.cause != nil
	c.probing = c.probing || probe
	return probe
}

// leave ends a request. failure is nil if the server was reached.
func (c *circuit) leave(probe bool, failure error, retry time.Time) {
	if probe {
		c.probing = false
	}
	c.cause, c.retry = failure, retry
}
