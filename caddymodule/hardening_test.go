package caddymodule_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"
)

// exchange sends raw bytes to the site and returns the status of the first response.
func (s *site) exchange(request string) int {
	s.t.Helper()
	conn, err := new(net.Dialer).DialContext(s.t.Context(), "tcp", s.addr)
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { conn.Close() })
	if _, err := io.WriteString(conn, request); err != nil {
		s.t.Fatal(err)
	}
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		s.t.Fatal(err)
	}
	defer resp.Body.Close()
	if _, err := io.Copy(io.Discard, resp.Body); err != nil {
		s.t.Fatal(err)
	}
	return resp.StatusCode
}

func TestIdentityHeadersDoNotPassAsTrailers(t *testing.T) {
	trailers := make(chan http.Header, 2)
	s := start(t, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		trailers <- r.Trailer
	}), "api octopus_cards\nsecret "+testSecret+"\nforward_identity X-Client-ID sub")
	raw := sign(t, claimsAt(time.Now()))
	for _, announced := range []string{"X-Foo", "X-Client-ID"} {
		status := s.exchange(fmt.Sprintf("POST /v1/x HTTP/1.1\r\nHost: %s\r\nAuthorization: Bearer %s\r\nTrailer: %s\r\n"+
			"Transfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\nX-Foo: a\r\nX-Client-Id: 1\r\n\r\n", s.addr, raw, announced))
		if status != http.StatusOK {
			t.Fatalf("%d", status)
		}
		if got := <-trailers; len(got) > 0 {
			t.Errorf("announced %s: upstream saw %v", announced, got)
		}
	}
}

func TestPreflightIsNoWayIn(t *testing.T) {
	s, upstream := startEcho(t, "")
	preflight := fmt.Sprintf("OPTIONS /v1/ws HTTP/1.1\r\nHost: %s\r\nOrigin: https://a.example\r\nAccess-Control-Request-Method: GET\r\n", s.addr)
	for what, rest := range map[string]string{
		"an upgrade":     "Connection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
		"a body":         "Content-Length: 1\r\n\r\na",
		"a chunked body": "Transfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n\r\n",
	} {
		if status := s.exchange(preflight + rest); status != http.StatusUnauthorized {
			t.Errorf("with %s: %d", what, status)
		}
	}
	if n := len(upstream.requests()); n != 0 {
		t.Fatalf("%d requests came through", n)
	}
	status := s.exchange(preflight + "Authorization: Bearer x\r\nCookie: a=b\r\nX-HTTP-Method-Override: GET\r\nX-Original-URL: /v1/cards\r\n\r\n")
	got := upstream.lastHeader(t)
	if status != http.StatusOK || got.Get("Authorization")+got.Get("Cookie")+got.Get("X-Http-Method-Override")+got.Get("X-Original-Url") != "" {
		t.Errorf("%d, upstream saw %v", status, got)
	}
}

func TestRefreshIsReadInOneWay(t *testing.T) {
	s, upstream := startEcho(t, "")
	now := time.Now()
	revoked := sign(t, claimsAt(now))
	good := sign(t, map[string]any{"sub": "43", "jti": "g", "iat": now.Unix(), "exp": now.Add(time.Hour).Unix()})
	s.do("POST", "/auth/logout", "", bearer(revoked)).want(t, "logout", 200, bodyLoggedOut)
	one := `{"refresh_token":"` + good + `"}`
	for _, query := range []string{"x=1;refresh_token=" + revoked, "refresh_token=" + revoked + "%zz", "refresh.token=" + revoked, "refresh_token[]=" + revoked} {
		s.do("POST", "/auth/refresh?"+query, one).want(t, query[:20], 400, bodyBadRequest)
	}
	utf7 := strings.TrimSuffix(one, "}") + `,"a":"+ACIALAAi-refresh_token+ACIAOgAi-` + revoked + `"}`
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+s.addr+"/auth/refresh", strings.NewReader(utf7))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/json; charset=utf-7")
	resp, err := s.client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusBadRequest {
		t.Errorf("UTF-7: %d", resp.StatusCode)
	}
	for _, path := range []string{"/auth/refresh%0a", "/auth/refresh.json", "/auth/refresh%20", "/auth/refres%252568"} {
		s.do("POST", path, `{"refresh_token":"`+revoked+`"}`, bearer(good)).want(t, path, 401, bodyInvalid)
	}
	s.do("POST", "/auth/refresh", one, bearer(revoked)).want(t, "beside a revoked access token", 401, bodyInvalid)
	s.do("POST", "/auth/refresh", one, bearer(good), bearer(revoked)).want(t, "beside two", 401, bodyInvalid)
	if n := len(upstream.requests()); n != 0 {
		t.Errorf("%d requests came through", n)
	}
	s.do("POST", "/auth/refresh", one, bearer("x.y.z")).want(t, "beside one that is not ours", 200, "POST /auth/refresh "+one)
}

// A client must not be able to keep its refresh token by making the answer unreadable.
func TestRefreshTokenIsSpentEvenIfTheAnswerCannotBeRead(t *testing.T) {
	upstream := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Range") != "" {
			t.Error("the upstream was asked for a part")
		}
		_, _ = io.WriteString(w, "<tokens/>")
	})
	s := start(t, upstream, "api octopus_cards\nsecret "+testSecret)
	body := `{"refresh_token":"` + sign(t, claimsAt(time.Now())) + `"}`
	s.do("POST", "/auth/refresh", body, "Accept: application/xml", "Range: bytes=0-3").want(t, "first", 200, "<tokens/>")
	s.do("POST", "/auth/refresh", body).want(t, "again", 401, bodyInvalid)
}

// Handlers that share a list share what is under way: two sites, or the old and the new
// configuration during a reload.
func TestRefreshTokenIsGoodForOneOfTwoSites(t *testing.T) {
	var mu sync.Mutex
	calls := 0
	arrived, goOn := make(chan struct{}), make(chan struct{})
	api := newAPI(t, time.Now)
	s := start(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/auth/refresh" {
			mu.Lock()
			calls++
			first := calls == 1
			mu.Unlock()
			if first {
				close(arrived)
				<-goOn
			}
		}
		api.ServeHTTP(w, r)
	}), "api octopus_cards\nsecret "+testSecret)
	body := `{"refresh_token":"` + s.login(42).Refresh + `"}`
	statuses := make(chan int, 2)
	call := func() {
		a, err := s.try("POST", "/auth/refresh", body)
		if err != nil {
			t.Error(err)
		}
		statuses <- a.status
	}
	go call()
	<-arrived
	s.options += "\nleeway 1s"
	s.mustLoad() // the first request is still with the handler before
	go call()
	close(goOn)
	if got := []int{<-statuses, <-statuses}; got[0]+got[1] != 200+401 {
		t.Errorf("%v", got)
	}
}
