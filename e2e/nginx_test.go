package e2e

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// TestNginxRecipe runs the configurations that docs/recipes.md shows for nginx, as they
// stand there but for their example values.
func TestNginxRecipe(t *testing.T) {
	n := newNginx(t)
	n.start()
	c := n.client()
	defer c.close()

	alice, bob := n.login(c), n.login(c)
	n.wantIdentity(c, alice)
	n.wantRefused(c, "no token", call{path: protectedPath}, bodyMissing)
	n.wantRefused(c, "no token, and a body", call{method: http.MethodPost, path: protectedPath, body: strings.Repeat("x", 64<<10)}, bodyMissing)
	n.wantRefused(c, "a forged token", call{path: protectedPath, header: bearer(alice.access + "x")}, bodyInvalid)
	n.wantRefused(c, "two tokens", call{
		path: protectedPath, header: "Authorization: Bearer " + alice.access + ", Bearer " + bob.access + "\r\n",
	}, bodyInvalid)
	n.wantTwoLinesRefused(c, alice, bob)
	n.wantForbidden(c)
	n.wantPassed(c)

	c.logout(t, alice)
	n.wantRefused(c, "an access token that was logged out", call{path: protectedPath, header: bearer(alice.access)}, bodyInvalid)
	refresh := call{method: http.MethodPost, path: refreshPath, body: refreshBody(alice.refresh)}
	n.wantRefused(c, "its refresh token", refresh, bodyInvalid)
	// With somebody else's access token, at a path that some APIs take for the same: the
	// verdict has to know where the request goes.
	refresh.path, refresh.header = "/AUTH/refresh", bearer(bob.access)
	n.wantRefused(c, "its refresh token, under an odd path", refresh, bodyInvalid)
	c.wantLive(t, bob)
	again, err := c.login(alice.client)
	if err != nil {
		t.Fatal(err)
	}
	c.wantLive(t, again)

	if a := c.must(t, http.MethodPost, "/AUTH/Logout", bob.access, ""); !a.is(http.StatusOK, bodyLoggedOut) {
		t.Errorf("a logout under an odd path: %s", a)
	}
	n.wantRefused(c, "after it", call{path: protectedPath, header: bearer(bob.access)}, bodyInvalid)
	if a := c.must(t, http.MethodGet, "/_verdict", again.access, ""); a.status != http.StatusNotFound {
		t.Errorf("the verdict can be asked from outside: %s", a)
	}

	n.killSidecar()
	for _, token := range []string{again.access, alice.access, ""} {
		before := n.api.served.Load()
		if a := c.must(t, http.MethodGet, protectedPath, token, ""); a.status != http.StatusBadGateway || n.api.served.Load() != before {
			t.Errorf("without the sidecar: %s", a)
		}
	}
	n.startSidecar()
	n.awaitStatus(http.StatusOK, bearer(again.access))
	n.wantRefused(c, "after a restart", call{path: protectedPath, header: bearer(alice.access)}, bodyInvalid)
}

// TestNginxRecipeWithoutAVerdict takes the keys of the tokens from the sidecar, which then
// cannot tell whether they are good.
func TestNginxRecipeWithoutAVerdict(t *testing.T) {
	n := newNginx(t)
	n.caddyfile = substitute(t, n.caddyfile, map[string]string{"secret {env.JWT_SECRET}": "jwks http://" + freeAddr(t) + "/keys"})
	n.start()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := jwt.NewWithClaims(jwt.SigningMethodES256, jwt.MapClaims{
		"sub": "1", "jti": "1", "iat": time.Now().Unix(), "exp": time.Now().Add(time.Hour).Unix(),
	}).SignedString(key)
	if err != nil {
		t.Fatal(err)
	}
	c := n.client()
	defer c.close()
	for _, request := range []string{"GET " + protectedPath, "POST " + logoutPath} {
		before := n.api.served.Load()
		method, path, _ := strings.Cut(request, " ")
		a := c.must(t, method, path, raw, "")
		if !a.is(http.StatusServiceUnavailable, bodyUnavailable) || a.header.Get("Retry-After") == "" || n.api.served.Load() != before {
			t.Errorf("%s: %s, Retry-After %q", request, a, a.header.Get("Retry-After"))
		}
	}
}

// call is one request; its method is GET unless set.
type call struct{ method, path, header, body string }

