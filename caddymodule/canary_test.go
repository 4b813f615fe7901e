package caddymodule_test

import (
	"bytes"
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"example.com/caddy-token-auth/token/apikey"
)

// canaries are credentials that must not be found anywhere, by what they are.
type canaries map[string]string

// add has a credential looked for, and returns it.
func (c canaries) add(what, text string) string {
	for part := range strings.SplitSeq(text, ".") {
		if len(part) < 12 || strings.HasPrefix(part, "eyJhbGci") {
			continue // too short to be told from anything else, or the header of a JWT, which many have
		}
		c[fmt.Sprintf("%s (%d)", what, len(c))] = part
	}
	return text
}

// addKey is add for a key, of which other spellings are looked for too.
func (c canaries) addKey(what, text string) string {
	c[what], c[what+" in base64"] = text, base64.StdEncoding.EncodeToString([]byte(text))
	c[what+" in base64url"], c[what+" in hexadecimal"] = base64.RawURLEncoding.EncodeToString([]byte(text)), hex.EncodeToString([]byte(text))
	return text
}

// find returns what is found in text.
func (c canaries) find(text string) []string {
	var found []string
	for what, canary := range c {
		if at := strings.Index(text, canary); at >= 0 {
			found = append(found, fmt.Sprintf("%s: …%s…", what, text[max(0, at-300):min(len(text), at+100)]))
		}
	}
	slices.Sort(found)
	return found
}

// noisySite is a Caddy that logs all that it can about several sites.
type noisySite struct {
	*site
	log    string // its file
	filter string // the format of the log
	admin  string // "": off
	blocks []string
	secret canaries
}

// logFilter returns the filter that docs/configuration.md recommends for all logs.
func logFilter(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile("../docs/configuration.md")
	if err != nil {
		t.Fatal(err)
	}
	_, section, _ := strings.Cut(string(text), "\n### Credentials in logs\n")
	_, block, _ := strings.Cut(section, "```caddyfile fragment=global\nlog {\n")
	filter, _, ok := strings.Cut(block, "\n}\n```")
	if !ok {
		t.Fatal("docs/configuration.md has no filter for logs")
	}
	return filter
}

func newNoisySite(t *testing.T) *noisySite {
	t.Helper()
	n := &noisySite{site: prepare(t, new(echo), ""), secret: make(canaries), filter: logFilter(t)}
	n.log = filepath.Join(t.TempDir(), "log")
	return n
}

// add adds a site in front of an upstream, and returns its client.
func (n *noisySite) add(upstream http.Handler, options string) *site {
	n.t.Helper()
	server := httptest.NewServer(upstream)
	n.t.Cleanup(server.Close)
	addr := freeAddr(n.t)
	n.blocks = append(n.blocks, fmt.Sprintf(`
	http://%s {
		log
		token_auth {
			%s
		}
		reverse_proxy %s
	}`, addr, options, server.Listener.Addr()))
	return &site{t: n.t, addr: addr, client: n.client}
}

func (n *noisySite) config() string {
	store := n.store
	if store == "" {
		store = "store local " + n.dir
	}
	admin := n.admin
	if admin == "" {
		admin = "off"
	}
	return fmt.Sprintf(`{
		admin %s
		persist_config off
		auto_https off
		grace_period 5s
		debug
		servers {
			trace
		}
		log {
			output file %s
			level DEBUG
			%s
		}
		metrics
		token_auth {
			%s
			%s
		}
	}
	%s`, admin, n.log, n.filter, store, n.global, strings.Join(n.blocks, "\n"))
}

func (n *noisySite) load() error {
	config, err := adapt(n.config())
	if err == nil {
		err = caddy.Load(config, true)
	}
	n.client.CloseIdleConnections()
	return err
}

// logged returns all that was logged until now.
func (n *noisySite) logged() string {
	n.t.Helper()
	text, err := os.ReadFile(n.log)
	if err != nil {
		n.t.Fatal(err)
	}
	return string(text)
}

// metricsPage returns the metrics of the running configuration as they are served.
func metricsPage(t *testing.T) string {
	t.Helper()
	ctx := caddy.ActiveContext()
	page := httptest.NewRecorder()
	promhttp.HandlerFor(ctx.GetMetricsRegistry(), promhttp.HandlerOpts{}).ServeHTTP(page, httptest.NewRequestWithContext(t.Context(), "GET", "/metrics", nil))
	return page.Body.String()
}

