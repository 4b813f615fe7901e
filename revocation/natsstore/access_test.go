package natsstore

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/jwt/v2"
	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nkeys"
)

// mustRefuse wants Open to fail for a reason that names the server and holds no secret.
func mustRefuse(t *testing.T, opts Options, url string, secrets ...string) {
	t.Helper()
	s, err := Open(t.Context(), opts)
	if err == nil {
		s.Close()
		t.Fatal("Open succeeds")
	}
	host := url[strings.LastIndexAny(url, "/@")+1:]
	if !strings.Contains(err.Error(), host) {
		t.Errorf("%v does not name %s", err, host)
	}
	for _, text := range []string{err.Error(), fmt.Sprintf("%v %+v %#v %s", opts, opts, opts, opts)} {
		for _, secret := range secrets {
			if strings.Contains(text, secret) {
				t.Errorf("%q has the secret %q", text, secret)
			}
		}
	}
}

// mustWork wants a store to do all that it is for.
func mustWork(t *testing.T, opts Options) {
	t.Helper()
	s := open(t, opts)
	mustRevoke(t, s, token(1))
	mustHold(t, s, token(1))
	sink := follow(t, s, "")
	mustRevoke(t, s, token(2))
	sink.await(t, "report", func() bool { return sink.list[token(2).Key()].ID != "" && !sink.alive.IsZero() })
}

func TestTokenAndPassword(t *testing.T) {
	byToken := startServer(t, func(o *server.Options) { o.Authorization = "t0ken" }).ClientURL()
	mustRefuse(t, Options{URLs: []string{byToken}}, byToken)
	mustRefuse(t, Options{URLs: []string{byToken}, Token: "wr0ng"}, byToken, "wr0ng")
	mustWork(t, Options{URLs: []string{byToken}, Token: "t0ken"})

	byPassword := startServer(t, func(o *server.Options) { o.Username, o.Password = "alice", "s3cret" }).ClientURL()
	mustRefuse(t, Options{URLs: []string{byPassword}, User: "alice", Password: "wr0ng"}, byPassword, "wr0ng")
	mustWork(t, Options{URLs: []string{byPassword}, User: "alice", Password: "s3cret"})
	inURL := func(password string) string { return strings.Replace(byPassword, "://", "://alice:"+password+"@", 1) }
	mustRefuse(t, Options{URLs: []string{inURL("wr0ng")}}, byPassword, "wr0ng")
	mustWork(t, Options{URLs: []string{inURL("s3cret")}})
	s := open(t, Options{URLs: []string{inURL("s3cret")}})
	if o := s.nc.Opts; o.User != "alice" || o.Password != "s3cret" {
		t.Error("servers that the first one tells of get no password")
	}
	mustWork(t, Options{URLs: []string{strings.Replace(byToken, "://", "://t0ken@", 1)}})
	mustRefuse(t, Options{URLs: []string{"nats://alice:s3cret@\x7f:1"}}, "", "s3cret")
}

func TestNKey(t *testing.T) {
	seedFile := func(pair nkeys.KeyPair) (path, seed string) {
		b, err := pair.Seed()
		if err != nil {
			t.Fatal(err)
		}
		path = filepath.Join(t.TempDir(), "seed")
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
		return path, string(b)
	}
	pair, public := newPair(t, nkeys.CreateUser)
	url := startServer(t, func(o *server.Options) { o.Nkeys = []*server.NkeyUser{{Nkey: public}} }).ClientURL()
	right, _ := seedFile(pair)
	other, _ := newPair(t, nkeys.CreateUser)
	wrong, seed := seedFile(other)
	mustRefuse(t, Options{URLs: []string{url}, NKeySeedFile: wrong}, url, seed)
	mustRefuse(t, Options{URLs: []string{url}, NKeySeedFile: right + "no"}, url)
	mustWork(t, Options{URLs: []string{url}, NKeySeedFile: right})
}

func newPair(t *testing.T, create func() (nkeys.KeyPair, error)) (pair nkeys.KeyPair, public string) {
	t.Helper()
	pair, err := create()
	if err != nil {
		t.Fatal(err)
	}
	if public, err = pair.PublicKey(); err != nil {
		t.Fatal(err)
	}
	return pair, public
}

