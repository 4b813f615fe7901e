package token

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"math/big"
	"strings"
	"testing"

	"github.com/golang-jwt/jwt/v5"
)

// refused fails the test unless v refuses token for the given reason, twice: what is
// refused must not be accepted from a cache the second time.
func refused(t *testing.T, v *Verifier, name, token string, reason error) {
	t.Helper()
	for range 2 {
		tok, err := v.Verify(t.Context(), token)
		if tok != nil || !errors.Is(err, reason) {
			t.Errorf("%s: token %v, error %v; want %v", name, tok != nil, err, reason)
		}
		if err != nil && len(token) > 20 && strings.Contains(err.Error(), token[:20]) {
			t.Errorf("%s: the error quotes the token", name)
		}
	}
}

func everyKey(t *testing.T) *Verifier {
	return verifier(t, Config{Keys: []VerificationKey{
		publicKey(t, rsaPrivate()), publicKey(t, p256Private()), publicKey(t, edPrivate()), hmacKey(t, secret),
	}})
}

func TestUnsecuredTokensAreRefused(t *testing.T) {
	v := everyKey(t)
	for _, header := range []string{
		`{"alg":"none"}`, `{"alg":"None"}`, `{"alg":"NONE"}`, `{"alg":"nOnE"}`, `{"alg":" none"}`, `{"alg":"none\u0000"}`,
		`{"alg":""}`, `{"alg":null}`, `{"alg":0}`, `{"alg":["HS256"]}`, `{"alg":{"a":"HS256"}}`, `{}`, `{"typ":"JWT"}`,
		`{"Alg":"HS256"}`, `{"ALG":"HS256"}`, `{"alg":"hs256"}`, `{"alg":"HS256 "}`, `{"alg":"HS384"}`, `{"alg":"ES256K"}`, `{"alg":"dir"}`,
	} {
		unsigned := encode(header) + "." + encode(good("")) + "."
		refused(t, v, header+" without signature", unsigned, ErrAlgorithm)
		refused(t, v, header+" with a signature", raw(header, good(""), withHMAC(secret)), ErrAlgorithm)
	}
	refused(t, v, "no signature", encode(`{"alg":"HS256"}`)+"."+encode(good(""))+".", ErrMalformed)
}

// The public key, in every form an attacker can have it, is no HMAC secret.
func TestAlgorithmConfusionIsRefused(t *testing.T) {
	for name, private := range map[string]crypto.Signer{"RSA": rsaPrivate(), "ECDSA": p256Private(), "Ed25519": edPrivate()} {
		key := publicKey(t, private)
		text := pkixPEM(private.Public())
		der := must(x509.MarshalPKIXPublicKey(private.Public()))
		mixed := verifier(t, Config{Keys: []VerificationKey{key, hmacKey(t, secret)}})
		for _, material := range [][]byte{text, bytes.TrimSpace(text), der} {
			forged := raw(`{"alg":"HS256"}`, good(""), withHMAC(material))
			refused(t, verifier(t, Config{Keys: []VerificationKey{key}}), name+" to HS256", forged, ErrAlgorithm)
			refused(t, mixed, name+" to HS256 beside a secret", forged, ErrSignature)
		}
		// And the names of other algorithms do not make its signature good.
		for _, alg := range []string{"RS256", "PS256", "ES256", "EdDSA", "Ed25519"} {
			relabelled := raw(`{"alg":"`+alg+`"}`, good(""), withHMAC(secret))
			refused(t, everyKey(t), "HMAC as "+alg, relabelled, ErrSignature)
		}
	}
}

func TestCriticalAndForeignHeadersAreRefused(t *testing.T) {
	v := everyKey(t)
	for _, parameter := range []string{
		`"crit":["exp"],"exp":1`, `"crit":["b64"],"b64":false`, `"crit":[]`, `"crit":null`, `"crit":["x"],"x":1`,
		`"b64":false`, `"b64":true`, `"zip":"DEF"`, `"enc":"A128GCM"`,
		`"cty":"JWT"`, `"cty":"jwt"`, `"cty":"application/JWT"`, `"cty":1`, `"kid":1`, `"kid":null`,
	} {
		refused(t, v, parameter, raw(`{"alg":"HS256",`+parameter+`}`, good(""), withHMAC(secret)), ErrHeader)
	}
}