// stored returns the files of the local store, but for the one that is there to hold a secret.
func (n *noisySite) stored() string {
	n.t.Helper()
	entries, err := os.ReadDir(n.dir)
	if err != nil {
		n.t.Fatal(err)
	}
	var all strings.Builder
	for _, entry := range entries {
		content, err := os.ReadFile(filepath.Join(n.dir, entry.Name()))
		if err != nil {
			n.t.Fatal(err)
		}
		if entry.Name() == "digest.key" {
			n.secret.addKey("the key of the digests", string(bytes.TrimSpace(content)))
			continue
		}
		all.Write(content)
	}
	return all.String()
}

// wantSilence looks for the credentials wherever they could have been left.
func (n *noisySite) wantSilence() {
	n.t.Helper()
	for where, text := range map[string]string{"the store": n.stored(), "the log": n.logged(), "the metrics": metricsPage(n.t)} {
		for _, found := range n.secret.find(text) {
			n.t.Errorf("%s has %s", where, found)
		}
	}
}

// wantSpoken checks that those who could say too much have said something.
func (n *noisySite) wantSpoken(messages ...string) {
	n.t.Helper()
	printed := n.logged()
	for _, message := range messages {
		if !strings.Contains(printed, message) {
			n.t.Errorf("the log does not have %q", message)
		}
	}
}

// badly sends a token in every way in which it is refused.
func (n *noisySite) badly(s *site, path, raw string) {
	for _, header := range [][]string{
		{"Authorization: " + raw},
		{"Authorization: Basic " + raw},
		{bearer(raw + "x")},
		{bearer(raw), bearer("other-" + raw)},
		{bearer(raw), "Upgrade: tls/1.0", "Connection: Upgrade"},
		{"Authorization: Bearer  " + raw + " " + raw},
	} {
		for _, method := range []string{"GET", "POST"} {
			s.do(method, path, "", header...)
		}
	}
}

