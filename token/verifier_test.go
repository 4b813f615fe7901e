package token

import (
	"crypto"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

func es256(payload string) string {
	return raw(`{"alg":"ES256"}`, payload, with(jwt.SigningMethodES256, p256Private()))
}

func TestVerifyEveryAlgorithm(t *testing.T) {
	long := []byte(strings.Repeat("k", 64))
	public := []VerificationKey{
		publicKey(t, rsaPrivate()), publicKey(t, p256Private()), publicKey(t, p384Private()),
		publicKey(t, p521Private()), publicKey(t, edPrivate()), hmacKey(t, long),
	}
	v := verifier(t, Config{Keys: public})
	private := map[string]any{
		"RS": rsaPrivate(), "PS": rsaPrivate(), "HS": long, "ES256": p256Private(),
		"ES384": p384Private(), "ES512": p521Private(), "EdDSA": crypto.Signer(edPrivate()),
		"Ed25519": crypto.Signer(edPrivate()),
	}
	for _, alg := range supported {
		key, ok := private[alg]
		if !ok {
			key = private[alg[:2]]
		}
		if _, err := v.Verify(t.Context(), raw(`{"alg":"`+alg+`"}`, good(""), with(jwt.GetSigningMethod(alg), key))); err != nil {
			t.Errorf("%s: %v", alg, err)
		}
		tampered := raw(`{"alg":"`+alg+`"}`, good(""), func(signed string) []byte {
			return must(jwt.GetSigningMethod(alg).Sign(signed+"x", key))
		})
		if _, err := v.Verify(t.Context(), tampered); !errors.Is(err, ErrSignature) {
			t.Errorf("%s with another text signed: %v", alg, err)
		}
	}
}

// EdDSA and Ed25519 are one algorithm for an Ed25519 key (RFC 9864 §2.2): an issuer may change
// to the new name in its tokens before it does in its keys, or after.
func TestEd25519HasTwoNames(t *testing.T) {
	key := publicKey(t, edPrivate())
	named := func(alg string) string {
		return raw(`{"alg":"`+alg+`"}`, good(""), with(jwt.SigningMethodEdDSA, edPrivate()))
	}
	for _, ofKey := range []string{"EdDSA", "Ed25519"} {
		v := verifier(t, Config{Keys: []VerificationKey{must(key.ForAlgorithm(ofKey))}})
		for _, ofToken := range []string{"EdDSA", "Ed25519"} {
			if _, err := v.Verify(t.Context(), named(ofToken)); err != nil {
				t.Errorf("key for %s, token of %s: %v", ofKey, ofToken, err)
			}
		}
		refused(t, v, "another case", named("ed25519"), ErrAlgorithm)
		refused(t, v, "Ed448", named("Ed448"), ErrAlgorithm)
	}
	// What is listed is accepted, and nothing else.
	for _, listed := range []string{"EdDSA", "Ed25519"} {
		v := verifier(t, Config{Keys: []VerificationKey{key}, Algorithms: []string{listed}})
		for _, ofToken := range []string{"EdDSA", "Ed25519"} {
			_, err := v.Verify(t.Context(), named(ofToken))
			if want := map[bool]error{false: ErrAlgorithm}[listed == ofToken]; !errors.Is(err, want) {
				t.Errorf("only %s is accepted, token of %s: %v", listed, ofToken, err)
			}
		}
	}
	if _, err := publicKey(t, p256Private()).ForAlgorithm("Ed25519"); err == nil {
		t.Error("a P-256 key for Ed25519")
	}
}

func TestVerifyTriesEachKey(t *testing.T) {
	other := []byte(strings.Repeat("o", 32))
	v := verifier(t, Config{Keys: []VerificationKey{hmacKey(t, other), hmacKey(t, secret)}})
	if _, err := v.Verify(t.Context(), hs256(good(""))); err != nil {
		t.Fatal(err)
	}
}

func TestKeyIDOnlyTakesKeysOut(t *testing.T) {
	other := []byte(strings.Repeat("o", 32))
	mine, its := hmacKey(t, secret), hmacKey(t, other)
	kid := func(kid string) string { return raw(`{"alg":"HS256","kid":"`+kid+`"}`, good(""), withHMAC(secret)) }
	for name, c := range map[string]struct {
		keys  []VerificationKey
		token string
		err   error
	}{
		"the named key":                      {[]VerificationKey{its.WithID("b"), mine.WithID("a")}, kid("a"), nil},
		"no kid in the token":                {[]VerificationKey{its.WithID("b"), mine.WithID("a")}, hs256(good("")), nil},
		"a key without identifier":           {[]VerificationKey{its.WithID("b"), mine}, kid("a"), nil},
		"two keys of one name":               {[]VerificationKey{its.WithID("a"), mine.WithID("a")}, kid("a"), nil},
		"another key is named":               {[]VerificationKey{its.WithID("b"), mine.WithID("a")}, kid("b"), ErrSignature},
		"an unknown key is named":            {[]VerificationKey{its.WithID("b"), mine.WithID("a")}, kid("c"), ErrUnknownKey},
		"a kid cannot make another key good": {[]VerificationKey{its.WithID("a")}, kid("a"), ErrSignature},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := verifier(t, Config{Keys: c.keys}).Verify(t.Context(), c.token)
			if !errors.Is(err, c.err) {
				t.Fatalf("%v; want %v", err, c.err)
			}
			if err != nil && !errors.Is(err, ErrSignature) {
				t.Fatalf("%v does not wrap ErrSignature", err)
			}
		})
	}
}

