package token

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"

	"github.com/golang-jwt/jwt/v5"
)

// fakeSource is a KeySource that does what a test says.
type fakeSource struct {
	ring    KeyRing
	calls   []string
	refetch func(kid string) error
}

func (s *fakeSource) Keys() *KeyRing { return &s.ring }

func (s *fakeSource) Refetch(_ context.Context, kid string) error {
	s.calls = append(s.calls, kid)
	if s.refetch == nil {
		return nil
	}
	return s.refetch(kid)
}

func (s *fakeSource) replace(t testing.TB, keys ...VerificationKey) {
	t.Helper()
	if err := s.ring.Replace(keys); err != nil {
		t.Fatal(err)
	}
}

// es256 with a kid.
func es256kid(kid, payload string) string {
	return raw(`{"alg":"ES256","kid":"`+kid+`"}`, payload, with(jwt.SigningMethodES256, p256Private()))
}

func eddsa(kid, payload string) string {
	return raw(`{"alg":"EdDSA","kid":"`+kid+`"}`, payload, with(jwt.SigningMethodEdDSA, edPrivate()))
}

// fromSources returns a verifier without static keys.
func fromSources(t testing.TB, issuers []string, s ...Source) *Verifier {
	t.Helper()
	return verifier(t, Config{Keys: []VerificationKey{}, Sources: s, Issuers: issuers})
}

func TestTokensGoWithTheirKey(t *testing.T) {
	var s fakeSource
	a, b := publicKey(t, p256Private()).WithID("a"), publicKey(t, edPrivate()).WithID("b")
	s.replace(t, a, b)
	v := fromSources(t, nil, Source{Keys: &s})
	rawA, rawB := es256kid("a", good("")), eddsa("b", good(""))
	firstA, firstB := must(v.Verify(t.Context(), rawA)), must(v.Verify(t.Context(), rawB))

	s.replace(t, b, a)
	if must(v.Verify(t.Context(), rawA)) != firstA || must(v.Verify(t.Context(), rawB)) != firstB {
		t.Error("the same keys in another order end cached tokens")
	}
	s.replace(t, b)
	refused(t, v, "removed", rawA, ErrUnknownKey)
	if must(v.Verify(t.Context(), rawB)) != firstB {
		t.Error("a token of the key that stayed was verified again")
	}
	if _, ok := v.cache.get(rawA); ok {
		t.Error("the refused token is still kept")
	}
	for name, changed := range map[string]VerificationKey{"another kid": b.WithID("c"), "another key": publicKey(t, p384Private()).WithID("b")} {
		s.replace(t, b)
		must(v.Verify(t.Context(), rawB))
		s.replace(t, changed)
		if _, err := v.Verify(t.Context(), rawB); !errors.Is(err, ErrSignature) {
			t.Errorf("%s: %v", name, err)
		}
	}
	s.replace(t, a, b)
	must(v.Verify(t.Context(), rawA))
	s.ring.Clear()
	refused(t, v, "cleared", rawA, ErrKeysUnavailable)
	s.replace(t, a)
	must(v.Verify(t.Context(), rawA))
}

// A key with fewer algorithms is another key.
func TestTokensGoWithTheAlgorithmOfTheirKey(t *testing.T) {
	var s fakeSource
	key := publicKey(t, rsaPrivate())
	s.replace(t, key)
	v := fromSources(t, nil, Source{Keys: &s})
	token := raw(`{"alg":"PS256"}`, good(""), with(jwt.SigningMethodPS256, rsaPrivate()))
	must(v.Verify(t.Context(), token))
	s.replace(t, must(key.ForAlgorithm("RS256")))
	refused(t, v, "only RS256", token, ErrSignature)
	if _, err := key.ForAlgorithm("ES256"); err == nil {
		t.Error("an RSA key for ES256")
	}
}