func TestNoJWTIsLoggedCountedOrStored(t *testing.T) {
	n := newNoisySite(t)
	t.Setenv("CANARY_SECRET", n.secret.addKey("the key", testSecret))
	options := "api octopus_cards\nsecret {env.CANARY_SECRET}\nforward_identity X-Client-ID sub\nallow_ips 43 10.0.0.0/8"
	s := n.add(newAPI(t, time.Now), options)
	trial := n.add(newAPI(t, time.Now), options+"\ndry_run")
	wide := n.add(newAPI(t, time.Now), "api octopus_cards\nsecret {env.CANARY_SECRET}\nfrom query token\nfrom cookie session_token\n"+
		"from header X-Access-Token\nlogout {\naccept_expired\nforward\ntoken refresh_token\n}")
	if err := n.load(); err != nil {
		t.Fatal(err)
	}
	n.secret.add("the password", "secret-42-of-the-client")
	s.do("POST", "/auth/login", `{"username":"key-42","password":"secret-42-of-the-client"}`)
	issue := func(what string) pair {
		p := s.login(42)
		n.secret.add("the access token "+what, p.Access)
		n.secret.add("the refresh token "+what, p.Refresh)
		return p
	}
	now := time.Now()
	forged := n.secret.add("a forged token", issue("that is forged").Access[:40]+rand.Text()+"."+rand.Text()+rand.Text())
	expired := n.secret.add("an expired token", sign(t, claimsAt(now.Add(-3*time.Hour))))
	aged := n.secret.add("an aged token", sign(t, claimsAt(now.Add(-30*24*time.Hour))))
	confined := n.secret.add("a token of a confined client", sign(t, map[string]any{"sub": "43", "iat": now.Unix(), "exp": now.Add(time.Hour).Unix()}))
	nonsense := n.secret.add("nonsense", "nonsense-that-somebody-took-for-a-token")
	for _, on := range []*site{s, trial} {
		p := issue("of a logout")
		on.do("GET", "/v1/cards", "", bearer(p.Access))
		for _, raw := range []string{forged, expired, aged, confined, nonsense} {
			n.badly(on, "/v1/cards", raw)
			on.do("GET", "/v1/cards", "", bearer(raw))
			on.do("POST", "/auth/logout", "", bearer(raw))
			on.refresh(raw)
		}
		n.badly(on, "/auth/logout", p.Access)
		on.do("POST", "/auth/refresh", `{"refresh_token":"`+p.Refresh)
		on.do("POST", "/auth/refresh?refresh_token="+p.Refresh+"&x=%zz", "")
		renewed := on.refresh(p.Refresh)
		if renewed.status != 200 {
			t.Fatalf("refresh: %d %s", renewed.status, renewed.body)
		}
		fresh := parsePair(t, renewed.body)
		n.secret.add("a renewed access token", fresh.Access)
		n.secret.add("a renewed refresh token", fresh.Refresh)
		on.refresh(p.Refresh)
		if a := on.do("POST", "/auth/logout", "", bearer(fresh.Access)); a.status != 200 && on == s {
			t.Fatalf("logout: %d %s", a.status, a.body)
		}
		on.do("GET", "/v1/cards", "", bearer(fresh.Access))
		on.refresh(fresh.Refresh)
	}
	for _, place := range []func(raw string) (string, string){
		func(raw string) (string, string) { return "?token=" + raw, "-X" },
		func(raw string) (string, string) { return "", "Cookie: session_token=" + raw },
		func(raw string) (string, string) { return "", "X-Access-Token: " + raw },
	} {
		p := issue("elsewhere")
		for _, raw := range []string{p.Access, forged, expired, nonsense} {
			query, header := place(raw)
			wide.do("GET", "/v1/cards"+query, "", header)
			wide.do("POST", "/auth/logout"+query, `{"refresh_token":"`+p.Refresh+`"}`, header)
			wide.do("GET", "/v1/cards"+query, "", header, bearer(p.Refresh))
		}
	}
	n.global = "cache_size 5000"
	if err := n.load(); err != nil {
		t.Fatal(err)
	}
	s.do("GET", "/v1/cards", "", bearer(forged))
	n.wantSpoken("request refused", "request would be refused", "revoked", "upstream roundtrip", "handled request")
	n.wantSilence()
}

