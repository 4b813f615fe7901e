package history

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

const (
	// workers send requests all the time, with a pause of up to thinkTime after each.
	workers   = 16
	thinkTime = 20 * time.Millisecond
	// followers is how many logouts at a time are followed by asking until all replicas
	// know of them, each pollPause, for no longer than followTime.
	followers  = 16
	pollPause  = 10 * time.Millisecond
	followTime = maxStaleness + 4*time.Second
	// known is about how many credentials take turns.
	known = 300
)

var scopes = []string{"token", "session", "client"}

// workload is what the clients do.
type workload struct {
	*recorder
	t        *testing.T
	replicas []*replica
	serial   atomic.Int64
	follow   chan struct{} // has one for each logout that is being followed
	group    sync.WaitGroup

	mu          sync.Mutex // guards all below
	credentials []credential
	raw         map[string]credential // all there are, by their identifiers
}

func newWorkload(t *testing.T, r *recorder, of []*replica) *workload {
	return &workload{recorder: r, t: t, replicas: of, follow: make(chan struct{}, followers), raw: make(map[string]credential)}
}

// do sends a request and records it.
func (w *workload) do(replica int, c credential, scope string) operation {
	method, path := http.MethodGet, checkPath
	if scope != "" {
		method, path = http.MethodPost, logoutPath
	}
	o := operation{Scope: scope, Replica: replica, Token: c.Token, From: w.now()}
	o.Status = w.replicas[replica].request(method, path, c.raw, scope)
	o.To = w.now()
	w.done(o)
	return o
}

// mint issues a token for a client's session.
func (w *workload) mint(session, client string) credential {
	g := w.grant(session, client)
	if err := g.sign(); err != nil {
		w.t.Error(err)
	}
	return w.add(&g, nil)
}

// logIn has a replica issue a token for a client's session.
func (w *workload) logIn(replica int, session, client string) (credential, bool) {
	g := w.grant(session, client)
	by := &login{Replica: replica, From: w.now()}
	if err := w.replicas[replica].logIn(&g); err != nil {
		return credential{}, false // it is down, or the store is
	}
	by.To = w.now()
	return w.add(&g, by), true
}

// grant asks for a token that there was not yet.
func (w *workload) grant(session, client string) grant {
	return grant{Token: fmt.Sprintf("t%d", w.serial.Add(1)), Session: session, Client: client}
}

func (w *workload) add(g *grant, by *login) credential {
	c := w.credential(g, by)
	w.mu.Lock()
	defer w.mu.Unlock()
	w.raw[c.Token] = c
	return c
}

// join has a new client log in, in two sessions.
func (w *workload) join(rnd *rand.Rand) {
	client := fmt.Sprintf("c%d", w.serial.Add(1))
	for n := range 2 {
		session := fmt.Sprintf("%s-s%d", client, n)
		for range 1 + rnd.IntN(2) {
			w.keep(rnd, w.mint(session, client))
		}
	}
}

// keep adds a credential to those that take turns, in the place of another one.
func (w *workload) keep(rnd *rand.Rand, c credential) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.credentials) < known {
		w.credentials = append(w.credentials, c)
		return
	}
	w.credentials[rnd.IntN(known)] = c
}

func (w *workload) pick(rnd *rand.Rand) credential {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.credentials[rnd.IntN(len(w.credentials))]
}

// run sends requests for so long. The first of the faults is one that cuts a replica off.
func (w *workload) run(seed uint64, duration time.Duration, first planned) {
	rnd := rand.New(rand.NewPCG(seed, 0))
	for range known / 4 {
		w.join(rnd)
	}
	end := w.now() + duration
	w.group.Go(func() { w.witness(first) })
	for n := range workers {
		w.group.Go(func() {
			w.work(rand.New(rand.NewPCG(seed, uint64(n+1))), end)
		})
	}
	w.group.Wait()
}

func (w *workload) work(rnd *rand.Rand, end time.Duration) {
	for w.now() < end {
		c, replica := w.pick(rnd), rnd.IntN(replicas)
		switch n := rnd.IntN(100); {
		case n < 70:
			// Of clients that have logged out before, a replica always asks the store.
			if w.do(replica, c, "").Status == http.StatusUnauthorized {
				w.join(rnd)
			}
		case n < 85:
			w.logOut(rnd, replica, c)
		case n < 92:
			w.join(rnd)
		default: // another token of a client, which may be logging out
			w.keep(rnd, w.mint(c.Session, c.Client))
		}
		time.Sleep(rand.N(thinkTime))
	}
}

// logOut sends a logout. If it is acknowledged, the same replica is asked at once, and the
// others until they know.
func (w *workload) logOut(rnd *rand.Rand, replica int, c credential) {
	o := w.do(replica, c, scopes[rnd.IntN(len(scopes))])
	if !o.acknowledged() {
		return
	}
	w.do(replica, c, "")
	if in, ok := w.logIn(rnd.IntN(replicas), c.Session, c.Client); ok { // most often in the same second
		for replica := range replicas {
			w.do(replica, in, "")
		}
		w.keep(rnd, in)
	}
	select {
	case w.follow <- struct{}{}:
	default:
		return
	}
	w.group.Go(func() {
		defer func() { <-w.follow }()
		w.followLogout(o, c)
	})
}

// witness logs new clients out elsewhere while a replica is cut off, so that it is sure to
// be asked about tokens of which it cannot know.
func (w *workload) witness(f planned) {
	const clients, pause = 3, 100 * time.Millisecond
	time.Sleep(f.begin)
	for n := range clients {
		time.Sleep(pause)
		w.group.Go(func() {
			c := w.mint(fmt.Sprintf("w%d-s", n), fmt.Sprintf("w%d", n))
			if o := w.do((f.target+1)%replicas, c, "client"); o.acknowledged() {
				w.followLogout(o, c)
			}
		})
	}
}

// followLogout asks all replicas until each has refused c, and then lets the client log in
// again, in a later second than that of the logout.
func (w *workload) followLogout(logout operation, c credential) {
	refused := make([]bool, replicas)
	for left := replicas; left > 0 && w.now() < logout.To+followTime; {
		for replica := range replicas {
			if !refused[replica] && w.do(replica, c, "").Status == http.StatusUnauthorized {
				refused[replica] = true
				left--
			}
		}
		time.Sleep(pollPause)
	}
	second := w.begun.Round(0).Add(logout.To).Truncate(time.Second).Add(time.Second)
	time.Sleep(time.Until(second) + clockSlack + pollPause)
	next := w.mint(c.Session, c.Client)
	for replica := range replicas {
		w.do(replica, next, "")
	}
}
