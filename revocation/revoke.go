package revocation

import (
	"context"
	"fmt"
	"time"
)

// Revoke revokes the token, the session or the client of a verified identity and
// returns the entry that was stored. Once it has returned nil the revocation is
// durable and holds for every Check that begins.
//
// The cut-off of a session or client is the current time, or the identity's own
// issued-at if the issuer's clock is ahead, and always later than the one before.
func (l *List) Revoke(ctx context.Context, id *Identity, scope Scope) (_ Entry, err error) {
	defer func() { l.counts.revoked(scope, err) }()
	r := l.retention.Load()
	if r == nil {
		return Entry{}, ErrClosed
	}
	if _, err := ParseScope(scope.String()); err != nil {
		return Entry{}, err
	}
	name := id.identifier(scope)
	if name == "" {
		return Entry{}, fmt.Errorf("revoke: the token names no %s", scope)
	}
	// Announced before its time is taken, and before anything is looked up or written:
	// whoever checks a token from now on waits for this, and a token that is issued
	// meanwhile, to somebody who was checked before, is not newer than it.
	key := KeyOf(scope, id.realm, name)
	// Told once the announcement has ended: a Check in a subscriber waits for those that
	// have not.
	defer l.subscribers.tell(Change{Key: key})
	defer l.pending.begin(key)()
	l.seq.touch(key)
	l.announced.touch(key)
	now := l.now()
	entry := Entry{Scope: scope, Realm: id.realm, ID: name, At: now}
	if scope == ScopeToken {
		entry.Expires = r.tokenExpiry(id, now)
	} else {
		var before Entry
		if entry.At, before, err = l.nextCutoff(ctx, entry, id); err != nil {
			return Entry{}, err
		}
		entry.Expires = r.cutoffExpiry(entry.At)
		if scope == ScopeClient && id.kind == KindSubject {
			entry.Note = noteSubject
			if err := l.keepForAPIKey(ctx, before); err != nil {
				return Entry{}, err
			}
		}
		l.own.add(key, entry.At)
	}
	err = l.write(ctx, entry)
	l.announced.touch(key)
	if err != nil {
		return Entry{}, fmt.Errorf("revoke %s: %w", scope, err)
	}
	return entry, nil
}

// RevokeNamed revokes the token, session or subject with the given identifier, as Revoke
// does where a token names it. Of a token that is known by its identifier alone nobody can
// tell when it expires: its entry is kept for as long as any token may live.
func (l *List) RevokeNamed(ctx context.Context, scope Scope, realm, name string) (Entry, error) {
	id := &Identity{realm: CanonicalID(realm)}
	switch scope {
	case ScopeToken:
		id.token = CanonicalID(name)
		id.keys[keyToken] = KeyOf(scope, id.realm, id.token)
	case ScopeSession:
		id.session = CanonicalID(name)
		id.keys[keySession] = KeyOf(scope, id.realm, id.session)
	case ScopeClient:
		id.client = CanonicalID(name)
		id.keys[keyClient] = id.ClientKey()
	default:
		return Entry{}, fmt.Errorf("revoke by name: want a token, a session or a client, not a %s", scope)
	}
	return l.Revoke(ctx, id, scope)
}

// RevokeAPIKey cuts off every session of the API key with the given name, which itself goes
// on working.
func (l *List) RevokeAPIKey(ctx context.Context, realm, name string) (Entry, error) {
	id := &Identity{realm: CanonicalID(realm)}
	id.nameAPIKey(name)
	return l.Revoke(ctx, id, ScopeClient)
}

// keepForAPIKey stores what a cut-off is for the API key with its name, if it is about every
// kind of client, before it is superseded by one of the subject.
func (l *List) keepForAPIKey(ctx context.Context, cutoff Entry) error {
	if cutoff = cutoff.ofEveryKind(); cutoff.Scope == 0 {
		return nil
	}
	entry := cutoff.asAPIKey()
	defer l.subscribers.tell(Change{Key: entry.Key()})
	if err := l.write(ctx, entry); err != nil {
		return fmt.Errorf("keep the cut-off before: %w", err)
	}
	return nil
}

// noteRotated is the Note of a token that was exchanged for a newer one and not
// revoked since.
const noteRotated = "rotated"

func (e Entry) isRotation() bool { return e.Scope == ScopeToken && e.Note == noteRotated }

// Rotate records that the token of id, which was found Live after since, has been
// exchanged for a newer one. From then on its verdict is RotatedToken, unless something
// else revokes it: a revocation that came after since does, whatever the order in
// which the two are recorded.
func (l *List) Rotate(ctx context.Context, id *Identity, since Mark) (Entry, error) {
	r := l.retention.Load()
	if r == nil {
		return Entry{}, ErrClosed
	}
	if id.token == "" {
		return Entry{}, errNoIdentity
	}
	entry := Entry{
		Scope: ScopeToken, Realm: id.realm, ID: id.token, At: since.at,
		Expires: r.tokenExpiry(id, l.now()), Note: noteRotated,
	}
	defer l.subscribers.tell(Change{Key: entry.Key()})
	if err := l.write(ctx, entry); err != nil {
		return Entry{}, fmt.Errorf("rotate: %w", err)
	}
	return entry, nil
}