func TestNoOpaqueCredentialIsLoggedCountedOrStored(t *testing.T) {
	n := newNoisySite(t)
	known := n.add(newOpaqueAPI(t), "opaque known\nrealm known\n"+fmt.Sprintf(opaqueEndpoints, "session"))
	passed := n.add(newOpaqueAPI(t), "opaque pass\nrealm passed\n"+fmt.Sprintf(opaqueEndpoints, "session"))
	as := &authorizationServer{answer: active}
	server := httptest.NewServer(as)
	t.Cleanup(server.Close)
	clientSecret := n.secret.addKey("the client secret", "canary-of-the-client-secret")
	n.secret["the client's authentication"] = base64.StdEncoding.EncodeToString([]byte("sidecar:" + clientSecret))
	asked := n.add(new(echo), "opaque introspect "+server.URL+"/introspect {\nclient_id sidecar\nclient_secret "+clientSecret+"\ntimeout 500ms\n}\n"+
		"realm asked\nlogout /logout {\nscope session\n}")
	trusted := n.add(new(echo), "opaque introspect http://127.0.0.1:1/introspect {\nbearer "+n.secret.addKey("the bearer", "canary-of-the-bearer-token")+"\n}\n"+
		"realm trusted\nlogout /logout {\nscope session\n}")
	hashed := n.secret.addKey("an API key", "canary-of-the-api-key-0123456789")
	keys := n.add(newECGrid(t), "api ecgrid\nsecret "+testSecret+"\nrealm keys\napi_key X-API-Key {\nkey partner "+apikey.Hash(hashed)+"\n}")
	n.secret.addKey("the key of the tokens", testSecret)
	unjudged := n.add(newECGrid(t), "api ecgrid\nsecret "+testSecret+"\nrealm unjudged\napi_key X-API-Key")
	rpc := n.add(new(deribitAPI), "api deribit\nrealm rpc")
	if err := n.load(); err != nil {
		t.Fatal(err)
	}
	for _, on := range []*site{known, passed} {
		a := on.do("POST", "/login", `{"user":"alice"}`)
		grant := parseGrant(t, a)
		n.secret.add("an opaque access token", grant.Access)
		n.secret.add("an opaque refresh token", grant.Refresh)
		on.do("GET", "/x", "", bearer(grant.Access))
		n.badly(on, "/x", grant.Access)
		n.badly(on, "/logout", grant.Access)
		renewed := parseGrant(t, on.do("POST", "/refresh", `{"Refresh":"`+grant.Refresh+`"}`))
		n.secret.add("a renewed opaque access token", renewed.Access)
		n.secret.add("a renewed opaque refresh token", renewed.Refresh)
		on.do("POST", "/refresh", `{"Refresh":"`+grant.Refresh+`"}`)
		on.do("POST", "/logout", "", bearer(renewed.Access))
		on.do("GET", "/x", "", bearer(renewed.Access))
		made := n.secret.add("a made-up opaque token", "made-up-opaque-token-of-nobody")
		on.do("POST", "/logout", "", bearer(made))
	}
	good, bad := n.secret.add("an active token", "session-one.active-opaque-token"), n.secret.add("an inactive token", "bad-inactive-opaque-token")
	for _, on := range []*site{asked, trusted} {
		for _, raw := range []string{good, bad} {
			on.do("GET", "/x", "", bearer(raw))
			on.do("POST", "/logout", "", bearer(raw))
			on.do("GET", "/x", "", bearer(raw))
		}
	}
	server.CloseClientConnections()
	as.set(func(http.ResponseWriter, string) { panic(http.ErrAbortHandler) })
	asked.do("GET", "/x", "", bearer(n.secret.add("a token that nobody judges", "session-two.opaque-token-in-an-outage")))

	wrong := n.secret.add("a wrong API key", "canary-of-a-wrong-api-key-987654")
	for on, key := range map[*site]string{keys: hashed, unjudged: n.secret.add("the API's own key", ecgridKey)} {
		n.badly(on, "/v2/mailboxes", key)
		for _, key := range []string{key, wrong} {
			on.do("GET", "/v2/mailboxes", "", "X-API-Key: "+key)
			on.do("GET", "/v2/mailboxes", "", "X-API-Key: "+key, bearer(key))
			on.do("POST", "/v2/auth/logout", "", "X-API-Key: "+key, "X-Session-ID: session-of-somebody")
			on.do("POST", "/v2/auth/logout", "", "X-API-Key: "+key)
		}
	}
	n.secret.add("the access token of the exchange", deribitAccess)
	n.secret.add("the refresh token of the exchange", deribitRefresh)
	rpc.do("POST", "/api/v2/public/auth", `{"jsonrpc":"2.0","id":1,"method":"public/auth","params":{"grant_type":"client_credentials","client_id":"a","client_secret":"`+
		n.secret.add("the client secret of the exchange", "canary-of-the-exchange-client")+`"}}`)
	body := `{"jsonrpc":"2.0","id":1,"method":"private/get_positions","params":{"access_token":"` + deribitAccess + `"}}`
	for _, text := range []string{body, body[:len(body)-3], "[" + body + "]", strings.Replace(body, "access_token", "Access_Token", 1)} {
		rpc.do("POST", "/api/v2/private/get_positions", text)
		rpc.do("POST", "/api/v2", text, bearer(deribitAccess))
	}
	rpc.do("GET", "/api/v2/private/get_positions?access_token="+deribitAccess, "")
	rpc.do("GET", "/api/v2/private/logout?access_token="+deribitAccess, "")
	rpc.do("GET", "/api/v2/public/auth?grant_type=refresh_token&refresh_token="+deribitRefresh, "")
	n.badly(rpc, "/api/v2/private/get_positions", deribitAccess)
	if err := n.load(); err != nil {
		t.Fatal(err)
	}
	n.wantSpoken("request refused", "revoked", "upstream roundtrip", "handled request")
	n.wantSilence()
}

