package jsonrpc

import (
	"bytes"
	"context"

	"github.com/go-json-experiment/json/jsontext"

	"example.com/caddy-token-auth/dialect"
)

// Awaits reports whether a message of the upstream that begins now must be shown to
// FromServer. One that begins while it reports false may be forwarded unread.
func (s *Session) Awaits() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.open) > 0 || s.beat.interval > 0 || s.ended || s.loggedOut || s.forwarded != nil
}

// AwaitsTokens reports whether a call that asks for tokens is open. A message of the
// upstream may then be its answer: one that cannot be shown to FromServer, such as one that
// is too long, must not reach the client.
func (s *Session) AwaitsTokens() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.auth != nil
}

// FromServer takes note of a whole message of the upstream, text or binary, and decides
// whether the client gets it: Forward, Drop, Answer where the client gets another in
// its place, or Close where it answers a logout that was passed on.
//
// A message of more than a MiB that mentions no token is forwarded unread. One that cannot be
// read is forwarded too, unless a call that asks for tokens is
// open: then it might hold some that nobody has recorded. For the same reason, the client
// gets an error of that call in place of tokens with the id of another, or none. The call
// stays open: its own answer is still to come.
func (s *Session) FromServer(ctx context.Context, message []byte) Decision {
	if d, answers := s.answersLogout(ctx, message); answers {
		return d
	}
	s.mu.Lock()
	ended, closeCall := s.ended || s.loggedOut, s.closeCall
	awaited := len(s.open) > 0 || s.beat.interval > 0 && bytes.Contains(message, []byte(testRequest))
	asked := s.auth != nil
	s.mu.Unlock()
	if ended {
		return Decision{Action: Drop, CallAnswered: closeCall != nil && answerTo(message, *closeCall, false) != nil}
	}
	if !awaited || len(message) > maxRead && !mayMentionTokens(message) {
		return Decision{Action: Forward}
	}
	if !asked && s.settlesPlain(message) {
		return Decision{Action: Forward}
	}
	payload, err := Parse(message)
	if err != nil {
		if asked {
			return Decision{Action: Drop}
		}
		return Decision{Action: Forward}
	}
	withheld := make(map[int]refusal)
	ids := make(map[int]jsontext.Value) // of those whose own is not that of the call
	for i := range payload.Messages {
		m := &payload.Messages[i]
		if id := s.strayTokens(m); id != nil {
			withheld[i], ids[i] = refuse(dialect.Unavailable), id
			continue
		}
		asked := s.observe(m)
		if asked == nil {
			continue
		}
		if r := s.learn(ctx, asked, m); r.refused {
			withheld[i] = r
		}
	}
	switch {
	case s.finished():
		return Decision{Action: Drop}
	case len(withheld) == 0:
		return Decision{Action: Forward}
	}
	d := Decision{Action: Answer}
	answers := make([][]byte, len(payload.Messages))
	for i := range payload.Messages {
		m := &payload.Messages[i]
		answers[i] = m.raw
		if r, found := withheld[i]; found {
			id := m.ID
			if other, found := ids[i]; found {
				id = other
			}
			answers[i] = s.answer(r, id)
			d.Refused = append(d.Refused, r.reason)
		}
	}
	if d.Payload = answers[0]; payload.Batch {
		d.Payload = array(answers)
	}
	return d
}

// maxRead is how long a message may be to be read for anything but tokens: reading takes a
// multiple of its memory.
const maxRead = 1 << 20

// mayMentionTokens reports whether a message may have a member for a token.
func mayMentionTokens(message []byte) bool {
	return bytes.Contains(message, []byte("_token")) || bytes.Contains(message, []byte(`\u`))
}

// answerTo returns message if it is the answer to the call with this id, which may have
// been in a batch of one, and nil otherwise.
func answerTo(message []byte, key idKey, batch bool) *Message {
	if len(message) > maxRead {
		return nil
	}
	payload, err := Parse(message)
	if err != nil || payload.Batch && !batch || len(payload.Messages) > 1 {
		return nil
	}
	m := &payload.Messages[0]
	if m.Kind != Response || !m.identified() || keyOf(m.ID) != key {
		return nil
	}
	return m
}

// strayTokens returns the id of the open call that asks for tokens if m holds some that are
// not under that id, and nil otherwise.
func (s *Session) strayTokens(m *Message) jsontext.Value {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.auth == nil || !m.holdsTokens() || m.identified() && keyOf(m.ID) == s.auth.key {
		return nil
	}
	return s.auth.id
}

// observe takes note of one message. If it answers the open call that asks for tokens,
// that call is returned, and is left to learn.
func (s *Session) observe(m *Message) *openCall {
	s.mu.Lock()
	defer s.mu.Unlock()
	if m.Kind == Notification && m.Method == "heartbeat" {
		if kind, _ := m.stringParam("type"); kind == testRequest {
			s.beat.tested(s.config.Now())
		}
		return nil
	}
	o := s.answered(m)
	switch {
	case o == nil:
	case o == s.auth:
		return o
	case m.Failed():
	case o.role == readsCancel:
		if enabled, known := m.ResultMember("enabled"); known && (enabled.Kind() == 't' || enabled.Kind() == 'f') {
			scope := o.scope
			if name := m.stringResult("scope"); name != "" {
				scope = scopeOf(name)
			}
			s.cancel.told(o, scope, enabled.Kind() == 't')
		}
	case !isOK(m.Result()):
	case o.role == enablesCancel:
		s.cancel.told(o, o.scope, true)
	case o.role == disablesCancel:
		s.cancel.told(o, o.scope, false)
	case o.role == setsHeartbeat:
		s.beat.set(o.interval)
	case o.role == disablesHeartbeat:
		s.beat.set(0)
	}
	return nil
}

// isOK reports whether a result is "ok", with which the API answers when there is
// nothing else to tell.
func isOK(result jsontext.Value) bool {
	text, _ := stringOf(result)
	return text == "ok"
}

// learn takes the tokens out of the answer to the open call that asked for them. They
// become good for anything only after the Authorizer has recorded them. It returns a
// refusal if the client must not get them.
func (s *Session) learn(ctx context.Context, asked *openCall, m *Message) refusal {
	grant := Grant{
		Method:  asked.method,
		Type:    asked.grantType,
		Used:    asked.refresh,
		Access:  Secret(m.stringResult("access_token")),
		Refresh: Secret(m.stringResult("refresh_token")),
		Scope:   m.stringResult("scope"),
		SID:     m.stringResult("sid"),
	}
	granted := !m.Failed() && grant.Access != ""
	var (
		session string
		err     error
	)
	if granted {
		expiresIn, _ := m.ResultMember("expires_in")
		grant.ExpiresIn = seconds(expiresIn)
		session, err = s.config.Authorizer.Learned(ctx, grant)
	}

	s.mu.Lock()
	defer s.mu.Unlock()
	defer s.closeAuth()
	if !granted {
		return refusal{}
	}
	var r refusal
	switch {
	case err != nil:
		r = refusalOf(err)
	case s.loggingOut || s.loggedOut || s.ended:
		r = refuse(dialect.Unavailable)
	case !s.joined(session):
		r = refuse(dialect.RateLimited)
	}
	if asked.role == authenticates {
		s.authenticated(asked, grant, !r.refused)
	}
	return r
}
