package e2e

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// TestWhatAPodNeedsMayComeLater starts a pod before its store and before the server that
// has its keys, which then come in either order. It is alive all the time, and ready
// once it has both.
func TestWhatAPodNeedsMayComeLater(t *testing.T) {
	t.Parallel()
	for name, storeFirst := range map[string]bool{"store first": true, "keys first": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			store, keys := newRedis(t), newIssuer(t)
			a := newAPI(t)
			p := newPod(t, "redis", a.addr(), map[string]string{
				redisHost: store.addr,
				"secret {file./etc/token-auth/keys/jwt_secret}": "jwks http://" + keys.addr + "/keys",
			})
			store.pass(p)
			p.launch()
			p.await("started", p.container.StartupProbe, true)
			raw := keys.sign(t, a.newClient())
			c := p.client()
			defer c.close()
			refused := func(when string) {
				t.Helper()
				for request, path := range map[string]string{http.MethodGet: protectedPath, http.MethodPost: logoutPath} {
					if a := c.must(t, request, path, raw, ""); !a.is(http.StatusServiceUnavailable, bodyUnavailable) {
						t.Errorf("%s %s %s: %s", request, path, when, a)
					}
				}
				if p.ready() {
					t.Errorf("it is ready %s", when)
				}
				if !p.live() {
					t.Errorf("it is not alive %s", when)
				}
			}
			refused("without store and keys")
			if storeFirst {
				store.start(t)
				refused("without keys")
				keys.start(t)
			} else {
				keys.start(t)
				refused("without the store")
				store.start(t)
			}
			p.await("ready", p.container.ReadinessProbe, true)
			if a := c.must(t, http.MethodGet, protectedPath, raw, ""); a.status == http.StatusServiceUnavailable {
				t.Errorf("a request once it is ready: %s", a)
			}
			if a := c.must(t, http.MethodPost, logoutPath, raw, ""); !a.is(http.StatusOK, bodyLoggedOut) {
				t.Errorf("a logout once it is ready: %s", a)
			}
			if a := c.must(t, http.MethodGet, protectedPath, raw, ""); !a.is(http.StatusUnauthorized, bodyInvalid) {
				t.Errorf("after the logout: %s", a)
			}
			p.delete().wait()
		})
	}
}

// redisHost is what the manifests call the server.
const redisHost = "redis.redis.svc.cluster.local:6379"

const redisPassword = "e2e-redis-0123456789"

// redis is a server for the overlay redis.
type redis struct{ program, addr string }

// newRedis returns a server that is not started. Without the program the test is skipped, or
// fails with CI=true.
func newRedis(t *testing.T) *redis {
	t.Helper()
	program, err := exec.LookPath("redis-server")
	switch {
	case err == nil:
	case os.Getenv("CI") == "true":
		t.Fatal("redis-server is not installed: apt-get install redis-server")
	default:
		t.Skip("redis-server is not installed: apt-get install redis-server")
	}
	return &redis{program, freeAddr(t)}
}

// pass gives a pod what the Secret has.
func (r *redis) pass(p *pod) {
	p.t.Helper()
	p.write("secrets/store/password", redisPassword+"\n")
}

func (r *redis) start(t *testing.T) {
	t.Helper()
	runProgram(t, "redis", nil, r.program, "--bind", "127.0.0.1", "--port", port(t, r.addr), "--dir", t.TempDir(),
		"--save", "", "--appendonly", "yes", "--maxmemory-policy", "noeviction",
		"--user", "default", "off", "--user", "sidecar", "on", ">"+redisPassword, "~*", "&*", "+@all")
	awaitPort(t, r.addr)
}

// awaitPort waits until somebody listens.
func awaitPort(t *testing.T, addr string) {
	t.Helper()
	for deadline := time.Now().Add(startTimeout); ; time.Sleep(10 * time.Millisecond) {
		conn, err := (&net.Dialer{Timeout: time.Second}).DialContext(t.Context(), "tcp", addr)
		if err == nil {
			conn.Close()
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("nobody listens on %s after %s: %v", addr, startTimeout, err)
		}
	}
}

// issuer signs tokens and publishes its key.
type issuer struct {
	addr string
	key  *ecdsa.PrivateKey
}

func newIssuer(t *testing.T) *issuer {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return &issuer{freeAddr(t), key}
}

func (i *issuer) sign(t *testing.T, client int64) string {
	t.Helper()
	token := jwt.NewWithClaims(jwt.SigningMethodES256, jwt.MapClaims{
		"sub": fmt.Sprint(client), "jti": fmt.Sprintf("late-%d", serial.Add(1)),
		"iat": time.Now().Unix(), "exp": time.Now().Add(time.Hour).Unix(),
	})
	token.Header["kid"] = "1"
	raw, err := token.SignedString(i.key)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

// start publishes the key.
func (i *issuer) start(t *testing.T) {
	t.Helper()
	point, err := i.key.PublicKey.Bytes() // 4, x, y
	if err != nil {
		t.Fatal(err)
	}
	text := base64.RawURLEncoding.EncodeToString
	set := fmt.Sprintf(`{"keys":[{"kty":"EC","crv":"P-256","use":"sig","alg":"ES256","kid":"1","x":%q,"y":%q}]}`,
		text(point[1:33]), text(point[33:]))
	ln, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", i.addr)
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{
		ReadHeaderTimeout: time.Second,
		Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/jwk-set+json")
			fmt.Fprint(w, set)
		}),
	}
	stopped := make(chan struct{})
	go func() {
		_ = server.Serve(ln) // until it is closed
		close(stopped)
	}()
	t.Cleanup(func() {
		server.Close()
		<-stopped
	})
}
