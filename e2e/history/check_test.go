package history

import (
	"cmp"
	"fmt"
	"slices"
	"time"
)

// limits are what a history is judged by.
type limits struct {
	// staleness is how long after a logout another replica may go on without knowing of
	// it, whatever has happened.
	staleness time.Duration
	// delay is how long that may be for one that nothing has happened to for so long
	// before and after as margin says.
	delay, margin time.Duration
	// login is how long after a logout a login by another replica, which may not have heard
	// of it, may count as one during it.
	login time.Duration
	// clock is how far the clocks of the processes may be apart that compare an iat with
	// the time of a logout.
	clock time.Duration
}

// violation is a broken rule.
type violation struct {
	rule   rule
	answer operation
	logout *operation // the one that the answer contradicts, if there is one
}

// rule is a promise.
type rule string

const (
	sameReplica    rule = "a replica lets through what it has logged out"
	boundStaleness rule = "a replica lets through what another one has logged out too long ago"
	healthyDelay   rule = "a replica that nothing has happened to learns of a logout too late"
	falseRefusal   rule = "a token is refused that no logout covers"
	lostLogin      rule = "a token is refused that was issued by a login after the logout"
	strangeAnswer  rule = "an answer is neither good nor 401 nor 503"
	unknownToken   rule = "a request has a token that was not issued"
)

func (v violation) String() string {
	text := fmt.Sprintf("%s: %+v", v.rule, v.answer)
	if v.logout != nil {
		text += fmt.Sprintf(" after the logout %+v", *v.logout)
	}
	return text
}

// judge is a history in a form that answers questions.
type judge struct {
	limits
	*history
	tokens map[string]issue
	// logouts are those that may have had an effect, by scope and identifier.
	logouts map[subject][]*operation
}

// subject is what a logout is about.
type subject struct{ scope, id string }

func (i issue) subjects() []subject {
	return []subject{{"token", i.Token}, {"session", i.Session}, {"client", i.Client}}
}

// check returns what contradicts the promises.
func (h *history) check(l limits) []violation {
	j := newJudge(h, l)
	var found []violation
	for i := range h.Operations {
		if v, bad := j.check(&h.Operations[i]); bad {
			found = append(found, v)
		}
	}
	return found
}

func newJudge(h *history, l limits) *judge {
	j := &judge{limits: l, history: h, tokens: make(map[string]issue), logouts: make(map[subject][]*operation)}
	for _, i := range h.Issues {
		j.tokens[i.Token] = i
	}
	for i := range h.Operations {
		o := &h.Operations[i]
		// What was refused as revoked or mistaken was not recorded. Anything else may be.
		if !o.isLogout() || o.Status >= 400 && o.Status < 500 {
			continue
		}
		for _, s := range j.tokens[o.Token].subjects() {
			if s.scope == o.Scope {
				j.logouts[s] = append(j.logouts[s], o)
			}
		}
	}
	return j
}

func (j *judge) check(o *operation) (violation, bool) {
	token, ok := j.tokens[o.Token]
	switch {
	case !ok:
		return violation{unknownToken, *o, nil}, true
	case o.accepted():
		return j.checkAccepted(o, token)
	case o.Status == 401:
		if token.Login != nil {
			return violation{lostLogin, *o, nil}, !j.mayBeRevoked(o, token)
		}
		return violation{falseRefusal, *o, nil}, !j.mayBeRevoked(o, token)
	default: // no answer is what a replica gives that is killed
		return violation{strangeAnswer, *o, nil}, o.Status != 503 && o.Status != 0
	}
}

// checkAccepted judges an answer that let a token through.
func (j *judge) checkAccepted(o *operation, token issue) (violation, bool) {
	for _, s := range token.subjects() {
		for _, l := range j.logouts[s] {
			if l.acknowledged() && l.To < o.From && covers(l, token) {
				if r, bad := j.tooLate(o, l); bad {
					return violation{r, *o, l}, true
				}
			}
		}
	}
	return violation{}, false
}

