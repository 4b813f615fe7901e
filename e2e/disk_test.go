package e2e

import (
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"

	"example.com/caddy-token-auth/revocation/localstore"
)

// fill logs clients out until so many logouts were refused, and returns the pairs
// whose logout was acknowledged. Every refusal has to be the API's 503.
func (s *sidecar) fill(refusals int64) []pair {
	s.t.Helper()
	const (
		workers = 16
		limit   = 10_000 // logouts
	)
	var (
		h       history
		tried   atomic.Int64
		refused atomic.Int64
		wg      sync.WaitGroup
	)
	for range workers {
		wg.Go(func() {
			c := s.client()
			defer c.close()
			for refused.Load() < refusals && tried.Add(1) <= limit && !s.t.Failed() {
				p := mint(s.api.newClient())
				a, err := c.do(http.MethodPost, logoutPath, p.access, "")
				switch {
				case err == nil && a.is(http.StatusOK, bodyLoggedOut):
					h.add(&h.loggedOut, p)
				case err == nil && a.is(http.StatusServiceUnavailable, bodyUnavailable) && a.header.Get("Retry-After") != "":
					refused.Add(1)
				default:
					s.t.Errorf("logout: %s %v, %v", a, a.header, err)
				}
			}
		})
	}
	wg.Wait()
	if refused.Load() < refusals {
		s.t.Errorf("the disk was not full after %d logouts: %d were refused", tried.Load(), refused.Load())
	}
	return h.loggedOut
}

// checkFullDisk fills the disk of a running sidecar and looks at what it still does.
// It returns the pairs whose logout was acknowledged.
func (s *sidecar) checkFullDisk(before pair) []pair {
	s.t.Helper()
	loggedOut := append(s.fill(100), before)
	if !s.alive() {
		s.t.Fatalf("it ended when the disk was full: %v", s.process.err)
	}
	s.check(loggedOut, []pair{mint(s.api.newClient())}, nil)
	c := s.client()
	defer c.close()
	if p, err := c.login(s.api.newClient()); err != nil {
		s.t.Errorf("login with a full disk: %v", err)
	} else {
		c.wantLive(s.t, p)
	}
	return loggedOut
}

// checkRoom checks that logouts work, and that those before hold.
func (s *sidecar) checkRoom(loggedOut []pair) {
	s.t.Helper()
	c := s.client()
	defer c.close()
	p := mint(s.api.newClient())
	c.logout(s.t, p)
	s.check(append(loggedOut, p), nil, nil)
}

// TestFileThatCannotGrow runs the process with a limit on the size of files, where
// writes fail with EFBIG.
func TestFileThatCannotGrow(t *testing.T) {
	s := newSidecar(t, newAPI(t))
	before := mint(s.api.newClient())
	s.start()
	c := s.client()
	defer c.close()
	c.logout(t, before)
	c.close()
	s.stop()

	file, err := os.Stat(filepath.Join(s.store, localstore.FileName))
	if err != nil {
		t.Fatal(err)
	}
	// The unit of ulimit is 512 bytes (POSIX).
	s.wrapper = []string{"/bin/sh", "-c", fmt.Sprintf(`ulimit -f %d && exec "$@"`, file.Size()/512), "sh"}
	s.start()
	loggedOut := s.checkFullDisk(before)
	s.stop()

	s.wrapper = nil
	s.start()
	s.checkRoom(loggedOut)
	s.stop()
	s.checkStore(len(loggedOut))
}

// TestFullDisk runs the process on a file system that fills up, where writes fail
// with ENOSPC, and that is given room while it runs. It needs the right to mount.
func TestFullDisk(t *testing.T) {
	s := newSidecar(t, newAPI(t))
	if err := os.Mkdir(s.store, 0o700); err != nil {
		t.Fatal(err)
	}
	mount := func(args ...string) error {
		//nolint:noctx // It also runs when the test's context has ended.
		out, err := exec.Command(args[0], append(args[1:], s.store)...).CombinedOutput()
		if err != nil {
			return fmt.Errorf("%w: %s", err, out)
		}
		return nil
	}
	if err := mount("mount", "-t", "tmpfs", "-o", "size=256k,mode=700", "tmpfs"); err != nil {
		t.Skipf("no right to mount: %v", err)
	}
	t.Cleanup(func() {
		s.kill()
		if err := mount("umount"); err != nil {
			t.Error(err)
		}
	})
	s.start()
	before := mint(s.api.newClient())
	c := s.client()
	defer c.close()
	c.logout(t, before)

	loggedOut := s.checkFullDisk(before)
	if err := mount("mount", "-o", "remount,size=64m"); err != nil {
		t.Fatal(err)
	}
	s.checkRoom(loggedOut) // without a restart
	s.kill()
	s.start()
	s.checkRoom(loggedOut)
	s.stop()
	s.checkStore(len(loggedOut))
}
