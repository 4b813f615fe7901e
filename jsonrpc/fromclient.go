package jsonrpc

import (
	"context"
	"slices"
	"time"

	"example.com/caddy-token-auth/dialect"
)

// FromClient decides about a whole message of the client, text or binary. Until it has
// returned a decision other than Wait, no later message may be shown to it.
//
// A batch is forwarded as it is or, if one of its calls is refused, not at all: JSON-RPC
// leaves the order of its calls open, and a client expects one array with an answer to
// each.
func (s *Session) FromClient(ctx context.Context, message []byte) Decision {
	if s.finished() {
		return Decision{Action: Drop}
	}
	if wait, behind := s.behindLogout(); behind {
		return wait
	}
	if len(message) > s.config.MaxMessage {
		return s.TooLarge()
	}
	payload, err := Parse(message)
	if err != nil {
		return s.unreadable(err)
	}
	calls := make([]call, len(payload.Messages))
	for i := range payload.Messages {
		calls[i] = newCall(&payload.Messages[i])
	}
	refuseCombinations(calls)

	own, wait := s.compare(calls)
	if wait.Action == Wait {
		return wait
	}
	if refused := s.authorize(ctx, calls, own); refused {
		return s.refuseAll(calls, payload.Batch)
	}
	if calls[0].role == logsOut {
		return s.logOut(ctx, &calls[0], payload.Batch)
	}
	if slices.ContainsFunc(calls, func(c call) bool { return c.role.asksForTokens() }) {
		s.config.Authorizer.Asking(ctx)
	}

	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.loggedOut || s.ended:
		return Decision{Action: Drop}
	case !s.admit(calls, s.config.Now()):
		for i := range calls {
			calls[i].refusal = refuse(dialect.RateLimited)
		}
		return s.refuseAll(calls, payload.Batch)
	default:
		return Decision{Action: Forward}
	}
}

// refuseCombinations refuses calls that cannot be in one batch, whose order is open.
func refuseCombinations(calls []call) {
	if len(calls) == 1 {
		return
	}
	seen := make(map[idKey]bool, len(calls))
	tokens, authenticating := 0, false
	for i := range calls {
		c := &calls[i]
		switch {
		case c.role == logsOut:
			c.refusal = invalidFor("private/logout must not be in a batch with other calls")
		case c.message.identified() && seen[c.key]:
			c.refusal = invalidFor("two calls of a batch have the same id")
		}
		seen[c.key] = true
		if c.role.asksForTokens() {
			if tokens++; tokens > 1 {
				c.refusal = invalidFor("only one call of a batch may ask for tokens")
			}
		}
		authenticating = authenticating || c.role == authenticates
	}
	for i := range calls {
		// It might be executed as one client or as another.
		if c := &calls[i]; authenticating && c.needsOwn() && !c.refusal.refused {
			c.refusal = refuse(dialect.MissingCredential)
		}
	}
}

// compare compares calls with those that are open. It returns the connection's own
// token, which does not change before the calls are admitted if one of them needs it,
// or a decision to wait.
func (s *Session) compare(calls []call) (own Secret, wait Decision) {
	now := s.config.Now()
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := range calls {
		c := &calls[i]
		if c.refusal.refused {
			continue
		}
		if s.auth != nil && (c.needsOwn() || c.role.asksForTokens() || c.role == logsOut) {
			if d, ok := s.waitFor(s.auth, now); ok {
				return "", d
			}
			// A logout does not depend on what the client will never see, if there is
			// something else that it can be checked by.
			if c.role != logsOut || c.access == "" && s.own == "" {
				c.refusal = refuse(dialect.Unavailable)
			}
			continue
		}
		if !c.message.identified() {
			continue
		}
		// The answer to a logout that is passed on must not be another's.
		logsOut := c.role == logsOut && s.config.ForwardLogout
		if other := s.open[c.key]; other != nil && (logsOut || c.role.observed() || other.role.observed()) {
			if d, ok := s.waitFor(other, now); ok {
				return "", d
			}
			if !logsOut { // which is not refused because of that
				c.refusal = invalidCall
			}
		}
	}
	return s.own, Decision{}
}

// waitFor is the decision to wait for the answer to an open call, unless that has taken
// too long already. s.mu is held.
func (s *Session) waitFor(other *openCall, now time.Time) (Decision, bool) {
	until := other.at.Add(s.config.AnswerTimeout)
	if !now.Before(until) {
		return Decision{}, false
	}
	s.beat.hold(until)
	return Decision{Action: Wait, Settled: other.wait(), Until: until}, true
}

// authorize checks the credentials of calls and reports whether one is refused.
func (s *Session) authorize(ctx context.Context, calls []call, own Secret) (refused bool) {
	var ownVerdict *Verdict
	for i := range calls {
		c := &calls[i]
		switch {
		case c.refusal.refused:
		case c.public:
			if c.refresh != "" {
				c.apply(s.config.Authorizer.Check(ctx, Credential{Token: c.refresh, Refresh: true}))
				c.refusal.grant = true
			}
		case c.access != "":
			c.apply(s.config.Authorizer.Check(ctx, Credential{Token: c.access}))
		case own == "":
			c.refusal = refuse(dialect.MissingCredential)
		default:
			if ownVerdict == nil {
				verdict := s.config.Authorizer.Check(ctx, Credential{Token: own, Own: true})
				ownVerdict = &verdict
			}
			c.apply(*ownVerdict)
		}
		refused = refused || c.refusal.refused
	}
	return refused
}

func (c *call) apply(verdict Verdict) {
	if !verdict.Live {
		c.refusal = refuse(verdict.Reason)
	}
}
