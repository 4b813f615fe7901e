package token

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/rsa"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"math/big"
	"slices"
	"strings"
	"testing"
)

func TestHMACKeyCanDoWhatItsLengthAllows(t *testing.T) {
	for length, want := range map[int][]string{
		32: {"HS256"}, 47: {"HS256"},
		48: {"HS256", "HS384"}, 63: {"HS256", "HS384"},
		64: {"HS256", "HS384", "HS512"}, 100: {"HS256", "HS384", "HS512"},
	} {
		key, err := NewHMACKey(bytes.Repeat([]byte("k"), length))
		if err != nil || !slices.Equal(key.Algorithms(), want) {
			t.Errorf("%d bytes: %v, %v; want %v", length, key.Algorithms(), err, want)
		}
	}
	for _, length := range []int{0, 1, 31} {
		_, err := NewHMACKey(bytes.Repeat([]byte("k"), length))
		if err == nil || !strings.Contains(err.Error(), "openssl rand -base64 32") {
			t.Errorf("%d bytes: %v", length, err)
		}
	}
}

func TestHMACKeyRefusesPublicKeyText(t *testing.T) {
	if _, err := NewHMACKey(pkixPEM(p256Private().Public())); err == nil {
		t.Fatal("a public key was taken for a secret")
	}
}

func TestHMACKeyKeepsItsOwnCopy(t *testing.T) {
	mine := bytes.Clone(secret)
	v := verifier(t, Config{Keys: []VerificationKey{hmacKey(t, mine)}})
	clear(mine)
	if _, err := v.Verify(t.Context(), hs256(good(""))); err != nil {
		t.Fatal(err)
	}
}

func TestPublicKeyAlgorithms(t *testing.T) {
	for _, c := range []struct {
		private crypto.Signer
		want    string
	}{
		{rsaPrivate(), "RS256 RS384 RS512 PS256 PS384 PS512"},
		{p256Private(), "ES256"},
		{p384Private(), "ES384"},
		{p521Private(), "ES512"},
		{edPrivate(), "EdDSA Ed25519"},
	} {
		keys, err := ParsePublicKeys(pkixPEM(c.private.Public()))
		if err != nil || len(keys) != 1 {
			t.Fatalf("%s: %d keys, %v", c.want, len(keys), err)
		}
		if got := strings.Join(keys[0].Algorithms(), " "); got != c.want {
			t.Errorf("can do %s; want %s", got, c.want)
		}
		if keys[0].Fingerprint() != publicKey(t, c.private).Fingerprint() {
			t.Errorf("%s: the fingerprint depends on the way the key came", c.want)
		}
	}
}

func TestPublicKeyRefusesWeakRSA(t *testing.T) {
	n := rsaPrivate().N
	for name, key := range map[string]*rsa.PublicKey{
		"exponent 1":     {N: n, E: 1},
		"exponent 2":     {N: n, E: 2},
		"even exponent":  {N: n, E: 65536},
		"negative":       {N: n, E: -3},
		"even modulus":   {N: new(big.Int).Lsh(n, 1), E: 65537},
		"2047 bits":      {N: new(big.Int).SetBit(new(big.Int).Rsh(n, 1), 0, 1), E: 65537},
		"8193 bits":      {N: new(big.Int).SetBit(n, 8192, 1), E: 65537},
		"no modulus":     {E: 65537},
		"no key at all":  nil,
		"modulus is one": {N: big.NewInt(1), E: 65537},
	} {
		if _, err := NewPublicKey(key); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	if _, err := NewPublicKey(&rsa.PublicKey{N: n, E: 3}); err != nil {
		t.Errorf("exponent 3: %v", err)
	}
}

func TestPublicKeyRefusesWhatIsNoPublicKey(t *testing.T) {
	for _, key := range []any{nil, secret, string(secret), p256Private(), rsaPrivate().PublicKey, (*ecdsa.PublicKey)(nil), &ecdsa.PublicKey{}} {
		if _, err := NewPublicKey(key); err == nil {
			t.Errorf("%T: accepted", key)
		}
	}
}

func TestFingerprintTellsKeysApart(t *testing.T) {
	other := append(bytes.Clone(secret), 'x')
	a, b, again := hmacKey(t, secret), hmacKey(t, other), hmacKey(t, secret)
	if a.Fingerprint() != again.Fingerprint() {
		t.Error("the same secret has two fingerprints")
	}
	if a.Fingerprint() == b.Fingerprint() || a.Fingerprint() == "" {
		t.Error("two secrets have the same fingerprint")
	}
	if a.WithID("k1").Fingerprint() != a.Fingerprint() {
		t.Error("the fingerprint depends on the key identifier")
	}
}

func TestKeysDoNotShowTheirSecrets(t *testing.T) {
	key := hmacKey(t, secret)
	type holder struct {
		Exported VerificationKey
		hidden   VerificationKey
		list     []VerificationKey
		pointer  *VerificationKey
	}
	v := verifier(t, Config{Keys: []VerificationKey{key}})
	tok, err := v.Verify(t.Context(), hs256(good("")))
	if err != nil {
		t.Fatal(err)
	}
	for _, value := range []any{
		key, &key,
		[]VerificationKey{key},
		map[string]VerificationKey{"k": key},
		holder{key, key, []VerificationKey{key}, &key},
		&holder{key, key, []VerificationKey{key}, &key},
		Config{Keys: []VerificationKey{key}},
		v, *v, tok,
	} {
		var texts []string
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%o", "%T"} {
			texts = append(texts, fmt.Sprintf(verb, value))
		}
		if _, isConfig := value.(Config); !isConfig { // has a func, which JSON refuses
			encoded, err := json.Marshal(value)
			if err != nil {
				t.Fatal(err)
			}
			texts = append(texts, string(encoded))
		}
		for _, text := range texts {
			for _, form := range []string{
				string(secret), base64.StdEncoding.EncodeToString(secret), hex.EncodeToString(secret),
				strings.ToUpper(hex.EncodeToString(secret)), "0x30, 0x31, 0x32", "48 49 50",
			} {
				if strings.Contains(text, form) {
					t.Errorf("%T shows its secret: %s", value, text)
				}
			}
		}
	}
	if got := fmt.Sprint(key); got != "HS256 key "+key.Fingerprint() {
		t.Errorf("prints as %q", got)
	}
}
