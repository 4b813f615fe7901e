package history

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"
)

// planned is a fault to come.
type planned struct {
	kind   string
	target int // number of the replica, or of the server of the store
	begin  time.Duration
	length time.Duration
}

// faultKinds are what can happen, as often as they are named.
var faultKinds = []string{
	"kill", "pause", "blackhole", "blackhole", "blackhole", "slow", "cut",
	"store kill", "store pause",
}

// isStore reports whether it happens to a server of the store, and so to all replicas.
func (p planned) isStore() bool { return strings.HasPrefix(p.kind, "store ") }

// quiet is how long nothing happens at first, so that delays can be seen.
const quiet = 5 * time.Second

// plan returns what is to happen within a time.
func plan(rnd *rand.Rand, duration time.Duration, servers int) []planned {
	const least, pause = 300 * time.Millisecond, 3 * time.Second
	// In any case a replica is cut off from the store for longer than max_staleness, and
	// for as long as that the store works.
	all := []planned{{kind: "blackhole", target: rnd.IntN(replicas), begin: quiet, length: maxStaleness + 3*time.Second}}
	for at := quiet + maxStaleness; at < duration; at += least + time.Duration(rnd.Int64N(int64(pause))) {
		p := planned{kind: faultKinds[rnd.IntN(len(faultKinds))], target: rnd.IntN(replicas), begin: at}
		limit := 4 * time.Second
		switch {
		case p.isStore():
			p.target = rnd.IntN(servers)
		case p.kind == "blackhole": // often longer than max_staleness
			limit = 2 * maxStaleness
		}
		p.length = min(time.Duration(rnd.Int64N(int64(limit))), duration-at)
		all = append(all, p)
	}
	return all
}

// chaos makes faults happen.
type chaos struct {
	*recorder
	t        *testing.T
	replicas []*replica
	servers  []*process
	// busy are locked while something happens to a replica, and to a server.
	busy, busyServers []sync.Mutex
}

func newChaos(t *testing.T, r *recorder, of []*replica, servers []*process) *chaos {
	return &chaos{
		recorder: r, t: t, replicas: of, servers: servers,
		busy: make([]sync.Mutex, len(of)), busyServers: make([]sync.Mutex, len(servers)),
	}
}

// run has all faults happen, and undoes each.
func (c *chaos) run(all []planned) {
	var group sync.WaitGroup
	for _, p := range all {
		group.Go(func() {
			time.Sleep(p.begin)
			busy, replica := c.busyServers, everyone
			if !p.isStore() {
				busy, replica = c.busy, p.target
			}
			busy[p.target].Lock()
			defer busy[p.target].Unlock()
			f := fault{Kind: p.kind, Replica: replica, From: c.now()}
			if err := c.happen(p); err != nil {
				c.t.Errorf("%s of %d: %v", p.kind, p.target, err)
			}
			f.To = c.now()
			c.undone(f)
		})
	}
	group.Wait()
}

// happen does one thing, waits, and undoes it.
func (c *chaos) happen(p planned) error {
	switch p.kind {
	case "kill":
		return restart(c.replicas[p.target].process, p.length)
	case "pause":
		return stopAndGo(c.replicas[p.target].process, p.length)
	case "store kill":
		return restart(c.servers[p.target], p.length)
	case "store pause":
		return stopAndGo(c.servers[p.target], p.length)
	}
	for _, l := range c.replicas[p.target].links {
		switch p.kind {
		case "blackhole":
			l.blackhole(true)
			defer l.blackhole(false)
		case "slow":
			l.slow(p.length / 10)
			defer l.slow(0)
		case "cut":
			l.cut()
		default:
			return fmt.Errorf("unknown fault %q", p.kind)
		}
	}
	if p.kind != "cut" {
		time.Sleep(p.length)
	}
	return nil
}

// restart kills a process and starts it again after a while.
func restart(p *process, after time.Duration) error {
	p.kill()
	time.Sleep(after)
	if err := p.start(); err != nil {
		return err
	}
	return p.awaitReady()
}

// stopAndGo pauses a process for a while.
func stopAndGo(p *process, length time.Duration) error {
	if err := p.pause(); err != nil {
		return err
	}
	time.Sleep(length)
	return p.resume()
}