// The attacker signs with a key of their own and offers it along with the token.
func TestKeysInTheHeaderAreNotUsed(t *testing.T) {
	mine := must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))
	cert := certificate(t, "attacker", mine.Public(), nil, mine)
	point := must(mine.PublicKey.Bytes())
	jwk := fmt.Sprintf(`{"kty":"EC","crv":"P-256","x":"%s","y":"%s"}`, encode(point[1:33]), encode(point[33:]))
	for _, parameter := range []string{
		`"jwk":` + jwk, `"jku":"https://attacker.example/keys"`, `"x5u":"https://attacker.example/cert"`,
		`"x5c":["` + base64.StdEncoding.EncodeToString(cert.Raw) + `"]`, `"kid":"../../dev/null"`, `"kid":"' UNION SELECT 'key"`,
	} {
		forged := raw(`{"alg":"ES256",`+parameter+`}`, good(""), with(jwt.SigningMethodES256, mine))
		refused(t, everyKey(t), parameter, forged, ErrSignature)
		// They do no harm either: what a configured key signed is genuine.
		genuine := raw(`{"alg":"ES256",`+parameter+`}`, good(""), with(jwt.SigningMethodES256, p256Private()))
		if _, err := everyKey(t).Verify(t.Context(), genuine); err != nil {
			t.Errorf("genuine with %s: %v", parameter, err)
		}
	}
	// A symmetric key in the header, and the empty one.
	for _, k := range [][]byte{[]byte("attacker"), {}} {
		forged := raw(`{"alg":"HS256","jwk":{"kty":"oct","k":"`+encode(k)+`"}}`, good(""), withHMAC(k))
		refused(t, everyKey(t), "symmetric jwk", forged, ErrSignature)
	}
}

func TestPSSNeedsASaltAsLongAsItsHash(t *testing.T) {
	v := verifier(t, Config{Keys: []VerificationKey{publicKey(t, rsaPrivate())}})
	for _, hash := range []crypto.Hash{crypto.SHA256, crypto.SHA384, crypto.SHA512} {
		alg := fmt.Sprintf("PS%d", hash.Size()*8)
		for _, salt := range []int{0, 1, 20, 32, 48, 64, rsa.PSSSaltLengthAuto} {
			token := raw(`{"alg":"`+alg+`"}`, good(""), func(signed string) []byte {
				h := hash.New()
				h.Write([]byte(signed))
				return must(rsa.SignPSS(rand.Reader, rsaPrivate(), hash, h.Sum(nil), &rsa.PSSOptions{SaltLength: salt}))
			})
			if _, err := jwt.Parse(token, func(*jwt.Token) (any, error) { return rsaPrivate().Public(), nil },
				jwt.WithTimeFunc(v.config.Now)); err != nil {
				t.Fatalf("%s with salt %d is not what this test is about: %v", alg, salt, err)
			}
			if salt != hash.Size() {
				refused(t, v, fmt.Sprintf("%s with salt %d", alg, salt), token, ErrSignature)
			} else if _, err := v.Verify(t.Context(), token); err != nil {
				t.Errorf("%s: %v", alg, err)
			}
		}
	}
}

func TestECDSASignaturesHaveOneLengthAndRange(t *testing.T) {
	v := everyKey(t)
	order := elliptic.P256().Params().N
	token := es256(good(""))
	signed := token[:strings.LastIndexByte(token, '.')]
	sig := must(base64.RawURLEncoding.DecodeString(token[len(signed)+1:]))
	r, s := new(big.Int).SetBytes(sig[:32]), new(big.Int).SetBytes(sig[32:])
	pair := func(r, s *big.Int, size int) []byte {
		return append(r.FillBytes(make([]byte, size)), s.FillBytes(make([]byte, size))...)
	}
	zero := new(big.Int)
	for name, sig := range map[string][]byte{
		"zeros":          pair(zero, zero, 32),
		"r is zero":      pair(zero, s, 32),
		"s is zero":      pair(r, zero, 32),
		"r is the order": pair(order, s, 32),
		"s is the order": pair(r, order, 32),
		"longer":         pair(r, s, 33),
		"one more byte":  append(bytes.Clone(sig), 0),
		"one byte less":  sig[:63],
		"swapped":        pair(s, r, 32),
		"DER":            must(ecdsa.SignASN1(rand.Reader, p256Private(), digest(signed))),
	} {
		refused(t, v, name, signed+"."+encode(sig), ErrSignature)
	}
}

