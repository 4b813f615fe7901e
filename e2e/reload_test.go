package e2e

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"example.com/caddy-token-auth/revocation/localstore"
)

const (
	reloadConnections = 64
	// between is how many requests are answered between two reloads.
	between = 1000
)

// session is a pair of tokens that many connections use at the same time.
type session struct {
	pair
	// leaving is set before the logout is sent.
	leaving atomic.Bool
	// gone is set once its answer was received.
	gone atomic.Bool
}

// traffic is what the clients do while the process is reloaded.
type traffic struct {
	t *testing.T
	s *sidecar

	stop     atomic.Bool
	answered atomic.Int64
	logouts  atomic.Int64
	// see client.repeat
	closedKept, closedFresh atomic.Int64

	seats [reloadConnections / 2]seat

	mu      sync.Mutex
	revoked []pair
}

// seat has one client after another, or one that logs in again.
type seat struct {
	moving  sync.Mutex
	session atomic.Pointer[session]
}

// occupy fills every seat.
func (tr *traffic) occupy() {
	for i := range tr.seats {
		tr.seats[i].session.Store(&session{pair: mint(tr.s.api.newClient())})
	}
}

// run is what one connection does.
func (tr *traffic) run(rnd *rand.Rand) {
	c := tr.s.client()
	defer c.close()
	for !tr.stop.Load() && !tr.t.Failed() {
		place := &tr.seats[rnd.IntN(len(tr.seats))]
		switch n := rnd.IntN(100); {
		case n < 70:
			tr.call(c, place.session.Load())
		case n < 80:
			tr.expect(c, http.MethodGet, protectedPath, "", "", http.StatusUnauthorized, bodyMissing)
		case n < 95:
			if p, ok := tr.anyRevoked(rnd); ok && n%2 == 0 {
				tr.expect(c, http.MethodGet, protectedPath, p.access, "", http.StatusUnauthorized, bodyInvalid)
			} else if ok {
				tr.expect(c, http.MethodPost, refreshPath, "", refreshBody(p.refresh), http.StatusUnauthorized, bodyInvalid)
			}
		default:
			if place.moving.TryLock() {
				tr.replace(c, place, n%2 == 0)
				place.moving.Unlock()
			}
		}
	}
	tr.closedKept.Add(int64(c.closedKept))
	tr.closedFresh.Add(int64(c.closedFresh))
}

// request sends a request, which has to be answered.
func (tr *traffic) request(c *client, method, path, token, body string) (answer, bool) {
	a, err := c.repeat(method, path, token, body)
	if err != nil {
		tr.t.Errorf("%s %s: %v", method, path, err)
		return answer{}, false
	}
	tr.answered.Add(1)
	return a, true
}

func (tr *traffic) expect(c *client, method, path, token, body string, status int, want string) bool {
	a, ok := tr.request(c, method, path, token, body)
	if ok && !a.is(status, want) {
		tr.t.Errorf("%s %s: got %s, want %d %s", method, path, a, status, want)
		return false
	}
	return ok
}

// call uses a session, which others may be logging out.
func (tr *traffic) call(c *client, s *session) {
	gone := s.gone.Load()
	a, ok := tr.request(c, http.MethodGet, protectedPath, s.access, "")
	switch {
	case !ok:
	case a.status == http.StatusOK && gone:
		tr.t.Errorf("client %d: let through by a request that began after its logout", s.client)
	case a.status == http.StatusOK:
	case a.is(http.StatusUnauthorized, bodyInvalid) && s.leaving.Load():
	default:
		tr.t.Errorf("client %d: %s", s.client, a)
	}
}

// replace logs a seat's session out and puts another in its place: of the same
// client, who logs in again, or of another one.
func (tr *traffic) replace(c *client, place *seat, same bool) {
	old := place.session.Load()
	old.leaving.Store(true)
	// Also a logout that is sent again has to find the token good.
	if !tr.expect(c, http.MethodPost, logoutPath, old.access, "", http.StatusOK, bodyLoggedOut) {
		return
	}
	old.gone.Store(true)
	tr.logouts.Add(1)
	tr.mu.Lock()
	tr.revoked = append(tr.revoked, old.pair)
	tr.mu.Unlock()

	client := old.client
	if !same {
		client = tr.s.api.newClient()
	}
	a, ok := tr.request(c, http.MethodPost, loginPath, "", loginBody(client))
	if !ok {
		return
	}
	next, err := issued(a)
	if err != nil {
		tr.t.Errorf("login of client %d: %v", client, err)
		return
	}
	place.session.Store(&session{pair: next})
}

