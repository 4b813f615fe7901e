package revocation

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"time"
)

// Issuance is what was seen of a token being issued that does not say so itself: an
// opaque one, or one that lacks the claim of its session or client.
type Issuance struct {
	// Realm and Token identify it, as in NewIdentity.
	Realm, Token string
	// Session and Client are whose it is; either may be empty.
	Session, Client string
	// IssuedAt is when it was issued by its own account, or the zero time: then it
	// counts as issued when the issuer was asked for it.
	IssuedAt time.Time
	// Expires is when it ends, or the zero time where nobody has said.
	Expires time.Time
	// Use is what it was issued for.
	Use Use
}

// Use is what a token is good for. Its numbers are stored: they never change.
type Use uint8

const (
	// UseUnknown means that nobody has said.
	UseUnknown Use = 0
	// UseAccess means that it lets calls through.
	UseAccess Use = 1
	// UseRefresh means that it is exchanged for others.
	UseRefresh Use = 2
)

// Learn records durably what was seen of a token being issued after since, a Mark taken
// before the issuer was asked for it. It returns the identity that the token has
// from then on, which Known returns too. Cut-offs are accounted for as by Issued.
func (l *List) Learn(ctx context.Context, seen Issuance, since Mark) (*Identity, error) {
	r := l.retention.Load()
	if r == nil {
		return nil, ErrClosed
	}
	if seen.Token == "" {
		return nil, errNoIdentity
	}
	if seen.IssuedAt.IsZero() {
		seen.IssuedAt = since.at
	}
	if seen.Expires.After(Forever) {
		seen.Expires = Forever
	}
	id := NewIdentity(seen.Realm, seen.Token, seen.Session, seen.Client, seen.IssuedAt, seen.Expires)
	id.use = seen.Use
	entry := Entry{
		Scope: ScopeKnown, Realm: id.realm, ID: id.token, At: id.issuedAt,
		Expires: r.knownExpiry(id, l.now()), Note: encodeIssuance(id),
	}
	defer l.subscribers.tell(Change{Key: entry.Key()})
	if err := l.write(ctx, entry); err != nil {
		return nil, fmt.Errorf("record what was issued: %w", err)
	}
	return id, l.Issued(ctx, id, since)
}

// Known returns the identity of a token that was seen being issued (see Learn), or nil
// if it was not, or so long ago that it has expired.
func (l *List) Known(ctx context.Context, realm, token string) (*Identity, error) {
	if l.retention.Load() == nil {
		return nil, ErrClosed
	}
	realm, token = CanonicalID(realm), CanonicalID(token)
	key := KeyOf(ScopeKnown, realm, token)
	number := l.seq.number(key)
	if c, ok := l.known.get(key); ok && c.number == number {
		return c.identity, nil
	}
	if l.certainlyAbsent([]Key{key}) {
		return nil, nil
	}
	found, err := l.store.Lookup(ctx, key)
	if err != nil {
		return nil, fmt.Errorf("look up what was issued: %w", err)
	}
	var id *Identity
	if len(found) == 1 && found[0].Scope == ScopeKnown {
		if id, err = identityOf(found[0]); err != nil {
			return nil, err
		}
	}
	l.known.add(key, cachedIssuance{identity: id, number: number})
	return id, nil
}

// The Note of an entry with ScopeKnown: the session and the client, each with its
// length in front, the expiry in Unix nanoseconds, 0 where there is none, and the use,
// which is left out if it is unknown.

func encodeIssuance(id *Identity) string {
	note := make([]byte, 0, len(id.session)+len(id.client)+binary.MaxVarintLen64+4)
	for _, text := range []string{id.session, id.client} {
		note = binary.AppendUvarint(note, uint64(len(text)))
		note = append(note, text...)
	}
	var expires int64
	if !id.expires.IsZero() {
		expires = id.expires.UnixNano()
	}
	note = binary.AppendVarint(note, expires)
	if id.use != UseUnknown {
		note = append(note, byte(id.use))
	}
	return string(note)
}

var errIssuance = errors.New("record of what was issued is damaged")

// identityOf returns the identity that an entry with ScopeKnown stands for.
func identityOf(e Entry) (*Identity, error) {
	rest := []byte(e.Note)
	var texts [2]string
	for i := range texts {
		length, n := binary.Uvarint(rest)
		if n <= 0 || length > MaxIDLength || length > uint64(len(rest)-n) {
			return nil, errIssuance
		}
		texts[i], rest = string(rest[n:n+int(length)]), rest[n+int(length):]
	}
	nanoseconds, n := binary.Varint(rest)
	if n <= 0 || len(rest)-n > 1 {
		return nil, errIssuance
	}
	var expires time.Time
	if nanoseconds != 0 {
		expires = time.Unix(0, nanoseconds)
	}
	id := NewIdentity(e.Realm, e.ID, texts[0], texts[1], e.At, expires)
	if len(rest) > n {
		id.use = Use(rest[n])
	}
	return id, nil
}
