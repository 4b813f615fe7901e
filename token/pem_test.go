package token

import (
	"crypto"
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"strings"
	"testing"
	"time"
)

func certificate(t *testing.T, name string, public crypto.PublicKey, parent *x509.Certificate, signer crypto.Signer) *x509.Certificate {
	t.Helper()
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, NotAfter: now.Add(time.Hour)}
	if parent == nil {
		parent = template
	}
	der := must(x509.CreateCertificate(rand.Reader, template, parent, public, signer))
	return must(x509.ParseCertificate(der))
}

func block(kind string, der []byte) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
}

func TestParsePublicKeys(t *testing.T) {
	authority := certificate(t, "authority", p384Private().Public(), nil, p384Private())
	leaf := certificate(t, "leaf", p256Private().Public(), authority, p384Private())
	p256, ed := string(pkixPEM(p256Private().Public())), string(pkixPEM(edPrivate().Public()))
	pkcs1 := block("RSA PUBLIC KEY", x509.MarshalPKCS1PublicKey(&rsaPrivate().PublicKey))
	small := must(rsa.GenerateKey(rand.Reader, 1024))
	p224 := must(ecdsa.GenerateKey(elliptic.P224(), rand.Reader))
	lines := strings.Split(p256, "\n")
	damaged := lines[0] + "\n!" + strings.Join(lines[1:], "\n")

	for _, c := range []struct {
		name, pem string
		keys      int
		err       string // part of the error's text
	}{
		{"PKIX", p256, 1, ""},
		{"PKCS #1", pkcs1, 1, ""},
		{"certificate", block("CERTIFICATE", leaf.Raw), 1, ""},
		{"self-signed certificate", block("CERTIFICATE", authority.Raw), 1, ""},
		{"several", p256 + pkcs1 + "\n" + ed + "\n\n", 3, ""},
		{"comment in front", "# the old key\n" + p256 + "# the new key\n" + ed, 2, ""},

		{"empty", "", 0, "no public key"},
		{"no PEM", "MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE", 0, "no public key"},
		{"text after", p256 + "x", 0, "text after"},
		{"damaged", damaged, 0, "damaged"},
		{"damaged before a good one", damaged + ed, 0, "damaged"},
		{"damaged after a good one", ed + damaged, 0, "damaged"},
		{"cut off", p256[:len(p256)-10], 0, "damaged"},
		{"private key", block("PRIVATE KEY", must(x509.MarshalPKCS8PrivateKey(p256Private()))), 0, "private key"},
		{"private key of old form", block("RSA PRIVATE KEY", x509.MarshalPKCS1PrivateKey(rsaPrivate())), 0, "private key"},
		{"private key after a good one", p256 + block("EC PRIVATE KEY", must(x509.MarshalECPrivateKey(p256Private()))), 0, "private key"},
		{"encrypted private key", block("ENCRYPTED PRIVATE KEY", []byte("x")), 0, "private key"},
		{"other block", block("EC PARAMETERS", []byte("x")), 0, "want PUBLIC KEY"},
		{"no key in it", block("PUBLIC KEY", []byte("x")), 0, "not a PKIX public key"},
		{"wrong label", block("RSA PUBLIC KEY", must(x509.MarshalPKIXPublicKey(&rsaPrivate().PublicKey))), 0, "not a PKCS #1"},
		{"RSA with 1024 bits", string(pkixPEM(small.Public())), 0, "1024 bits"},
		{"P-224", string(pkixPEM(p224.Public())), 0, "P-224"},
		{"X25519", string(pkixPEM(must(ecdh.X25519().GenerateKey(rand.Reader)).Public())), 0, "no algorithm"},
		{"chain", block("CERTIFICATE", leaf.Raw) + block("CERTIFICATE", authority.Raw), 0, "chain"},
	} {
		t.Run(c.name, func(t *testing.T) {
			keys, err := ParsePublicKeys([]byte(c.pem))
			if len(keys) != c.keys || (err == nil) != (c.err == "") || err != nil && !strings.Contains(err.Error(), c.err) {
				t.Fatalf("%d keys, %v; want %d, %q", len(keys), err, c.keys, c.err)
			}
		})
	}
}