func (tr *traffic) anyRevoked(rnd *rand.Rand) (pair, bool) {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	if len(tr.revoked) == 0 {
		return pair{}, false
	}
	return tr.revoked[rnd.IntN(len(tr.revoked))], true
}

// await waits until so many more requests are answered.
func (tr *traffic) await(more int64) {
	tr.t.Helper()
	deadline := time.Now().Add(exchangeTimeout)
	for from := tr.answered.Load(); tr.answered.Load() < from+more && !tr.t.Failed(); {
		if time.Now().After(deadline) {
			tr.t.Fatal("the clients make no progress")
		}
		time.Sleep(time.Millisecond)
	}
}

// TestReloadsUnderLoadFailNoRequest changes the configuration while clients call, log
// out and use tokens that were logged out. Every third configuration is refused.
func TestReloadsUnderLoadFailNoRequest(t *testing.T) {
	reloads := count(t, "RELOADS", 30)
	rnd := random(t)
	s := newSidecar(t, newAPI(t))
	elsewhere := mint(s.api.newClient()) // a client whom some configurations do not want here
	broken := brokenConfigurations(t, s)
	s.start()

	tr := &traffic{t: t, s: s}
	tr.occupy()
	var wg sync.WaitGroup
	defer wg.Wait()
	defer tr.stop.Store(true)
	for range reloadConnections {
		source := rand.New(rand.NewPCG(rnd.Uint64(), 0))
		wg.Go(func() { tr.run(source) })
	}
	began := time.Now()
	var inForce int
	for n := 1; n <= reloads && !t.Failed(); n++ {
		tr.await(between)
		if n%3 == 0 {
			name, text := broken(n / 3)
			status, body, err := s.load(text)
			if err != nil || status < 400 {
				t.Errorf("configuration with %s: %d %s, %v", name, status, body, err)
			}
		} else {
			s.handler, s.options = variant(n, elsewhere.client)
			if status, body, err := s.load(s.caddyfile()); err != nil || status != http.StatusOK {
				t.Errorf("reload %d: %d %s, %v", n, status, body, err)
			}
			inForce = n
		}
		s.wantVariant(inForce, elsewhere)
	}
	tr.stop.Store(true)
	wg.Wait()
	t.Logf("%d requests and %d logouts on %d connections in %s and %d reloads; "+
		"closed before an answer: %d kept connections, %d new ones",
		tr.answered.Load(), tr.logouts.Load(), reloadConnections, time.Since(began).Round(time.Millisecond), reloads,
		tr.closedKept.Load(), tr.closedFresh.Load())

	s.check(tr.revoked, nil, nil)
	s.stop()
	s.start()
	s.check(tr.revoked, nil, nil)
	for i := range tr.seats {
		c := s.client()
		c.wantLive(t, tr.seats[i].session.Load().pair)
		c.close()
	}
	s.stop()
}

// variant returns options that differ from those of every other n.
func variant(n int, elsewhere int64) (handler, options string) {
	handler = fmt.Sprintf("leeway %ds\n", n)
	if n%2 == 0 {
		handler += "public " + healthPath + "\n"
	}
	if n%4 < 2 {
		handler += fmt.Sprintf("allow_ips %d 203.0.113.0/24\n", elsewhere)
	}
	return handler, fmt.Sprintf("cache_size %d\nmax_token_lifetime %dd", 1000+n, 7+n%2)
}

// wantVariant waits until the options of variant n are in force. /load returns when
// the old server has been told to stop, a moment before it accepts no connection.
func (s *sidecar) wantVariant(n int, elsewhere pair) {
	s.t.Helper()
	if n == 0 {
		return
	}
	public, allowed := http.StatusUnauthorized, http.StatusOK
	if n%2 == 0 {
		public = http.StatusOK
	}
	if n%4 < 2 {
		allowed = http.StatusForbidden
	}
	for deadline := time.Now().Add(5 * time.Second); ; {
		c := s.client()
		health, err := c.do(http.MethodGet, healthPath, "", "")
		cards, err2 := c.do(http.MethodGet, protectedPath, elsewhere.access, "")
		c.close()
		if err == nil && err2 == nil && health.status == public && cards.status == allowed {
			return
		}
		if time.Now().After(deadline) {
			s.t.Errorf("configuration %d is not in force: public path %s (%v), client of another network %s (%v)", n, health, err, cards, err2)
			return
		}
		time.Sleep(time.Millisecond)
	}
}