func TestRingRefusesBadKeys(t *testing.T) {
	ed := publicKey(t, edPrivate())
	var ring KeyRing
	if ring.Keys() != nil || ring.Has("") {
		t.Error("the zero value has keys")
	}
	if err := ring.Replace([]VerificationKey{ed.WithID("x")}); err != nil {
		t.Fatal(err)
	}
	many := make([]VerificationKey, MaxKeys+1)
	for i := range many {
		many[i] = ed.WithID(fmt.Sprint(i))
	}
	for name, keys := range map[string][]VerificationKey{
		"none": nil, "zero value": {ed, {}}, "a shared secret": {ed, hmacKey(t, secret)}, "too many": many,
	} {
		if ring.Replace(keys) == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	if keys := ring.Keys(); len(keys) != 1 || !ring.Has("x") || ring.Has("") || ring.Has("y") || keys[0].ID() != "x" {
		t.Errorf("%v", keys)
	}
	if err := ring.Replace(many[:MaxKeys]); err != nil {
		t.Error(err)
	}
}

func TestSourcesAreAskedOnlyForWhatMayBeMissing(t *testing.T) {
	key := publicKey(t, p256Private())
	lacking := errors.Join(ErrKeysUnavailable, errors.New("down"))
	for name, c := range map[string]struct {
		keys    []VerificationKey
		static  []VerificationKey
		token   string
		refetch func(*fakeSource) error
		err     error
		calls   int
	}{
		"a known key":                     {keys: []VerificationKey{key.WithID("a")}, token: es256kid("a", good(""))},
		"a known key, forged":             {keys: []VerificationKey{publicKey(t, edPrivate()).WithID("a")}, token: raw(`{"alg":"EdDSA","kid":"a"}`, good(""), func(string) []byte { return make([]byte, 64) }), err: ErrSignature},
		"an unknown key":                  {keys: []VerificationKey{key.WithID("a")}, token: es256kid("b", good("")), err: ErrUnknownKey, calls: 1},
		"an unknown key that comes":       {keys: []VerificationKey{key.WithID("a")}, token: es256kid("b", good("")), refetch: func(s *fakeSource) error { return s.ring.Replace([]VerificationKey{key.WithID("b")}) }, calls: 1},
		"an unknown algorithm that comes": {keys: []VerificationKey{publicKey(t, edPrivate()).WithID("a")}, token: es256kid("b", good("")), refetch: func(s *fakeSource) error { return s.ring.Replace([]VerificationKey{key.WithID("b")}) }, calls: 1},
		"no kid, another key comes":       {keys: []VerificationKey{publicKey(t, p384Private())}, token: es256(good("")), refetch: func(s *fakeSource) error { return s.ring.Replace([]VerificationKey{key}) }, calls: 1},
		"no kid, nothing comes":           {keys: []VerificationKey{key.WithID("a")}, token: es256kid("", good("")) + "AAAA", err: ErrSignature, calls: 1},
		"a key without kid, forged":       {keys: []VerificationKey{key}, token: es256kid("b", good("")) + "AAAA", err: ErrSignature, calls: 1},
		"cannot be looked for":            {keys: []VerificationKey{key.WithID("a")}, token: es256kid("b", good("")), refetch: func(*fakeSource) error { return lacking }, err: ErrKeysUnavailable, calls: 1},
		"no kid, cannot be looked for":    {keys: []VerificationKey{key}, token: es256(good("")) + "AAAA", refetch: func(*fakeSource) error { return lacking }, err: ErrSignature, calls: 1},
		"unavailable":                     {token: es256kid("a", good("")), refetch: func(*fakeSource) error { return lacking }, err: ErrKeysUnavailable, calls: 1},
		"unavailable, no kid":             {token: es256(good("")), refetch: func(*fakeSource) error { return lacking }, err: ErrKeysUnavailable, calls: 1},
		"unavailable, but says it is not": {token: es256kid("a", good("")), err: ErrKeysUnavailable, calls: 1},
		"unavailable, then there":         {token: es256kid("a", good("")), refetch: func(s *fakeSource) error { return s.ring.Replace([]VerificationKey{key.WithID("a")}) }, calls: 1},
		"unavailable, static key":         {static: []VerificationKey{key}, token: es256kid("a", good(""))},
		"malformed":                       {keys: []VerificationKey{key}, token: es256kid("b", `[]`), err: ErrMalformed},
		"signature not base64url":         {token: es256kid("b", good("")) + "AAA", err: ErrMalformed},
		"crit":                            {token: raw(`{"alg":"ES256","kid":"b","crit":["x"]}`, good(""), with(jwt.SigningMethodES256, p256Private())), err: ErrHeader},
		"HS256":                           {token: raw(`{"alg":"HS256","kid":"b"}`, good(""), withHMAC(secret)), err: ErrAlgorithm},
		"none":                            {token: raw(`{"alg":"none","kid":"b"}`, good(""), withHMAC(secret)), err: ErrAlgorithm},
		"expired":                         {keys: []VerificationKey{key.WithID("a")}, token: es256kid("a", `{"exp":1}`), err: ErrExpired},
	} {
		t.Run(name, func(t *testing.T) {
			var s fakeSource
			if c.keys != nil {
				s.replace(t, c.keys...)
			}
			if c.refetch != nil {
				s.refetch = func(string) error { return c.refetch(&s) }
			}
			if c.static == nil {
				c.static = []VerificationKey{}
			}
			v := verifier(t, Config{Keys: c.static, Sources: []Source{{Keys: &s}}})
			if _, err := v.Verify(t.Context(), c.token); !errors.Is(err, c.err) || len(s.calls) != c.calls {
				t.Errorf("%v after asking for %q; want %v", err, s.calls, c.err)
			}
		})
	}
}

func TestKeysOfAnIssuerVerifyNoOthersTokens(t *testing.T) {
	var a, b, all fakeSource
	a.replace(t, publicKey(t, p256Private()).WithID("1"))
	b.replace(t, publicKey(t, edPrivate()).WithID("1"))
	v := fromSources(t, []string{"a", "b", "c"}, Source{Issuer: "a", Keys: &a}, Source{Issuer: "b", Keys: &b})
	must(v.Verify(t.Context(), es256kid("1", good(`"iss":"a",`))))
	must(v.Verify(t.Context(), eddsa("1", good(`"iss":"b",`))))
	refused(t, v, "a's key for b", es256kid("1", good(`"iss":"b",`)), ErrSignature)
	refused(t, v, "b's key for a", eddsa("1", good(`"iss":"a",`)), ErrSignature)
	refused(t, v, "an issuer without keys", es256kid("1", good(`"iss":"c",`)), ErrIssuer)
	if len(a.calls) > 0 && a.calls[0] != "1" {
		t.Errorf("asked for %q", a.calls)
	}

	// A source for all is asked as well, a static key is good for all.
	all.replace(t, publicKey(t, p384Private()))
	static := publicKey(t, p521Private())
	v = verifier(t, Config{Keys: []VerificationKey{static}, Issuers: []string{"a", "b", "c"}, Sources: []Source{{Issuer: "a", Keys: &a}, {Keys: &all}}})
	for _, iss := range []string{"a", "b", "c"} {
		must(v.Verify(t.Context(), raw(`{"alg":"ES384"}`, good(`"iss":"`+iss+`",`), with(jwt.SigningMethodES384, p384Private()))))
		must(v.Verify(t.Context(), raw(`{"alg":"ES512"}`, good(`"iss":"`+iss+`",`), with(jwt.SigningMethodES512, p521Private()))))
	}
	refused(t, v, "a's key for c", es256kid("1", good(`"iss":"c",`)), ErrSignature)
}

func TestBadSourcesAreRefused(t *testing.T) {
	for name, c := range map[string]Config{
		"nil":                      {Sources: []Source{{}}},
		"of an issuer not wanted":  {Sources: []Source{{Issuer: "a", Keys: new(fakeSource)}}, Issuers: []string{"b"}},
		"too many":                 {Sources: make([]Source, maxSources+1)},
		"HS256 with sources alone": {Sources: []Source{{Keys: new(fakeSource)}}, Algorithms: []string{"HS256"}},
	} {
		if v, err := NewVerifier(c); err == nil || v != nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

// While keys come and go, every token is either verified by a key that was there during
// the call or refused; after the last change only what is there counts.
func TestKeysChangeWhileTokensAreVerified(t *testing.T) {
	var s fakeSource
	stays, goes := publicKey(t, edPrivate()).WithID("b"), publicKey(t, p256Private()).WithID("a")
	s.replace(t, stays, goes)
	v := fromSources(t, nil, Source{Keys: lockedSource{&s}})
	rawStays, rawGoes := eddsa("b", good("")), es256kid("a", good(""))
	done := make(chan struct{})
	var group sync.WaitGroup
	for range 4 {
		group.Go(func() {
			for {
				if _, err := v.Verify(t.Context(), rawStays); err != nil {
					t.Errorf("the key that is always there: %v", err)
				}
				if _, err := v.Verify(t.Context(), rawGoes); err != nil && !errors.Is(err, ErrUnknownKey) {
					t.Errorf("the key that comes and goes: %v", err)
				}
				select {
				case <-done:
					return
				default:
				}
			}
		})
	}
	for range 300 {
		s.replace(t, stays)
		if _, err := v.Verify(t.Context(), rawGoes); !errors.Is(err, ErrUnknownKey) {
			t.Errorf("a removed key: %v", err)
		}
		s.replace(t, stays, goes)
		if _, err := v.Verify(t.Context(), rawGoes); err != nil {
			t.Errorf("a key that came back: %v", err)
		}
	}
	close(done)
	group.Wait()
}

// lockedSource is a fakeSource without memory of its calls.
type lockedSource struct{ *fakeSource }

func (lockedSource) Refetch(context.Context, string) error { return nil }

func TestCachedVerifyWithSourcesDoesNotAllocate(t *testing.T) {
	var s fakeSource
	s.replace(t, publicKey(t, p256Private()).WithID("a"))
	v := fromSources(t, []string{"me"}, Source{Issuer: "me", Keys: &s})
	token, ctx := es256kid("a", good(`"iss":"me",`)), t.Context()
	must(v.Verify(ctx, token))
	if n := testing.AllocsPerRun(100, func() { _, _ = v.Verify(ctx, token) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