func bearer(token string) string { return "Authorization: Bearer " + token + "\r\n" }

// forged are header fields in which a client claims to be somebody, somewhere.
const forged = "X-User: forged\r\nX_User: forged\r\nX-Forwarded-For: 192.0.2.1\r\n"

func (n *nginx) do(c *client, r call) answer {
	n.t.Helper()
	if r.method == "" {
		r.method = http.MethodGet
	}
	a, err := c.exchange(r.method, r.path, r.header, r.body)
	if err != nil {
		n.t.Fatalf("%s %s: %v", r.method, r.path, err)
	}
	return a
}

// login logs a client in that claims to be another one.
func (n *nginx) login(c *client) pair {
	n.t.Helper()
	a := n.do(c, call{http.MethodPost, loginPath, forged + "Content-Type: application/json\r\n", loginBody(n.api.newClient())})
	p, err := issued(a)
	if err != nil {
		n.t.Fatal(err)
	}
	n.wantSeen("")
	return p
}

// wantIdentity checks that the API is told who is calling, and nothing that the client
// made up.
func (n *nginx) wantIdentity(c *client, p pair) {
	n.t.Helper()
	if a := n.do(c, call{path: protectedPath, header: forged + bearer(p.access)}); a.status != http.StatusOK {
		n.t.Fatalf("a good token: %s", a)
	}
	n.wantSeen(strconv.FormatInt(p.client, 10))
}

// wantSeen checks the header fields of the last request that the API has got.
func (n *nginx) wantSeen(user string) {
	n.t.Helper()
	seen := *n.api.last.Load()
	if got := seen.Get("X-User"); got != user || len(seen["X-User"]) > 1 || seen["X_user"] != nil {
		n.t.Errorf("the API sees the user %q, want %q", seen["X-User"], user)
	}
	if got := strings.Join(seen["X-Forwarded-For"], ", "); !strings.HasPrefix(got, "127.0.0.1") || strings.Contains(got, "192.0.2.1") {
		n.t.Errorf("the API sees the address %q", got)
	}
}

// wantRefused checks that a request gets the documented answer and does not reach the API.
func (n *nginx) wantRefused(c *client, what string, r call, body string) {
	n.t.Helper()
	before := n.api.served.Load()
	if r.body != "" {
		r.header += "Content-Type: application/json\r\n"
	}
	a := n.do(c, r)
	if !a.is(http.StatusUnauthorized, body) || len(a.header["Www-Authenticate"]) != 1 || a.header.Get("Content-Type") != "application/json" {
		n.t.Errorf("%s: %s %v", what, a, a.header)
	}
	if n.api.served.Load() != before {
		n.t.Errorf("%s: it reached the API", what)
	}
}

// wantTwoLinesRefused sends two lines of Authorization, which nginx answers by itself.
func (n *nginx) wantTwoLinesRefused(c *client, a, b pair) {
	n.t.Helper()
	before := n.api.served.Load()
	got := n.do(c, call{path: protectedPath, header: bearer(a.access) + bearer(b.access)})
	if got.status != http.StatusBadRequest || n.api.served.Load() != before {
		n.t.Errorf("two lines of Authorization: %s", got)
	}
}

// wantForbidden checks that a client may not call from this address, whatever it says of
// its address.
func (n *nginx) wantForbidden(c *client) {
	n.t.Helper()
	before := n.api.served.Load()
	got := n.do(c, call{path: protectedPath, header: bearer(mint(elsewhere).access) + "X-Forwarded-For: 203.0.113.1\r\n"})
	if !got.is(http.StatusForbidden, bodyForbidden) || n.api.served.Load() != before {
		n.t.Errorf("from a forbidden address: %s", got)
	}
}

// wantPassed checks that what needs no token reaches the API without one.
func (n *nginx) wantPassed(c *client) {
	n.t.Helper()
	if a := n.do(c, call{path: healthPath, header: forged}); a.status != http.StatusOK {
		n.t.Errorf("a public path: %s", a)
	}
	n.wantSeen("")
	before := n.api.served.Load()
	preflight := call{http.MethodOptions, protectedPath, "Origin: https://app.example.com\r\nAccess-Control-Request-Method: GET\r\n" + forged, ""}
	n.do(c, preflight)
	if n.api.served.Load() != before+1 {
		n.t.Error("a CORS preflight does not reach the API")
	}
	n.wantSeen("")
}