// tooLate says whether o, which began after the acknowledgement of l, was to know of it.
func (j *judge) tooLate(o, l *operation) (rule, bool) {
	delay := o.From - l.To
	switch {
	case o.Replica == l.Replica:
		return sameReplica, true
	case delay > j.staleness:
		return boundStaleness, true
	default:
		return healthyDelay, delay > j.delay && !j.disturbed(o.Replica, l.To, o.From)
	}
}

// covers reports whether an acknowledged logout certainly covers a token: its cut-off is
// no earlier than its request, and covers what was issued at or before it, as far as iat
// says. Of a token that a replica has seen being issued, that is not yet so.
func covers(l *operation, token issue) bool {
	return l.Scope == "token" || token.Issued <= l.From && (token.Login == nil || token.Login.To <= l.From)
}

// mayCover reports whether a logout, acknowledged or not, may cover a token: its cut-off is
// no later than its answer. It does not cover what a later login has issued, whatever iat
// says.
func (j *judge) mayCover(l *operation, token issue) bool {
	if l.Scope == "token" {
		return true
	}
	return token.Issued <= l.To+j.clock && !j.loggedInLater(l, token.Login)
}

// loggedInLater reports whether a login, if it was one, certainly came after a logout, by a
// replica that could record that.
func (j *judge) loggedInLater(l *operation, in *login) bool {
	if in == nil || !l.acknowledged() || j.disturbed(in.Replica, in.From, in.To) {
		return false
	}
	known := l.To
	if in.Replica != l.Replica {
		known += j.login
	}
	return known < in.From
}

// mayBeRevoked reports whether a logout, acknowledged or not, may have covered a token
// before o ended.
func (j *judge) mayBeRevoked(o *operation, token issue) bool {
	for _, s := range token.subjects() {
		for _, l := range j.logouts[s] {
			if l.From < o.To && j.mayCover(l, token) {
				return true
			}
		}
	}
	return false
}

// disturbed reports whether something has happened to a replica in or near a time.
func (j *judge) disturbed(replica int, from, to time.Duration) bool {
	return slices.ContainsFunc(j.Faults, func(f fault) bool {
		return (f.Replica == replica || f.Replica == everyone) && f.From <= to+j.margin && f.To >= from-j.margin
	})
}

// delays returns, in order, how long after acknowledged logouts other replicas have let
// the same token through for the last time, or 0 where they never did. Left out are those
// that something has happened to, and those that were never asked until they refused.
func (h *history) delays(l limits) []time.Duration {
	j := newJudge(h, l)
	type place struct {
		token   string
		replica int
	}
	answers := make(map[place][]*operation)
	for i := range h.Operations {
		o := &h.Operations[i]
		answers[place{o.Token, o.Replica}] = append(answers[place{o.Token, o.Replica}], o)
	}
	for _, of := range answers {
		slices.SortFunc(of, func(a, b *operation) int { return cmp.Compare(a.From, b.From) })
	}
	var all []time.Duration
	for i := range h.Operations {
		logout := &h.Operations[i]
		if !logout.acknowledged() {
			continue
		}
		for replica := range replicas {
			if replica == logout.Replica {
				continue
			}
			delay, until, known := learned(answers[place{logout.Token, replica}], logout.To)
			if known && !j.disturbed(replica, logout.To, until) {
				all = append(all, delay)
			}
		}
	}
	slices.Sort(all)
	return all
}

// learned looks for the first refusal that began after a logout, and returns when, and how
// long after the logout the last acceptance before it had begun.
func learned(answers []*operation, logout time.Duration) (delay, until time.Duration, known bool) {
	for _, o := range answers {
		switch {
		case o.From <= logout:
		case o.accepted():
			delay = o.From - logout
		case o.Status == 401:
			return delay, o.From, true
		}
	}
	return 0, 0, false
}