func TestNoCredentialIsLoggedWhenTheStoreFailsOrTheConfigurationIsWrong(t *testing.T) {
	n := newNoisySite(t)
	n.secret.addKey("the key", testSecret)
	password := n.secret.addKey("the store's password", "canary-of-the-store-password")
	digestKey := n.secret.addKey("the configured key of the digests", "canary-of-the-digest-key-0123456789abcdef")
	n.store, n.global = "store redis redis://user:"+password+"@"+freeAddr(t), "digest_key "+digestKey
	s := n.add(new(echo), "api octopus_cards\nsecret "+testSecret)
	if err := n.load(); err != nil {
		t.Fatal(err)
	}
	raw := sign(t, claimsAt(time.Now()))
	n.secret.add("a token", raw)
	for _, path := range []string{"/x", "/auth/logout"} {
		s.do("POST", path, "", bearer(raw)).want(t, path, 503, bodyUnavailable)
	}
	s.refresh(raw).want(t, "refresh", 503, bodyUnavailable)
	n.global += "\non_store_failure allow"
	if err := n.load(); err != nil {
		t.Fatal(err)
	}
	if a := s.do("GET", "/x", "", bearer(raw)); a.status != 200 {
		t.Errorf("unchecked: %d %s", a.status, a.body)
	}
	n.wantSpoken("revocation list not opened", "request refused", "let through unchecked")
	n.wantSilence()

	weak := n.secret.add("a weak key", "canary-that-is-weak")
	good := n.config()
	for what, text := range map[string]string{
		"a weak key":            strings.Replace(good, testSecret, weak, 1),
		"a key that is no text": strings.Replace(good, testSecret, "base64:"+weak+"!", 1),
		"a weak digest key":     strings.Replace(good, digestKey, weak, 1),
		"a host that is no":     strings.Replace(good, "@127.0.0.1:", "%zz"+weak+"@127.0.0.1:", 1),
		"another scheme":        strings.Replace(good, "redis://user:", "http://user:", 1),
		"a bad port":            strings.Replace(good, "@127.0.0.1:", "@127.0.0.1:x", 1),
		"a word too much":       strings.Replace(good, "api octopus_cards", "api octopus_cards\nleeway 1s 2s", 1),
	} {
		config, err := adapt(text)
		if err == nil {
			err = caddy.Load(config, true)
		}
		if err == nil {
			t.Errorf("%s is accepted", what)
			continue
		}
		for _, found := range n.secret.find(err.Error()) {
			t.Errorf("%s: the error has %s", what, found)
		}
	}
	n.wantSilence()
}

// A provider's URL may have a key of its own in its query.
func TestNoKeyInAURLIsLogged(t *testing.T) {
	n := newNoisySite(t)
	t.Setenv("CANARY_URL_KEY", n.secret.addKey("the key of a URL", "canary-of-a-key-in-a-url"))
	server := httptest.NewServer(http.NotFoundHandler())
	t.Cleanup(server.Close)
	for i, base := range []string{server.URL, "http://127.0.0.1:1"} {
		n.add(new(echo), fmt.Sprintf("realm keys%d\njwks %s/keys?key={env.CANARY_URL_KEY}", i, base))
		n.add(new(echo), fmt.Sprintf("realm asked%d\nopaque introspect %s/introspect?key={env.CANARY_URL_KEY} {\nbearer x\n}", i, base))
	}
	if err := n.load(); err != nil {
		t.Fatal(err)
	}
	n.eventually(func() bool { return strings.Count(n.logged(), "verification keys not fetched") >= 2 })
	for _, block := range n.blocks {
		addr := strings.Fields(strings.TrimSpace(block))[0]
		on := &site{t: t, addr: strings.TrimPrefix(addr, "http://"), client: n.client}
		for _, raw := range []string{"an-opaque-token", sign(t, claimsAt(time.Now()))} {
			on.do("GET", "/x", "", bearer(raw))
		}
	}
	n.wantSilence()
}

