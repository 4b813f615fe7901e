package caddymodule

import (
	"context"
	"net/http"
	"net/http/httptest"
	"testing"
	"testing/synctest"
	"time"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

// A client that goes away does not keep the API's reset from being recorded, nor does it hold
// the request open for ever.
func TestResetOutlastsItsClientForAWhile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		from, leave := context.WithCancel(t.Context())
		next := caddyhttp.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) error {
			leave()
			time.Sleep(abandonedReset - time.Second)
			if err := r.Context().Err(); err != nil {
				t.Errorf("the reset is cancelled: %v", err)
			}
			<-r.Context().Done()
			return nil
		})
		r := httptest.NewRequestWithContext(from, http.MethodPost, "/reset/42", http.NoBody)
		c := caller{identity: aliceUntil(time.Now().Add(time.Second))}
		if err := new(Handler).forwardReset(httptest.NewRecorder(), r, next, &c); err != nil {
			t.Fatal(err)
		}
	})
}

// Afterwards nothing waits for a reset.
func TestResetLeavesNothingBehind(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		from, leave := context.WithCancel(t.Context())
		next := caddyhttp.HandlerFunc(func(http.ResponseWriter, *http.Request) error { return nil })
		r := httptest.NewRequestWithContext(from, http.MethodPost, "/reset/42", http.NoBody)
		if err := new(Handler).forwardReset(httptest.NewRecorder(), r, next, new(caller)); err != nil {
			t.Fatal(err)
		}
		if err := r.Context().Err(); err != nil {
			t.Errorf("what comes after it is cancelled: %v", err)
		}
		leave()
		begun := time.Now()
		<-r.Context().Done()
		if took := time.Since(begun); took != 0 {
			t.Errorf("its context ends %s after that of the server", took)
		}
	})
}
