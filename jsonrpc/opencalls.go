package jsonrpc

import (
	"bytes"
	"time"

	"github.com/go-json-experiment/json/jsontext"
)

const (
	// maxOpenCalls is how many calls of a connection may be unanswered. Deribit takes
	// a hundred at once before it refuses for their rate.
	maxOpenCalls = 1024
	// maxOpenTime is after what time an unanswered call may be forgotten, should there
	// be too many. One that asks for tokens never is.
	maxOpenTime = time.Minute
)

// openCall is a forwarded call with an id, or several that share one, that the upstream
// has not answered yet.
type openCall struct {
	call
	count   int
	at      time.Time      // when the last of them was forwarded
	settled chan struct{}  // closed when it is answered; nil while nobody waits
	id      jsontext.Value // of a call that asks for tokens
	logins  uint64         // cancelOnDisconnect.logins at that time
}

// wait returns what is closed when the call has been answered. The session's mutex is
// held, as for settle.
func (c *openCall) wait() <-chan struct{} {
	if c.settled == nil {
		c.settled = make(chan struct{})
	}
	return c.settled
}

func (c *openCall) settle() {
	if c.settled != nil {
		close(c.settled)
		c.settled = nil
	}
}

// admit notes calls that are about to be forwarded. s.mu is held, and none of them can
// be confused with one that is open. It reports false if there are too many.
func (s *Session) admit(calls []call, now time.Time) bool {
	if len(s.open)+len(calls) > maxOpenCalls {
		for key, c := range s.open {
			if c != s.auth && now.Sub(c.at) > maxOpenTime {
				c.settle()
				delete(s.open, key)
			}
		}
		if len(s.open)+len(calls) > maxOpenCalls {
			return false
		}
	}
	for _, c := range calls {
		if c.role == answersHeartbeat {
			s.beat.answered()
		}
		if c.access != "" {
			s.cancel.presented = c.access
		}
		if !c.message.identified() {
			continue
		}
		o := s.open[c.key]
		if o == nil {
			o = new(openCall)
			s.open[c.key] = o
		}
		o.call, o.at = c, now
		o.count++
		o.message = nil // it refers to the caller's buffer
		if !c.role.switchesCancel() || o.access == s.own {
			o.access = ""
		}
		o.logins = s.cancel.logins
		if c.role.asksForTokens() {
			s.auth, o.id = o, bytes.Clone(c.message.ID)
		}
	}
	return true
}

// answered takes the call that a response is the answer to, or nil. A call that asks
// for tokens stays open until closeAuth. s.mu is held.
func (s *Session) answered(m *Message) *openCall {
	if m.Kind != Response || !m.identified() {
		return nil
	}
	key := keyOf(m.ID)
	o := s.open[key]
	if o == nil || o == s.auth {
		return o
	}
	s.settleOne(key, o)
	return o
}

// settleOne takes note of an answer to an open call. s.mu is held.
func (s *Session) settleOne(key idKey, o *openCall) {
	if o.count--; o.count == 0 {
		delete(s.open, key)
		o.settle()
	}
}

// closeAuth ends the call that asked for tokens. s.mu is held.
func (s *Session) closeAuth() {
	delete(s.open, s.auth.key)
	s.auth.settle()
	s.auth = nil
}