// TestRefusedReloadIsNotNoticed posts a configuration whose store cannot be opened,
// while clients open a new connection for each call. Caddy starts the parts of a
// configuration in random order, so the new server must not answer for the old one
// before it is clear that there is a list to ask.
func TestRefusedReloadIsNotNoticed(t *testing.T) {
	s := newSidecar(t, newAPI(t))
	_, damaged := brokenConfigurations(t, s)(brokenStore)
	s.start()
	good := mint(s.api.newClient())

	var (
		stop                         atomic.Bool
		passed, unavailable, dropped atomic.Int64
		wg                           sync.WaitGroup
	)
	defer wg.Wait()
	defer stop.Store(true)
	for range 16 {
		wg.Go(func() {
			for !stop.Load() {
				c := s.client()
				a, err := c.repeat(http.MethodGet, protectedPath, good.access, "")
				dropped.Add(int64(c.closedFresh))
				c.close()
				switch {
				case err == nil && a.status == http.StatusOK:
					passed.Add(1)
				case err == nil && a.status == http.StatusServiceUnavailable:
					unavailable.Add(1)
				default:
					t.Errorf("%s, %v", a, err)
					return
				}
			}
		})
	}
	for range 20 {
		for from := passed.Load(); passed.Load() < from+100 && !t.Failed(); {
			time.Sleep(time.Millisecond)
		}
		if status, body, err := s.load(damaged); err != nil || status < 400 {
			t.Errorf("a configuration with a damaged store: %d %s, %v", status, body, err)
		}
	}
	stop.Store(true)
	wg.Wait()
	t.Logf("%d calls passed, %d new connections were closed before an answer", passed.Load(), dropped.Load())
	if n := unavailable.Load(); n > 0 {
		t.Errorf("%d calls got 503 from a configuration that was refused", n)
	}
	s.stop()
}

// brokenStore is the number of the configuration with a damaged store.
const brokenStore = 0

// brokenConfigurations returns a source of configurations that have to be refused.
func brokenConfigurations(t *testing.T, s *sidecar) func(n int) (name, caddyfile string) {
	t.Helper()
	damaged := filepath.Join(t.TempDir(), "damaged")
	if err := os.Mkdir(damaged, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(damaged, localstore.FileName), []byte(strings.Repeat("damaged ", 8192)), 0o600); err != nil {
		t.Fatal(err)
	}
	return func(n int) (string, string) {
		good := s.caddyfile()
		replaced := func(old, replacement string) string {
			if !strings.Contains(good, old) {
				panic(fmt.Errorf("%w: %s", errors.ErrUnsupported, old))
			}
			return strings.Replace(good, old, replacement, 1)
		}
		switch n % 4 {
		case brokenStore:
			return "a damaged store", replaced(s.store, damaged)
		case 1:
			return "a weak secret", replaced("{env.JWT_SECRET}", "weak")
		case 2:
			return "a secret that is not there", replaced("{env.JWT_SECRET}", "{env.NO_SUCH_VARIABLE}")
		default:
			return "an unknown option", replaced("api octopus_cards", "api octopus_cards\nno_such_option")
		}
	}
}

// TestRefusedReloadChangesNoOption posts configurations that are refused because a
// port is taken, which Caddy may find out before or after it has started the list
// with the options that come with them.
func TestRefusedReloadChangesNoOption(t *testing.T) {
	s := newSidecar(t, newAPI(t))
	taken, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", freeAddr(t))
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	s.start()
	client := s.api.newClient()
	good := pair{client: client, access: sign(client, "access", time.Now().Add(-30*time.Minute), time.Hour)}
	c := s.client()
	defer c.close()
	c.wantLive(t, good)

	s.options = "max_token_lifetime 1m"
	refused := s.caddyfile() + fmt.Sprintf("http://%s {\n\tbind 127.0.0.1\n\trespond 204\n}\n", taken.Addr())
	for range 10 {
		if status, body, err := s.load(refused); err != nil || status < 400 {
			t.Fatalf("a configuration with a port that is taken: %d %s, %v", status, body, err)
		}
		if c.wantLive(t, good); t.Failed() {
			return
		}
	}
	s.stop()
}
