package jsonrpc

import (
	"context"
	"slices"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"example.com/caddy-token-auth/dialect"
)

const (
	// logoutReason is the text of the close frame after a logout.
	logoutReason = "logout"
	// unrecordedReason is that of one that could not be recorded although the upstream has
	// carried it out.
	unrecordedReason = "logout not recorded"
)

// logOut carries out a logout whose credential is live. There is no answer to it: once
// the tokens are revoked, the connection is closed.
func (s *Session) logOut(ctx context.Context, c *call, batch bool) Decision {
	if s.config.ForwardLogout {
		return s.forwardLogout(c, batch)
	}
	s.mu.Lock()
	if s.ended {
		s.mu.Unlock()
		return Decision{Action: Drop}
	}
	// From here on no end of the connection is unexpected: the revocation itself may
	// lead to one.
	s.loggingOut = true
	ending := s.endingBy(c.access)
	s.mu.Unlock()

	var err error
	if c.invalidate {
		err = s.config.Authorizer.Revoke(ctx, ending)
	}

	s.mu.Lock()
	s.loggingOut = false
	if err == nil {
		s.loggedOut = true
		s.release()
	}
	s.mu.Unlock()
	if err != nil {
		c.refusal = refusalOf(err)
		return s.refuseAll([]call{*c}, batch)
	}
	return Decision{Action: Close, Code: CloseNormal, Reason: logoutReason}
}

// endingBy is what a logout revokes that carries this token, or "". s.mu is held.
func (s *Session) endingBy(access Secret) Logout {
	ending := Logout{Sessions: slices.Clone(s.sessions)}
	for _, token := range []Secret{access, s.own} {
		if token != "" && !slices.Contains(ending.Tokens, token) {
			ending.Tokens = append(ending.Tokens, token)
		}
	}
	return ending
}

// forwardedLogout is a logout of which it is not known yet whether the upstream carries it
// out.
type forwardedLogout struct {
	access     Secret
	invalidate bool
	id         jsontext.Value // or nil
	key        *idKey         // nil if no answer could be told to be its own
	batch      bool
	until      time.Time // then it is taken to be carried out
	settled    chan struct{}

	recording bool
	decision  Decision // once it is settled
}

// forwardLogout lets a logout go on to the upstream.
func (s *Session) forwardLogout(c *call, batch bool) Decision {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended {
		return Decision{Action: Drop}
	}
	l := &forwardedLogout{
		access: c.access, invalidate: c.invalidate, batch: batch, id: slices.Clone(c.message.ID),
		until: s.config.Now().Add(s.config.LogoutTimeout), settled: make(chan struct{}),
	}
	if c.message.identified() && s.open[c.key] == nil {
		l.key = &c.key
	}
	s.loggingOut, s.forwarded = true, l
	return Decision{Action: Forward}
}

// LogoutDue returns until when the upstream has to close the connection, or to answer,
// after a logout that was passed on, and whether there is one. The caller calls FinishLogout
// then, and before that if the connection ends.
func (s *Session) LogoutDue() (due time.Time, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.forwarded == nil {
		return time.Time{}, false
	}
	return s.forwarded.until, true
}

// FinishLogout records a logout that was passed on, as one that the upstream has carried
// out: it has closed the connection or has not answered in time, or the connection has
// ended in another way. It returns how the connection is to be closed; normally, unless
// nothing could be recorded. If there is no such logout, there is nothing to do: Drop.
//
// It may be called at any time by anybody, and returns once the logout is recorded.
func (s *Session) FinishLogout(ctx context.Context) Decision {
	s.mu.Lock()
	l := s.forwarded
	if l == nil {
		s.mu.Unlock()
		return Decision{Action: Drop}
	}
	if l.recording {
		s.mu.Unlock()
		<-l.settled
		return l.decision
	}
	l.recording = true
	ending := s.endingBy(l.access)
	ending.Forwarded = true
	s.mu.Unlock()

	l.decision = Decision{Action: Close, Code: CloseNormal, Reason: logoutReason}
	if l.invalidate {
		if err := s.config.Authorizer.Revoke(ctx, ending); err != nil {
			r := refusalOf(err)
			answer := s.answer(r, l.id)
			if l.batch {
				answer = array([][]byte{answer})
			}
			l.decision = Decision{
				Action: Close, Code: CloseFailed, Reason: unrecordedReason,
				Payload: answer, Refused: []dialect.Reason{r.reason},
			}
		}
	}

	s.mu.Lock()
	defer s.mu.Unlock()
	// Also where nothing was recorded: the upstream has been told, and nothing may follow.
	s.loggedOut = true
	s.settleLogout()
	s.release()
	return l.decision
}

// settleLogout says that it is known what becomes of the logout. s.mu is held.
func (s *Session) settleLogout() {
	close(s.forwarded.settled)
	s.forwarded, s.loggingOut = nil, false
}

// behindLogout is the decision to wait for what becomes of a logout that was passed on.
func (s *Session) behindLogout() (Decision, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.forwarded == nil {
		return Decision{}, false
	}
	until := s.config.Now().Add(s.config.AnswerTimeout)
	s.beat.hold(until)
	return Decision{Action: Wait, Settled: s.forwarded.settled, Until: until}, true
}

// answersLogout decides about a message of the upstream if it answers the logout that was
// passed on. With an error the logout has not taken place: the client is told so, and goes
// on. The API has no other answer to it; whatever it is, the client does not expect any.
func (s *Session) answersLogout(ctx context.Context, message []byte) (Decision, bool) {
	s.mu.Lock()
	l := s.forwarded
	s.mu.Unlock()
	if l == nil || l.key == nil {
		return Decision{}, false
	}
	answer := answerTo(message, *l.key, l.batch)
	if answer == nil {
		return Decision{}, false
	}
	if answer.Failed() {
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.forwarded == l && !l.recording {
			s.settleLogout()
			if s.ended {
				return Decision{Action: Drop, CallAnswered: true}, true
			}
			return Decision{Action: Forward}, true
		}
		return Decision{Action: Drop, CallAnswered: true}, true
	}
	d := s.FinishLogout(ctx)
	d.CallAnswered = true
	return d, true
}
