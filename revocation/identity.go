package revocation

import (
	"encoding/binary"
	"time"
)

// Identity is what the list is asked about: the verified identifiers of one token.
// It is immutable; make it with NewIdentity, once for each verified token.
type Identity struct {
	realm, token, session, client string
	kind                          Kind // of client

	issuedAt time.Time
	expires  time.Time
	// undated says that nobody knows when the token was issued, or to whom.
	undated bool
	use     Use

	// keys holds the Key of each entry that can concern this identity, indexed by
	// the constants below; a zero Key where the identity has no such identifier.
	keys [keyCount]Key
	// cacheKey identifies the identity as a whole in the verdict cache. Two tokens
	// that share a jti but not a client must not share a verdict.
	cacheKey Key
}

const (
	keyToken = iota
	keySession
	keyClient
	// keyEveryKind is for cut-offs from before there were kinds of clients (see noteSubject).
	keyEveryKind
	// keyIssued comes last: where there is nothing under those before it, it does not
	// matter what is under this one.
	keyIssued
	keyCount
)

// NewIdentity returns the identity of a verified token.
//
// realm is the namespace of the identifiers, usually the issuer. token is the
// token's identifier (RFC 7519 §4.1.7, or a digest where the token has no jti) and
// must not be empty. session and client may be empty. issuedAt is the zero time
// for a token that does not say when it was issued, which counts as issued before
// every cut-off. expires is the time from which verification refuses the token,
// leeway included; the zero time for a token that does not expire by itself.
func NewIdentity(realm, token, session, client string, issuedAt, expires time.Time) *Identity {
	id := &Identity{
		realm:    CanonicalID(realm),
		token:    CanonicalID(token),
		session:  CanonicalID(session),
		client:   CanonicalID(client),
		issuedAt: issuedAt,
		expires:  expires,
	}
	if id.token != "" {
		id.keys[keyToken] = KeyOf(ScopeToken, id.realm, id.token)
		id.keys[keyIssued] = KeyOf(ScopeIssued, id.realm, id.token)
	}
	if id.session != "" {
		id.keys[keySession] = KeyOf(ScopeSession, id.realm, id.session)
	}
	id.keys[keyClient] = id.ClientKey()
	id.cacheKey = id.digest()
	return id
}

// NewAPIKeyIdentity returns the identity of a session of an API key, which began at the given
// time and does not expire by itself. It has the session for its token.
func NewAPIKeyIdentity(realm, session, name string, begun time.Time) *Identity {
	id := NewIdentity(realm, session, session, "", begun, time.Time{})
	id.nameAPIKey(name)
	id.cacheKey = id.digest()
	return id
}

func (id *Identity) nameAPIKey(name string) {
	id.kind, id.client = KindAPIKey, CanonicalID(name)
	id.keys[keyClient] = id.ClientKey()
	id.keys[keyEveryKind] = KeyOf(ScopeClient, id.realm, id.client)
}

// NewUndatedIdentity returns the identity of a token of which nobody knows when it was
// issued: an opaque one that was not seen being issued. Nothing but the revocation of
// this very token concerns it. That is remembered for the longest life that a token may
// have, from the revocation on, so that it outlives the token. session and client say
// whose it is, where that is known.
func NewUndatedIdentity(realm, token, session, client string) *Identity {
	id := NewIdentity(realm, token, "", "", time.Time{}, time.Time{})
	id.session, id.client = CanonicalID(session), CanonicalID(client)
	id.undated = true
	return id
}

// Undated reports whether the identity was made by NewUndatedIdentity.
func (id *Identity) Undated() bool { return id.undated }

// digest covers everything that a verdict depends on.
func (id *Identity) digest() Key {
	buf := make([]byte, 0, keyCount*len(Key{})+12)
	for i := range id.keys {
		buf = append(buf, id.keys[i][:]...)
	}
	buf = binary.BigEndian.AppendUint64(buf, uint64(id.issuedAt.Unix()))
	buf = binary.BigEndian.AppendUint32(buf, uint32(id.issuedAt.Nanosecond()))
	return KeyOf(0, "", string(buf))
}

// Realm returns the namespace of the identifiers.
func (id *Identity) Realm() string { return id.realm }

// Token returns the token's identifier.
func (id *Identity) Token() string { return id.token }

// Session returns the session's identifier, or "".
func (id *Identity) Session() string { return id.session }

// Client returns the client's identifier, or "".
func (id *Identity) Client() string { return id.client }

// Kind returns what Client names.
func (id *Identity) Kind() Kind { return id.kind }

// ClientKey identifies the client among those of all kinds and realms; it is the Key of its
// cut-off, and the zero Key if there is no client.
func (id *Identity) ClientKey() Key {
	if id.client == "" {
		return Key{}
	}
	return KeyOf(ScopeClient, id.realm, ClientID(id.kind, id.client))
}

// IssuedAt returns when the token was issued, or the zero time.
func (id *Identity) IssuedAt() time.Time { return id.issuedAt }

// Expires returns the time from which verification refuses the token, or the zero time.
func (id *Identity) Expires() time.Time { return id.expires }

// Use returns what the token was issued for, where that was seen (see List.Learn).
func (id *Identity) Use() Use { return id.use }

// Equal reports whether the verdict on both identities is always the same and both expire
// at the same time.
func (id *Identity) Equal(other *Identity) bool {
	return id.cacheKey == other.cacheKey && id.undated == other.undated && id.expires.Equal(other.expires)
}

// Keys returns the keys of the entries that can revoke the identity: that of its token, and
// those of its session and client where it has them.
func (id *Identity) Keys() []Key {
	keys := make([]Key, 0, keyCount)
	if !id.keys[keyToken].IsZero() {
		keys = append(keys, id.keys[keyToken])
	}
	keys = append(keys, id.cutoffKeys()...)
	if !id.keys[keyEveryKind].IsZero() {
		keys = append(keys, id.keys[keyEveryKind])
	}
	return keys
}

// identifier returns the identifier that a revocation of the given scope is about.
func (id *Identity) identifier(scope Scope) string {
	switch scope {
	case ScopeToken:
		return id.token
	case ScopeSession:
		return id.session
	case ScopeClient:
		if id.client == "" {
			return ""
		}
		return ClientID(id.kind, id.client)
	default:
		return ""
	}
}

// cutoffKeys returns the keys of the cut-offs that can cover the identity.
func (id *Identity) cutoffKeys() []Key {
	keys := make([]Key, 0, 2)
	for _, i := range [...]int{keySession, keyClient} {
		if !id.keys[i].IsZero() {
			keys = append(keys, id.keys[i])
		}
	}
	return keys
}
