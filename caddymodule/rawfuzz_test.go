package caddymodule_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"regexp"
	"runtime/debug"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"github.com/golang-jwt/jwt/v5"
)

// FuzzRawRequests writes raw bytes on a connection to the sidecar. Whatever they are,
// nothing panics, and what reaches the upstream has a live credential where the
// configuration says that it is, or is a call that needs none. The upstream judges the bytes
// that it has received. {LIVE}, {RLIVE}, {REVOKED} and {RREVOKED} stand for tokens. With
// places, the token is in a header field, a cookie or the query.
func FuzzRawRequests(f *testing.F) {
	lab := newRawLab(f)
	f.Add(false, []byte("GET /v1/cards HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer {LIVE}\r\n\r\n"))
	f.Add(true, []byte("GET /v1/cards?tok={LIVE} HTTP/1.1\r\nHost: h\r\n\r\n"))
	f.Fuzz(func(t *testing.T, places bool, raw []byte) {
		lab.send(t, places, raw)
		for _, mistake := range lab.mistakes() {
			t.Error(mistake)
		}
	})
}

// TestRawRequestsAreJudged checks what the fuzz target says of plain requests, so that it
// cannot find everything good.
func TestRawRequestsAreJudged(t *testing.T) {
	live := rawTokens{live: "live-token", liveRefresh: "live-refresh", revoked: "revoked-token", revokedRefresh: "revoked-refresh"}
	upstream := &rawUpstream{live: map[string]bool{live.live: true, live.liveRefresh: true}, revoked: live}
	for raw, want := range map[string]string{
		"GET /v1/cards HTTP/1.1\r\nAuthorization: Bearer live-token\r\n\r\n":                                             "",
		"GET /v1/cards HTTP/1.1\r\n\r\n":                                                                                 "without a live credential",
		"GET /v1/cards HTTP/1.1\r\nAuthorization: Bearer revoked-token\r\n\r\n":                                          "revoked",
		"GET /v1/cards?tok=revoked-token HTTP/1.1\r\nX-Token: live-token\r\n\r\n":                                        "revoked",
		"GET /v1/cards HTTP/1.1\r\nCookie: x=1; token=revoked-token\r\nX-Token: live-token\r\n\r\n":                      "revoked",
		"GET /v1/cards HTTP/1.1\r\nCookie: token=live-token\r\n\r\n":                                                     "",
		"GET a:http://h/v1/cards HTTP/1.1\r\nAuthorization: Bearer live-token\r\n\r\n":                                   "target",
		"POST /auth/login HTTP/1.1\r\n\r\n":                                                                              "",
		"POST /AUTH/logout/ HTTP/1.1\r\nAuthorization: Bearer live-token\r\n\r\n":                                        "logout",
		"POST /auth/refresh HTTP/1.1\r\n\r\n{\"refresh_token\":\"live-refresh\"}":                                        "",
		"POST /auth/refresh HTTP/1.1\r\nAuthorization: Bearer live-token\r\n\r\n{\"refresh_token\":\"revoked-refresh\"}": "revoked",
		"OPTIONS /v1/cards HTTP/1.1\r\nOrigin: a\r\nAccess-Control-Request-Method: GET\r\n\r\n":                          "",
		"GET /static/../v1/cards HTTP/1.1\r\n\r\n":                                                                       "without a live credential",
	} {
		mistake := upstream.judge(raw)
		if (mistake == "") != (want == "") || !strings.Contains(mistake, want) {
			t.Errorf("%q: %q, want %q", raw, mistake, want)
		}
	}
}

// rawTokens take the places of their names in braces.
type rawTokens struct{ live, liveRefresh, revoked, revokedRefresh string }

// rawLab is a sidecar with two sites, one of which takes tokens from other places.
type rawLab struct {
	addr, placesAddr string
	upstream         *rawUpstream
	revoked          rawTokens
	count            int
}

func newRawLab(f *testing.F) *rawLab {
	f.Helper()
	lab := &rawLab{addr: freeFuzzAddr(f), placesAddr: freeFuzzAddr(f)}
	lab.revoked.revoked, lab.revoked.revokedRefresh = signRaw("gone", 1), signRaw("gone", 2)
	lab.upstream = startRawUpstream(f, lab.revoked)
	site := func(addr, options string) string {
		return fmt.Sprintf(`
			http://:%s {
				bind 127.0.0.1
				route {
					watch_panics
					token_auth {
						api octopus_cards
						realm raw
						secret %s
						public /status /static/*
						%s
					}
					reverse_proxy %s
				}
			}
		`, addr[strings.LastIndex(addr, ":")+1:], testSecret, options, lab.upstream.addr)
	}
	config, err := adapt(`{
		admin off
		persist_config off
		auto_https off
		grace_period 1s
		log {
			output discard
		}
		token_auth {
			store local ` + f.TempDir() + `
		}
	}` + site(lab.addr, "") + site(lab.placesAddr, "from header X-Token\nfrom cookie token\nfrom query tok"))
	if err != nil {
		f.Fatal(err)
	}
	if err := caddy.Load(config, true); err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() {
		if err := caddy.Stop(); err != nil {
			f.Error(err)
		}
	})
	answer := lab.exchange(f, lab.addr, "POST /auth/logout HTTP/1.1\r\nHost: h\r\nConnection: close\r\nAuthorization: Bearer "+lab.revoked.revoked+"\r\n\r\n")
	if !strings.HasPrefix(answer, "HTTP/1.1 200") {
		f.Fatalf("logout: %s", answer)
	}
	return lab
}

