package caddymodule_test

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// TestUpstreamInTroubleSpendsNoToken has the API answer a refresh in every way but the right
// one. Unless the answer is a success that cannot be read, the token works afterwards.
func TestUpstreamInTroubleSpendsNoToken(t *testing.T) {
	for what, c := range map[string]struct {
		answer http.HandlerFunc
		status int
		spent  bool
	}{
		"down":        {func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, 502, false},
		"an error":    {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusInternalServerError) }, 500, false},
		"refused":     {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusUnauthorized) }, 401, false},
		"no content":  {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) }, 204, false},
		"nothing new": {func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(`{"data":{}}`)) }, 200, false},
		"a web page":  {func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(`<html>`)) }, 200, true},
		"cut off": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "1000")
			_, _ = w.Write([]byte(`{"data":{"refresh_token":"`))
		}, 0, false}, // the client sees the connection end
		"oversized": {func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(strings.Repeat("x", 2<<20))) }, 503, false},
	} {
		t.Run(what, func(t *testing.T) {
			var trouble atomic.Bool
			api := newAPI(t, time.Now)
			s := start(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if trouble.Load() && r.URL.Path == "/auth/refresh" {
					c.answer(w, r)
					return
				}
				api.ServeHTTP(w, r)
			}), "api octopus_cards\nsecret "+testSecret)
			p := s.login(42)
			trouble.Store(true)
			a, err := s.try("POST", "/auth/refresh", `{"refresh_token":"`+p.Refresh+`"}`)
			if a.status != c.status || (err != nil) != (c.status == 0) {
				t.Errorf("%d %.100s (%v), want %d", a.status, a.body, err, c.status)
			}
			trouble.Store(false)
			a = s.refresh(p.Refresh)
			if c.spent {
				a.want(t, "the refresh token, of which nobody knows", 401, bodyInvalid)
			} else if a.status != 200 {
				t.Errorf("the refresh token afterwards: %d %s", a.status, a.body)
			}
		})
	}
}

func TestSlowUpstreamIsGivenUpWithItsClient(t *testing.T) {
	reached, release := make(chan struct{}, 1), make(chan struct{})
	defer close(release)
	var slow atomic.Bool
	api := newAPI(t, time.Now)
	s := start(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if slow.Load() {
			reached <- struct{}{}
			select {
			case <-release:
			case <-r.Context().Done():
			}
			return
		}
		api.ServeHTTP(w, r)
	}), "api octopus_cards\nsecret "+testSecret)
	p := s.login(42)
	slow.Store(true)
	for _, call := range []string{"/auth/login", "/auth/refresh"} {
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() {
			r, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+s.addr+call,
				strings.NewReader(fmt.Sprintf(`{"refresh_token":%q}`, p.Refresh)))
			if err == nil {
				var resp *http.Response
				if resp, err = s.client.Do(r); err == nil {
					err = resp.Body.Close()
				}
			}
			done <- err
		}()
		<-reached
		cancel()
		if err := <-done; err == nil {
			t.Errorf("%s: answered", call)
		}
	}
	slow.Store(false)
	if a := s.refresh(p.Refresh); a.status != 200 {
		t.Errorf("the refresh token afterwards: %d %s", a.status, a.body)
	}
}