// TestFilterTakesCredentialsOutOfEveryLog has each logger of Caddy that prints URLs or headers
// print some with credentials, in places and spellings that nobody has named to it.
func TestFilterTakesCredentialsOutOfEveryLog(t *testing.T) {
	for _, filtered := range []bool{false, true} {
		t.Run(fmt.Sprint("filtered=", filtered), func(t *testing.T) {
			n := newNoisySite(t)
			if !filtered {
				n.filter = ""
			}
			location, own := n.secret.add("Location", "canary-in-the-location"), n.secret.add("an answer's header", "canary-in-a-new-token")
			key := n.secret.addKey("the configured key", "canary-of-the-key-of-the-tokens-0123456789")
			n.add(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("Location", "/there?code="+location)
				w.Header().Set("X-New-Token", own)
				if strings.HasPrefix(r.URL.Path, "/broken") {
					w.Header().Set("Content-Length", "100")
				}
			}), "secret "+key+"\npublic /*")
			where, dead := strings.Fields(n.blocks[0])[0], freeAddr(t)
			n.admin = freeAddr(t)
			n.blocks[0] = strings.Replace(n.blocks[0], "reverse_proxy", `rewrite /before* /after?{query}
			reverse_proxy /dead* `+dead+`
			reverse_proxy /script* `+dead+` {
				transport fastcgi
			}
			reverse_proxy`, 1)
			if err := n.load(); err != nil {
				t.Fatal(err)
			}
			query := "client_secret=" + n.secret.add("the query", "canary-client-secret") + "&Key=" + n.secret.add("another spelling", "canary-key-in-query") +
				"&x=%zz&y=" + n.secret.add("behind what cannot be read", "canary-behind-a-bad-escape")
			header := http.Header{
				"X-Api-Key":   {n.secret.add("a header", "canary-api-key-in-header")},
				"X_other_key": {n.secret.add("another header", "canary-other-key-in-header")},
				"Referer":     {"https://example.com/?code=" + n.secret.add("the referrer", "canary-in-the-referrer")},
				"Cookie":      {"a=" + n.secret.add("a cookie", "canary-in-a-cookie")},
			}
			for _, at := range []string{where + "/x", where + "/before", where + "/broken", where + "/dead", where + "/script", "http://" + n.admin + "/none"} {
				r, err := http.NewRequestWithContext(t.Context(), "GET", at+"?"+query, http.NoBody)
				if err != nil {
					t.Fatal(err)
				}
				r.Header = header.Clone()
				resp, err := n.client.Transport.RoundTrip(r)
				if err != nil {
					continue // broken off
				}
				_, _ = io.Copy(io.Discard, resp.Body)
				resp.Body.Close()
			}
			for _, line := range [][2]string{
				{"http.log.access", "handled request"},
				{"http.log.error", "connection refused"},
				{"http.log.trace", "token_auth"},
				{"http.handlers.reverse_proxy", "upstream roundtrip"},
				{"http.handlers.reverse_proxy", "aborting with incomplete response"},
				{"http.handlers.rewrite", "rewrote request"},
				{"http.reverse_proxy.transport.fastcgi", "roundtrip"},
				{"admin.api", "received request"},
			} {
				var printed string
				n.eventually(func() bool {
					printed = linesOf(n.logged(), line[0], line[1])
					return printed != ""
				})
				if found := n.secret.find(printed); (len(found) == 0) != filtered {
					t.Errorf("%s, %q: %q", line[0], line[1], found)
				}
			}
			if filtered {
				n.wantSpoken(`"/broken"`, `"/script"`, `"/none"`)
				n.wantSilence()
			}
		})
	}
}

// linesOf returns the lines of a log that a logger has written with this in the message.
func linesOf(log, logger, message string) string {
	var found strings.Builder
	for line := range strings.Lines(log) {
		_, said, _ := strings.Cut(line, `"msg":"`)
		if strings.Contains(line, `"logger":"`+logger) && strings.Contains(said, message) {
			found.WriteString(line)
		}
	}
	return found.String()
}

// TestAccessLogHasCredentialsOutsideAuthorizationUnlessItIsTold is why the documentation has a
// filter for the log.
func TestAccessLogHasCredentialsOutsideAuthorizationUnlessItIsTold(t *testing.T) {
	n := newNoisySite(t)
	n.filter = ""
	s := n.add(new(echo), "secret "+testSecret+"\nfrom query token\nfrom header Authorization Bearer")
	if err := n.load(); err != nil {
		t.Fatal(err)
	}
	raw := sign(t, claimsAt(time.Now()))
	n.secret.add("a token", raw)
	s.do("GET", "/x", "", bearer(raw))
	n.wantSilence()
	s.do("GET", "/x?token="+raw, "")
	if len(n.secret.find(n.logged())) == 0 {
		t.Error("the query is not logged: the filter is not needed any more")
	}
}
