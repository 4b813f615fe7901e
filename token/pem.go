package token

import (
	"bytes"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"strings"
)

var pemBegin = []byte("-----BEGIN ")

// ParsePublicKeys returns the public keys of a PEM text (RFC 7468): blocks of type
// PUBLIC KEY (PKIX), RSA PUBLIC KEY (PKCS #1) and CERTIFICATE. Of a certificate only
// the key counts, not its dates or its issuer. Keys are those that NewPublicKey takes.
//
// It is an error if there is no key, if a block is damaged, private or of another
// type, if there is text after the last block, or if one certificate is the issuer of
// another: a chain would make every authority in it a signer of tokens.
func ParsePublicKeys(text []byte) ([]VerificationKey, error) {
	var keys []VerificationKey
	var certs []*x509.Certificate
	for {
		start := bytes.Index(text, pemBegin)
		if start < 0 {
			break
		}
		number := len(keys) + 1
		block, rest := pem.Decode(text[start:])
		// pem.Decode passes over a damaged block in silence.
		if block == nil || bytes.Count(text[start:len(text)-len(rest)], pemBegin) != 1 {
			return nil, fmt.Errorf("PEM block %d is damaged", number)
		}
		text = rest
		public, cert, err := parseBlock(block)
		if err != nil {
			return nil, fmt.Errorf("PEM block %d: %w", number, err)
		}
		key, err := NewPublicKey(public)
		if err != nil {
			return nil, fmt.Errorf("PEM block %d: %w", number, err)
		}
		keys = append(keys, key)
		if cert != nil {
			certs = append(certs, cert)
		}
	}
	switch {
	case len(keys) == 0:
		return nil, errors.New("no public key in PEM form (-----BEGIN PUBLIC KEY-----)")
	case len(bytes.TrimSpace(text)) > 0:
		return nil, errors.New("text after the last PEM block")
	}
	if err := refuseChain(certs); err != nil {
		return nil, err
	}
	return keys, nil
}

// parseBlock returns the public key in block, and the certificate that it came in.
// The errors of crypto/x509 are left out: they may quote the input.
func parseBlock(block *pem.Block) (any, *x509.Certificate, error) {
	switch {
	case strings.Contains(block.Type, "PRIVATE KEY"):
		return nil, nil, errors.New("this is a private key: give its public half (`openssl pkey -in <file> -pubout`)")
	case block.Type == "PUBLIC KEY":
		key, err := x509.ParsePKIXPublicKey(block.Bytes)
		if err != nil {
			return nil, nil, errors.New("not a PKIX public key of a known type")
		}
		return key, nil, nil
	case block.Type == "RSA PUBLIC KEY":
		key, err := x509.ParsePKCS1PublicKey(block.Bytes)
		if err != nil {
			return nil, nil, errors.New("not a PKCS #1 public key")
		}
		return key, nil, nil
	case block.Type == "CERTIFICATE":
		cert, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, nil, errors.New("not an X.509 certificate")
		}
		return cert.PublicKey, cert, nil
	}
	return nil, nil, errors.New("want PUBLIC KEY, RSA PUBLIC KEY or CERTIFICATE")
}

func refuseChain(certs []*x509.Certificate) error {
	for i, cert := range certs {
		for j, issuer := range certs {
			if i != j && bytes.Equal(cert.RawIssuer, issuer.RawSubject) && !bytes.Equal(cert.RawSubject, issuer.RawSubject) {
				return errors.New("a certificate chain: keep only the certificate of the token's signer")
			}
		}
	}
	return nil
}
