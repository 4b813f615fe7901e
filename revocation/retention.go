package revocation

import (
	"context"
	"fmt"
	"time"
)

// DefaultMaxTokenLifetime is how long revocations are remembered unless
// configured: the longest life of a token in most APIs' documentation.
const DefaultMaxTokenLifetime = 7 * 24 * time.Hour

// ageSlack is added to the age at which a token is refused, so that a token that
// lives exactly the maximum lifetime is refused for its expiry and not for its
// age. Entries are kept twice as long beyond the lifetime, so that replicas whose
// clocks differ by less never forget an entry before the last of them refuses
// what it covers.
const ageSlack = time.Minute

// MaxLeeway is the greatest leeway that verification can be given. An identity's
// expiry includes that of whoever verified it; others who share the list, or the same
// one after a change of configuration, may grant more.
const MaxLeeway = 10 * time.Minute

// MaxAge returns how long ago a token may have been issued where lifetime is the longest
// life of one; 0 is DefaultMaxTokenLifetime. A token that lives exactly as long is
// refused for its expiry and not for its age.
func MaxAge(lifetime time.Duration) time.Duration {
	if lifetime == 0 {
		lifetime = DefaultMaxTokenLifetime
	}
	return lifetime + ageSlack
}

// retention says how old a token may be. Entries are only kept for the lifetime
// that was in force when they were written, so a token that was issued before the
// lifetime was raised stays limited to what it was before.
type retention struct {
	lifetime time.Duration
	// before limits tokens issued before raised. Both are zero where the lifetime
	// was never raised.
	before time.Duration
	raised time.Time
}

// limit returns how old a token that was issued at t may be.
func (r retention) limit(t time.Time) time.Duration {
	if t.Before(r.raised) && r.before < r.lifetime {
		return r.before
	}
	return r.lifetime
}

// tooOld reports whether a token issued at t is refused for its age.
func (r retention) tooOld(t, now time.Time) bool {
	return t.IsZero() || now.Sub(t) > r.limit(t)+ageSlack
}

// cutoffExpiry returns when a cut-off at the given time is no longer needed.
func (r retention) cutoffExpiry(at time.Time) time.Time {
	return at.Add(r.lifetime + 2*ageSlack)
}

// tokenExpiry returns when an entry about the token of id alone is no longer
// needed: its own expiry, or earlier, when it is refused for its age.
func (r retention) tokenExpiry(id *Identity, now time.Time) time.Time {
	issued := id.issuedAt
	if issued.IsZero() {
		issued = now
	}
	end := issued.Add(r.lifetime + ageSlack)
	if expires := id.expires.Add(MaxLeeway); !id.expires.IsZero() && expires.Before(end) {
		end = expires
	}
	return end.Add(ageSlack)
}

// knownExpiry returns when the record of what was issued is no longer needed. While the
// token lives it is, although the token is refused for its age by then: without it,
// nobody would know that age.
func (r retention) knownExpiry(id *Identity, now time.Time) time.Time {
	end := r.tokenExpiry(id, now)
	if expires := id.expires.Add(MaxLeeway + ageSlack); !id.expires.IsZero() && expires.After(end) {
		end = expires
	}
	if end.After(Forever) {
		end = Forever
	}
	return end
}

// change returns the retention after the lifetime is set to d at the time now.
func (r retention) change(d time.Duration, now time.Time) retention {
	next := retention{lifetime: d, before: r.before, raised: r.raised}
	if d <= r.lifetime {
		return next
	}
	// Tokens issued before an earlier raise may still be alive: they, and with
	// them all that were issued until now, keep the shorter limit.
	stillLimited := !r.raised.IsZero() && now.Sub(r.raised) <= r.before+ageSlack
	next.before, next.raised = r.lifetime, now
	if stillLimited && r.before < next.before {
		next.before = r.before
	}
	return next
}

// The retention is stored as the ID of the entry with ScopeRetention:
// "<lifetime> <before> <raised, Unix seconds, or 0>".