func digest(s string) []byte {
	sum := sha256.Sum256([]byte(s))
	return sum[:]
}

// (r, n-s) is as good as (r, s): anyone can make a second spelling of a token. Both
// must be the same token to the revocation list.
func TestSecondECDSASignatureHasTheSameIdentity(t *testing.T) {
	v := everyKey(t)
	for _, fields := range []string{"", `"jti":"t1",`} {
		token := es256(good(fields + `"sub":"a",`))
		cut := strings.LastIndexByte(token, '.') + 1
		sig := must(base64.RawURLEncoding.DecodeString(token[cut:]))
		s := new(big.Int).SetBytes(sig[32:])
		s.Sub(elliptic.P256().Params().N, s).FillBytes(sig[32:])
		other := token[:cut] + encode(sig)
		if other == token {
			t.Fatal("the two spellings are the same")
		}
		a, errA := v.Verify(t.Context(), token)
		b, errB := v.Verify(t.Context(), other)
		if errA != nil || errB != nil {
			t.Fatal(errA, errB)
		}
		if *a.Identity() != *b.Identity() {
			t.Errorf("identities differ: %q and %q", a.Identity().Token(), b.Identity().Token())
		}
	}
}

// A jti that looks like a digest does not stand for the token with that digest.
func TestTokenIDCannotPassForADigest(t *testing.T) {
	v := everyKey(t)
	victim := must(v.Verify(t.Context(), hs256(good(`"sub":"victim",`)))).Identity().Token()
	forged := must(v.Verify(t.Context(), hs256(good(`"sub":"attacker","jti":"`+victim+`",`)))).Identity().Token()
	if victim == forged {
		t.Fatal("two tokens have one identifier")
	}
}

// Each of these has a genuine signature; only what was signed is not one plain object.
// The order of members and the white space between them do not matter, but they make
// another token, as the issuer signed another text.
func TestTokensOfOtherKeysAreRefused(t *testing.T) {
	v := everyKey(t)
	stranger := must(rsa.GenerateKey(rand.Reader, 2048))
	refused(t, v, "RSA", raw(`{"alg":"RS256"}`, good(""), with(jwt.SigningMethodRS256, stranger)), ErrSignature)
	refused(t, v, "PSS", raw(`{"alg":"PS256"}`, good(""), with(jwt.SigningMethodPS256, stranger)), ErrSignature)
	refused(t, v, "HMAC", raw(`{"alg":"HS256"}`, good(""), withHMAC(append(secret[:31:31], 'x'))), ErrSignature)
	refused(t, v, "truncated HMAC", raw(`{"alg":"HS256"}`, good(""), func(s string) []byte { return withHMAC(secret)(s)[:16] }), ErrSignature)
	refused(t, v, "PKCS #1 as PSS", raw(`{"alg":"PS256"}`, good(""), with(jwt.SigningMethodRS256, rsaPrivate())), ErrSignature)
	refused(t, v, "PSS as PKCS #1", raw(`{"alg":"RS256"}`, good(""), with(jwt.SigningMethodPS256, rsaPrivate())), ErrSignature)
	refused(t, v, "HS512 as HS256", raw(`{"alg":"HS256"}`, good(""), with(jwt.SigningMethodHS512, secret)), ErrSignature)
	refused(t, v, "zeros as RSA", raw(`{"alg":"RS256"}`, good(""), func(string) []byte { return make([]byte, 256) }), ErrSignature)
	refused(t, v, "zeros as Ed25519", raw(`{"alg":"EdDSA"}`, good(""), func(string) []byte { return make([]byte, 64) }), ErrSignature)
}
