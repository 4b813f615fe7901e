package token

import (
	"fmt"
	"net/http"
	"sync/atomic"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// realistic is a payload as issuers write it; tokens get about 500 bytes.
func realistic(n int) string {
	return fmt.Sprintf(`{"iss":"https://id.example.com/realms/main","sub":"b7b1a1c0-55aa-4c0e-9d5e-%012d","aud":"https://api.example.com",`+
		`"exp":%d,"iat":%d,"jti":"f2f6b7e0-1111-4222-8333-%012d","sid":"0f2c6a7e-aaaa-bbbb-cccc-%012d","scope":"openid profile email","azp":"web"}`,
		n, noon+3600, noon-60, n, n)
}

func distinct(b *testing.B, n int) (*Verifier, []string) {
	b.Helper()
	v := verifier(b, Config{Now: time.Now})
	v.config.Now = func() time.Time { return time.Now().Add(now.Sub(started)) }
	tokens := make([]string, n)
	for i := range tokens {
		tokens[i] = hs256(realistic(i))
		if _, err := v.Verify(b.Context(), tokens[i]); err != nil {
			b.Fatal(err)
		}
		tokens[i] = fresh(tokens[i])
	}
	return v, tokens
}

var started = time.Now()

func BenchmarkVerifyCached(b *testing.B) {
	for _, n := range []int{1, 10_000} {
		b.Run(fmt.Sprintf("tokens=%d", n), func(b *testing.B) {
			v, tokens := distinct(b, n)
			ctx := b.Context()
			b.ReportAllocs()
			i := 0
			for b.Loop() {
				if _, err := v.Verify(ctx, tokens[i]); err != nil {
					b.Fatal(err)
				}
				if i++; i == n {
					i = 0
				}
			}
		})
	}
}

// What a source adds to a cached token: nothing but a look at the life of its key.
func BenchmarkVerifyCachedFromSource(b *testing.B) {
	var s fakeSource
	s.replace(b, publicKey(b, p256Private()).WithID("a"))
	v := fromSources(b, nil, Source{Keys: &s})
	v.config.Now = time.Now
	token, ctx := es256kid("a", `{"sub":"a"}`), b.Context()
	b.ReportAllocs()
	for b.Loop() {
		if _, err := v.Verify(ctx, token); err != nil {
			b.Fatal(err)
		}
	}
}

// A token of one of 64 keys, the last one, chosen by its kid.
func BenchmarkVerifyUncachedFromSource(b *testing.B) {
	var s fakeSource
	keys := make([]VerificationKey, MaxKeys)
	for i := range keys {
		keys[i] = publicKey(b, p256Private()).WithID(fmt.Sprint(i))
	}
	s.replace(b, keys...)
	for name, source := range map[string]Source{"any issuer": {Keys: &s}, "one issuer": {Issuer: "https://id.example.com/realms/main", Keys: &s}} {
		b.Run(name, func(b *testing.B) {
			v := verifier(b, Config{Keys: []VerificationKey{}, Issuers: []string{"https://id.example.com/realms/main"}, Sources: []Source{source}, CacheSize: -1})
			token, ctx := es256kid("63", realistic(1)), b.Context()
			b.ReportAllocs()
			for b.Loop() {
				if _, err := v.Verify(ctx, token); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkVerifyCachedParallel(b *testing.B) {
	for _, n := range []int{1, 10_000} {
		b.Run(fmt.Sprintf("tokens=%d", n), func(b *testing.B) {
			v, tokens := distinct(b, n)
			var worker atomic.Int64
			ctx := b.Context()
			b.ReportAllocs()
			b.ResetTimer()
			b.RunParallel(func(pb *testing.PB) {
				i := int(worker.Add(1)) * 2503 % n
				for pb.Next() {
					if _, err := v.Verify(ctx, tokens[i]); err != nil {
						b.Error(err)
						return
					}
					if i++; i == n {
						i = 0
					}
				}
			})
		})
	}
}

func BenchmarkVerifyUncached(b *testing.B) {
	for _, c := range []struct {
		method jwt.SigningMethod
		key    any
		config Config
	}{
		{jwt.SigningMethodHS256, secret, Config{}},
		{jwt.SigningMethodRS256, rsaPrivate(), Config{Keys: []VerificationKey{publicKey(b, rsaPrivate())}}},
		{jwt.SigningMethodPS256, rsaPrivate(), Config{Keys: []VerificationKey{publicKey(b, rsaPrivate())}}},
		{jwt.SigningMethodES256, p256Private(), Config{Keys: []VerificationKey{publicKey(b, p256Private())}}},
		{jwt.SigningMethodEdDSA, edPrivate(), Config{Keys: []VerificationKey{publicKey(b, edPrivate())}}},
	} {
		b.Run(c.method.Alg(), func(b *testing.B) {
			c.config.CacheSize = -1
			v := verifier(b, c.config)
			token := raw(`{"alg":"`+c.method.Alg()+`","typ":"JWT"}`, realistic(1), with(c.method, c.key))
			ctx := b.Context()
			b.ReportAllocs()
			for b.Loop() {
				if _, err := v.Verify(ctx, token); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// What golang-jwt takes by itself for the token of BenchmarkVerifyUncached/HS256.
func BenchmarkGolangJWTAlone(b *testing.B) {
	token := hs256(realistic(1))
	parser := jwt.NewParser(jwt.WithValidMethods([]string{"HS256"}), jwt.WithTimeFunc(func() time.Time { return now }))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := parser.Parse(token, func(*jwt.Token) (any, error) { return secret, nil }); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkBearerFromHeader(b *testing.B) {
	h := http.Header{"Authorization": {"Bearer " + hs256(realistic(1))}}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := BearerFromHeader(h); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkClaim(b *testing.B) {
	t, err := verifier(b, Config{}).Verify(b.Context(), hs256(realistic(1)))
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, ok := t.Claim("scope"); !ok {
			b.Fatal("no such claim")
		}
	}
}
