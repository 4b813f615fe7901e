package jsonrpc

import (
	"strconv"
	"time"

	"github.com/go-json-experiment/json/jsontext"
)

const (
	// minHeartbeat is the shortest interval that the API takes.
	minHeartbeat = 10 * time.Second
	// maxSeconds bounds what an answer may give as a number of seconds: a century.
	maxSeconds = 100 * 365 * 24 * 60 * 60
)

// testRequest is the type of the heartbeat that the client must answer.
const testRequest = "test_request"

// heartbeat is what was agreed on about showing that the client is alive.
type heartbeat struct {
	interval time.Duration // 0 while there are no heartbeats
	due      time.Time     // until when the client must answer; zero if it need not
	// held is until when a message of the client may wait: its answer may be behind it.
	held time.Time
}

// tested notes that the server has asked the client for a sign of life.
func (h *heartbeat) tested(now time.Time) {
	if h.interval > 0 && h.due.IsZero() {
		h.due = now.Add(h.interval)
	}
}

func (h *heartbeat) answered() { h.due = time.Time{} }

// set begins heartbeats, or ends them if interval is 0.
// set begins heartbeats, or ends them if interval is 0: also where it is not understood,
// and the server's to watch alone.
func (h *heartbeat) set(interval time.Duration) {
	*h = heartbeat{interval: interval, held: h.held}
}

// hold notes that messages of the client wait.
func (h *heartbeat) hold(until time.Time) { h.held = until }

// HeartbeatDue returns the time at which the client's heartbeat has failed, unless it
// calls public/test before, and whether there is one: the server has asked for a sign
// of life. The client has one interval for it, in which none of its messages waits.
func (s *Session) HeartbeatDue() (due time.Time, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.beat.due.IsZero() {
		return time.Time{}, false
	}
	due = s.beat.due
	if later := s.beat.held.Add(s.beat.interval); later.After(due) {
		due = later
	}
	return due, true
}

// intervalOf reads an interval, which may be a string of digits, or returns 0 if it is not
// understood.
func intervalOf(value jsontext.Value) time.Duration {
	if text, ok := stringOf(value); ok {
		value = jsontext.Value(text)
	}
	interval := seconds(value)
	if interval == 0 {
		return 0
	}
	return max(interval, minHeartbeat)
}

// seconds returns a number of seconds, or 0 if value is no sensible one.
func seconds(value jsontext.Value) time.Duration {
	number, err := strconv.ParseFloat(string(value), 64)
	if err != nil || !(number > 0) || number > maxSeconds {
		return 0
	}
	return time.Duration(number * float64(time.Second))
}