func TestCredentialsFile(t *testing.T) {
	operator, operatorKey := newPair(t, nkeys.CreateOperator)
	account, accountKey := newPair(t, nkeys.CreateAccount)
	_, systemKey := newPair(t, nkeys.CreateAccount)
	sign := func(claims jwt.Claims, by nkeys.KeyPair) string {
		text, err := claims.Encode(by)
		if err != nil {
			t.Fatal(err)
		}
		return text
	}
	resolver := &server.MemAccResolver{}
	for key, storage := range map[string]int64{accountKey: jwt.NoLimit, systemKey: 0} {
		claims := jwt.NewAccountClaims(key)
		claims.Limits.DiskStorage, claims.Limits.Streams, claims.Limits.Consumer = storage, storage, storage
		if err := resolver.Store(key, sign(claims, operator)); err != nil {
			t.Fatal(err)
		}
	}
	url := startServer(t, func(o *server.Options) {
		o.TrustedKeys, o.SystemAccount, o.AccountResolver = []string{operatorKey}, systemKey, resolver
	}).ClientURL()
	credentials := func(by nkeys.KeyPair) (path, seed string) {
		user, userKey := newPair(t, nkeys.CreateUser)
		b, err := user.Seed()
		if err != nil {
			t.Fatal(err)
		}
		file, err := jwt.FormatUserConfig(sign(jwt.NewUserClaims(userKey), by), b)
		if err != nil {
			t.Fatal(err)
		}
		path = filepath.Join(t.TempDir(), "user.creds")
		if err := os.WriteFile(path, file, 0o600); err != nil {
			t.Fatal(err)
		}
		return path, string(b)
	}
	stranger, _ := newPair(t, nkeys.CreateAccount)
	wrong, seed := credentials(stranger)
	mustRefuse(t, Options{URLs: []string{url}, CredentialsFile: wrong}, url, seed)
	mustRefuse(t, Options{URLs: []string{url}, CredentialsFile: wrong + "no"}, url)
	right, _ := credentials(account)
	mustWork(t, Options{URLs: []string{url}, CredentialsFile: right})
}

// What the package comment says that a user needs is enough, and a user who lacks some of
// it learns what.
func TestPermissions(t *testing.T) {
	allow := func(subjects ...string) *server.Permissions {
		return &server.Permissions{
			Publish:   &server.SubjectPermission{Allow: subjects},
			Subscribe: &server.SubjectPermission{Allow: []string{"_INBOX.>"}},
		}
	}
	needed := []string{
		"$KV.token_auth.>", "$JS.API.STREAM.INFO.KV_token_auth", "$JS.API.STREAM.MSG.GET.KV_token_auth",
		"$JS.API.CONSUMER.CREATE.KV_token_auth.>", "$JS.API.CONSUMER.MSG.NEXT.KV_token_auth.>", "$JS.API.CONSUMER.DELETE.KV_token_auth.>",
	}
	create := []string{"$JS.API.INFO", "$JS.API.STREAM.CREATE.KV_token_auth"}
	url := startServer(t, func(o *server.Options) {
		o.Users = []*server.User{
			{Username: "creator", Password: "p", Permissions: allow(append(create, needed...)...)},
			{Username: "user", Password: "p", Permissions: allow(needed...)},
			{Username: "reader", Password: "p", Permissions: allow(needed[1:]...)},
		}
	}).ClientURL()
	mustWork(t, Options{URLs: []string{url}, User: "creator", Password: "p"})
	mustWork(t, Options{URLs: []string{url}, User: "user", Password: "p"})
	_, err := Open(t.Context(), Options{URLs: []string{url}, User: "reader", Password: "p", Timeout: 500 * time.Millisecond})
	if err == nil || !strings.Contains(err.Error(), "$KV.token_auth.barrier") {
		t.Fatalf("Open gave %v, want an error that names what is not allowed", err)
	}
}

