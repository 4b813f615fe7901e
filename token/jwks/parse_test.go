package jwks

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"errors"
	"fmt"
	"maps"
	"math/big"
	"strings"
	"testing"

	"example.com/caddy-token-auth/token"
)

type object = map[string]any

func encoded(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

func TestMembersOfAKeyAreHonoured(t *testing.T) {
	rsaPublic, ecPublic, edPublic := rsaKey().Public(), p256Key().Public(), newSigner("").private.Public()
	weak := must(rsa.GenerateKey(rand.Reader, 1024)).Public()
	p224 := must(ecdsa.GenerateKey(elliptic.P224(), rand.Reader))
	allRSA := "RS256/RS384/RS512/PS256/PS384/PS512"
	modulus := rsaKey().N.Bytes()
	for name, c := range map[string]struct {
		key  object
		want string // algorithms, or why not
	}{
		"RSA":                        {members(rsaPublic, nil), allRSA},
		"P-256":                      {members(ecPublic, nil), "ES256"},
		"P-384":                      {members(must(ecdsa.GenerateKey(elliptic.P384(), rand.Reader)).Public(), nil), "ES384"},
		"P-521":                      {members(must(ecdsa.GenerateKey(elliptic.P521(), rand.Reader)).Public(), nil), "ES512"},
		"Ed25519":                    {members(edPublic, nil), "EdDSA/Ed25519"},
		"with a certificate, broken": {members(rsaPublic, object{"x5c": []string{"nonsense"}, "x5t": "x", "x5u": "::"}), allRSA},
		"unknown members":            {members(ecPublic, object{"ext": true, "issuer": "x", "nbf": 1}), "ES256"},

		"alg":                        {members(rsaPublic, object{"alg": "RS256"}), "RS256"},
		"alg PS512":                  {members(rsaPublic, object{"alg": "PS512"}), "PS512"},
		"alg EdDSA":                  {members(edPublic, object{"alg": "EdDSA"}), "EdDSA/Ed25519"},
		"alg Ed25519":                {members(edPublic, object{"alg": "Ed25519"}), "EdDSA/Ed25519"},
		"alg Ed448":                  {members(edPublic, object{"alg": "Ed448"}), "algorithm"},
		"alg ed25519":                {members(edPublic, object{"alg": "ed25519"}), "algorithm"},
		"alg Ed25519 on a P-256 key": {members(ecPublic, object{"alg": "Ed25519"}), "algorithm"},
		"alg ESP256, which is COSE":  {members(ecPublic, object{"alg": "ESP256"}), "algorithm"},
		"alg of another type":        {members(rsaPublic, object{"alg": "ES256"}), "algorithm"},
		"alg of another curve":       {members(ecPublic, object{"alg": "ES384"}), "algorithm"},
		"alg for encryption":         {members(rsaPublic, object{"alg": "RSA-OAEP"}), "algorithm"},
		"alg HS256 on a public key":  {members(rsaPublic, object{"alg": "HS256"}), "algorithm"},
		"alg none":                   {members(rsaPublic, object{"alg": "none"}), "algorithm"},
		"alg empty":                  {members(rsaPublic, object{"alg": ""}), "algorithm"},
		"alg null":                   {members(rsaPublic, object{"alg": nil}), "invalid"},
		"use sig":                    {members(ecPublic, object{"use": "sig"}), "ES256"},
		"use enc":                    {members(ecPublic, object{"use": "enc"}), "use"},
		"use SIG":                    {members(ecPublic, object{"use": "SIG"}), "use"},
		"use empty":                  {members(ecPublic, object{"use": ""}), "use"},
		"use array":                  {members(ecPublic, object{"use": []string{"sig"}}), "invalid"},
		"key_ops verify":             {members(ecPublic, object{"key_ops": []string{"verify"}}), "ES256"},
		"key_ops sign and verify":    {members(ecPublic, object{"key_ops": []string{"sign", "verify"}}), "ES256"},
		"key_ops sign":               {members(ecPublic, object{"key_ops": []string{"sign"}}), "use"},
		"key_ops encrypt":            {members(ecPublic, object{"key_ops": []string{"encrypt", "wrapKey"}}), "use"},
		"key_ops empty":              {members(ecPublic, object{"key_ops": []string{}}), "use"},
		"key_ops twice":              {members(ecPublic, object{"key_ops": []string{"verify", "verify"}}), "invalid"},
		"key_ops string":             {members(ecPublic, object{"key_ops": "verify"}), "invalid"},
		"key_ops numbers":            {members(ecPublic, object{"key_ops": []int{1}}), "invalid"},
		"use enc, key_ops verify":    {members(ecPublic, object{"use": "enc", "key_ops": []string{"verify"}}), "use"},
		"use sig, key_ops deriveKey": {members(ecPublic, object{"use": "sig", "key_ops": []string{"deriveKey"}}), "use"},
		"kid number":                 {members(ecPublic, object{"kid": 1}), "invalid"},

		"symmetric":               {object{"kty": "oct", "k": encoded([]byte(strings.Repeat("k", 64)))}, "symmetric"},
		"symmetric with alg":      {object{"kty": "oct", "alg": "HS256", "use": "sig", "k": encoded([]byte(strings.Repeat("k", 64)))}, "symmetric"},
		"RSA with a secret":       {members(rsaPublic, object{"k": "AAAA"}), "private"},
		"private RSA":             {members(rsaKey(), nil), "private"},
		"private EC":              {members(p256Key(), nil), "private"},
		"private Ed25519":         {members(newSigner("").private, nil), "private"},
		"private part null":       {members(ecPublic, object{"d": nil}), "private"},
		"RSA of 1024 bits":        {members(weak, nil), "weak"},
		"RSA of 16392 bits":       {object{"kty": "RSA", "e": "AQAB", "n": encoded(append([]byte{0x80}, make([]byte, 2048)...))}, "invalid"},
		"kty unknown":             {object{"kty": "AKP", "alg": "ML-DSA-44", "pub": "AAAA"}, "type"},
		"kty missing":             {object{"kid": "1"}, "invalid"},
		"kty in lower case":       {members(rsaPublic, object{"kty": "rsa"}), "type"},
		"kty of another":          {members(rsaPublic, object{"kty": "EC"}), "type"},
		"P-224":                   {object{"kty": "EC", "crv": "P-224", "x": encoded(p224.X.Bytes()), "y": encoded(p224.Y.Bytes())}, "type"},
		"secp256k1":               {members(ecPublic, object{"crv": "secp256k1"}), "type"},
		"another curve's name":    {members(ecPublic, object{"crv": "P-384"}), "invalid"},
		"X25519":                  {members(edPublic, object{"crv": "X25519"}), "type"},
		"Ed448":                   {members(edPublic, object{"crv": "Ed448"}), "type"},
		"Ed25519, too short":      {members(edPublic, object{"x": "AAAA"}), "invalid"},
		"not on the curve":        {members(ecPublic, object{"y": encoded(make([]byte, 32))}), "invalid"},
		"coordinate too short":    {members(ecPublic, object{"x": "AAAA"}), "invalid"},
		"coordinate missing":      {members(ecPublic, object{"y": ""}), "invalid"},
		"coordinate a number":     {members(ecPublic, object{"x": 7}), "invalid"},
		"modulus missing":         {members(rsaPublic, object{"n": ""}), "invalid"},
		"modulus even":            {members(rsaPublic, object{"n": encoded(new(big.Int).Lsh(rsaKey().N, 1).Bytes())}), "invalid"},
		"modulus padded":          {members(rsaPublic, object{"n": encoded(modulus) + "="}), "invalid"},
		"modulus in base64":       {members(rsaPublic, object{"n": "+/+/"}), "invalid"},
		"modulus with line break": {members(rsaPublic, object{"n": "\r\n" + encoded(modulus)}), "invalid"},
		"unused bits":             {members(edPublic, object{"x": encoded(make([]byte, 31)) + "AB"}), "invalid"},
		"exponent 1":              {members(rsaPublic, object{"e": "AQ"}), "invalid"},
		"exponent 2":              {members(rsaPublic, object{"e": "Ag"}), "invalid"},
		"exponent of 9 bytes":     {members(rsaPublic, object{"e": encoded([]byte{1, 0, 0, 0, 0, 0, 1, 0, 1})}), "invalid"},
	} {
		t.Run(name, func(t *testing.T) {
			set, err := Parse([]byte(document(c.key)))
			var got string
			switch {
			case err == nil && len(set.Keys) == 1 && len(set.Skipped) == 0:
				got = strings.Join(set.Keys[0].Algorithms(), "/")
			case errors.Is(err, ErrNoUsableKey) && len(set.Skipped) == 1:
				for reason := range maps.Keys(set.Skipped) {
					got = string(reason)
				}
			}
			if got != c.want {
				t.Fatalf("%q, %v, %v; want %q", got, set.Skipped, err, c.want)
			}
		})
	}
}

func TestUnusableKeysAreSkippedAndCounted(t *testing.T) {
	good := newSigner("good")
	set, err := Parse([]byte(document(
		object{"kty": "oct", "k": "AAAA"}, members(p256Key(), nil), good.jwk(), good.jwk(), object{"kty": "AKP"}, object{},
	)))
	if err != nil || len(set.Keys) != 1 || set.Keys[0].ID() != "good" {
		t.Fatalf("%v, %v", set.Keys, err)
	}
	want := map[Reason]int{SkippedSymmetric: 1, SkippedPrivate: 1, SkippedDuplicate: 1, SkippedType: 1, SkippedInvalid: 1}
	if !maps.Equal(set.Skipped, want) {
		t.Errorf("skipped %v", set.Skipped)
	}
}

func TestKeysOfOneNameAreAllKept(t *testing.T) {
	set, err := Parse([]byte(published(newSigner("same"), newSigner("same"), newSigner(""), newSigner(""))))
	if err != nil || len(set.Keys) != 4 {
		t.Fatalf("%v, %v", set.Keys, err)
	}
}

func TestASetIsBounded(t *testing.T) {
	signers := make([]*signer, token.MaxKeys+3)
	for i := range signers {
		signers[i] = newSigner(fmt.Sprint(i))
	}
	set, err := Parse([]byte(published(signers...)))
	if err != nil || len(set.Keys) != token.MaxKeys || set.Skipped[SkippedExcess] != 3 {
		t.Errorf("%d keys, %v, %v", len(set.Keys), set.Skipped, err)
	}
	for n, want := range map[int]error{maxEntries: nil, maxEntries + 1: ErrTooLarge} {
		doc := `{"keys":[` + strings.Repeat("{},", n-1) + string(must(jsonOf(signers[0].jwk()))) + `]}`
		if _, err := Parse([]byte(doc)); !errors.Is(err, want) {
			t.Errorf("%d entries: %v", n, err)
		}
	}
	huge := published(signers[0])
	huge += strings.Repeat(" ", maxSize+1-len(huge))
	if _, err := Parse([]byte(huge)); !errors.Is(err, ErrTooLarge) {
		t.Errorf("%d bytes: %v", len(huge), err)
	}
	if _, err := Parse([]byte(huge[:maxSize])); err != nil {
		t.Errorf("%d bytes: %v", maxSize, err)
	}
}

func TestOnlyAStrictObjectIsASet(t *testing.T) {
	good := newSigner("1")
	one := string(must(jsonOf(good.jwk())))
	for name, doc := range map[string]string{
		"nothing":              ``,
		"HTML":                 `<!doctype html><title>sign in</title>`,
		"null":                 `null`,
		"an array":             `[` + one + `]`,
		"a single key":         one,
		"no keys":              `{}`,
		"keys null":            `{"keys":null}`,
		"keys an object":       `{"keys":{}}`,
		"keys a string":        `{"keys":"` + `"}`,
		"another case":         `{"Keys":[` + one + `]}`,
		"keys twice":           `{"keys":[` + one + `],"keys":[]}`,
		"a member twice":       `{"keys":[{"kty":"oct",` + one[1:] + `]}`,
		"truncated":            `{"keys":[` + one,
		"truncated in the key": `{"keys":[` + one[:len(one)/2],
		"text behind":          `{"keys":[` + one + `]}{}`,
		"comma at the end":     `{"keys":[` + one + `,]}`,
		"byte order mark":      "\ufeff" + `{"keys":[` + one + `]}`,
		"invalid UTF-8":        `{"keys":[` + one + `],"x":"` + "\xff" + `"}`,
		"deep":                 `{"keys":[` + one + `],"x":` + strings.Repeat("[", 100) + strings.Repeat("]", 100) + `}`,
	} {
		if set, err := Parse([]byte(doc)); !errors.Is(err, ErrNotKeySet) || len(set.Keys) != 0 {
			t.Errorf("%s: %d keys, %v", name, len(set.Keys), err)
		}
	}
	for name, doc := range map[string]string{
		"empty": `{"keys":[]}`, "elements that are no keys": `{"keys":[1,null,"x",[` + one + `],true,{}]}`,
	} {
		if set, err := Parse([]byte(doc)); !errors.Is(err, ErrNoUsableKey) || len(set.Keys) != 0 {
			t.Errorf("%s: %d keys, %v", name, len(set.Keys), err)
		}
	}
}