// freeFuzzAddr is freeAddr for a fuzz target.
func freeFuzzAddr(f *testing.F) string {
	f.Helper()
	l, err := new(net.ListenConfig).Listen(f.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		f.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

func signRaw(client string, id int) string {
	now := time.Now()
	raw, err := jwt.NewWithClaims(jwt.SigningMethodHS256, jwt.MapClaims{
		"sub": client, "jti": fmt.Sprint(client, "-", id), "iat": now.Add(-time.Minute).Unix(), "exp": now.Add(24 * time.Hour).Unix(),
	}).SignedString([]byte(testSecret))
	if err != nil {
		panic(err) // the key is good
	}
	return raw
}

// send writes raw bytes with tokens of a client of their own, and behind them a request
// that is refused and ends the connection.
func (lab *rawLab) send(t *testing.T, places bool, raw []byte) {
	t.Helper()
	lab.count++
	client := fmt.Sprint("alive-", lab.count)
	live, refresh := signRaw(client, 1), signRaw(client, 2)
	lab.upstream.takes(live, refresh)
	text := strings.NewReplacer(
		"{LIVE}", live, "{RLIVE}", refresh, "{REVOKED}", lab.revoked.revoked, "{RREVOKED}", lab.revoked.revokedRefresh,
	).Replace(string(raw))
	addr := lab.addr
	if places {
		addr = lab.placesAddr
	}
	lab.exchange(t, addr, text+"GET /end HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")
}

// rawPatience is how long an answer to bytes that may be no whole request is awaited.
const rawPatience = 250 * time.Millisecond

// exchange writes raw bytes and returns what is answered.
func (lab *rawLab) exchange(t testing.TB, addr, raw string) string {
	t.Helper()
	conn, err := new(net.Dialer).DialContext(t.Context(), "tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	var writing sync.WaitGroup
	defer writing.Wait()
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(rawPatience)); err != nil {
		t.Fatal(err)
	}
	// A server that has read enough answers without the rest, so that writing may fail.
	writing.Go(func() { _, _ = io.WriteString(conn, raw) })
	answer, _ := io.ReadAll(conn) // up to the deadline
	return string(answer)
}

// mistakes returns what was wrong since the last call.
func (lab *rawLab) mistakes() []string {
	panics.mu.Lock()
	found := panics.found
	panics.found = nil
	panics.mu.Unlock()
	lab.upstream.mu.Lock()
	defer lab.upstream.mu.Unlock()
	found = append(found, lab.upstream.mistakes...)
	lab.upstream.mistakes = nil
	return found
}

// rawUpstream judges the bytes of each request that it receives.
type rawUpstream struct {
	addr    string
	revoked rawTokens

	mu       sync.Mutex
	live     map[string]bool
	mistakes []string
}

func startRawUpstream(f *testing.F, revoked rawTokens) *rawUpstream {
	f.Helper()
	l, err := new(net.ListenConfig).Listen(f.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		f.Fatal(err)
	}
	u := &rawUpstream{addr: l.Addr().String(), revoked: revoked, live: map[string]bool{}}
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			running.Go(func() {
				defer context.AfterFunc(ctx, func() { _ = conn.Close() })()
				u.serve(conn)
			})
		}
	})
	f.Cleanup(func() {
		cancel()
		_ = l.Close() // never fails
		running.Wait()
	})
	return u
}

// serve answers the requests of one connection.
func (u *rawUpstream) serve(conn net.Conn) {
	defer conn.Close()
	var raw bytes.Buffer
	from := bufio.NewReader(io.TeeReader(conn, &raw))
	tokens, err := json.Marshal(map[string]any{"success": true, "data": map[string]string{"access_token": "a", "refresh_token": "b", "client_id": "c"}})
	if err != nil {
		panic(err) // a map of strings
	}
	for {
		r, err := http.ReadRequest(from)
		if err != nil {
			if !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) && !errors.Is(err, net.ErrClosed) && raw.Len() > 0 && !isNetError(err) {
				u.report(fmt.Sprintf("what was forwarded is no request: %v: %q", err, raw.String()))
			}
			return
		}
		if _, err := io.Copy(io.Discard, r.Body); err != nil {
			return // broken off
		}
		text := raw.String()[:raw.Len()-from.Buffered()]
		if mistake := u.judge(text); mistake != "" {
			u.report(mistake)
		}
		raw.Next(len(text))
		head := fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n", len(tokens))
		if r.Method != http.MethodHead {
			head += string(tokens)
		}
		if _, err := io.WriteString(conn, head); err != nil {
			return
		}
	}
}