func (r retention) entry(now time.Time) Entry {
	var raised int64
	if !r.raised.IsZero() {
		raised = r.raised.Unix() + 1 // rounded up: a token of that second counts as issued before
	}
	return Entry{
		Scope:   ScopeRetention,
		ID:      fmt.Sprintf("%s %s %d", r.lifetime, r.before, raised),
		At:      now,
		Expires: Forever,
	}
}

func retentionOf(e Entry) (retention, error) {
	var lifetime, before string
	var raised int64
	if _, err := fmt.Sscanf(e.ID, "%s %s %d", &lifetime, &before, &raised); err != nil {
		return retention{}, fmt.Errorf("retention record %q: %w", e.ID, err)
	}
	var r retention
	var err error
	if r.lifetime, err = time.ParseDuration(lifetime); err != nil {
		return retention{}, fmt.Errorf("retention record %q: %w", e.ID, err)
	}
	if r.before, err = time.ParseDuration(before); err != nil {
		return retention{}, fmt.Errorf("retention record %q: %w", e.ID, err)
	}
	if raised != 0 {
		r.raised = time.Unix(raised, 0)
	}
	return r, nil
}

// loadRetention reads the stored retention and changes it to lifetime. Where the store is
// shared with others it is never lowered: they may count on it.
func (l *List) loadRetention(ctx context.Context, lifetime time.Duration, shared bool) error {
	found, err := l.store.Lookup(ctx, retentionKey)
	if err != nil {
		return fmt.Errorf("look up the retention: %w", err)
	}
	var stored retention
	if len(found) == 1 && found[0].Scope == ScopeRetention {
		if stored, err = retentionOf(found[0]); err != nil {
			return err
		}
	} else {
		// A new list: nothing was ever revoked, so nothing can be forgotten.
		stored = retention{lifetime: lifetime}
	}
	if shared {
		lifetime = max(lifetime, stored.lifetime)
	}
	isNew := len(found) == 0 || found[0].Scope == 0
	l.pristine.Store(isNew)
	return l.changeRetention(ctx, stored, lifetime, isNew)
}

// RaiseMaxTokenLifetime raises how long cut-offs are remembered and how old a token
// may be; 0 is DefaultMaxTokenLifetime, and what is no more than the present value
// changes nothing. Raising it lets no token in that was issued before and whose
// revocation may be forgotten already: those keep the old limit, unless the list was
// new when it was opened and nothing has been written to it. Only Open lowers it.
func (l *List) RaiseMaxTokenLifetime(ctx context.Context, lifetime time.Duration) error {
	if lifetime == 0 {
		lifetime = DefaultMaxTokenLifetime
	}
	l.retentionMu.Lock()
	defer l.retentionMu.Unlock()
	r := l.retention.Load()
	switch {
	case r == nil:
		return ErrClosed
	case lifetime <= r.lifetime:
		return nil
	}
	if l.pristine.Load() {
		return l.changeRetention(ctx, retention{lifetime: lifetime}, lifetime, true)
	}
	return l.changeRetention(ctx, *r, lifetime, false)
}

// adoptRetention puts a retention in force that another process has stored, if it is longer:
// tokens that live longer there may be presented here, and their revocations with them.
func (l *List) adoptRetention(e Entry) {
	other, err := retentionOf(e)
	if err != nil {
		return // not of this version: what is in force stays
	}
	l.retentionMu.Lock()
	defer l.retentionMu.Unlock()
	if r := l.retention.Load(); r != nil && other.lifetime > r.lifetime {
		l.retention.Store(&other)
		l.subscribers.tell(Change{})
	}
}

// changeRetention stores the retention if it is new or changes, and puts it in force.
func (l *List) changeRetention(ctx context.Context, from retention, lifetime time.Duration, isNew bool) error {
	if lifetime < time.Second {
		return fmt.Errorf("max token lifetime %s: want at least 1s", lifetime)
	}
	now := l.now()
	next := from.change(lifetime, now)
	if isNew || next != from {
		entry := next.entry(now)
		if err := l.store.Revoke(ctx, entry); err != nil {
			return fmt.Errorf("store the retention: %w", err)
		}
		var err error
		if next, err = retentionOf(entry); err != nil {
			return err
		}
	}
	l.retention.Store(&next)
	l.subscribers.tell(Change{})
	return nil
}
