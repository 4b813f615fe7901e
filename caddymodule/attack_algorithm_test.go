package caddymodule_test

import (
	"crypto"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"strings"

	"github.com/golang-jwt/jwt/v5"
)

// unsecured are tokens without a signature, or with an alg that is none.
func (f *forge) unsecured() []attack {
	var rows []attack
	payload := f.payload()
	add := func(what, header string) {
		input := encode(header) + "." + encode(payload)
		rows = append(rows, tokens(
			what+", without signature", input+".",
			what+", with a signature", assemble(header, payload, f.hmac()),
		)...)
	}
	for spelling := range 1 << len("none") {
		alg := []byte("none")
		for i := range alg {
			if spelling>>i&1 == 1 {
				alg[i] -= 'a' - 'A'
			}
		}
		add("alg "+string(alg), `{"alg":"`+string(alg)+`"}`)
	}
	for _, header := range []string{
		`{"alg":" none"}`, `{"alg":"none\u0000"}`, `{"alg":""}`, `{"alg":null}`, `{"alg":0}`, `{"alg":false}`, `{"alg":["HS256"]}`,
		`{"alg":{"HS256":1}}`, `{}`, `{"typ":"JWT"}`, `{"ALG":"HS256"}`, `{"alg":"hs256"}`, `{"alg":"HS256 "}`, `{"alg":"HS1"}`,
		`{"alg":"HS384"}`, `{"alg":"HS512"}`, `{"alg":"ES256K"}`, `{"alg":"dir"}`,
	} {
		add("header "+header, header)
	}
	none := encode(`{"alg":"none"}`) + "." + encode(payload)
	return append(rows, tokens(
		"alg none, two parts", none,
		"alg none, signature none", none+".none",
		"alg HS256, without signature", encode(`{"alg":"HS256"}`)+"."+encode(payload)+".",
	)...)
}

// confused are signed with what anybody knows, or with the right key in a wrong way.
func (f *forge) confused() []attack {
	var rows []attack
	add := func(name, alg string, sign signer) {
		rows = append(rows, attack{name: name, token: assemble(`{"alg":"`+alg+`","typ":"JWT"}`, f.payload(), sign)})
	}
	for kind, key := range f.own.public() {
		der, err := x509.MarshalPKIXPublicKey(key)
		if err != nil {
			f.t.Fatal(err)
		}
		text := publicPEM(f.t, key)
		for form, material := range map[string][]byte{
			"PEM": []byte(text), "PEM without its last line break": []byte(strings.TrimSpace(text)),
			"PEM with CR LF": []byte(strings.ReplaceAll(text, "\n", "\r\n")), "DER": der, "base64 of its DER": []byte(base64.StdEncoding.EncodeToString(der)),
		} {
			add(kind+" key as the secret, "+form, "HS256", f.by(jwt.SigningMethodHS256, material))
		}
		add(kind+" key as the secret of HS512", "HS512", f.by(jwt.SigningMethodHS512, []byte(text)))
	}
	pkcs1 := x509.MarshalPKCS1PublicKey(&f.own.rsa.PublicKey)
	point, err := f.own.ec.PublicKey.Bytes()
	if err != nil {
		f.t.Fatal(err)
	}
	for form, material := range map[string][]byte{
		"RSA key in PKCS #1": pkcs1, "RSA modulus": f.own.rsa.N.Bytes(), "ECDSA point": point, "Ed25519 bytes": f.own.ed.Public().(ed25519.PublicKey),
		"RSA key in PKCS #1 PEM": pem.EncodeToMemory(&pem.Block{Type: "RSA PUBLIC KEY", Bytes: pkcs1}),
		"no secret":              {}, "zeros": make([]byte, 32), "a common secret": []byte("secret"), "half the secret": []byte(testSecret[:16]),
		"the secret and a line break": []byte(testSecret + "\n"),
	} {
		add(form+" as the secret", "HS256", f.by(jwt.SigningMethodHS256, material))
	}

	for _, alg := range []string{"HS256", "RS256", "PS256", "ES256", "EdDSA"} {
		for _, named := range []string{"HS256", "RS256", "PS256", "ES256", "EdDSA", "Ed25519"} {
			if named != alg && (alg != "EdDSA" || named != "Ed25519") {
				add("signature of "+alg+" as "+named, named, f.signerOf(alg))
			}
		}
	}
	add("RS256 as RS512", "RS512", f.signerOf("RS256"))
	add("RS256 as RS384", "RS384", f.signerOf("RS256"))
	add("ES256 as ES384", "ES384", f.signerOf("ES256"))
	for _, salt := range []int{1, 20, 64} {
		add(fmt.Sprintf("PS256 with a salt of %d", salt), "PS256", func(input string) []byte {
			sum := sha256.Sum256([]byte(input))
			signature, err := rsa.SignPSS(rand.Reader, f.own.rsa, crypto.SHA256, sum[:], &rsa.PSSOptions{SaltLength: salt})
			if err != nil {
				f.t.Fatal(err)
			}
			return signature
		})
	}
	return rows
}