func TestVerifyYieldsTheIdentity(t *testing.T) {
	v := verifier(t, Config{Issuers: []string{"https://id.example"}, Leeway: 30 * time.Second})
	tok, err := v.Verify(t.Context(), hs256(good(`"iss":"https://id.example","jti":"t1","sub":"alice","sid":"s1","nbf":1700000000.25,`)))
	if err != nil {
		t.Fatal(err)
	}
	id := tok.Identity()
	if id.Realm() != "https://id.example" || id.Token() != "t1" || id.Client() != "alice" || id.Session() != "s1" {
		t.Errorf("identity %q %q %q %q", id.Realm(), id.Token(), id.Client(), id.Session())
	}
	if want := now.Add(-time.Minute); !id.IssuedAt().Equal(want) || !tok.IssuedAt().Equal(want) {
		t.Errorf("issued at %s, %s", id.IssuedAt(), tok.IssuedAt())
	}
	if want := now.Add(time.Hour); !tok.Expires().Equal(want) || !id.Expires().Equal(want.Add(30*time.Second)) {
		t.Errorf("expires %s, identity %s", tok.Expires(), id.Expires())
	}
	if want := time.UnixMilli(1700000000250); !tok.NotBefore().Equal(want) {
		t.Errorf("not before %s", tok.NotBefore())
	}
}

func TestIdentityWithoutOptionalClaims(t *testing.T) {
	token := hs256(`{}`)
	tok, err := verifier(t, Config{Leeway: time.Minute}).Verify(t.Context(), token)
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256([]byte(token[:strings.LastIndexByte(token, '.')]))
	id := tok.Identity()
	if want := "digest:" + base64.RawURLEncoding.EncodeToString(sum[:]); id.Token() != want {
		t.Errorf("token identifier %q; want %q", id.Token(), want)
	}
	if id.Realm()+id.Client()+id.Session() != "" || !id.IssuedAt().IsZero() || !id.Expires().IsZero() {
		t.Errorf("identity has %q %q %q %s %s", id.Realm(), id.Client(), id.Session(), id.IssuedAt(), id.Expires())
	}
	if !tok.Expires().IsZero() || !tok.NotBefore().IsZero() || !tok.IssuedAt().IsZero() {
		t.Errorf("times %s %s %s", tok.Expires(), tok.NotBefore(), tok.IssuedAt())
	}
}

func TestRealm(t *testing.T) {
	for name, c := range map[string]struct {
		config Config
		want   string
	}{
		"iss, if issuers are pinned": {Config{Issuers: []string{"other", "me"}}, "me"},
		"nothing otherwise":          {Config{}, ""},
		"as configured":              {Config{Realm: "r", Issuers: []string{"me"}}, "r"},
	} {
		tok, err := verifier(t, c.config).Verify(t.Context(), hs256(good(`"iss":"me",`)))
		if err != nil || tok.Identity().Realm() != c.want {
			t.Errorf("%s: %q, %v; want %q", name, tok.Identity().Realm(), err, c.want)
		}
	}
}