// RotatedAt returns when a token whose verdict was RotatedToken was exchanged. It asks
// the store. The zero time says that it is not, or no longer, merely rotated.
func (l *List) RotatedAt(ctx context.Context, id *Identity) (time.Time, error) {
	if l.retention.Load() == nil {
		return time.Time{}, ErrClosed
	}
	found, err := l.store.Lookup(ctx, id.keys[:]...)
	switch {
	case err != nil:
		return time.Time{}, fmt.Errorf("look up a rotation: %w", err)
	case len(found) != len(id.keys) || verdictOf(id, found) != RotatedToken:
		return time.Time{}, nil
	}
	return found[keyToken].At, nil
}

// nextCutoff returns the time of a new cut-off for the session or client of id. It
// is later than both cut-offs so far, so that no record of an issuance that
// survived one of them outweighs it, even if the clock was set back meanwhile. It comes with
// the one that it supersedes, if there is one.
func (l *List) nextCutoff(ctx context.Context, entry Entry, id *Identity) (at time.Time, before Entry, err error) {
	at = entry.At
	if id.issuedAt.After(at) {
		at = id.issuedAt
	}
	keys := id.cutoffKeys()
	if l.certainlyAbsent(keys) {
		return at, Entry{}, nil
	}
	found, err := l.store.Lookup(ctx, keys...)
	if err != nil {
		return time.Time{}, Entry{}, fmt.Errorf("look up the cut-off before: %w", err)
	}
	for _, e := range found {
		if e.Scope != 0 && !at.After(e.At) {
			at = e.At.Add(time.Nanosecond)
		}
		if e.Scope == entry.Scope {
			before = e
		}
	}
	return at, before, nil
}

// write makes the entry durable, then outdates what is cached about its key. The caller
// tells the subscribers, after an error too: it may have been stored.
func (l *List) write(ctx context.Context, entry Entry) error {
	l.pristine.Store(false)
	err := l.store.Revoke(ctx, entry)
	if l.follower != nil {
		l.follower.note(entry)
	}
	l.seq.touch(entry.Key())
	return err
}

// Mark returns the present moment, for Issued.
func (l *List) Mark() Mark { return Mark{at: l.now(), number: l.announced.last.Load()} }

// maxIssuerLag is how far an issuer's clock may be behind for a token to be taken as
// new. An answer may hand out a token that is older than the cut-off: that one was
// revoked by it.
const maxIssuerLag = time.Minute

// cameSince reports whether a cut-off was recorded after since. For those of this process
// the order is known; those of others have nothing but their time.
func (l *List) cameSince(key Key, e Entry, since Mark) bool {
	if l.announced.changedSince(key, since) {
		return true
	}
	if l.follower == nil {
		return false
	}
	at, ok := l.own.get(key)
	return (!ok || !at.Equal(e.At)) && !e.At.Before(since.at)
}

// Issued records that the token of id was issued after since, a Mark taken before
// the issuer was asked for it. The cut-offs of its client and session that stood
// then do not cover it, although it may say that it was issued at or before them:
// issued-at has whole seconds, and the issuer's clock may be behind. Nothing is
// stored where none of them covers it anyway.
//
// A cut-off that came after since keeps covering it, and so does one that is more than
// a minute later than its issued-at. Whether one that another process has recorded came
// after since is told by its time: replicas need clocks that agree.
func (l *List) Issued(ctx context.Context, id *Identity, since Mark) error {
	r := l.retention.Load()
	if r == nil {
		return ErrClosed
	}
	cutoffs := id.cutoffKeys()
	if len(cutoffs) == 0 || l.certainlyAbsent(cutoffs) {
		return nil
	}
	found, err := l.store.Lookup(ctx, cutoffs...)
	if err != nil {
		return fmt.Errorf("look up cut-offs: %w", err)
	}
	var survived time.Time
	for i, e := range found {
		if e.Scope == 0 || id.issuedAt.After(e.At) {
			continue
		}
		if l.cameSince(cutoffs[i], e, since) || e.At.Sub(id.issuedAt) > maxIssuerLag {
			return nil
		}
		if e.At.After(survived) {
			survived = e.At
		}
	}
	if survived.IsZero() {
		return nil
	}
	entry := Entry{
		Scope:   ScopeIssued,
		Realm:   id.realm,
		ID:      id.token,
		At:      survived,
		Expires: r.tokenExpiry(id, l.now()),
	}
	defer l.subscribers.tell(Change{Key: entry.Key()})
	if err := l.write(ctx, entry); err != nil {
		return fmt.Errorf("record issuance: %w", err)
	}
	return nil
}
