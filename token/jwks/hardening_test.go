package jwks

import (
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"example.com/caddy-token-auth/token"
)

// twoIssuers returns signers of A and B, and a verifier with the keys of both.
func twoIssuers(t *testing.T, kidA, kidB string) (a, b *signer, web *site, v *token.Verifier) {
	t.Helper()
	a, b = newSigner(kidA), newSigner(kidB)
	web = newSite(map[string]string{
		issuerA + wellKnown: description(issuerA, setURL), setURL: published(a),
		issuerB + wellKnown: description(issuerB, "https://b.example/keys"), "https://b.example/keys": published(b),
	})
	v = verifier(t, token.Source{Issuer: issuerA, Keys: discover(t, issuerA, options(web))},
		token.Source{Issuer: issuerB, Keys: discover(t, issuerB, options(web))})
	return a, b, web, v
}

func TestNoIssuerCanSignForAnother(t *testing.T) {
	for name, kids := range map[string][2]string{"different kid": {"a", "b"}, "one kid": {"1", "1"}, "no kid": {"", ""}, "kid of A only": {"a", ""}} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				a, b, _, v := twoIssuers(t, kids[0], kids[1])
				expect(t, v, "A for A", a.token(issuerA), nil)
				expect(t, v, "B for B", b.token(issuerB), nil)
				expect(t, v, "A for B", a.token(issuerB), token.ErrSignature)
				expect(t, v, "B for A", b.token(issuerA), token.ErrSignature)
				expect(t, v, "A for nobody", a.token("https://c.example"), token.ErrIssuer)
				expect(t, v, "A for no issuer", a.token(""), token.ErrIssuer)

				claiming := *a
				claiming.kid = b.kid
				expect(t, v, "A for B with B's kid", claiming.token(issuerB), token.ErrSignature)
				expect(t, v, "A for A with B's kid", claiming.token(issuerA), map[bool]error{true: nil, false: token.ErrUnknownKey}[kids[0] == kids[1] || kids[1] == ""])
			})
		})
	}
}

