package redisstore

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"example.com/caddy-token-auth/revocation"
	"example.com/caddy-token-auth/revocation/storetest"
)

// watched are a primary, three replicas and three Sentinels.
type watched struct {
	servers   []*server
	sentinels []*server
}

const (
	masterName       = "list"
	serverPassword   = "server-password"
	sentinelPassword = "sentinel-password"
)

func newWatched(t testing.TB) *watched {
	t.Helper()
	args := append([]string{"--requirepass", serverPassword, "--masterauth", serverPassword}, durable...)
	w := new(watched)
	for n := range 4 {
		if n == 1 {
			args = append(args, "--replicaof", "127.0.0.1", w.servers[0].port())
		}
		s := newServer(t, args...)
		s.password = serverPassword
		w.servers = append(w.servers, s)
	}
	primary := w.servers[0]
	await(t, "replicas", 10*time.Second, func() bool {
		return strings.Count(primary.call("INFO", "replication"), "state=online") == 3
	})
	for range 3 {
		w.sentinels = append(w.sentinels, newSentinel(t, primary))
	}
	for _, s := range w.sentinels {
		await(t, "Sentinel that knows all", 10*time.Second, func() bool {
			state := s.call("INFO", "sentinel")
			return strings.Contains(state, "status=ok") && strings.Contains(state, "slaves=3,sentinels=3")
		})
	}
	return w
}

func newSentinel(t testing.TB, primary *server) *server {
	t.Helper()
	s := &server{t: t, dir: t.TempDir(), address: freeAddress(t), password: sentinelPassword}
	config := filepath.Join(s.dir, "sentinel.conf")
	lines := []string{
		"port " + s.port(),
		"requirepass " + sentinelPassword,
		"sentinel sentinel-pass " + sentinelPassword,
		// The user that the package comment asks for.
		"user caddy on >" + sentinelPassword + " " + strings.Join(documentedRule(t, "&+switch-master"), " "),
		fmt.Sprintf("sentinel monitor %s 127.0.0.1 %s 2", masterName, primary.port()),
		fmt.Sprintf("sentinel auth-pass %s %s", masterName, serverPassword),
		fmt.Sprintf("sentinel down-after-milliseconds %s 500", masterName),
		fmt.Sprintf("sentinel failover-timeout %s 3000", masterName),
	}
	if err := os.WriteFile(config, []byte(strings.Join(lines, "\n")+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	s.args = []string{config, "--sentinel"}
	s.start()
	t.Cleanup(s.kill)
	s.awaitReady()
	return s
}

func (w *watched) options() Options {
	o := Options{
		MasterName: masterName, Password: serverPassword,
		SentinelUsername: "caddy", SentinelPassword: sentinelPassword,
	}
	for _, s := range w.sentinels {
		o.Addresses = append(o.Addresses, s.address)
	}
	return o
}

// primary returns the server that the first Sentinel calls so.
func (w *watched) primary() *server {
	answer := strings.Split(w.sentinels[0].call("SENTINEL", "GET-MASTER-ADDR-BY-NAME", masterName), "\n")
	for _, s := range w.servers {
		if len(answer) == 2 && s.port() == answer[1] {
			return s
		}
	}
	return nil
}

// With the durability that is worth having: every write waits for a replica.
//
//nolint:tparallel // The subtests share the servers, and the last ones take them apart.
func TestContractWithSentinels(t *testing.T) {
	t.Parallel()
	w := newWatched(t)
	storetest.Run(t, func(t *testing.T) storetest.Subject {
		o := ownOptions(t, w.options())
		o.Wait.Replicas = 1
		clock := storetest.NewClock()
		o.Now = clock.Now
		return storetest.Subject{
			Store: open(t, o), Now: clock.Now, Advance: clock.Advance,
			Reopen: func(t *testing.T) revocation.Store { return open(t, o) },
		}
	})
	t.Run("Sentinels are listened to", func(t *testing.T) {
		open(t, ownOptions(t, w.options()))
		await(t, "subscription", soon, func() bool {
			for _, s := range w.sentinels {
				for client := range strings.Lines(s.call("CLIENT", "LIST")) {
					if strings.Contains(client, "user=caddy") && !strings.Contains(client, " sub=0 ") {
						return true
					}
				}
			}
			return false
		})
	})
	testFailover(t, w)
}

// testFailover has two primaries fail, one after the other, under load. Nothing that was
// acknowledged is lost, and the same Store goes on.
func testFailover(t *testing.T, w *watched) {
	var stopped *server
	for _, c := range []struct {
		what string
		fail func(*server)
	}{
		{"stopped", func(s *server) { stopped = s; s.pause() }},
		{"killed", func(s *server) { s.kill() }},
	} {
		t.Run("primary is "+c.what, func(t *testing.T) {
			o := ownOptions(t, w.options())
			o.Wait.Replicas = 1
			s := open(t, o)
			watching := keepWatching(t, s)
			load := startWriters(t, 4, s)
			await(t, "written entries", 10*time.Second, func() bool { return load.count() > 200 })
			old := w.primary()
			began := time.Now()
			c.fail(old)
			await(t, "another primary", 15*time.Second, func() bool { p := w.primary(); return p != nil && p != old })
			replaced := time.Now()
			await(t, "write after the failover", 5*time.Second, func() bool { return load.writtenAfter(replaced) })
			t.Logf("failover took %s, writes began %s later", replaced.Sub(began).Round(time.Millisecond), time.Since(replaced).Round(time.Millisecond))
			more := load.count() + 200
			await(t, "some more writes", 5*time.Second, func() bool { return load.count() > more })
			load.end()
			mustHold(t, s, load.acknowledged...)
			now := time.Now()
			await(t, "Alive", 10*time.Second, func() bool { return watching.aliveAfter(now) })
			gaps, resumed := watching.counts()
			t.Logf("%d acknowledged, %d failed; feed began anew %d times, was resumed %d times", len(load.acknowledged), load.failed, gaps, resumed)
			if gaps == 1 {
				for _, e := range load.acknowledged {
					if !watching.has(e) {
						t.Fatalf("no gap, and %q was not told", e.ID)
					}
				}
			}
		})
	}

	t.Run("the first primary is back", func(t *testing.T) {
		o := ownOptions(t, w.options())
		o.Wait.Replicas = 1
		s := open(t, o)
		watching := keepWatching(t, s)
		stopped.resume()
		// For some seconds it takes itself for the primary.
		role, err := stopped.try("ROLE")
		t.Logf("the first primary says of itself: %.6s %v", role, err)
		fresh := open(t, o)
		for n := range 100 {
			// The replicas may be made to follow another server meanwhile.
			await(t, "write", soon, func() bool { return s.Revoke(t.Context(), token(n)) == nil })
			mustHold(t, fresh, tokens(0, n+1)...)
			time.Sleep(10 * time.Millisecond)
		}
		await(t, "report", soon, func() bool { return watching.has(token(99)) })
	})
}
