package jsonrpc

import (
	"testing"
	"time"
)

const testRequestMessage = `{"jsonrpc":"2.0","method":"heartbeat","params":{"type":"test_request"}}`

func (c *connection) setsHeartbeat(interval, answer string) {
	c.t.Helper()
	c.passes(`{"jsonrpc":"2.0","id":"hb","method":"public/set_heartbeat","params":{"interval":` + interval + `}}`)
	c.reaches(`{"jsonrpc":"2.0","id":"hb",` + answer + `}`)
}

func (c *connection) due(want time.Duration) {
	c.t.Helper()
	due, ok := c.HeartbeatDue()
	if ok != (want > 0) || ok && due.Sub(c.now) != want {
		c.t.Fatalf("due in %v, %v; want %v", due.Sub(c.now), ok, want)
	}
}

func TestClientHasOneIntervalForAHeartbeat(t *testing.T) {
	for interval, want := range map[string]time.Duration{
		"30": 30 * time.Second, "12.5": 12500 * time.Millisecond, "5": 10 * time.Second, `"60"`: time.Minute,
	} {
		c := connect(t, nil)
		c.reaches(testRequestMessage)
		c.due(0)
		c.setsHeartbeat(interval, `"result":"ok"`)
		c.due(0)
		c.reaches(`{"jsonrpc":"2.0","method":"heartbeat","params":{"type":"heartbeat"}}`)
		c.due(0)
		c.reaches(testRequestMessage)
		c.due(want)
		c.now = c.now.Add(time.Second)
		c.reaches(testRequestMessage) // a second one gives no more time
		c.due(want - time.Second)
		c.passes(`{"id":1,"method":"public/get_time"}`)
		c.due(want - time.Second)
		c.passes(`{"id":2,"method":"public/test"}`)
		c.due(0)
		c.reaches(testRequestMessage)
		c.due(want)
		c.passes(`{"method":"public/test","params":null}`)
		c.due(0)
	}
}

func TestHeartbeatsBeginAndEndWithTheAnswer(t *testing.T) {
	c := connect(t, nil)
	c.setsHeartbeat("30", `"error":{"code":-32602}`)
	c.reaches(testRequestMessage)
	c.due(0)
	c.setsHeartbeat("30", `"result":"ok"`)
	c.reaches(testRequestMessage)
	c.due(30 * time.Second)
	c.passes(`{"id":1,"method":"public/disable_heartbeat"}`)
	c.due(30 * time.Second)
	c.reaches(`{"id":1,"result":"ok"}`)
	c.due(0)
	c.reaches(testRequestMessage)
	c.due(0)
}

// The API has taken something for an interval that nobody else can know.
func TestHeartbeatIntervalThatIsNotUnderstoodIsNotWatched(t *testing.T) {
	for _, params := range []string{
		`[60]`, `{}`, `{"interval":null}`, `{"interval":"a minute"}`, `{"interval":-1}`, `{"interval":1e300}`, `{"interval":1e999}`, `{"interval":"0x3c"}`, `{"interval":"NaN"}`,
	} {
		c := connect(t, nil)
		c.setsHeartbeat("30", `"result":"ok"`)
		c.passes(`{"id":1,"method":"public/set_heartbeat","params":` + params + `}`)
		c.reaches(`{"id":1,"result":"ok"}`)
		c.reaches(testRequestMessage)
		if due, ok := c.HeartbeatDue(); ok {
			t.Errorf("%s: the client has %s", params, due.Sub(c.now))
		}
	}
}

// The client has answered in time, but a call before its answer waits.
func TestHeartbeatDoesNotFailWhileAMessageWaits(t *testing.T) {
	for _, tested := range []bool{false, true} {
		c := connect(t, nil)
		c.setsHeartbeat("10", `"result":"ok"`)
		c.passes(authCall(9))
		if tested {
			c.reaches(testRequestMessage)
			c.now = c.now.Add(5 * time.Second)
		}
		d := c.waits(call42("private/buy", "{}"))
		if !tested {
			c.now = c.now.Add(5 * time.Second)
			c.reaches(testRequestMessage)
		}
		if due, ok := c.HeartbeatDue(); !ok || due.Sub(d.Until) != 10*time.Second {
			t.Errorf("due %v, %v; the message waits until %v", due, ok, d.Until)
		}
		c.now = d.Until
		c.isAnswered(call42("private/buy", "{}"), unavailable("42"))
		c.passes(`{"id":2,"method":"public/test"}`)
		c.due(0)
		c.now = c.now.Add(time.Minute)
		c.reaches(testRequestMessage)
		c.due(10 * time.Second)
	}
}
