package introspect

import (
	"container/list"
	"net/netip"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"
)

const (
	// shareOfFree bounds how many requests one party has under way: fewer than so many
	// times those that are free. One party alone has three quarters at most, so that
	// whoever comes next need not wait.
	shareOfFree = 3
	// suspectFor is how long a party comes after the others once a token of it was not
	// active.
	suspectFor = time.Minute
	// suspects is how many such parties are known at the same time.
	suspects = 10_000
	// turnsOfOthers is how many turns the others have for one of the suspects, where both
	// wait.
	turnsOfOthers = 3
)

// queue hands out the turns to ask the server. Each party has one after the other, however
// many of its tokens wait: who floods waits behind itself. Client.mu guards it.
type queue struct {
	free    int // turns that nobody has
	parties map[netip.Prefix]*party
	// turns are the parties that wait, in their order: first those that nothing is known
	// against, then the suspects.
	turns [2]list.List
	since int // turns of the others since the last one of a suspect
	// suspected says until when a party is a suspect.
	suspected *lru.Cache[netip.Prefix, time.Time]
}

// party is whoever tokens are presented by, as far as can be told: a network. The one of
// the zero prefix is all of whom it is not told.
type party struct {
	from    netip.Prefix
	running int           // its requests under way
	waiting list.List     // its flights
	turns   *list.List    // of the queue, in which it waits; nil if it does not
	turn    *list.Element // there
}

// ticket is the place of a flight among those of one party.
type ticket struct {
	of      *party
	element *list.Element
}

func newQueue(size int) (*queue, error) {
	suspected, err := lru.New[netip.Prefix, time.Time](suspects)
	return &queue{free: size, parties: make(map[netip.Prefix]*party), suspected: suspected}, err
}

// add has a flight wait for a turn of a party as well, until it has one.
func (q *queue) add(from netip.Prefix, f *flight, now time.Time) {
	if f.party != nil {
		return
	}
	p, ok := q.parties[from]
	if !ok {
		p = &party{from: from}
		q.parties[from] = p
	}
	for i := range f.tickets {
		if f.tickets[i].of == p {
			return
		}
	}
	f.tickets = append(f.tickets, ticket{p, p.waiting.PushBack(f)})
	if p.turns == nil {
		p.turns = &q.turns[0]
		if until, ok := q.suspected.Get(from); ok && now.Before(until) {
			p.turns = &q.turns[1]
		}
		p.turn = p.turns.PushBack(p)
	}
	q.hand()
}

// hand gives out the turns that are free.
func (q *queue) hand() {
	for q.free > 0 {
		p := q.next()
		if p == nil {
			return
		}
		f, ok := p.waiting.Front().Value.(*flight)
		if !ok {
			panic("introspect: a queue of something else")
		}
		q.free--
		p.running++
		f.party = p
		p.turns.MoveToBack(p.turn)
		q.drop(f)
		close(f.turn)
	}
}

// next returns whose turn it is, or nil.
func (q *queue) next() *party {
	first, second := &q.turns[0], &q.turns[1]
	if q.since >= turnsOfOthers {
		first, second = second, first
	}
	for _, turns := range []*list.List{first, second} {
		for e := turns.Front(); e != nil; e = e.Next() {
			p, ok := e.Value.(*party)
			if !ok || p.from.IsValid() && p.running >= shareOfFree*q.free {
				continue
			}
			if q.since++; turns == &q.turns[1] {
				q.since = 0
			}
			return p
		}
	}
	return nil
}

// drop takes a flight out of the queue.
func (q *queue) drop(f *flight) {
	for _, t := range f.tickets {
		t.of.waiting.Remove(t.element)
		if t.of.waiting.Len() == 0 {
			t.of.turns.Remove(t.of.turn)
			t.of.turns, t.of.turn = nil, nil
		}
		q.forget(t.of)
	}
	f.tickets = nil
}

// leave ends the turn of a flight, if it has had one, and its waiting for one.
func (q *queue) leave(f *flight) {
	q.drop(f)
	if f.party == nil {
		return
	}
	q.free++
	f.party.running--
	q.forget(f.party)
	q.hand()
}

// forget forgets a party of which nothing waits or is under way.
func (q *queue) forget(p *party) {
	if p.running == 0 && p.waiting.Len() == 0 {
		delete(q.parties, p.from)
	}
}

// judged notes what became of a token of a party.
func (q *queue) judged(p *party, active bool, now time.Time) {
	switch {
	case !p.from.IsValid():
	case active:
		q.suspected.Remove(p.from)
	default:
		q.suspected.Add(p.from, now.Add(suspectFor))
	}
}
