package caddymodule_test

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"fmt"
	"math/big"
	"strings"

	"github.com/golang-jwt/jwt/v5"
)

// ownKeys are signed by the attacker, who says in the header where the key is.
func (f *forge) ownKeys() []attack {
	var rows []attack
	point, err := f.attacker.ec.PublicKey.Bytes()
	if err != nil {
		f.t.Fatal(err)
	}
	jwk := fmt.Sprintf(`{"kty":"EC","crv":"P-256","kid":"k","x":"%s","y":"%s"}`, encode(point[1:33]), encode(point[33:]))
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "attacker"}, NotAfter: f.now.AddDate(1, 0, 0)}
	cert, err := x509.CreateCertificate(rand.Reader, template, template, f.attacker.ec.Public(), f.attacker.ec)
	if err != nil {
		f.t.Fatal(err)
	}
	sum := sha256.Sum256(cert)
	for _, parameter := range []string{
		`"jwk":` + jwk, `"jwk":{"keys":[` + jwk + `]}`, `"kid":"k","jwk":` + jwk,
		`"jku":"` + f.upstream + `/keys"`, `"jku":["` + f.upstream + `"]`, `"jku":"file:///etc/passwd"`,
		`"x5u":"` + f.upstream + `/cert"`, `"x5c":["` + base64.StdEncoding.EncodeToString(cert) + `"]`, `"x5t#S256":"` + encode(sum[:]) + `"`,
		`"kid":"../../../../../../dev/null"`, `"kid":"/dev/null"`, `"kid":"..\\..\\windows\\win.ini"`, `"kid":"' UNION SELECT 'key' -- "`,
		`"kid":"key; sleep 10"`, `"kid":"$(id)"`, `"kid":"{env.HOME}"`, `"kid":"` + f.upstream + `/key"`, `"kid":""`, `"kid":"*"`,
		`"kid":"a\u0000b"`, `"kid":"` + strings.Repeat("k", 7000) + `"`,
	} {
		rows = append(rows, tokens(
			parameter[:min(len(parameter), 50)]+", ECDSA", assemble(`{"alg":"ES256",`+parameter+`}`, f.payload(), f.by(jwt.SigningMethodES256, f.attacker.ec)),
			parameter[:min(len(parameter), 50)]+", no secret", assemble(`{"alg":"HS256",`+parameter+`}`, f.payload(), f.by(jwt.SigningMethodHS256, []byte{})),
		)...)
	}
	symmetric := []byte(strings.Repeat("a", 32))
	return append(rows, tokens(
		"symmetric jwk", assemble(`{"alg":"HS256","jwk":{"kty":"oct","k":"`+encode(symmetric)+`"}}`, f.payload(), f.by(jwt.SigningMethodHS256, symmetric)),
		"an attacker's RSA key", assemble(`{"alg":"RS256"}`, f.payload(), f.by(jwt.SigningMethodRS256, f.attacker.rsa)),
		"an attacker's RSA key, PSS", assemble(`{"alg":"PS256"}`, f.payload(), f.by(jwt.SigningMethodPS256, f.attacker.rsa)),
		"an attacker's Ed25519 key", assemble(`{"alg":"EdDSA"}`, f.payload(), f.by(jwt.SigningMethodEdDSA, f.attacker.ed)),
	)...)
}
