package e2e

import (
	"errors"
	"math/rand/v2"
	"net/http"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.etcd.io/bbolt"

	"example.com/caddy-token-auth/revocation/localstore"
)

const (
	crashWorkers = 32
	// maxAcknowledged bounds the logouts of one cycle, between its start and its end.
	maxAcknowledged = 400
	// sampled is how many logouts of earlier cycles each cycle looks at again.
	sampled = 50
)

// history is what the clients of a process were told.
type history struct {
	mu sync.Mutex
	// loggedOut has the pairs whose logout was acknowledged.
	loggedOut []pair
	// live has the pairs that nobody tried to log out, among them those of clients
	// that had logged out and in again.
	live []pair
	// open has the pairs whose logout was not acknowledged.
	open []pair
	// halves is how many answers had begun and did not end.
	halves atomic.Int64
}

func (h *history) add(to *[]pair, p pair) {
	h.mu.Lock()
	defer h.mu.Unlock()
	*to = append(*to, p)
}

func (h *history) append(other *history) {
	h.loggedOut = append(h.loggedOut, other.loggedOut...)
	h.live = append(h.live, other.live...)
	h.open = append(h.open, other.open...)
}

// sample returns at most n of all.
func sample(rnd *rand.Rand, all []pair, n int) []pair {
	some := make([]pair, 0, n)
	for _, i := range rnd.Perm(len(all))[:min(n, len(all))] {
		some = append(some, all[i])
	}
	return some
}

// check compares what the process says with what its clients were told before.
func (s *sidecar) check(loggedOut, live, open []pair) {
	s.t.Helper()
	s.forEach(loggedOut, func(c *client, p pair) { c.wantRevoked(s.t, p) })
	s.forEach(live, func(c *client, p pair) { c.wantLive(s.t, p) })
	s.forEach(open, func(c *client, p pair) {
		a, err := c.do(http.MethodGet, protectedPath, p.access, "")
		if err != nil || a.status != http.StatusOK && !a.is(http.StatusUnauthorized, bodyInvalid) {
			s.t.Errorf("client %d, whose logout was not acknowledged: %s, %v", p.client, a, err)
		}
	})
}

// forEach calls f for all pairs, on several connections at a time, until the test
// has failed.
func (s *sidecar) forEach(pairs []pair, f func(*client, pair)) {
	const connections = 16
	var wg sync.WaitGroup
	for chunk := range slices.Chunk(pairs, len(pairs)/connections+1) {
		wg.Go(func() {
			c := s.client()
			defer c.close()
			for _, p := range chunk {
				if s.t.Failed() {
					return
				}
				f(c, p)
			}
		})
	}
	wg.Wait()
}

// logOutUntil has workers log clients out until the process is gone. After the given
// number of acknowledgements end is called, once.
func (s *sidecar) logOutUntil(count int64, end func()) *history {
	s.t.Helper()
	var (
		h            history
		acknowledged atomic.Int64
		ending, over atomic.Bool
		reached      = make(chan struct{})
		wg           sync.WaitGroup
	)
	worker := func(n int) {
		c := s.client()
		defer c.close()
		// lost reports whether err means that the worker's time is over.
		lost := func(what string, err error) bool {
			if err != nil && !ending.Load() {
				s.t.Errorf("%s failed while the process was up: %v", what, err)
			}
			var l *lostError
			if errors.As(err, &l) && l.begun {
				h.halves.Add(1)
			}
			return err != nil
		}
		for !over.Load() {
			p := mint(s.api.newClient())
			if n%2 == 0 { // half of the clients log in through the sidecar
				var err error
				if p, err = c.login(p.client); lost("login", err) {
					return
				}
			}
			a, err := c.do(http.MethodPost, logoutPath, p.access, "")
			if lost("logout", err) {
				h.add(&h.open, p)
				return
			}
			if !a.is(http.StatusOK, bodyLoggedOut) {
				s.t.Errorf("logout: %s", a)
				return
			}
			h.add(&h.loggedOut, p)
			if acknowledged.Add(1) == count {
				ending.Store(true)
				close(reached)
			}
			switch n % 8 {
			case 0: // most often in the second of the logout
				if p, err = c.login(p.client); lost("login after logout", err) {
					return
				}
				h.add(&h.live, p)
			case 1:
				h.add(&h.live, mint(s.api.newClient()))
			}
		}
	}
	for n := range crashWorkers {
		wg.Go(func() { worker(n) })
	}
	done := make(chan struct{})
	go func() { wg.Wait(); close(done) }()
	defer func() { // also if end has ended the test
		over.Store(true)
		<-done
	}()
	select {
	case <-reached:
		end()
		<-done
	case <-done: // all have failed
	}
	return &h
}

// TestCrashLosesNoAcknowledgedLogout kills the process with SIGKILL while clients log
// out, again and again on one store.
func TestCrashLosesNoAcknowledgedLogout(t *testing.T) {
	cycles := count(t, "CRASH_CYCLES", 3)
	rnd := random(t)
	s := newSidecar(t, newAPI(t))
	all, last := new(history), new(history)
	for cycle := 1; cycle <= cycles && !t.Failed(); cycle++ {
		if rnd.IntN(2) == 0 { // also while it starts
			s.launch()
			time.Sleep(upTo(rnd, 300*time.Millisecond))
			s.kill()
		}
		s.start()
		s.check(
			append(sample(rnd, all.loggedOut, sampled), last.loggedOut...),
			append(sample(rnd, all.live, sampled), last.live...),
			last.open)
		all.append(last)

		last = s.logOutUntil(1+rnd.Int64N(maxAcknowledged), func() {
			time.Sleep(upTo(rnd, 5*time.Millisecond))
			s.kill()
		})
		s.kill() // if it has not come to that
		t.Logf("cycle %d: killed after %d acknowledged logouts, %d in flight", cycle, len(last.loggedOut), len(last.open))
	}
	all.append(last)
	s.start()
	s.check(all.loggedOut, all.live, all.open)
	s.stop()
	s.checkStore(len(all.loggedOut))
}

// checkStore opens the file as the next process would and looks at each of its pages.
func (s *sidecar) checkStore(atLeast int) {
	s.t.Helper()
	store, err := localstore.Open(s.t.Context(), s.store, localstore.Options{})
	if err != nil {
		s.t.Fatal(err)
	}
	if store.Len() < atLeast {
		s.t.Errorf("%d entries in the store, want at least %d", store.Len(), atLeast)
	}
	if err := store.Close(); err != nil {
		s.t.Error(err)
	}
	db, err := bbolt.Open(filepath.Join(s.store, localstore.FileName), 0o600, &bbolt.Options{ReadOnly: true, Timeout: time.Second})
	if err != nil {
		s.t.Fatal(err)
	}
	defer db.Close()
	if err := db.View(func(tx *bbolt.Tx) error {
		for err := range tx.Check() {
			s.t.Errorf("pages of the store: %v", err)
		}
		return nil
	}); err != nil {
		s.t.Error(err)
	}
}
