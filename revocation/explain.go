package revocation

import (
	"context"
	"fmt"
)

// Explanation is how a List judges an identity, and why.
type Explanation struct {
	// Verdict is what Check answers, and Err its error where that is Unknown.
	Verdict Verdict
	Err     error
	// Source is where that answer comes from.
	Source Source
	// Stored is the verdict by what the store holds. For as long as a change takes to
	// arrive, it may be ahead of Verdict. Unknown if the store does not answer.
	Stored Verdict
	// Decisive is the entry of the store that refuses the identity; the zero Entry if
	// none does.
	Decisive Entry
	// Issued is the entry by which the identity survives a cut-off that would cover it; the
	// zero Entry if there is none.
	Issued Entry
}

// Source is where a List has an answer from.
type Source uint8

const (
	// SourceAge: the token is older than revocations are remembered.
	SourceAge Source = iota + 1
	// SourceCache: a verdict that is cached, and that nothing has outdated.
	SourceCache
	// SourceSummary: a summary of all entries, which has none for the identity.
	SourceSummary
	// SourceStore: the store.
	SourceStore
)

var sourceNames = [...]string{SourceAge: "age", SourceCache: "cache", SourceSummary: "summary", SourceStore: "store"}

// String returns the name of the source.
func (s Source) String() string {
	if int(s) < len(sourceNames) && sourceNames[s] != "" {
		return sourceNames[s]
	}
	return fmt.Sprintf("source(%d)", uint8(s))
}

// Explain says how id is judged. It asks the store in any case; an error says that the
// store did not answer, and comes with what is known without it.
func (l *List) Explain(ctx context.Context, id *Identity) (Explanation, error) {
	if id == nil || id.token == "" {
		return Explanation{}, errNoIdentity
	}
	r := l.retention.Load()
	if r == nil {
		return Explanation{}, ErrClosed
	}
	e := Explanation{Source: l.sourceOf(r, id)}
	e.Verdict, e.Err = l.Check(ctx, id)
	found, err := l.store.Lookup(ctx, id.keys[:]...)
	if err == nil && len(found) != len(id.keys) {
		err = fmt.Errorf("store returned %d entries for %d keys", len(found), len(id.keys))
	}
	if err != nil {
		return e, fmt.Errorf("look up revocations: %w", err)
	}
	if e.Verdict == TooOld {
		e.Stored = TooOld
		return e, nil
	}
	e.Stored = verdictOf(id, found)
	switch e.Stored {
	case RevokedToken, RotatedToken:
		e.Decisive = found[keyToken]
	case RevokedSession:
		e.Decisive = found[keySession]
	case RevokedClient:
		if e.Decisive = found[keyClient]; !cutOff(id, e.Decisive, found[keyIssued]) {
			e.Decisive = found[keyEveryKind]
		}
	case Live, TooOld, Unknown:
	}
	if cutOff(id, found[keySession], Entry{}) || cutOff(id, found[keyClient], Entry{}) {
		e.Issued = found[keyIssued]
	}
	return e, nil
}

// sourceOf tells where Check has its answer from.
func (l *List) sourceOf(r *retention, id *Identity) Source {
	now := l.now()
	switch {
	case !id.undated && r.tooOld(id.issuedAt, now):
		return SourceAge
	case l.follower != nil && !l.follower.trusted(now):
		return SourceStore
	}
	if c, ok := l.cache.get(id.cacheKey); ok && c.numbers == l.seq.numbers(id) {
		return SourceCache
	}
	if l.allAbsent(id.keys[:keyIssued]) {
		return SourceSummary
	}
	return SourceStore
}
