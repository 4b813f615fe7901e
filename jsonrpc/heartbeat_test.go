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
		"30": 30 * time.Second, "12.5": 12500 * time.Millisecond, "5": 10 * time.Second, "-1": 10 * time.Second,
		`"30"`: 10 * time.Second, "1e300": 10 * time.Second, "null": 10 * time.Second, "1e999": 10 * time.Second,
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