// A string is needed to choose a source; whatever else iss is does not get around it.
func TestAnIssuerOfAnotherTypeIsNoIssuer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, _, _, v := twoIssuers(t, "a", "b")
		for _, issuer := range []any{nil, 1, true, []string{issuerA}, []string{issuerB, issuerA}, map[string]string{"a": issuerA}} {
			forged := jwt.NewWithClaims(a.method, jwt.MapClaims{"iss": issuer})
			forged.Header["kid"] = a.kid
			expect(t, v, fmt.Sprint(issuer), must(forged.SignedString(a.private)), token.ErrIssuer)
		}
		twice := `{"iss":"` + issuerB + `","iss":"` + issuerA + `"}`
		signed := base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"EdDSA","kid":"a"}`)) + "." + base64.RawURLEncoding.EncodeToString([]byte(twice))
		expect(t, v, "iss twice", signed+"."+base64.RawURLEncoding.EncodeToString(must(a.method.Sign(signed, a.private))), token.ErrMalformed)
	})
}

// When B cannot be reached, A's tokens are not affected, and A's keys do not step in.
func TestIssuersFailSeparately(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := newSigner("a"), newSigner("b")
		web := newSite(map[string]string{issuerA + wellKnown: description(issuerA, setURL), setURL: published(a)})
		v := verifier(t, token.Source{Issuer: issuerA, Keys: discover(t, issuerA, options(web))},
			token.Source{Issuer: issuerB, Keys: discover(t, issuerB, options(web))})
		expect(t, v, "A", a.token(issuerA), nil)
		expect(t, v, "B", b.token(issuerB), token.ErrKeysUnavailable)
		expect(t, v, "A for B", a.token(issuerB), token.ErrKeysUnavailable)
	})
}

// Unknown keys of one issuer do not use up the fetches of the other.
func TestIssuersFetchSeparately(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, b, web, v := twoIssuers(t, "a", "b")
		expect(t, v, "unknown key of A", newSigner("x").token(issuerA), token.ErrUnknownKey)
		next := newSigner("next")
		web.set("https://b.example/keys", published(b, next))
		expect(t, v, "new key of B", next.token(issuerB), nil)
	})
}

// A secret in a published set is known to everybody, and neither is a public key a
// secret.
func TestNothingInASetBecomesASecret(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		shared := []byte(strings.Repeat("s", 64))
		secret := map[string]any{"kty": "oct", "kid": "s", "alg": "HS256", "use": "sig", "k": base64.RawURLEncoding.EncodeToString(shared)}
		public := newSigner("p")
		web := newSite(map[string]string{setURL: document(secret, public.jwk(), members(rsaKey().Public(), map[string]any{"kid": "r"}))})
		s := open(t, setURL, options(web))
		own := must(token.NewHMACKey([]byte(rand.Text() + rand.Text())))
		without := verifier(t, token.Source{Keys: s})
		with := must(token.NewVerifier(token.Config{Keys: []token.VerificationKey{own}, Sources: []token.Source{{Keys: s}}}))
		expect(t, without, "genuine", public.token(issuerA), nil)

		x, _ := base64.RawURLEncoding.DecodeString(public.jwk()["x"].(string))
		for _, kid := range []string{"s", "p", "r", ""} {
			for name, material := range map[string][]byte{"the secret": shared, "the public key": x, "the modulus": rsaKey().N.Bytes()} {
				forged := signer{kid, nil, jwt.SigningMethodHS256}
				claims := jwt.NewWithClaims(forged.method, jwt.MapClaims{"iss": issuerA})
				if kid != "" {
					claims.Header["kid"] = kid
				}
				raw := must(claims.SignedString(material))
				expect(t, without, name+" with kid "+kid, raw, token.ErrAlgorithm)
				expect(t, with, name+" beside a secret, with kid "+kid, raw, token.ErrSignature)
			}
		}
		if s.Status().Skipped[SkippedSymmetric] != 1 {
			t.Errorf("skipped %v", s.Status().Skipped)
		}
	})
}

// A key that is for one algorithm does no other, whoever signed with its private half.
func TestTheAlgorithmOfAKeyIsHonoured(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		key := signer{"r", rsaKey(), jwt.SigningMethodPS256}
		web := newSite(map[string]string{setURL: document(members(rsaKey().Public(), map[string]any{"kid": "r", "alg": "RS256"}))})
		v := verifier(t, token.Source{Keys: open(t, setURL, options(web))})
		expect(t, v, "PS256", key.token(issuerA), token.ErrSignature)
		key.method = jwt.SigningMethodRS256
		expect(t, v, "RS256", key.token(issuerA), nil)
		web.set(setURL, document(members(rsaKey().Public(), map[string]any{"kid": "r", "alg": "PS256"})))
		raw := key.token(issuerA)
		expect(t, v, "RS256, cached", raw, nil)
		time.Sleep(DefaultRefresh)
		synctest.Wait()
		expect(t, v, "RS256, when the key is for PS256", raw, token.ErrSignature)
	})
}

func TestKeysOfOneKidAreAllTried(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		one, two := newSigner("same"), newSigner("same")
		for _, c := range []struct{ stays, goes *signer }{{one, two}, {two, one}} {
			web := newSite(map[string]string{setURL: published(one, two)})
			v := verifier(t, token.Source{Keys: open(t, setURL, options(web))})
			stays, goes := c.stays.token(issuerA), c.goes.token(issuerA)
			expect(t, v, "one", stays, nil)
			expect(t, v, "the other", goes, nil)
			// Each token goes with its own key, not with its name.
			web.set(setURL, published(c.stays))
			time.Sleep(DefaultRefresh)
			synctest.Wait()
			expect(t, v, "gone", goes, token.ErrSignature)
			expect(t, v, "still there", stays, nil)
		}
	})
}

func TestStaticKeysGoOnWithoutTheSet(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		static := newSigner("")
		web := newSite(map[string]string{})
		web.down(errDown)
		v := must(token.NewVerifier(token.Config{
			Keys:    []token.VerificationKey{must(token.NewPublicKey(static.private.Public()))},
			Sources: []token.Source{{Keys: open(t, setURL, options(web))}},
		}))
		expect(t, v, "static", static.token(issuerA), nil)
		_, err := v.Verify(t.Context(), newSigner("x").token(issuerA))
		if !errors.Is(err, token.ErrKeysUnavailable) || errors.Is(err, token.ErrSignature) {
			t.Errorf("of the set: %v", err)
		}
	})
}
