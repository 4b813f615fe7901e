package e2e

import (
	"errors"
	"net/http"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"example.com/caddy-token-auth/revocation"
	"example.com/caddy-token-auth/revocation/localstore"
)

// TestEveryAnswerOfAStartIsRight calls from before the process listens until it is
// ready. Caddy may open its port before the list is loaded: until then everything
// that needs the list is refused with 503.
func TestEveryAnswerOfAStartIsRight(t *testing.T) {
	s := newSidecar(t, newAPI(t))
	revoked := fillStore(t, s, 50_000)
	good := mint(s.api.newClient())
	type call struct {
		what, token string
		is          func(answer) bool
	}
	unavailable := func(a answer) bool {
		return a.is(http.StatusServiceUnavailable, bodyUnavailable) && a.header.Get("Retry-After") != ""
	}
	calls := []call{
		{"no token", "", func(a answer) bool { return a.is(http.StatusUnauthorized, bodyMissing) || unavailable(a) }},
		{"a forged token", good.access + "x", func(a answer) bool { return a.is(http.StatusUnauthorized, bodyInvalid) || unavailable(a) }},
		{"a token that was logged out", revoked.access, func(a answer) bool { return a.is(http.StatusUnauthorized, bodyInvalid) || unavailable(a) }},
		{"a good token", good.access, func(a answer) bool { return a.status == http.StatusOK || unavailable(a) }},
	}
	var refused atomic.Int64
	for range 6 { // whether the port or the list comes first is random
		var wg sync.WaitGroup
		for _, call := range calls {
			wg.Go(func() {
				// Until the list has answered: a forged or missing token never asks it.
				for deadline := time.Now().Add(startTimeout); !t.Failed(); {
					c := s.client() // each on a new connection
					a, err := c.do(http.MethodGet, protectedPath, call.token, "")
					c.close()
					var lost *lostError
					switch {
					case errors.As(err, &lost) && !lost.dialed:
					case err != nil:
						t.Errorf("%s: %v", call.what, err)
					case !call.is(a):
						t.Errorf("%s: %s %v", call.what, a, a.header)
					case a.status != http.StatusServiceUnavailable:
						return
					default:
						refused.Add(1)
					}
					if time.Now().After(deadline) {
						t.Errorf("%s: no answer but 503 in %s", call.what, startTimeout)
					}
				}
			})
		}
		s.launch()
		wg.Wait()
		s.kill()
	}
	t.Logf("%d times 503", refused.Load())
}

// fillStore writes a list with as many clients that have logged out, so that loading
// it takes time, and returns tokens of one of them.
func fillStore(t *testing.T, s *sidecar, clients int) pair {
	t.Helper()
	store, err := localstore.Open(t.Context(), s.store, localstore.Options{})
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	entries := make([]revocation.Entry, clients)
	for i := range entries {
		entries[i] = revocation.Entry{
			Scope: revocation.ScopeClient, ID: strconv.FormatInt(s.api.newClient(), 10),
			At: now, Expires: now.Add(7 * 24 * time.Hour),
		}
	}
	if err := store.Revoke(t.Context(), entries...); err != nil {
		t.Fatal(err)
	}
	if err := store.Close(); err != nil {
		t.Fatal(err)
	}
	return pair{client: 1, access: sign(1, "access", now.Add(-time.Second), time.Hour)}
}
