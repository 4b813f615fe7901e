package token

import (
	"errors"
	"strings"
	"testing"
	"time"
)

func TestNewVerifierRefusesBadConfigurations(t *testing.T) {
	keys := []VerificationKey{hmacKey(t, secret), publicKey(t, p256Private())}
	for name, c := range map[string]struct {
		config Config
		err    string
	}{
		"no key":                     {Config{}, "no verification key"},
		"a zero key":                 {Config{Keys: []VerificationKey{{}}}, "zero value"},
		"too many keys":              {Config{Keys: make([]VerificationKey, MaxKeys+1)}, "at most 64"},
		"an algorithm no key can do": {Config{Keys: keys, Algorithms: []string{"ES256", "RS256"}}, "no key can do algorithm RS256"},
		"a secret too short for it":  {Config{Keys: keys, Algorithms: []string{"HS512"}}, "no key can do algorithm HS512"},
		"an unknown algorithm":       {Config{Keys: keys, Algorithms: []string{"HS257"}}, "unknown algorithm"},
		"an algorithm in lower case": {Config{Keys: keys, Algorithms: []string{"hs256"}}, "unknown algorithm"},
		"an empty algorithm":         {Config{Keys: keys, Algorithms: []string{""}}, "unknown algorithm"},
		"none":                       {Config{Keys: keys, Algorithms: []string{"HS256", "none"}}, "never accepted"},
		"None":                       {Config{Keys: keys, Algorithms: []string{"None"}}, "never accepted"},
		"NONE with a space":          {Config{Keys: keys, Algorithms: []string{" NONE"}}, "never accepted"},
		"negative leeway":            {Config{Keys: keys, Leeway: -1}, "leeway"},
		"great leeway":               {Config{Keys: keys, Leeway: 10*time.Minute + 1}, "leeway"},
		"negative iat leeway":        {Config{Keys: keys, IssuedAtLeeway: -1}, "leeway"},
		"great iat leeway":           {Config{Keys: keys, IssuedAtLeeway: time.Hour}, "leeway"},
		"an empty issuer":            {Config{Keys: keys, Issuers: []string{"a", ""}}, "issuer"},
		"an empty audience":          {Config{Keys: keys, Audiences: []string{""}}, "audience"},
		"a negative length":          {Config{Keys: keys, MaxLength: -1}, "length"},
		"a great length":             {Config{Keys: keys, MaxLength: maxMaxLength + 1}, "length"},
	} {
		t.Run(name, func(t *testing.T) {
			v, err := NewVerifier(c.config)
			if v != nil || err == nil || !strings.Contains(err.Error(), c.err) {
				t.Fatalf("%v, %v; want an error with %q", v, err, c.err)
			}
		})
	}
}

func TestConfigIsCopied(t *testing.T) {
	issuers, audiences, types := []string{"me"}, []string{"us"}, []string{"JWT"}
	v := verifier(t, Config{Issuers: issuers, Audiences: audiences, Types: types, CacheSize: -1})
	issuers[0], audiences[0], types[0] = "other", "other", "other"
	if _, err := v.Verify(t.Context(), hs256(good(`"iss":"me","aud":"us",`))); err != nil {
		t.Fatal(err)
	}
}

func TestAlgorithmsNarrowWhatKeysCanDo(t *testing.T) {
	v := verifier(t, Config{Keys: []VerificationKey{hmacKey(t, secret), publicKey(t, p256Private())}, Algorithms: []string{"ES256"}})
	if _, err := v.Verify(t.Context(), hs256(good(""))); !errors.Is(err, ErrAlgorithm) {
		t.Errorf("HS256: %v", err)
	}
	if _, err := v.Verify(t.Context(), es256(good(""))); err != nil {
		t.Errorf("ES256: %v", err)
	}
}