// A token that is wrong in two ways is not called expired.
func TestTypes(t *testing.T) {
	typed := func(typ string) string { return raw(`{"alg":"HS256",`+typ+`"x":1}`, good(""), withHMAC(secret)) }
	plain := verifier(t, Config{})
	logout := verifier(t, Config{Types: []string{"logout+jwt"}})
	for typ, want := range map[string][2]error{
		``:                               {nil, ErrHeader},
		`"typ":"JWT",`:                   {nil, ErrHeader},
		`"typ":"jwt",`:                   {nil, ErrHeader},
		`"typ":"application/jwt",`:       {nil, ErrHeader},
		`"typ":"at+jwt",`:                {nil, ErrHeader},
		`"typ":"AT+JWT",`:                {nil, ErrHeader},
		`"typ":"application/at+jwt",`:    {nil, ErrHeader},
		`"typ":"logout+jwt",`:            {ErrHeader, nil},
		`"typ":"application/Logout+JWT"`: {ErrMalformed, ErrMalformed}, // no comma: not JSON
		`"typ":"dpop+jwt",`:              {ErrHeader, ErrHeader},
		`"typ":"secevent+jwt",`:          {ErrHeader, ErrHeader},
		`"typ":"text/jwt",`:              {ErrHeader, ErrHeader},
		`"typ":"",`:                      {ErrHeader, ErrHeader},
		`"typ":null,`:                    {ErrHeader, ErrHeader},
		`"typ":["JWT"],`:                 {ErrHeader, ErrHeader},
	} {
		for i, v := range []*Verifier{plain, logout} {
			if _, err := v.Verify(t.Context(), typed(typ)); !errors.Is(err, want[i]) {
				t.Errorf("%s %v; want %v", typ, err, want[i])
			}
		}
	}
}

func TestTokenIssuedTooLongAgoIsRefusedThoughItHasNotExpired(t *testing.T) {
	clock := now
	v := verifier(t, Config{MaxAge: time.Hour, Now: func() time.Time { return clock }})
	aged := hs256(fmt.Sprintf(`{"iat":%d,"exp":%d}`, noon, noon+7200))
	both := hs256(fmt.Sprintf(`{"iat":%d,"exp":%d}`, noon, noon+60))
	undated := hs256(fmt.Sprintf(`{"exp":%d}`, noon+7200))
	for _, token := range []string{aged, both, undated} {
		must(v.Verify(t.Context(), token))
	}
	clock = now.Add(time.Hour)
	must(v.Verify(t.Context(), aged)) // exactly the age
	clock = clock.Add(time.Second)
	refused(t, v, "cached", aged, ErrTooOld)
	refused(t, v, "expired as well", both, ErrExpired)
	must(v.Verify(t.Context(), undated)) // when it was issued is not known here
	if _, err := NewVerifier(Config{Keys: []VerificationKey{hmacKey(t, secret)}, MaxAge: -1}); err == nil {
		t.Error("a negative age is accepted")
	}
}

func TestExpiredTokenIsTakenWhereExpiryIsIgnored(t *testing.T) {
	now := now.Unix()
	claims := func(iat, exp int64) string {
		return hs256(fmt.Sprintf(`{"sub":"42","iat":%d,"exp":%d}`, iat, exp))
	}
	v := verifier(t, Config{Keys: []VerificationKey{hmacKey(t, secret)}, MaxAge: time.Hour})
	for name, c := range map[string]struct {
		raw  string
		want error
	}{
		"good":             {claims(now-60, now+60), nil},
		"expired":          {claims(now-60, now-30), nil},
		"expired, too old": {claims(now-7200, now-30), ErrTooOld},
		"too old":          {claims(now-7200, now+30), ErrTooOld},
		"from the future":  {claims(now+3600, now-30), ErrIssuedInFuture},
		"forged":           {raw(`{"alg":"HS256"}`, `{"sub":"42","exp":1}`, withHMAC([]byte(strings.Repeat("o", 32)))), ErrSignature},
	} {
		for range 2 { // verified and from the cache
			got, err := v.VerifyIgnoringExpiry(t.Context(), c.raw)
			if !errors.Is(err, c.want) || (got == nil) != (c.want != nil) {
				t.Errorf("%s: %v, %v", name, got, err)
			}
		}
	}
	if _, err := v.Verify(t.Context(), claims(now-60, now-30)); !errors.Is(err, ErrExpired) {
		t.Errorf("Verify takes an expired token: %v", err)
	}
}
