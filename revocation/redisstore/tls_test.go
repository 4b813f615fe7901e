package redisstore

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// certificates are the files of a CA and of what it has signed.
type certificates struct {
	dir, ca string
	cert    *x509.Certificate
	key     *ecdsa.PrivateKey
}

func newCertificates(t testing.TB) *certificates {
	t.Helper()
	c := &certificates{dir: t.TempDir()}
	c.ca = filepath.Join(c.dir, "ca.pem")
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "ca"}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), KeyUsage: x509.KeyUsageCertSign,
	}
	c.cert, c.key = c.sign(t, template, template, nil, c.ca, filepath.Join(c.dir, "ca.key"))
	return c
}

// sign signs template and writes the certificate and its key to files.
func (c *certificates) sign(t testing.TB, template, parent *x509.Certificate, by *ecdsa.PrivateKey, certFile, keyFile string) (*x509.Certificate, *ecdsa.PrivateKey) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	if by == nil {
		by = key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, &key.PublicKey, by)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	for file, block := range map[string]*pem.Block{certFile: {Type: "CERTIFICATE", Bytes: der}, keyFile: {Type: "PRIVATE KEY", Bytes: pkcs8}} {
		if err := os.WriteFile(file, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return cert, key
}

// issue writes a certificate for name, and returns its files.
func (c *certificates) issue(t testing.TB, name string) (certFile, keyFile string) {
	t.Helper()
	certFile, keyFile = filepath.Join(c.dir, name+".pem"), filepath.Join(c.dir, name+".key")
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: name}, DNSNames: []string{name},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	if ip := net.ParseIP(name); ip != nil {
		template.DNSNames, template.IPAddresses = nil, []net.IP{ip}
	}
	c.sign(t, template, c.cert, c.key, certFile, keyFile)
	return certFile, keyFile
}

func TestTLSWithClientCertificate(t *testing.T) {
	t.Parallel()
	ours, others := newCertificates(t), newCertificates(t)
	serverCert, serverKey := ours.issue(t, "redis.example.com")
	clientCert, clientKey := ours.issue(t, "caddy")
	// Without TLS on the usual port, for the tests' own commands.
	_, port, _ := net.SplitHostPort(freeAddress(t))
	newServer(t, "--tls-port", port, "--tls-cert-file", serverCert, "--tls-key-file", serverKey,
		"--tls-ca-cert-file", ours.ca, "--tls-auth-clients", "yes")
	o := Options{
		Addresses: []string{net.JoinHostPort("127.0.0.1", port)}, Timeout: time.Second,
		TLS: &TLS{CAFile: ours.ca, CertFile: clientCert, KeyFile: clientKey, ServerName: "redis.example.com"},
	}
	s := open(t, o)
	mustRevoke(t, s, token(1))
	mustHold(t, s, token(1))
	w := keepWatching(t, s)
	await(t, "report", soon, func() bool { return w.has(token(1)) })

	for what, config := range map[string]*TLS{
		"no TLS":             nil,
		"no client":          {CAFile: ours.ca, ServerName: "redis.example.com"},
		"another name":       {CAFile: ours.ca, CertFile: clientCert, KeyFile: clientKey},
		"another CA":         {CAFile: others.ca, CertFile: clientCert, KeyFile: clientKey, ServerName: "redis.example.com"},
		"the system's roots": {CertFile: clientCert, KeyFile: clientKey, ServerName: "redis.example.com"},
	} {
		o := o
		o.TLS = config
		if s, err := Open(t.Context(), o); err == nil {
			t.Errorf("%s: Open succeeded", what)
			s.Close()
		}
	}

	// A renewed certificate is used by the next connection.
	foreign, foreignKey := others.issue(t, "caddy")
	for from, to := range map[string]string{foreign: clientCert, foreignKey: clientKey} {
		if err := os.Rename(from, to); err != nil {
			t.Fatal(err)
		}
	}
	s.dialer.drop()
	if err := s.Revoke(t.Context(), token(2)); err == nil {
		t.Error("Revoke with a certificate that the server does not accept")
	}
	ours.issue(t, "caddy")
	mustRevoke(t, s, token(2))
}
