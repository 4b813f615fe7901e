package history

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

const (
	// replicas is how many sidecars share the list.
	replicas = 3
	// maxStaleness is the least that can be configured, and the bound that is checked.
	maxStaleness = 5 * time.Second

	jwtSecret  = "history-secret-0123456789abcdefghijklmnop"
	checkPath  = "/v1/cards"
	loginPath  = "/auth/login"
	logoutPath = "/auth/logout"
	readyPath  = "/ready"

	// exchangeTimeout is longer than any time limit of the sidecar, and than any pause.
	exchangeTimeout = 30 * time.Second
)

// replica is one of the sidecars, with its own links to the store.
type replica struct {
	number  int
	process *process
	links   []*link
	url     string
	client  *http.Client
}

// newReplica makes a replica. It is not started.
func newReplica(t *testing.T, number int, e *engine, upstream string) *replica {
	t.Helper()
	home, addr := t.TempDir(), freeAddr(t)
	r := &replica{
		number: number, url: "http://" + addr,
		client: &http.Client{Timeout: exchangeTimeout, Transport: &http.Transport{MaxIdleConnsPerHost: 64}},
	}
	t.Cleanup(r.client.CloseIdleConnections)
	var addrs []string
	for _, server := range e.addrs {
		l := newLink(t, server)
		r.links = append(r.links, l)
		addrs = append(addrs, l.addr())
	}
	config := filepath.Join(home, "Caddyfile")
	if err := os.WriteFile(config, []byte(caddyfile(addr, e.option(addrs), upstream)), 0o600); err != nil {
		t.Fatal(err)
	}
	binary, err := buildBinary()
	if err != nil {
		t.Fatal(err)
	}
	r.process = &process{
		t: t, name: fmt.Sprintf("replica %d", number), args: []string{binary, "run", "--config", config},
		env: []string{
			"PATH=" + os.Getenv("PATH"), "HOME=" + home, "XDG_DATA_HOME=" + home, "XDG_CONFIG_HOME=" + home,
			"JWT_SECRET=" + jwtSecret,
		},
		ready: func() bool { return r.request(http.MethodGet, readyPath, "", "") == http.StatusOK },
	}
	return r
}

func caddyfile(addr, store, upstream string) string {
	return fmt.Sprintf(`{
	admin off
	persist_config off
	auto_https off
	token_auth {
		%s
		max_staleness %s
	}
}

http://:%s {
	bind 127.0.0.1
	token_auth {
		api octopus_cards
		secret {env.JWT_SECRET}
		ready %s
		logout %s {
			scope client
			scope_when header X-Scope=session session
			scope_when header X-Scope=token token
		}
	}
	reverse_proxy %s
}
`, store, maxStaleness, addr[strings.LastIndex(addr, ":")+1:], readyPath, logoutPath, upstream)
}

// request sends a request and returns the status of the answer, or 0 if there was none.
func (r *replica) request(method, path, token, scope string) int {
	request, err := http.NewRequestWithContext(context.Background(), method, r.url+path, http.NoBody)
	if err != nil {
		return 0
	}
	if token != "" {
		request.Header.Set("Authorization", "Bearer "+token)
	}
	if scope != "" {
		request.Header.Set("X-Scope", scope)
	}
	response, err := r.client.Do(request)
	if err != nil {
		return 0
	}
	defer response.Body.Close()
	if _, err := io.Copy(io.Discard, response.Body); err != nil {
		return 0
	}
	return response.StatusCode
}

// credential is a token in both forms.
type credential struct {
	issue
	raw string
}

// grant is a token as the upstream hands it out, and the request for it.
type grant struct {
	Token   string `json:"token"`
	Session string `json:"session"`
	Client  string `json:"client"`
	// Issued is the token's iat.
	Issued int64 `json:"issued"`
	Data   struct {
		Access string `json:"access_token"`
	} `json:"data"`
}

// sign makes the token, issued now.
func (g *grant) sign() (err error) {
	g.Issued = time.Now().Unix()
	g.Data.Access, err = jwt.NewWithClaims(jwt.SigningMethodHS256, jwt.MapClaims{
		"jti": g.Token, "sid": g.Session, "sub": g.Client, "iat": g.Issued, "exp": g.Issued + int64(time.Hour/time.Second),
	}).SignedString([]byte(jwtSecret))
	return err
}

// credential records the token as issued. By the wall clock, which is the one that the
// sidecar compares iat with.
func (r *recorder) credential(g *grant, by *login) credential {
	issued := time.Unix(g.Issued, 0).Sub(r.begun.Round(0))
	i := issue{Token: g.Token, Session: g.Session, Client: g.Client, Issued: issued, Login: by}
	r.issued(i)
	return credential{i, g.Data.Access}
}

// serveUpstream lets everybody log in, and answers everything else with nothing.
func serveUpstream(w http.ResponseWriter, r *http.Request) {
	var g grant
	if r.URL.Path == loginPath {
		if err := json.NewDecoder(r.Body).Decode(&g); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		if err := g.sign(); err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(g) // whoever has asked may be gone
}

// logIn has a replica hand out a token.
func (r *replica) logIn(g *grant) error {
	body, err := json.Marshal(g)
	if err != nil {
		return err
	}
	request, err := http.NewRequestWithContext(context.Background(), http.MethodPost, r.url+loginPath, bytes.NewReader(body))
	if err != nil {
		return err
	}
	request.Header.Set("Content-Type", "application/json")
	response, err := r.client.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("login: %s", response.Status)
	}
	return json.NewDecoder(response.Body).Decode(g)
}
