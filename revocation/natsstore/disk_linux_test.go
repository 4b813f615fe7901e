package natsstore

import (
	"context"
	"fmt"
	"os/exec"
	"testing"
	"time"

	"example.com/caddy-token-auth/revocation"
)

// What a server cannot write to its disk, it does not acknowledge, and what it has
// acknowledged is not lost. Nothing of ours has to be started again; the server has, since
// it takes no more writes after one that has failed.
func TestServerWhoseDiskFails(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		always bool
		// breaks makes the disk fail, and repair, with the server stopped, makes it work.
		breaks, repair func(t *testing.T, server *child)
	}{
		"full": {
			breaks: func(_ *testing.T, server *child) { server.fail("full") },
		},
		"cannot be synced": {
			always: true,
			breaks: func(_ *testing.T, server *child) { server.fail("no sync") },
		},
		"small file system": {
			breaks: func(*testing.T, *child) {}, // logouts fill it
			repair: func(t *testing.T, server *child) { mustMount(t, "-o", "remount,size=64m", server.dir) },
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			if c.repair != nil {
				mountSmall(t, dir)
			}
			server := startChild(t, dir, c.always)
			s, err := Open(t.Context(), Options{URLs: []string{server.url()}, Timeout: time.Second})
			if err != nil {
				t.Fatal(err)
			}
			list, err := revocation.Open(t.Context(), s, revocation.Options{})
			if err != nil {
				t.Fatal(err)
			}
			defer list.Close()
			trusted := func() bool { return list.Status().Trusted }
			await(t, "trust", trusted)
			var acknowledged []*revocation.Identity
			for n := range 50 {
				acknowledged = append(acknowledged, mustLogOut(t, list, n))
			}

			c.breaks(t, server)
			// A file system that is nearly full has room for some more, now and then.
			for n, refused := 1000, 0; refused < 5; n++ {
				if n == 10_000 {
					t.Fatal("the disk does not fail")
				}
				id := identity(n)
				switch _, err := list.Revoke(t.Context(), id, revocation.ScopeClient); {
				case err != nil:
					refused++
				case c.repair == nil:
					t.Fatalf("logout %d is acknowledged while the disk fails", n)
				default:
					acknowledged, refused = append(acknowledged, id), 0
				}
			}
			if verdict, err := list.Check(t.Context(), identity(1)); verdict == revocation.Live {
				t.Errorf("a revoked token is let through (%v)", err)
			}
			if verdict, err := list.Check(t.Context(), identity(50_000)); verdict != revocation.Live {
				t.Errorf("Check of a live token gave %v, %v while what is known is recent", verdict, err)
			}

			server.stop()
			if c.repair != nil {
				c.repair(t, server)
			}
			server.start()
			await(t, "logout by the same list", func() bool {
				_, err := list.Revoke(context.Background(), identity(60_000), revocation.ScopeClient)
				return err == nil
			})
			await(t, "trust", trusted)
			for n, id := range append(acknowledged, identity(60_000)) {
				if verdict, err := list.Check(t.Context(), id); verdict != revocation.RevokedClient {
					t.Fatalf("logout %d, which was acknowledged, is judged %v, %v", n, verdict, err)
				}
			}
		})
	}
}

func identity(n int) *revocation.Identity {
	return revocation.NewIdentity("https://id.example.com", fmt.Sprintf("token-%d", n), "", fmt.Sprintf("client-%d", n), begun, begun.Add(time.Hour))
}

func mustLogOut(t *testing.T, list *revocation.List, n int) *revocation.Identity {
	t.Helper()
	id := identity(n)
	if _, err := list.Revoke(t.Context(), id, revocation.ScopeClient); err != nil {
		t.Fatal(err)
	}
	return id
}

// mountSmall mounts a file system of 512 KiB. It skips the test without the right to.
func mountSmall(t *testing.T, dir string) {
	t.Helper()
	if err := mount("-t", "tmpfs", "-o", "size=512k,mode=700", "tmpfs", dir); err != nil {
		t.Skipf("no right to mount: %v", err)
	}
	t.Cleanup(func() {
		if out, err := exec.Command("umount", dir).CombinedOutput(); err != nil { //nolint:noctx // it runs when the test's context has ended
			t.Errorf("umount: %v: %s", err, out)
		}
	})
}

func mount(args ...string) error {
	out, err := exec.Command("mount", args...).CombinedOutput() //nolint:noctx // it takes a moment
	if err != nil {
		return fmt.Errorf("mount: %w: %s", err, out)
	}
	return nil
}

func mustMount(t *testing.T, args ...string) {
	t.Helper()
	if err := mount(args...); err != nil {
		t.Fatal(err)
	}
}