func isNetError(err error) bool {
	var e *net.OpError
	return errors.As(err, &e)
}

func (u *rawUpstream) report(mistake string) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.mistakes = append(u.mistakes, mistake)
}

// takes says that these tokens are live.
func (u *rawUpstream) takes(tokens ...string) {
	u.mu.Lock()
	defer u.mu.Unlock()
	for _, raw := range tokens {
		u.live[raw] = true
	}
}

var (
	rawCredential = regexp.MustCompile(`(?im)^(?:Authorization: Bearer |X-Token: |Cookie:(?:.*[;, \t])?\s*"?token"?\s*=\s*"?|[A-Z]+ [^ ?]*\?(?:[^ ]*&)?tok=)([\w.-]+)`)
	rawRefresh    = regexp.MustCompile(`"refresh_token"\s*:\s*"([\w.-]+)"`)
	rawPublic     = regexp.MustCompile(`^/(status|static/[^/]*)$`)
)

// judge returns what is wrong with a request as it was received, or "".
func (u *rawUpstream) judge(raw string) string {
	head, body, _ := strings.Cut(raw, "\r\n\r\n")
	line, fields, _ := strings.Cut(head, "\r\n")
	method, rest, _ := strings.Cut(line, " ")
	target, _, _ := strings.Cut(rest, " ")
	path, _, _ := strings.Cut(target, "?")
	if decoded, err := url.PathUnescape(path); err == nil {
		path = decoded
	}
	folded := strings.TrimRight(strings.ToLower(path), "/")
	isPreflight := method == http.MethodOptions && strings.Contains(fields, "Origin: ") && strings.Contains(fields, "Access-Control-Request-Method: ")
	switch {
	case target != "*" && !strings.HasPrefix(target, "/"):
		return fmt.Sprintf("a target that is no path: %q", raw)
	case folded == "/auth/logout" && !isPreflight:
		return fmt.Sprintf("the logout, which is not the upstream's: %q", raw)
	case rawPublic.MatchString(path), method == http.MethodPost && path == "/auth/login":
		return ""
	}
	hasLive := false
	for _, match := range rawCredential.FindAllStringSubmatch(head, -1) {
		if match[1] == u.revoked.revoked || match[1] == u.revoked.revokedRefresh {
			return fmt.Sprintf("a revoked credential: %q", raw)
		}
		hasLive = hasLive || u.isLive(match[1])
	}
	if folded == "/auth/refresh" && method == http.MethodPost {
		for _, match := range rawRefresh.FindAllStringSubmatch(body, -1) {
			if match[1] == u.revoked.revoked || match[1] == u.revoked.revokedRefresh {
				return fmt.Sprintf("a revoked refresh token: %q", raw)
			}
			hasLive = hasLive || u.isLive(match[1])
		}
	}
	if !hasLive && !isPreflight && !strings.Contains(folded, "refresh") {
		return fmt.Sprintf("a call without a live credential: %q", raw)
	}
	return ""
}

func (u *rawUpstream) isLive(raw string) bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.live[raw]
}

// panics are those that watchPanics has seen.
var panics struct {
	mu    sync.Mutex
	found []string
}

func init() {
	caddy.RegisterModule(watchPanics{})
	httpcaddyfile.RegisterHandlerDirective("watch_panics", func(h httpcaddyfile.Helper) (caddyhttp.MiddlewareHandler, error) {
		h.Next()
		return watchPanics{}, nil
	})
}

// watchPanics tells of panics that the server would recover from. Those that end a
// connection on purpose are none.
type watchPanics struct{}

func (watchPanics) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "http.handlers.watch_panics", New: func() caddy.Module { return new(watchPanics) }}
}

func (watchPanics) ServeHTTP(w http.ResponseWriter, r *http.Request, next caddyhttp.Handler) error {
	defer func() {
		if v := recover(); v != nil {
			if v != any(http.ErrAbortHandler) {
				panics.mu.Lock()
				panics.found = append(panics.found, fmt.Sprintf("panic: %v\n%s", v, debug.Stack()))
				panics.mu.Unlock()
			}
			panic(v)
		}
	}()
	return next.ServeHTTP(w, r)
}