func TestTLS(t *testing.T) {
	ca := newAuthority(t)
	serverCert, serverKey := ca.issue(t, "nats.internal")
	clientCert, clientKey := ca.issue(t, "caddy")
	url := startServer(t, func(o *server.Options) {
		config, err := server.GenTLSConfig(&server.TLSConfigOpts{
			CertFile: serverCert, KeyFile: serverKey, CaFile: ca.file, Verify: true,
		})
		if err != nil {
			t.Fatal(err)
		}
		o.TLSConfig, o.TLS, o.TLSVerify, o.TLSTimeout = config, true, true, 5
	}).ClientURL()
	full := TLS{CAFile: ca.file, CertFile: clientCert, KeyFile: clientKey, ServerName: "nats.internal"}
	mustWork(t, Options{URLs: []string{url}, TLS: &full})
	for _, spoil := range []func(*TLS){
		func(c *TLS) { c.CAFile = newAuthority(t).file },
		func(c *TLS) { c.CAFile = "" },
		func(c *TLS) { c.CertFile, c.KeyFile = "", "" },
		func(c *TLS) { c.ServerName = "other.internal" },
		func(c *TLS) { c.CAFile += "no" },
		func(c *TLS) { c.CertFile += "no" },
		func(c *TLS) { c.KeyFile = "" },
	} {
		spoilt := full
		spoil(&spoilt)
		if s, err := Open(t.Context(), Options{URLs: []string{url}, TLS: &spoilt}); err == nil {
			s.Close()
			t.Errorf("%+v is taken", spoilt)
		}
	}
	// Asking for TLS is never answered without it.
	plain := singleServer(t).ClientURL()
	mustRefuse(t, Options{URLs: []string{plain}, TLS: &full}, plain)
}

// authority issues certificates.
type authority struct {
	file string
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func newAuthority(t *testing.T) *authority {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test"}, NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	a := &authority{file: filepath.Join(t.TempDir(), "ca.pem"), key: key}
	if a.cert, err = x509.ParseCertificate(der); err != nil {
		t.Fatal(err)
	}
	writePEM(t, a.file, "CERTIFICATE", der)
	return a
}

// issue returns the files of a certificate and its key.
func (a *authority) issue(t *testing.T, name string) (certFile, keyFile string) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: name}, DNSNames: []string{name}, NotAfter: time.Now().Add(time.Hour),
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.cert, &key.PublicKey, a.key)
	if err != nil {
		t.Fatal(err)
	}
	keyDER, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	certFile, keyFile = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	writePEM(t, certFile, "CERTIFICATE", der)
	writePEM(t, keyFile, "EC PRIVATE KEY", keyDER)
	if _, err := tls.LoadX509KeyPair(certFile, keyFile); err != nil {
		t.Fatal(err)
	}
	return certFile, keyFile
}

func writePEM(t *testing.T, path, kind string, der []byte) {
	t.Helper()
	if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
}

// A server that refuses the credentials for a while, such as one whose configuration is
// being changed, is tried again for as long as it takes.
func TestRefusedReconnectionIsTriedAgain(t *testing.T) {
	t.Parallel()
	dir, port := t.TempDir(), freePorts(t, 1)[0]
	start := func(password string) *server.Server {
		return startServer(t, func(o *server.Options) {
			o.StoreDir, o.Port, o.Username, o.Password = dir, port, "alice", password
		})
	}
	running := start("s3cret")
	refusals := make(chan string, 1000)
	s := open(t, Options{
		URLs: []string{net.JoinHostPort("127.0.0.1", fmt.Sprint(port))}, User: "alice", Password: "s3cret",
		OnWarning: func(w string) {
			if strings.Contains(w, "uthorization") {
				refusals <- w
			}
		},
	})
	running.Shutdown()
	running.WaitForShutdown()
	running = start("other")
	for range 3 {
		select {
		case w := <-refusals:
			if strings.Contains(w, "s3cret") {
				t.Errorf("%q has the password", w)
			}
		case <-time.After(20 * time.Second):
			t.Fatal("the server is not tried again")
		}
	}
	running.Shutdown()
	running.WaitForShutdown()
	start("s3cret")
	await(t, "connection", func() bool {
		_, err := s.Lookup(context.Background(), token(1).Key())
		return err == nil
	})
}
