package caddymodule_test

import (
	"net/http"
	"testing"
	"time"
)

// The API may have done what it was asked for, whatever becomes of the one who has asked.
func TestResetIsRecordedAlthoughItsCallerIsLoggedOut(t *testing.T) {
	api := newLiveAPI(t)
	mux := http.NewServeMux()
	mux.Handle("/", api)
	begun, finish := make(chan struct{}), make(chan struct{})
	mux.HandleFunc("/reset/", func(_ http.ResponseWriter, r *http.Request) {
		close(begun)
		select {
		case <-finish:
		case <-r.Context().Done():
			t.Error("the reset is broken off")
		}
	})
	s := start(t, mux, "api octopus_cards\nsecret "+testSecret+"\nreset /reset/")
	admin, user := s.login(42).Access, s.login(43).Access
	reset := make(chan answer, 1)
	go func() {
		a, _ := s.try("POST", "/reset/43", "", bearer(admin))
		reset <- a
	}()
	<-begun
	resp, body := s.events(admin) // younger than the reset
	defer resp.Body.Close()
	s.logout(admin)
	wantBroken(t, body)
	close(finish)
	select {
	case a := <-reset:
		if a.status != 200 {
			t.Errorf("the reset: %d %s", a.status, a.body)
		}
	case <-time.After(soon):
		t.Fatal("the reset goes on")
	}
	if a := s.do("GET", "/v1/cards", "", bearer(user)); a.status != 401 {
		t.Errorf("the client that was reset: %d", a.status)
	}
}
